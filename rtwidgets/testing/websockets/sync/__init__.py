"""`websockets.sync`, with another `connect`."""

from __future__ import annotations

from typing import Any

import websockets.sync

from rtwidgets.testing.websockets.sync import client

__all__ = ["client"]


def __getattr__(name: str) -> Any:
    return getattr(websockets.sync, name)
