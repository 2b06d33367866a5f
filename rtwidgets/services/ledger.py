"""Decisions: a channel whose messages say what was decided, and the state that they add up to.

The log is the truth: the state here is what its messages make of it, read again from the start after a
restart. What somebody asks for is decided on the newest state, one after the other, and counts once it is in
the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from rtwidgets.errors import Refused
from rtwidgets.loop import report, supervise
from rtwidgets.messages import encode_data
from rtwidgets.server import Channel, Peer

__all__ = ["Ledger", "State", "check_name", "converse", "refused"]

KEPT = 1_000
"""Messages that stay as they are, the newest ones, when one is put in place of those before them."""


class State(Protocol):
    """What messages add up to."""

    def apply(self, row: Any) -> None:
        """Take the next message: one that was decided on this state, or a `snapshot` of all before."""

    def snapshot(self) -> object:
        """Return a message that stands for all so far."""


S = TypeVar("S", bound=State)


class Ledger(Generic[S]):
    """A channel of decisions. It belongs to the thread of the server's loop.

    Parameters
    ----------
    channel
        Its log has to be a compacted one.
    make
        Makes the state before the first message.
    rows
        What messages are decoded to: a msgspec type.
    """

    def __init__(self, channel: Channel, make: Callable[[], S], rows: Any) -> None:
        self.channel = channel
        self._make = make
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(rows)
        self._state = make()
        self._read = 0
        self._ahead = make()  # with what is decided and not in the log yet
        self._add_up(self._ahead, 0, channel.log.last)
        self._asked: list[tuple[Callable[[S], Sequence[object]], asyncio.Future[int]]] = []
        self._batch: list[object] = []
        self._working = False

    def __repr__(self) -> str:
        return f"Ledger({self.channel.name!r})"

    @property
    def state(self) -> S:
        """The state after the newest message."""
        self._read = self._add_up(self._state, self._read, self.channel.log.last)
        return self._state

    @property
    def next(self) -> int:
        """The offset of the next message, where what comes before it is not in the log yet."""
        return self.channel.log.last + len(self._batch) + 1

    async def decide(self, decide: Callable[[S], Sequence[object]]) -> int:
        """Decide something on the newest state; return the offset of the log's last message then.

        What is asked for while the log is written is decided after that, and written together.

        Parameters
        ----------
        decide
            Returns the messages that say what was decided, all of which enter the log or none. It must not
            change the state; what it raises is raised.
        """
        decided: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._asked.append((decide, decided))
        if not self._working:
            self._working = True
            supervise(self._work(), f"decisions of {self.channel.name}")
        return await decided

    async def _work(self) -> None:
        try:
            while self._asked:
                asked, self._asked = self._asked, []
                await self._write(asked)
                if self.channel.log.last - self.channel.log.first >= 2 * KEPT:
                    await self._compact(self.channel.log.last - KEPT)
        finally:
            self._working = False

    async def _write(self, asked: list[tuple[Callable[[S], Sequence[object]], asyncio.Future[int]]]) -> None:
        """Decide one after the other, and write all of it."""
        answers: list[tuple[int, asyncio.Future[int]]] = []
        for decide, decided in asked:
            try:
                rows = decide(self._ahead)
            except Exception as error:  # noqa: BLE001 - told to who has asked
                _answer(decided, error)
                continue
            for row in rows:
                self._ahead.apply(row)
            self._batch += rows
            answers.append((self.channel.log.last + len(self._batch), decided))
        try:
            await self.channel.publish_many(self._batch)
        except Exception as error:  # noqa: BLE001 - told to those who have asked
            self._ahead = self._make()
            self._add_up(self._ahead, 0, self.channel.log.last)
            for _, decided in answers:
                _answer(decided, error)
        else:
            for offset, decided in answers:
                _answer(decided, offset)
        finally:
            self._batch = []

    async def _compact(self, upto: int) -> None:
        state = self._make()
        self._add_up(state, 0, upto)
        await self.channel.compact(upto, encode_data(state.snapshot()))

    def _add_up(self, state: S, after: int, upto: int) -> int:
        log = self.channel.log
        while after < upto:
            run = log.read(after, limit=upto - max(after, log.first - 1))
            for offset, piece in enumerate(run.pieces, run.offset):
                try:
                    state.apply(self._decoder.decode(piece))
                except (ValueError, RecursionError) as error:  # not of ours, or of a later version
                    report(f"message {offset} of {self.channel.name}", error)
            after = run.offset + len(run.pieces) - 1
        return after


def _answer(decided: asyncio.Future[int], answer: int | Exception) -> None:
    if decided.done():  # who has asked is gone
        return
    if isinstance(answer, Exception):
        decided.set_exception(answer)
    else:
        decided.set_result(answer)


def check_name(user: str) -> str:
    """Return a name if it is somebody's, and not one that a server has made up for who gave none.

    Raises
    ------
    Refused
        Otherwise.
    """
    if user.startswith("guest-"):
        raise Refused(
            "no_name",
            "guests may watch only: log in at /accounts, or say who you are: user= of rt.connect, "
            "?user=NAME in a URL, or presence in rtwidgets.v1",
        )
    return user


def refused(refusal: Refused, id: str | None = None) -> dict[str, object]:
    """Return what a plain client is told of a request that is refused, by the `id` it gave it."""
    told: dict[str, object] = {"type": "refused", "code": refusal.code, "message": refusal.message}
    return told if id is None else told | {"id": id}


async def converse(
    peer: Peer, channel: Channel, picture: object, answer: Callable[[bytes], Awaitable[object]]
) -> None:
    """Show a plain client the state, then each message of a channel of decisions, until it goes.

    Parameters
    ----------
    peer
        The client.
    channel
        What it follows, from now on.
    picture
        What it is sent first: the state as it is now.
    answer
        Does what it asks for. What that returns is for this client alone, and None where all is said by the
        messages that everybody gets.
    """
    after = channel.log.last  # of the same moment as the picture
    await peer.send(picture)
    peer.follow(channel, after=after)
    async for message in peer.paced():
        told = await answer(message if isinstance(message, bytes) else message.encode())
        if told is not None:
            await peer.send(told)
