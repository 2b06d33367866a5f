"""`websockets.asyncio`, with another `connect`."""

from __future__ import annotations

from typing import Any

import websockets.asyncio

from rtwidgets.testing.websockets.asyncio import client

__all__ = ["client"]


def __getattr__(name: str) -> Any:
    return getattr(websockets.asyncio, name)
