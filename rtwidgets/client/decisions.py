"""A channel of decisions, as one of those who take part sees it: its rows, and what they add up to."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from rtwidgets.client.member import MemberSource
from rtwidgets.client.multiplex import Multiplex
from rtwidgets.client.records import Intake
from rtwidgets.errors import RtError
from rtwidgets.loop import report
from rtwidgets.messages import Joined, Left, Messages, Subscribed

__all__ = ["Clock", "DecisionSource", "Rules"]


class Clock:
    """The server's clock, by what it says of things that have just happened.

    The word that was the least time on its way is the nearest to the truth. It is the clock of this machine
    until there is such a word.
    """

    def __init__(self) -> None:
        self._ahead: float | None = None  # of `time.monotonic`, in milliseconds
        self._old = False

    def now(self) -> float:
        """Return the time of the server, in Unix milliseconds; from any thread."""
        if self._ahead is None:
            return time.time() * 1000.0
        return time.monotonic() * 1000.0 + self._ahead

    def begin(self) -> None:
        """Trust the next word more than those before: there was a break, or it is another server."""
        self._old = True

    def hear(self, moment: float) -> None:
        """Take the time, in Unix milliseconds, of what has just happened at the server."""
        ahead = moment - time.monotonic() * 1000.0
        self._ahead = ahead if self._ahead is None or self._old else max(self._ahead, ahead)
        self._old = False


class Rules(Protocol):
    """What rows add up to."""

    def apply(self, row: Any) -> None:
        """Take the next row."""


R = TypeVar("R", bound=Rules)


class DecisionSource(MemberSource, Generic[R]):
    """A channel of decisions, in which this client is present.

    Parameters
    ----------
    multiplex, channel, user, make
        As for `MemberSource`.
    rules
        Makes the state before the first row.
    rows
        What rows are decoded to: a msgspec type.
    show
        Returns a picture of the state that does not change with it.
    """

    def __init__(
        self,
        multiplex: Multiplex,
        channel: str,
        user: str,
        make: Callable[[Subscribed], Intake],
        *,
        rules: Callable[[], R],
        rows: Any,
        show: Callable[[R], Any],
    ) -> None:
        super().__init__(multiplex, channel, user, make)
        self.clock = Clock()
        self.picture = show(rules())
        """The state after the newest row."""
        self.changes = 0
        """How many pictures there were."""
        self._rules = rules
        self._state = rules()
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(rows)
        self._show = show
        self._breaks_seen = 0
        self._live = 0  # the newest row that was there already when this client came

    async def start(self) -> None:
        """Follow the channel from its first row and be present in it; raises as `Multiplex.subscribe`."""
        await super().start()
        await self.reached(self._live)

    async def send(self, data: object) -> None:
        """Ask for something, and wait until what became of it is in the picture; raises as `publish`."""
        await self.publish(data)

    # What the multiplex calls

    def opened(self, answer: Subscribed) -> None:
        """Take the server's answer, the first or one after a break."""
        self._live = answer.last
        self.clock.begin()
        super().opened(answer)
        if self.subscription.breaks > self._breaks_seen:  # what comes now stands on its own
            self._breaks_seen = self.subscription.breaks
            self._state = self._rules()
            self._changed()

    def read(self, run: Messages, known: int) -> None:
        """Take a run."""
        pieces = msgspec.json.decode(run.data, type=list[msgspec.Raw])
        for offset, piece in enumerate(pieces[known:], run.offset + known):
            try:
                self._state.apply(self._decoder.decode(piece))
            except (ValueError, RecursionError, RtError) as error:  # not of ours, or of a later version
                report(f"message {offset} of {self.subscription.channel}", error)
        if run.offset + run.count - 1 > self._live:
            self.clock.hear(run.time[-1] if isinstance(run.time, list) else run.time)
        self._changed()
        super().read(run, known)

    def event(self, event: Joined | Left) -> None:
        """Take a change of who is present."""
        before = self.presence.count
        super().event(event)
        moment = event.since if isinstance(event, Joined) else event.time
        if moment is not None and self.presence.count > before:  # or it tells who came before
            self.clock.hear(moment)

    def _changed(self) -> None:
        self.picture = self._show(self._state)
        self.changes += 1
