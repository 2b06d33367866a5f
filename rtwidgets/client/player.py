"""A cursor on a recording that plays it to an intake, and the time by which several are played together."""

from __future__ import annotations

import asyncio
import datetime as dt
import threading
from collections import deque
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from rtwidgets.client.inbox import Binary
from rtwidgets.client.link import CHANGES_KEPT, Change, State
from rtwidgets.client.recorder import Tap
from rtwidgets.client.records import Taking
from rtwidgets.client.subscription import Missing
from rtwidgets.errors import ConnectError
from rtwidgets.recording import Batch, Kind, Recording

__all__ = ["ENDED", "Player", "Timeline"]

ENDED = "the recording has ended"

_RECEIVED = (Kind.TEXT, Kind.BINARY)


class Player:
    """Plays a recording. To a stream it is the connection; made on the background loop.

    Parameters
    ----------
    recording
        What to play.
    intake
        What takes the messages, with the times at which they came.
    start
        Seconds of the recording to leave out.
    """

    latency: float | None = None
    attempt = 0
    due = 0.0

    def __init__(self, recording: Recording, intake: Taking, *, start: float = 0.0) -> None:
        self.changes: deque[Change] = deque(maxlen=CHANGES_KEPT)
        self.reason = ""
        self.gaps: deque[Missing] = deque(maxlen=1_000)
        self.ended: asyncio.Future[ConnectError | None] = asyncio.get_running_loop().create_future()
        self.tap: Tap | None = None
        self.first = (recording.first or 0) + round(start * 1e9)
        """Unix nanoseconds of where it begins."""
        self.about = recording.about
        self.origin = f"replay of {recording.path.name}"
        if recording.first is not None:
            self.origin += (
                f", recorded {dt.datetime.fromtimestamp(recording.first / 1e9, dt.UTC):%Y-%m-%d %H:%M} UTC"
            )
        self._recording = recording
        self._intake = intake
        self._start = self.first if start else None
        self._opened = 0
        self._last: int | None = None  # when the newest thing that was played came
        self.rewind()

    @property
    def state(self) -> State:
        """What the connection did at that point of the recording."""
        return self.changes[-1].state

    @property
    def next(self) -> int | None:
        """Unix nanoseconds of what comes next; None at the end."""
        return None if self._batch is None else self._batch.time

    def rewind(self) -> None:
        """Go back to where it began; what was played stays in the intake."""
        self._batches = self._recording.batches(self._start)
        self._batch: Batch | None = next(self._batches, None)
        self._at = 0  # how many messages of the batch were played
        self._enter(self.first, State.CONNECTING)

    def play(self, limit: int, until: int | None = None) -> bool:
        """Play what comes next; return whether there is more.

        Parameters
        ----------
        limit
            How many messages at the most. Less are played when the connection opens or closes there.
        until
            Unix nanoseconds of the last message to play.
        """
        messages: list[bytes] = []
        times: list[int] = []
        counts: list[int] = []
        while (batch := self._batch) is not None and (until is None or batch.time <= until):
            time, kind, part = batch
            if kind in _RECEIVED and (room := limit - len(messages)):
                if self._at or len(part) > room:
                    part = part[self._at : self._at + room]
                    self._at += len(part)
                messages += part
                times.append(time)
                counts.append(len(part))
                if self.tap is not None:
                    self.tap.received(time, [Binary(each) for each in part] if kind is Kind.BINARY else part)
                if not self._at or self._at == len(batch.messages):
                    self._turn()
            elif messages:
                break
            else:
                self._control(batch)
                self._turn()
                break
        if messages:
            received: int | npt.NDArray[np.int64] = times[0]
            if times[-1] != times[0]:
                received = np.repeat(np.array(times, np.int64), counts)
            if self.state is State.CONNECTING:
                self._enter(times[0], State.OPEN)  # a recording that does not tell of connections
            self._intake.messages(messages, received)
        return self._batch is not None

    def end(self, reason: str = ENDED) -> None:
        """Let the connection be closed for good; from any thread, and twice is harmless."""
        if self.state is not State.CLOSED:
            self._enter(self.changes[-1].time if self._last is None else self._last, State.CLOSED, reason)
            self.reason = reason
            loop = self.ended.get_loop()
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

    def _turn(self) -> None:
        assert self._batch is not None
        self._last = self._batch.time
        self._batch = next(self._batches, None)
        self._at = 0

    def _control(self, batch: Batch) -> None:
        """Follow what the connection did. What was sent is no news to an intake."""
        if batch.kind is Kind.OPENED:
            if self._opened:
                self.gaps.append(Missing("", None, None, self.reason or "the connection broke off"))
                self._intake.broke()
            self._opened += 1
            self._enter(batch.time, State.OPEN)
        elif batch.kind is Kind.CLOSED:
            self.reason = b" ".join(batch.messages).decode(errors="replace")
            self._enter(batch.time, State.WAITING, self.reason)

    def _enter(self, time: int, state: State, reason: str = "") -> None:
        self.changes.append(Change(time, state, reason))


class Timeline:
    """The time of replays that goes on only while somebody waits, so that nothing depends on who is faster.

    Each recording begins at the time at which it was added; from there on all are played in the order of
    their recorded times.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._players: list[tuple[int, Player]] = []
        self._now = 0  # nanoseconds since the first one began

    def add(self, player: Player) -> None:
        """Play a recording from now on."""
        with self._lock:
            self._players.append((self._now - player.first, player))

    def remove(self, player: Player) -> None:
        """Play it no longer."""
        with self._lock:
            self._players = [each for each in self._players if each[1] is not player]

    def advance(self, reached: Callable[[], bool]) -> None:
        """Let time go on until something is reached, or all recordings have ended."""
        while not reached():
            with self._lock:
                if not self._step(None):
                    return

    def sleep(self, seconds: float) -> bool:
        """Let time go on for so long; return whether there is any recording to play."""
        with self._lock:
            if not self._players:
                return False
            end = self._now + round(seconds * 1e9)
            while self._step(end):
                pass
            self._now = end
            return True

    def _step(self, until: int | None) -> bool:
        """Play the next message of all; return False when there is none until then."""
        due = [(shift + player.next, n) for n, (shift, player) in enumerate(self._players) if player.next]
        if not due:
            return False
        moment, n = min(due)
        if until is not None and moment > until:
            return False
        self._now = max(self._now, moment)
        _, player = self._players[n]
        if not player.play(1):
            player.end()
        return True
