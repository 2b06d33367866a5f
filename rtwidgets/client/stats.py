"""What goes on in a document, a row a second, as the source of a stream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Self

from rtwidgets.client.document import DocumentSource
from rtwidgets.client.link import Link
from rtwidgets.client.presence import PresenceMap
from rtwidgets.client.source import LiveSource
from rtwidgets.client.subscription import Missing
from rtwidgets.errors import UsageError
from rtwidgets.frames import LiveFrame
from rtwidgets.loop import supervise

__all__ = ["StatsSource"]

EVERY = 1.0
"""Seconds between two rows."""
MINUTE = 60.0

_SCHEMA = {
    "characters": "int64",
    "edits_per_minute": "int64",
    "editors": "int64",
    "time": "datetime64[ms]",
}


class StatsSource(LiveSource):
    """Rows about a document.

    Parameters
    ----------
    document
        The document.
    editors
        Returns how many are present.
    """

    def __init__(self, document: DocumentSource, editors: Callable[[], int]) -> None:
        self.frame = LiveFrame(time="time", schema=_SCHEMA)
        self.gaps: list[Missing] = []
        self.skipped = self.conflated = 0
        self.presence = PresenceMap()
        self._document = document
        self._editors = editors
        self._task = supervise(self._run(), f"stats of {document.name}")

    @classmethod
    async def open(cls, document: DocumentSource, editors: Callable[[], int]) -> Self:
        """Begin, on the background loop."""
        return cls(document, editors)

    @property
    def link(self) -> Link:
        """The document's connection."""
        return self._document.link

    async def send(self, data: object) -> None:
        """Raise a `UsageError`: there is nobody to send to."""
        raise UsageError("these rows are worked out here: edit the document instead")

    async def close(self) -> None:
        """Write no more rows."""
        self._task.cancel()

    async def _run(self) -> None:
        while True:
            self.frame.extend([self._row()])
            await asyncio.sleep(EVERY)

    def _row(self) -> dict[str, float]:
        now = time.time()
        edits = 0
        for entry in reversed(self._document.history.entries):
            if entry.time < (now - MINUTE) * 1000.0:
                break
            edits += 1
        return {
            "characters": len(self._document.text),
            "edits_per_minute": edits,
            "editors": self._editors(),
            "time": now * 1000.0,
        }
