"""A WebSocket server that answers as a feed did, from its recording.

::

    async with ReplayServer("morning.rtlog") as feed, connect(feed.url) as connection:
        await connection.send('{"op": "subscribe"}')
        ...
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import math
import re
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.frames import CloseCode
from websockets.typing import Subprotocol

from rtwidgets.checks import is_positive
from rtwidgets.errors import RtError, UsageError
from rtwidgets.loop import report
from rtwidgets.recording import Batch, Kind, Recording, hidden_message
from rtwidgets.testing.background import Background
from rtwidgets.testing.listening import Listening, can_be_sent, fitting, quiet

__all__ = ["BlockingReplayServer", "ReplayProblem", "ReplayServer"]

PATIENCE = 2.0
"""Seconds that a client may take to say what was said in the recording, before the server goes on."""

_Owed = tuple[tuple[int, int], Kind, bytes]  # connection and number of a message, what it was
_SENT = (Kind.SENT_TEXT, Kind.SENT_BINARY)
_CLOSED = re.compile(r"the server closed the connection \(code (\d+)(?:: (.*))?\)", re.DOTALL)
_SHOWN = 40  # characters of a value in a sentence


class ReplayProblem(RtError):
    """A client said something else than the one that was recorded.

    Attributes
    ----------
    connection, number
        Which connection of the recording it was, and which message of its client, counted from 1.
    recorded, sent
        What the message was in the recording, and what it is now, without what may be secret; `recorded` is
        None where the recording has no message.
    difference
        What differs, in words.
    """

    def __init__(
        self, connection: int, number: int, recorded: bytes | None, sent: bytes, difference: str
    ) -> None:
        super().__init__(connection, number, recorded, sent, difference)
        self.connection = connection
        self.number = number
        self.recorded = recorded
        self.sent = sent
        self.difference = difference

    def __str__(self) -> str:
        recorded = "" if self.recorded is None else f"; recorded was {self.recorded.decode(errors='replace')}"
        return (
            f"message {self.number} of the client on connection {self.connection} is not as recorded: "
            f"{self.difference}; sent is {self.sent.decode(errors='replace')}{recorded}"
        )


class ReplayServer(Listening):
    """A WebSocket server that answers as the feed did that was recorded, at every path.

    The first client gets the first connection of the recording, the second one the second, and when there are
    no more each gets the last one. Where the client said something in the recording, the server waits for
    its message and goes on after it, or after two seconds, since a client may want to read first. At the end
    it closes the connection as the feed did, or with code 1000.

    Parameters
    ----------
    recording
        What `rtwidgets.Stream.record`, `RecordingProxy` or ``rtwidgets record`` wrote: its path, or opened.
    speed
        How many times as fast as it was recorded; None sends as fast as the client reads. A message of the
        client sets the clock to the time of the recorded one.
    strict
        Whether a message of the client that is not as recorded closes the connection, with code 1008 and
        what differs, and is reported. JSON is compared by its values, what may be secret not at all.
        Otherwise any message will do.
    loop
        Whether to begin again at the end of the connection, where nothing is waited for any more.
    host, port
        Where to listen; port 0 takes a free one.

    Attributes
    ----------
    problems : list of ReplayProblem
        What clients said that was not as recorded.

    Raises
    ------
    UsageError
        When the file is no recording, or `speed` is not a speed.
    """

    _what = "replay"
    _max_queue = None  # a client that says much before it reads, and the server, would wait for each other

    def __init__(
        self,
        recording: str | Path | Recording,
        *,
        speed: float | None = None,
        strict: bool = True,
        loop: bool = False,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        super().__init__(host, port)
        if speed is not None and not (is_positive(speed) and speed < math.inf):
            raise UsageError(
                f"speed={speed!r}: give how many times as fast as it was recorded, such as 1 or 10; "
                "or None for as fast as the client reads"
            )
        self.problems: list[ReplayProblem] = []
        self._recording = recording if isinstance(recording, Recording) else Recording(recording)
        self._speed = speed
        self._strict = strict
        self._loop = loop
        self._clients = 0

    def __repr__(self) -> str:
        return f"ReplayServer({self._recording.path.name!r})"

    def _subprotocol(
        self, connection: ServerConnection, offered: Sequence[Subprotocol]
    ) -> Subprotocol | None:
        return offered[0] if offered else None  # recordings do not tell which one it was

    async def _converse(self, connection: ServerConnection) -> None:
        client, self._clients = self._clients, self._clients + 1
        try:
            code, reason = await self._answer(connection, client)
        except ReplayProblem as problem:
            report(repr(self), problem)
            code, reason = CloseCode.POLICY_VIOLATION, f"message {problem.number}: {problem.difference}"
        await connection.close(code, fitting(reason))

    async def _answer(self, connection: ServerConnection, client: int) -> tuple[int, str]:
        """Play a connection of the recording, once or over and over; return how it is to be closed."""
        heard, listens = 0, True
        owed: deque[_Owed] = deque()
        while True:
            number, batches = await self._find(client)
            clock = _Clock(self._speed, connection)
            end: tuple[int, str] = (CloseCode.NORMAL_CLOSURE, "")
            said = False
            for batch in batches:
                if batch.kind is Kind.CLOSED:
                    end = _close(batch) or end
                    break
                if batch.kind in _SENT:
                    for recorded in batch.messages if listens else ():
                        heard += 1
                        owed.append(((number, heard), batch.kind, recorded))
                    await self._hear(connection, owed)
                    clock.set(batch.time)
                elif batch.kind is Kind.OPENED:
                    clock.set(batch.time)
                else:
                    await clock.wait(batch.time)
                    for message in batch.messages:
                        await connection.send(message, text=batch.kind is Kind.TEXT)
                    said = True
                # The others have their turn here: a client that reads fast enough is never waited for.
                await asyncio.sleep(0)
            if not (self._loop and said):
                break
            listens = False
        if listens:
            await self._hear(connection, owed)
            await self._hear_nothing(connection, (number, heard + 1))
        return end

    async def _find(self, client: int) -> tuple[int, Iterator[Batch]]:
        """Return the number, from 1, and the records of the connection that a client gets."""
        opened = 0
        batches = self._recording.batches()
        for batch in batches:
            if batch.kind is Kind.OPENED or not opened:
                opened += 1
                if opened > client:
                    rest = itertools.takewhile(lambda each: each.kind is not Kind.OPENED, batches)
                    return opened, itertools.chain([batch], rest)
            await asyncio.sleep(0)  # the other clients go on meanwhile
        return (1, batches) if not opened else await self._find(opened - 1)

    async def _hear(self, connection: ServerConnection, owed: deque[_Owed]) -> None:
        """Wait for what the client owes, and compare it; not for ever, since it may want to read first."""
        while owed:
            try:
                async with asyncio.timeout(PATIENCE):
                    message = await connection.recv()
            except TimeoutError:
                quiet.info("the client has not said what was recorded; going on")
                return
            self._compare(message, *owed.popleft())

    def _compare(self, message: str | bytes, place: tuple[int, int], kind: Kind, recorded: bytes) -> None:
        sent = hidden_message(message.encode() if isinstance(message, str) else message)
        if isinstance(message, str) is not (kind is Kind.SENT_TEXT):
            difference = (
                "it is binary and was text" if kind is Kind.SENT_TEXT else "it is text and was binary"
            )
        else:
            difference = _difference(recorded, sent)
        if difference:
            self._object(ReplayProblem(*place, recorded, sent, difference))

    async def _hear_nothing(self, connection: ServerConnection, place: tuple[int, int]) -> None:
        """Look whether the client has said more than is recorded."""
        try:
            async with asyncio.timeout(0):  # what has come is there at once
                message = await connection.recv()
        except TimeoutError:
            return
        sent = hidden_message(message.encode() if isinstance(message, str) else message)
        self._object(ReplayProblem(*place, None, sent, "the recording has no more messages of the client"))

    def _object(self, problem: ReplayProblem) -> None:
        self.problems.append(problem)
        if self._strict:
            raise problem


class BlockingReplayServer(Background[ReplayServer]):
    """A `ReplayServer` on the background loop, from now until `stop`, for cells and plain tests.

    ::

        with BlockingReplayServer("morning.rtlog") as feed:
            trades = rt.connect(feed.url, subscribe={"op": "subscribe"})

    Parameters
    ----------
    recording, speed, strict, loop
        As for `ReplayServer`, which see for the errors too.
    """

    def __init__(
        self,
        recording: str | Path | Recording,
        *,
        speed: float | None = None,
        strict: bool = True,
        loop: bool = False,
    ) -> None:
        super().__init__(ReplayServer(recording, speed=speed, strict=strict, loop=loop))

    @property
    def problems(self) -> list[ReplayProblem]:
        """What clients said that was not as recorded."""
        return list(self._served.problems)


class _Clock:
    """Tells when the messages of a connection are due."""

    def __init__(self, speed: float | None, connection: ServerConnection) -> None:
        self._speed = speed
        self._connection = connection
        self._set: tuple[int, float] | None = None  # a recorded time, and when that was by the loop's clock

    def set(self, time: int) -> None:
        """Let it be a recorded time now."""
        self._set = (time, self._connection.loop.time())

    async def wait(self, time: int) -> None:
        """Wait until a recorded time, or until the client is gone."""
        if self._speed is None:
            return
        if self._set is None:
            self.set(time)
            return
        recorded, now = self._set
        due = now + (time - recorded) / 1e9 / self._speed
        if due > self._connection.loop.time():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._connection.wait_closed()


def _close(batch: Batch) -> tuple[int, str] | None:
    """Return the code and the reason of a recorded close, if it was the feed's and can be sent."""
    found = _CLOSED.fullmatch(b"".join(batch.messages).decode(errors="replace"))
    if found is None:
        return None
    code, reason = int(found[1]), found[2] or ""
    return (code, reason) if can_be_sent(code) else None


