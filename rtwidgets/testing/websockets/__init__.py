"""The library `websockets`, with a `connect` whose connections pytest can record and replay.

One line of a notebook changes::

    from rtwidgets.testing.websockets import connect  # was: from websockets import connect
    from rtwidgets.testing.websockets.sync.client import connect  # was: from websockets.sync.client import …
    from rtwidgets.testing import websockets  # was: import websockets

Whatever else `websockets` has is here too. While nothing is recorded or replayed a connection is what it was.
"""

from __future__ import annotations

from typing import Any

import websockets

from rtwidgets.testing.websockets import asyncio, sync
from rtwidgets.testing.websockets.asyncio.client import connect

__all__ = ["asyncio", "connect", "sync"]


def __getattr__(name: str) -> Any:
    return getattr(websockets, name)
