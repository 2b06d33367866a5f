"""How lively a chat room is, a row a second, as the source of a stream."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Self

import numpy as np

from rtwidgets.client.link import Link
from rtwidgets.client.presence import PresenceMap
from rtwidgets.client.room import RoomSource
from rtwidgets.client.source import LiveSource
from rtwidgets.client.subscription import Missing
from rtwidgets.errors import UsageError
from rtwidgets.frames import LiveFrame
from rtwidgets.loop import supervise

__all__ = ["ActivitySource"]

EVERY = 1.0
"""Seconds between two looks."""
MINUTE = 60.0

_SCHEMA = {"messages_per_minute": "int64", "present": "int64", "time": "datetime64[ms]"}
_BY_USER = {
    "user": "category",
    "messages": "int64",
    "messages_per_minute": "int64",
    "time": "datetime64[ms]",
}


class ActivitySource(LiveSource):
    """Rows about a chat room: of all of it, or of each who has said something, whenever that has changed.

    Parameters
    ----------
    room
        The room.
    by_user
        Which of the two.
    """

    def __init__(self, room: RoomSource, *, by_user: bool) -> None:
        key, schema = ("user", _BY_USER) if by_user else (None, _SCHEMA)
        self.frame = LiveFrame(key=key, time="time", schema=schema)
        self.gaps: list[Missing] = []
        self.skipped = self.conflated = 0
        self.presence = PresenceMap()
        self._room = room
        self._told: dict[str, tuple[int, int]] = {}
        look = self._of_each if by_user else self._of_all
        self._task = supervise(self._run(look), f"activity in {room.subscription.channel}")

    @classmethod
    async def open(cls, room: RoomSource, *, by_user: bool) -> Self:
        """Begin, on the background loop."""
        return cls(room, by_user=by_user)

    @property
    def link(self) -> Link:
        """The room's connection."""
        return self._room.link

    async def send(self, data: object) -> None:
        """Raise a `UsageError`: there is nobody to send to."""
        raise UsageError("these rows are worked out here: send to the chat instead")

    async def close(self) -> None:
        """Write no more rows."""
        self._task.cancel()

    async def _run(self, look: Any) -> None:
        while True:
            if rows := look(time.time()):
                self.frame.extend(rows)
            await asyncio.sleep(EVERY)

    def _of_all(self, now: float) -> list[dict[str, float]]:
        recent = np.count_nonzero(self._recent(self._room.frame.view(["time"]).columns["time"], now))
        present = len(self._room.presence.members)
        return [{"messages_per_minute": int(recent), "present": present, "time": now * 1000.0}]

    def _of_each(self, now: float) -> list[dict[str, Any]]:
        rows = self._room.frame.view(["user", "time"])
        codes, names = rows.columns["user"], rows.categories["user"]
        recent = self._recent(rows.columns["time"], now)
        counts = [np.bincount(some[some >= 0], minlength=len(names)) for some in (codes, codes[recent])]
        told = self._told
        self._told = {str(name): (int(n), int(new)) for name, n, new in zip(names, *counts, strict=True)}
        return [
            {"user": name, "messages": said[0], "messages_per_minute": said[1], "time": now * 1000.0}
            for name, said in self._told.items()
            if told.get(name) != said
        ]

    @staticmethod
    def _recent(times: Any, now: float) -> Any:
        return times >= np.datetime64(round((now - MINUTE) * 1e9), "ns")
