"""A recording as the source of a stream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rtwidgets.checks import is_amount, is_positive
from rtwidgets.client.multiplex import hear
from rtwidgets.client.player import Player, Timeline
from rtwidgets.client.presence import PresenceMap
from rtwidgets.client.recorder import Tap
from rtwidgets.client.records import Taking
from rtwidgets.client.source import ChannelReader
from rtwidgets.client.subscription import Missing
from rtwidgets.errors import UsageError
from rtwidgets.frames import LiveFrame
from rtwidgets.loop import supervise
from rtwidgets.messages import Conflated, Gap, Joined, Left, Messages, Subscribed, decode_server

__all__ = ["ChannelTaking", "ReplaySource", "check_speed"]

BATCH = 1_000
"""Messages that are decoded together at the most."""


class ChannelTaking:
    """Takes what a server of ours sent of one channel."""

    def __init__(self, reader: ChannelReader) -> None:
        self._reader = reader
        self.begun = False
        """Whether the server's answer was there, which says what the rows are."""

    @property
    def frame(self) -> LiveFrame:
        """The rows."""
        return self._reader.frame

    @property
    def skipped(self) -> int:
        """Messages that `where` did not take."""
        return self._reader.skipped

    def messages(self, messages: list[bytes], received: int | npt.NDArray[np.int64]) -> None:
        """Take messages of the dialect."""
        for each in messages:
            message = decode_server(each)
            if isinstance(message, Subscribed | Messages | Joined | Left | Gap | Conflated):
                hear(self._reader, message)
                self.begun = True

    def broke(self) -> None:
        """Do nothing: the server's next answer tells what is missing."""


class ReplaySource:
    """Plays a recording to an intake.

    Parameters
    ----------
    player
        The cursor on the recording.
    intake
        What it plays to.
    presence
        Who is there.
    missing
        Returns further gaps than those between connections.
    timeline
        By whose time it is played; None where `read_all` or `begin` is called.
    expected
        Called with what is to be sent, which goes nowhere; raises a `UsageError` when it should not be.
    """

    def __init__(
        self,
        player: Player,
        intake: Taking,
        *,
        presence: PresenceMap | None = None,
        missing: Callable[[], list[Missing]] = list,
        timeline: Timeline | None = None,
        expected: Callable[[object], None] = lambda data: None,
    ) -> None:
        self.link = player
        self.origin = player.origin
        self.about: Mapping[str, Any] = player.about
        self.intake = intake
        self.presence = presence or PresenceMap()
        self.conflated = 0
        self._missing = missing
        self._timeline = timeline
        self._expected = expected
        self._task: asyncio.Task[None] | None = None
        if timeline is not None:
            timeline.add(player)

    @property
    def tap(self) -> Tap | None:
        """Is told of every message that was received."""
        return self.link.tap

    @tap.setter
    def tap(self, tap: Tap | None) -> None:
        self.link.tap = tap

    @property
    def frame(self) -> LiveFrame:
        """The rows."""
        return self.intake.frame

    @property
    def gaps(self) -> list[Missing]:
        """What is known to be missing."""
        return [*self.link.gaps, *self._missing()]

    @property
    def skipped(self) -> int:
        """Messages that `where` did not take."""
        return self.intake.skipped

    async def send(self, data: object) -> None:
        """Check that the message is one that was recorded: it goes nowhere.

        Raises
        ------
        UsageError
            When it is not.
        """
        self._expected(data)

    def advance(self, reached: Callable[[], bool]) -> None:
        """Go on until something is reached, where time stands still unless somebody waits."""
        if self._timeline is not None:
            self._timeline.advance(reached)

    async def read_all(self) -> None:
        """Play all of it at once."""
        while self.link.play(BATCH):  # noqa: ASYNC110 - the others have their turn
            await asyncio.sleep(0)
        self.link.end()

    def begin(self, speed: float, *, loop: bool, name: str) -> None:
        """Play it by the clock, so many times as fast as it was recorded; over and over, if it is to loop."""
        self._task = supervise(self._play(speed, loop), f"replay {name}")

    async def _play(self, speed: float, loop: bool) -> None:
        try:
            await self._keep_pace(speed, loop)
        except Exception as error:
            self.link.end(f"the recording cannot be played further: {error}")
            raise  # and is reported
        self.link.end()

    async def _keep_pace(self, speed: float, loop: bool) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            while (due := self.link.next) is not None:
                ahead = (due - self.link.first) / 1e9 / speed - (clock() - began)
                await asyncio.sleep(max(0.0, ahead))
                now = self.link.first + round((clock() - began) * speed * 1e9)
                self.link.play(BATCH, max(due, now))
            if not loop:
                return
            self.link.rewind()
            if self.link.next is None:  # there is nothing in it
                return

    async def close(self) -> None:
        """Play no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._timeline is not None:
            self._timeline.remove(self.link)
        self.link.end("stopped")


def check_speed(speed: object, *, loop: bool) -> None:
    """Raise a `UsageError` for a speed at which nothing can be played."""
    if speed is None:
        if loop:
            raise UsageError("loop=True needs a speed=: without one it would never end")
    elif not (is_positive(speed) and is_amount(speed)):
        raise UsageError(
            f"speed={speed!r}: give how many times as fast as it was recorded, such as 1 or 10; "
            "or None for all at once"
        )
