"""Where a connection goes instead, when it is recorded or replayed."""

from __future__ import annotations

import os
from typing import Any

from rtwidgets.recording.places import RECORD, REPLAY

__all__ = ["instead"]

CLOSE_TIMEOUT = 1.0
"""Seconds that a server on this machine has to answer a good-bye."""

_OF_THE_WAY = ("ssl", "proxy", "server_hostname", "host", "port", "sock", "local_addr", "source_address")


def instead(url: str, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return where to connect, and with which options; those about the way there are for the way there."""
    if not (os.environ.get(REPLAY) or os.environ.get(RECORD)):
        return url, options
    import rtwidgets

    place = rtwidgets.recorded(url)
    if place != url:
        kept = {name: value for name, value in options.items() if not name.startswith(_OF_THE_WAY)}
        # A blocking client that leaves before it has read all waits this long for an answer.
        options = {"close_timeout": CLOSE_TIMEOUT, **kept, "proxy": None}
    return place, options
