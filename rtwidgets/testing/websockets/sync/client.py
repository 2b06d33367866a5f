"""`websockets.sync.client`, with another `connect`."""

from __future__ import annotations

from typing import Any

import websockets.sync.client

from rtwidgets.testing.websockets.instead import instead

__all__ = ["connect"]


def connect(uri: str, **options: Any) -> Any:
    """Connect as `websockets.sync.client.connect` does, or to a recording, or through a recorder."""
    uri, options = instead(uri, options)
    return websockets.sync.client.connect(uri, **options)


def __getattr__(name: str) -> Any:
    return getattr(websockets.sync.client, name)
