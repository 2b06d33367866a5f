"""A client's cursor on one channel. Pure: messages in, places to read from out.

The server may send a run twice (after a break) or with a hole before it (when history was trimmed). The
cursor says which part of a run is new, and keeps each hole as a `Missing` record.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from rtwidgets.client.presence import PresenceMap
from rtwidgets.messages import Conflated, Cursor, Gap, Joined, Left, Messages, Subscribe, Subscribed

__all__ = ["Missing", "Subscription"]


class Missing(NamedTuple):
    """A hole in what a client has read.

    Attributes
    ----------
    epoch
        The life of the log in which it was found; the new one when the epoch changed.
    first, last
        Offsets of the first and last missing message; None when nobody can know them.
    reason
        In words.
    """

    epoch: str
    first: int | None
    last: int | None
    reason: str


class Subscription:
    """Where a client stands in a channel.

    Parameters
    ----------
    channel
        Its name.
    history
        Whether to begin with what the log still keeps, or with what comes from now on.
    after
        Where to begin instead: what comes after it has not been read.
    """

    def __init__(self, channel: str, *, history: bool = True, after: Cursor | None = None) -> None:
        self.channel = channel
        self.cursor: Cursor | None = None
        self.gaps: deque[Missing] = deque(maxlen=1_000)
        self.breaks = 0
        """Gaps that were found; `gaps` keeps the newest thousand of them."""
        self.conflated = 0
        """Messages that were left out because this client was too slow and had the last one of their key."""
        self.people = PresenceMap()
        self._start = after or (Cursor("", 0) if history else None)

    @property
    def present(self) -> list[str]:
        """The names of who is in the channel, oldest first."""
        return [member.user for member in self.people.members]

    def request(self, id: int) -> Subscribe:
        """Return what to ask of the server, now or after a break."""
        return Subscribe(id, self.channel, self.cursor or self._start)

    def subscribed(self, answer: Subscribed) -> None:
        """Take the server's answer: go on from where it says, noting what is missing before that."""
        before, self.cursor = self.cursor, Cursor(answer.epoch, answer.offset)
        self.people.told(answer.present or ())
        if before is None:
            return
        if answer.recovered and before.epoch == answer.epoch and before.offset > answer.offset:
            self.cursor = before  # what was on its way while this was asked for was read meanwhile
        if before.epoch != answer.epoch:
            self._missing(answer.epoch, None, None, "the channel began anew (another epoch)")
        elif not answer.recovered:
            if answer.offset > before.offset:
                self._missing(
                    answer.epoch, before.offset + 1, answer.offset, "no longer in the log after a break"
                )
            else:
                self._missing(answer.epoch, None, None, "the log went back behind what was read")

    def presence(self, event: Joined | Left) -> None:
        """Take a change of who is present."""
        self.people.hear(event)

    def messages(self, run: Messages) -> int:
        """Advance over a run and return how many messages at its head were read before."""
        if self.cursor is None or run.epoch != self.cursor.epoch:
            return run.count  # sent before the answer to a new request: it will come again
        last = run.offset + run.count - 1
        if last <= self.cursor.offset:
            return run.count
        if run.offset > self.cursor.offset + 1:
            self._missing(run.epoch, self.cursor.offset + 1, run.offset - 1, "never sent")
        known = max(0, self.cursor.offset + 1 - run.offset)
        self.cursor = Cursor(run.epoch, last)
        return known

    def gap(self, gap: Gap) -> bool:
        """Take the server's word that messages left the log before they could be read.

        Returns whether that was news.
        """
        news = self.cursor is not None and gap.epoch == self.cursor.epoch and gap.last > self.cursor.offset
        if self.cursor is not None and news:
            # Should it begin later than that, what is in between is missing too.
            self._missing(
                gap.epoch, self.cursor.offset + 1, gap.last, "left the log before this client could read them"
            )
            self.cursor = Cursor(gap.epoch, gap.last)
        return news

    def conflation(self, run: Conflated) -> bool:
        """Advance over messages of which only the last one of each key is sent; return whether to read it."""
        if self.cursor is None or run.epoch != self.cursor.epoch or run.first != self.cursor.offset + 1:
            return False  # sent before the answer to a new request
        self.cursor = Cursor(run.epoch, run.last)
        self.conflated += run.last - run.first + 1 - len(run.latest.offsets)
        return True

    def _missing(self, epoch: str, first: int | None, last: int | None, reason: str) -> None:
        self.breaks += 1
        self.gaps.append(Missing(epoch, first, last, reason))
