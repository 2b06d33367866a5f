"""A server's documents: each one Doc, which follows the log of its updates.

The log is the document: what is in it is what all have, and what a restart brings back. The Doc here goes
ahead of it by what is on its way to the disk, so that an update which Yjs cannot take is found out before it
is in the log, where everybody would stumble over it.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from rtwidgets.engines import Log, Run
from rtwidgets.errors import BadUpdate, ChannelNameError, Refused
from rtwidgets.loop import report, supervise
from rtwidgets.messages import MAX_MESSAGE, check_channel, encode_data
from rtwidgets.server import Channel, Fields, Hub
from rtwidgets.server.outbox import text_frame
from rtwidgets.yjs.awareness import Presence
from rtwidgets.yjs.edits import Change, carry, counts
from rtwidgets.yjs.record import Record
from rtwidgets.yjs.replica import EMPTY, Replica
from rtwidgets.yjs.versions import Versions

__all__ = [
    "AWARENESS_FIELDS",
    "FIELDS",
    "SharedDocument",
    "awareness_of",
    "channel_of",
    "document_of",
    "library_of",
    "presence_of",
]

FIELDS = Fields(time="time")
AWARENESS_FIELDS = Fields(key="client", time="time", conflate=True)

MAX_UPDATE = MAX_MESSAGE * 3 // 4 - 1_024
"""Bytes of one update at the most: with what is around it, it has to fit into a message."""
MAX_STATE = 6 * 2**20
"""Bytes of a whole document, with all its past that Yjs has to know, above which it takes no more edits: who
opens it is sent all of it in one message."""
IN_FLIGHT = 2.0
"""Seconds after which a text that was sent to a plain client is thought to be on its screen."""
COMPACT_ABOVE = 64 * 1024
"""Bytes of a log below which it is left as it is."""
GROWTH = 2.2
"""To how many times the document's state its log may grow until it is compacted."""
KEPT = 0.4
"""How much of the newest edits is left as it was then, of the room for them: for the history."""


class _Flight(NamedTuple):
    """An edit on its way into the log: its message, what it changes, and its offset once it is there."""

    piece: bytes
    change: Change
    landed: asyncio.Future[int]


