"""Live streams in Jupyter: background WebSocket servers and clients, pandas frames, live charts.

>>> import rtwidgets as rt
>>> server = rt.serve(seed=1)
>>> prices = rt.connect("prices")
>>> prices.wait(rows=20)
>>> prices.chart("price")
>>> rt.stop()

Names are imported when they are first used, so that importing the package costs little.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from rtwidgets.alerts import Alert
    from rtwidgets.books import BookStream
    from rtwidgets.contests import Game, Match
    from rtwidgets.documents import Document
    from rtwidgets.errors import RtError
    from rtwidgets.frames import LiveFrame
    from rtwidgets.joins import Asof, asof
    from rtwidgets.kinds import Feed
    from rtwidgets.lots import Auction
    from rtwidgets.notebook.face import (
        auction,
        chat,
        connect,
        dashboard,
        document,
        feed,
        feeds,
        game,
        health,
        login,
        match,
        recorded,
        replay,
        serve,
        service,
        sleep,
        status,
        stop,
    )
    from rtwidgets.notebook.servers import RunningServer
    from rtwidgets.rooms import Chat
    from rtwidgets.stream import Stream
    from rtwidgets.widgets import Status

__version__ = "0.1.0"

__all__ = [
    "Alert",
    "Asof",
    "Auction",
    "BookStream",
    "Chat",
    "Document",
    "Feed",
    "Game",
    "LiveFrame",
    "Match",
    "RtError",
    "RunningServer",
    "Status",
    "Stream",
    "asof",
    "auction",
    "chat",
    "connect",
    "dashboard",
    "document",
    "feed",
    "feeds",
    "game",
    "health",
    "login",
    "match",
    "recorded",
    "replay",
    "serve",
    "service",
    "sleep",
    "status",
    "stop",
]

_HOMES = {
    "Alert": "rtwidgets.alerts",
    "Asof": "rtwidgets.joins",
    "Auction": "rtwidgets.lots",
    "BookStream": "rtwidgets.books",
    "Chat": "rtwidgets.rooms",
    "Document": "rtwidgets.documents",
    "Feed": "rtwidgets.kinds",
    "Game": "rtwidgets.contests",
    "LiveFrame": "rtwidgets.frames",
    "Match": "rtwidgets.contests",
    "RtError": "rtwidgets.errors",
    "RunningServer": "rtwidgets.notebook.servers",
    "Status": "rtwidgets.widgets",
    "Stream": "rtwidgets.stream",
    "asof": "rtwidgets.joins",
} | dict.fromkeys(
    [
        "auction",
        "chat",
        "connect",
        "dashboard",
        "document",
        "feed",
        "feeds",
        "game",
        "health",
        "login",
        "match",
        "recorded",
        "replay",
        "serve",
        "service",
        "sleep",
        "status",
        "stop",
    ],
    "rtwidgets.notebook.face",
)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Take part in a notebook: ``%load_ext rtwidgets``."""
    from rtwidgets.notebook.magics import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Leave it again, with everything stopped: ``%unload_ext rtwidgets``."""
    from rtwidgets.notebook.magics import unload

    unload(shell)
