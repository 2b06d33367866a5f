"""Tools to test notebooks that hold live streams.

`Lab` opens a notebook in a real JupyterLab in a real browser and runs it. `FaultProxy` makes a network fail.
`ReplayServer` answers as a feed did, from a recording that `RecordingProxy` made. The proxies and the server
have blocking forms, for cells and plain tests. `plugin` is for pytest, which loads it wherever this package
is installed: so names are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rtwidgets.testing.blocking import BlockingFaultProxy
    from rtwidgets.testing.faults import FaultProxy, FaultStatistics
    from rtwidgets.testing.lab import Lab
    from rtwidgets.testing.page import CellFailed, KernelDied, LabTimeout, NotebookPage, Theme
    from rtwidgets.testing.recording import BlockingRecordingProxy, RecordingProxy
    from rtwidgets.testing.replaying import BlockingReplayServer, ReplayProblem, ReplayServer

__all__ = [
    "BlockingFaultProxy",
    "BlockingRecordingProxy",
    "BlockingReplayServer",
    "CellFailed",
    "FaultProxy",
    "FaultStatistics",
    "KernelDied",
    "Lab",
    "LabTimeout",
    "NotebookPage",
    "RecordingProxy",
    "ReplayProblem",
    "ReplayServer",
    "Theme",
]

_HOMES = {
    "BlockingFaultProxy": "blocking",
    "BlockingRecordingProxy": "recording",
    "BlockingReplayServer": "replaying",
    "CellFailed": "page",
    "FaultProxy": "faults",
    "FaultStatistics": "faults",
    "KernelDied": "page",
    "Lab": "lab",
    "LabTimeout": "page",
    "NotebookPage": "page",
    "RecordingProxy": "recording",
    "ReplayProblem": "replaying",
    "ReplayServer": "replaying",
    "Theme": "page",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