class SharedDocument:
    """One document of a server, with everybody's edits in it. It belongs to the thread of the server's loop.

    Parameters
    ----------
    channel
        With the log of its updates, which has to be a compacted one.
    """

    _replica: Replica
    _versions: Versions

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self._flying: deque[_Flight] = deque()
        self._waiting: list[_Flight] = []
        self._storing = False
        self._compacting = False
        self._load()

    def __repr__(self) -> str:
        return f"SharedDocument({self.channel.name!r})"

    @property
    def versions(self) -> Versions:
        """Its text, by the offset in the log, as it is now and as it was."""
        self._catch_up()
        return self._versions

    @property
    def seen(self) -> int:
        """The newest version that plain clients have surely seen, as far as time can tell."""
        self._catch_up()
        self._forget_times()
        return self._times[0][1]

    def plain(self, channel: Channel, run: Run) -> bytes:
        """Encode what plain clients are sent when the log has grown: the whole text, and its version."""
        newest = self.versions
        update = {"type": "update", "content": newest.text, "version": newest.version}
        return text_frame(encode_data(update))

    @property
    def vector(self) -> bytes:
        """What it has, as a Yjs state vector."""
        return self._replica.vector

    def lacking(self, vector: bytes) -> bytes:
        """Return an update with what a state vector lacks; raises BadUpdate when it is none."""
        return self._replica.lacking(vector)

    async def update(self, update: bytes, user: str) -> int:
        """Merge a Yjs update of somebody's and return its offset in the log.

        Nothing enters the log when there was nothing new in it.

        Raises
        ------
        Refused
            When it is malformed, too large, builds on edits that are not here, or is more than text.
        """
        if len(update) > MAX_UPDATE:
            raise Refused(
                "too_large",
                f"an edit of {len(update)} bytes is too large: make it in parts of {MAX_UPDATE} at the most",
            )
        self._check_room()
        self._catch_up()
        if update == EMPTY:
            return self.channel.log.last
        try:
            change = self._replica.apply(update)
        except BadUpdate as error:
            flying = (Record.read(flight.piece).content for flight in self._flying)
            self._replica = Replica([*_contents(self.channel.log, self._versions.version), *flying])
            raise Refused("out_of_order" if error.missing else "bad_update", str(error)) from error
        if change is None:
            return self.channel.log.last
        return await self._append(update, change, user)

    async def edit(self, change: Change, user: str) -> int:
        """Make a change of the newest text in the log, as `versions` has it; return its offset there.

        Raises
        ------
        Refused
            When it is too large, or its text is no Unicode.
        """
        self._check_room()
        self._catch_up()
        for flight in self._flying:
            change = carry(change, flight.change)
        if not change:
            return self.channel.log.last
        if sum(len(edit.text) for edit in change) * 4 > MAX_UPDATE:  # bytes of UTF-8 at the most
            size = sum(len(edit.text.encode(errors="replace")) for edit in change)
            if size > MAX_UPDATE - 1_024:
                raise Refused("too_large", f"an edit of {size} bytes is too large: make it in smaller parts")
        try:
            update = self._replica.edit(change)
        except UnicodeEncodeError as error:
            raise Refused("bad_message", f"the text is no Unicode: {error}") from error
        return await self._append(update, change, user)

    def _check_room(self) -> None:
        if self._size > MAX_STATE:
            raise Refused(
                "full", f"this document has more than {MAX_STATE} bytes with its past: begin another one"
            )

    async def _append(self, update: bytes, change: Change, user: str) -> int:
        inserted, deleted = counts(change)
        piece = encode_data(Record(time.time_ns() / 1e6, user, inserted, deleted, update))
        flight = _Flight(piece, change, asyncio.get_running_loop().create_future())
        self._flying.append(flight)
        self._waiting.append(flight)
        if not self._storing:
            self._storing = True
            supervise(self._store(), f"storing edits of {self.channel.name}")
        return await flight.landed

    async def _store(self) -> None:
        """Write what waits into the log, all of it together, until nothing does.

        The next ones wait for that: they may build on it, and nobody can read them in a log without it.
        """
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                try:
                    last = await self.channel.publish_many(msgspec.Raw(flight.piece) for flight in batch)
                except Exception as error:  # noqa: BLE001 - told to those whose edits these are
                    self._lose(batch, error)
                    continue
                self._catch_up()
                for offset, flight in enumerate(batch, last - len(batch) + 1):
                    if not flight.landed.done():  # as it is when who made the edit is gone
                        flight.landed.set_result(offset)
        finally:
            self._storing = False
        if self.channel.log.size > self._limit and not self._compacting:
            self._compacting = True
            supervise(self._compact(), f"compacting {self.channel.name}")

    def _lose(self, batch: list[_Flight], error: Exception) -> None:
        """Go on without edits that could not be stored, and without those that came after them."""
        later, self._waiting = self._waiting, []
        self._load()
        reason = Refused("not_stored", "an edit before this one was not stored: make it again")
        for flights, why in ((batch, error), (later, reason)):
            for flight in flights:
                if not flight.landed.done():
                    flight.landed.set_exception(why)

    # The log

    def _load(self) -> None:
        """Make the document of what is in the log, and of nothing else."""
        log = self.channel.log
        self._flying.clear()
        self._replica = Replica(_contents(log, log.last))
        self._versions = Versions(self._replica.text, log.last)
        self._times = deque([(time.monotonic(), log.last)])
        self._size = len(self._replica.state())
        self._limit = max(COMPACT_ABOVE, GROWTH * self._size)

    def _catch_up(self) -> None:
        """Read what has entered the log: mostly what was sent on its way from here."""
        for offset, piece in _messages(self.channel.log, self._versions.version):
            if not self._flying:
                change = self._replica.apply(Record.read(piece).content) or ()
            elif self._flying[0].piece == piece:
                change = self._flying.popleft().change
            else:  # somebody else's came before: the order of edits here was not that of the log
                self._load()
                return
            self._versions.add(change, offset)
            self._times.append((time.monotonic(), offset))
        self._forget_times()

    def _forget_times(self) -> None:
        """Keep when a version came of those only that may be on their way, and of the one before them."""
        before = time.monotonic() - IN_FLIGHT
        while len(self._times) > 1 and self._times[1][0] <= before:
            self._times.popleft()

    async def _compact(self) -> None:
        """Have one message stand for all but the newest."""
        log = self.channel.log
        try:
            # A state is a third larger as base64.
            upto = _before(log, (self._limit - self._size * 4 / 3) * KEPT)
            state = Replica(_contents(log, upto)).state()
            await self.channel.compact(upto, encode_data(Record(time.time_ns() / 1e6, state=state)))
            self._size = len(state)
            self._limit = max(COMPACT_ABOVE, GROWTH * self._size)
        except BaseException:
            self._limit = log.size * 1.5  # not again at the very next edit
            raise
        finally:
            self._compacting = False


