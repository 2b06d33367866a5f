"""`websockets.asyncio.client`, with another `connect`."""

from __future__ import annotations

from typing import Any

import websockets.asyncio.client

from rtwidgets.testing.websockets.instead import instead

__all__ = ["connect"]


def connect(uri: str, **options: Any) -> Any:
    """Connect as `websockets.asyncio.client.connect` does, or to a recording, or through a recorder."""
    uri, options = instead(uri, options)
    return websockets.asyncio.client.connect(uri, **options)


def __getattr__(name: str) -> Any:
    return getattr(websockets.asyncio.client, name)
