"""Who is present in a channel, as one client hears it. Pure: messages in, members and events out.

The members may be read on any thread while the loop takes messages.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import pandas as pd
from pandas.api.typing import NaTType

from rtwidgets.frames.kinds import UTC
from rtwidgets.frames.values import Misfit, epoch_ns
from rtwidgets.messages import Joined, Left, Present

__all__ = ["PresenceEvent", "PresenceMap"]

KEPT = 1_000
"""Events that are kept, the newest."""


class PresenceEvent(NamedTuple):
    """A change of who is present in a channel.

    Attributes
    ----------
    kind
        ``"joined"`` or ``"left"``.
    user
        Who.
    time
        When, in UTC by the server's clock. NaT where nobody can tell: for those who went while this client
        was not connected, and where a server of an older version does not say.
    server
        The id of the server.
    """

    kind: Literal["joined", "left"]
    user: str
    time: pd.Timestamp | NaTType
    server: str


class PresenceMap:
    """The members of a channel, and how they came and went: `PresenceEvent`, numbered from 1.

    An event is made for each change of the members, and for nothing else.
    """

    def __init__(self) -> None:
        self.changed: Callable[[], None] = lambda: None
        """Called after each change, on the thread that takes the messages."""
        self.count = 0
        """Events so far."""
        self._members: dict[str, Present] = {}
        self._events: deque[tuple[int, PresenceEvent]] = deque(maxlen=KEPT)

    @property
    def members(self) -> list[Present]:
        """Who is present, oldest first."""
        return list(self._members.values())

    @property
    def df(self) -> pd.DataFrame:
        """The members as a frame: user (str), since (datetime64[ns, UTC]), server (str)."""
        members = self.members
        return pd.DataFrame(
            {
                "user": pd.Series([member.user for member in members], dtype="str"),
                "since": pd.Series([_moment(member.since) for member in members], dtype=UTC),
                "server": pd.Series([member.server for member in members], dtype="str"),
            }
        )

    def since(self, number: int) -> tuple[list[PresenceEvent], int]:
        """Return the events after a number, as far as they are kept, and the number of the newest one."""
        kept = list(self._events)
        return [event for each, event in kept if each > number], kept[-1][0] if kept else 0

    def told(self, members: Sequence[Present]) -> None:
        """Take the server's word on who is there, in place of all that was known."""
        before = self._members
        self._members = {member.user: member for member in members}
        for member in before.values():
            if self._members.get(member.user) != member:
                self._note("left", member.user, None, member.server)
        for member in self._members.values():
            if before.get(member.user) != member:
                self._note("joined", member.user, member.since, member.server)
        self.changed()

    def hear(self, event: Joined | Left) -> None:
        """Take a change. That somebody is there, or is not, who was or was not before changes nothing."""
        known = self._members.get(event.user)
        if isinstance(event, Joined):
            member = Present(event.user, event.since, event.server)
            if member == known:
                return
            self._members.pop(event.user, None)
            self._members[event.user] = member
            self._note("joined", event.user, event.since, event.server)
        elif known is not None:
            del self._members[event.user]
            self._note("left", event.user, event.time, event.server)
        self.changed()

    def _note(self, kind: Literal["joined", "left"], user: str, time: float | None, server: str) -> None:
        self._events.append((self.count + 1, PresenceEvent(kind, user, _moment(time), server)))
        self.count += 1


def _moment(time: float | None) -> pd.Timestamp | NaTType:
    """Return Unix milliseconds as a moment; NaT for none, or one that pandas has no number for."""
    try:
        return pd.NaT if time is None else pd.Timestamp(epoch_ns(time, "ms"), tz="UTC")
    except Misfit:
        return pd.NaT
