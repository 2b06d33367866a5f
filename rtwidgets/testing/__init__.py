"""Tools to test notebooks that hold live streams.

`Lab` opens a notebook in a real JupyterLab in a real browser and runs it. `FaultProxy` makes a network fail;
`BlockingFaultProxy` does so from a cell or a plain test.
"""

from rtwidgets.testing.blocking import BlockingFaultProxy
from rtwidgets.testing.faults import FaultProxy, FaultStatistics
from rtwidgets.testing.lab import Lab
from rtwidgets.testing.page import CellFailed, KernelDied, LabTimeout, NotebookPage, Theme

__all__ = [
    "BlockingFaultProxy",
    "CellFailed",
    "FaultProxy",
    "FaultStatistics",
    "KernelDied",
    "Lab",
    "LabTimeout",
    "NotebookPage",
    "Theme",
]