def _messages(log: Log, after: int) -> Iterator[tuple[int, bytes]]:
    """Yield the messages of a log after an offset, each with its own."""
    while after < log.last:
        run = log.read(after)
        yield from enumerate(run.pieces, run.offset)
        after = run.offset + len(run.pieces) - 1


def _contents(log: Log, upto: int) -> Iterator[bytes]:
    """Yield the updates in a log up to an offset."""
    for offset, piece in _messages(log, 0):
        if offset > upto:
            return
        try:
            yield Record.read(piece).content
        except (ValueError, RecursionError) as error:  # not of ours, or of a later version
            report(f"message {offset} of a document", error)


def _before(log: Log, size: float) -> int:
    """Return the offset after which there are so many bytes of messages, or a few more."""
    pieces = list(_messages(log, 0))
    while len(pieces) > 1 and size > 0:
        size -= len(pieces.pop()[1])
    return pieces[-1][0]


class _Library(NamedTuple):
    """What the document services of one server share."""

    documents: dict[Channel, SharedDocument]
    presences: dict[Channel, Presence]


def library_of(hub: Hub) -> _Library:
    """Return the documents of a server that are in use, and who is in them, by channel."""
    library: _Library = hub.shared.setdefault(_Library, _Library({}, {}))
    return library


async def channel_of(hub: Hub, name: str) -> Channel:
    """Return the channel of a document; raises as `document_of`.

    Who only reads it need not wait for the document, which takes a tenth of a second after 100 000 edits.
    """
    try:
        check_channel(f"documents/{name}/awareness")  # the longer one of its two channels
    except ChannelNameError as error:
        raise Refused("bad_channel", str(error)) from error
    return await hub.channel(f"documents/{name}", FIELDS, compacted=True)


async def document_of(hub: Hub, name: str) -> SharedDocument:
    """Return a server's document, making it on first use.

    Raises
    ------
    Refused
        When `name` is none that a channel can have, or there are too many channels.
    """
    channel = await channel_of(hub, name)
    documents = library_of(hub).documents
    if channel not in documents:
        documents[channel] = SharedDocument(channel)
    return documents[channel]


async def awareness_of(hub: Hub, name: str) -> Channel:
    """Return the channel of who is in a document, and where; it is in memory, whatever the engine."""
    return await hub.channel(f"documents/{name}/awareness", AWARENESS_FIELDS, durable=False)


def presence_of(hub: Hub, channel: Channel) -> Presence:
    """Return who is in a document, by the channel that says so."""
    return library_of(hub).presences.setdefault(channel, Presence())
