"""Tools to test notebooks that hold live streams.

`Lab` opens a notebook in a real JupyterLab in a real browser and runs it.
"""

from rtwidgets.testing.lab import Lab
from rtwidgets.testing.page import CellFailed, KernelDied, LabTimeout, NotebookPage, Theme

__all__ = ["CellFailed", "KernelDied", "Lab", "LabTimeout", "NotebookPage", "Theme"]