def _difference(recorded: bytes, sent: bytes) -> str:
    """Return in words what differs between two messages; empty when both say the same."""
    if recorded == sent:
        return ""
    try:
        return _differs(json.loads(recorded), json.loads(sent), "")
    except (ValueError, RecursionError):
        return _is_and_was("it", sent.decode(errors="replace"), recorded.decode(errors="replace"))


def _differs(was: Any, now: Any, at: str) -> str:
    """Return the first difference between two values of JSON; `at` says where they are."""
    name = at.removeprefix(".") or "it"
    if isinstance(was, dict) and isinstance(now, dict):
        for here, there, word in ((was, now, "missing"), (now, was, "new")):
            if alone := [key for key in here if key not in there]:
                return f"{at}.{alone[0]} is {word}".removeprefix(".")
        return next(filter(None, (_differs(was[key], now[key], f"{at}.{key}") for key in was)), "")
    if isinstance(was, list) and isinstance(now, list):
        if len(was) != len(now):
            return f"{name} has {len(now)} elements and had {len(was)}"
        pairs = enumerate(zip(was, now, strict=True))
        return next(filter(None, (_differs(*pair, f"{at}[{n}]") for n, pair in pairs)), "")
    same = was == now and isinstance(was, bool) is isinstance(now, bool)
    return "" if same else _is_and_was(name, *(json.dumps(each, ensure_ascii=False) for each in (now, was)))


def _is_and_was(name: str, now: str, was: str) -> str:
    def short(text: str) -> str:
        return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"

    return f"{name} is {short(now)} and was {short(was)}"
