"""The hub: a server's channels, and the bell that wakes who follows them.

A channel is a log and the cursors on it. Publishing appends to the log and rings the bell; once in a
while (`FLUSH_INTERVAL`) every outbox that follows a changed channel is pumped, so that what was published
in between leaves in one write. What all cursors at the same place are about to be sent is encoded once.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from rtwidgets.engines import Engine, Log, MemoryEngine, Run
from rtwidgets.errors import Refused
from rtwidgets.loop import Bell
from rtwidgets.messages import Joined, Latest, Left, Present, check_channel, clock, encode_message
from rtwidgets.server.health import Counts
from rtwidgets.server.latest import LatestByKey
from rtwidgets.server.tokens import Tokens

if TYPE_CHECKING:
    from rtwidgets.server.outbox import Outbox

__all__ = ["Channel", "Encoder", "Fields", "Hub"]

FLUSH_INTERVAL = 0.002
"""Seconds between two flushes at the least. The first publish after a pause is sent at once."""

MAX_CHANNELS = 10_000
"""Channels of one server at the most: a client makes one by asking for it."""


class Fields(NamedTuple):
    """Which fields of a channel's rows hold their key and their time, if any do.

    `conflate` says that a subscriber who is far behind may be sent the last row of each key instead of all.
    """

    key: str | None = None
    time: str | None = None
    conflate: bool = False


class Channel:
    """A named log, who follows it and who is present in it."""

    def __init__(self, name: str, log: Log, engine: Engine, hub: Hub, fields: Fields) -> None:
        self.name = name
        self.log = log
        self._engine = engine
        self.fields = fields
        self.followers: set[Outbox] = set()
        self.counts = hub.counts
        self._began = log.last
        self._users: dict[Outbox, str] = {}
        self._names: Counter[str] = Counter()
        self._members: dict[str, Present] = {}
        self._hub = hub
        self._encoded: dict[tuple[Encoder, int], tuple[bytes, int]] = {}
        self._encoded_state = 0, 0
        self._latest = _latest(fields, log)
        self._bell = Bell()

    def __repr__(self) -> str:
        return f"Channel({self.name!r})"

    async def publish(self, data: object, *, idempotency: str | None = None) -> int:
        """Append one message to the log and return its offset.

        Parameters
        ----------
        data
            Anything that JSON can hold: usually a dict, one row of a frame.
        idempotency
            A key of the caller's choice; a second publish with the same key lands nowhere and returns
            the first one's offset.

        Raises
        ------
        UsageError
            When `data` cannot be written as JSON, or is larger than `MAX_MESSAGE` bytes of it.
        """
        offset = await self._engine.publish(self.name, [encode_message(data)], idempotency=idempotency)
        await self._hub.breathe()
        return offset

    async def publish_many(self, rows: Iterable[object]) -> int:
        """Append several messages together and return the offset of the last one."""
        pieces = [encode_message(row) for row in rows]
        if not pieces:
            return self.log.last
        return await self._engine.publish(self.name, pieces)

    async def compact(self, upto: int, piece: bytes) -> None:
        """Put one encoded message in place of all up to an offset of this channel, which is a compacted one.

        Raises
        ------
        ValueError
            When there is no message at that offset, or the channel is not compacted.
        Refused
            When it cannot be stored: nothing has changed then.
        """
        await self._engine.compact(self.name, upto, piece)

    def encoded(self, encoder: Encoder, after: int) -> tuple[bytes, int]:
        """Return the bytes that a follower at `after` is sent next, and the offset they lead to.

        Followers at the same place get the same bytes object: it is encoded once.
        """
        # Not only its own `compact` looks after that: the log changes before who asked for it goes on.
        state = self.log.last, self.log.compactions
        if self._encoded_state != state:
            self._encoded.clear()
            self._encoded_state = state
        entry = self._encoded.get((encoder, after))
        if entry is None:
            run = self.log.read(after)
            entry = (encoder(self, run), run.offset + len(run.pieces) - 1)
            if len(self._encoded) >= 16:  # followers that lag each stand elsewhere
                del self._encoded[next(iter(self._encoded))]
            self._encoded[encoder, after] = entry
        return entry

    def refit(self, fields: Fields) -> None:
        """Have other fields from now on: a service was replaced."""
        self.fields = fields
        self._latest = _latest(fields, self.log)
        self._encoded.clear()

    def appended(self) -> None:
        """Take note that the log has grown: it calls this."""
        if self._latest is not None:
            self._latest.read()
        self._hub.ring(self)
        self._bell.ring()

    async def grown(self, after: int) -> None:
        """Wait until there is a message after an offset."""
        await self._bell.wait(lambda: self.log.last > after)

    def latest(self, after: int, upto: int) -> Latest | None:
        """Return the last message of each key that came between two offsets and has had no other since.

        None where there is none, or the channel has no keys.
        """
        return None if self._latest is None else self._latest.between(after, upto)

    def join(self, outbox: Outbox, user: str) -> None:
        """Note that a connection is present under a name, and tell everybody who follows.

        A name is told once, however many connections are present under it, and is present until the last of
        them ends. On one server that is its time to live: a dead connection is noticed, and ended, within 15
        seconds (see `Pulse`). Servers that share an engine will need one there, for the day when one of them
        dies.
        """
        if self._users.get(outbox) == user:
            return
        self.leave(outbox)
        self._users[outbox] = user
        self._names[user] += 1
        if self._names[user] == 1:
            self._members[user] = Present(user, clock(), self._hub.id)
            self._tell(self.joined(self._members[user]))
        elif outbox in self.followers:
            outbox.tell(self.joined(self._members[user]))

    def leave(self, outbox: Outbox) -> None:
        """Note that a connection is gone, and tell everybody if it was the last one of its name."""
        user = self._users.pop(outbox, None)
        if user is None:
            return
        self._names[user] -= 1
        if not self._names[user]:
            del self._names[user], self._members[user]
            self._tell(self.left(user))

    def joined(self, member: Present) -> Joined:
        """Return the event that says of a member that it is present."""
        return Joined(self.name, member.user, member.since, member.server)

    def left(self, user: str) -> Left:
        """Return the event that says of a name that it is present no longer, as of now."""
        return Left(self.name, user, clock(), self._hub.id)

    @property
    def published(self) -> int:
        """Messages that entered the log since this server has used it."""
        return self.log.last - self._began

    @property
    def lag(self) -> int:
        """Messages that the follower furthest behind has still to be sent."""
        places = [follower.places[self.name].after for follower in self.followers]
        return self.log.last - min(places, default=self.log.last)

    @property
    def members(self) -> list[Present]:
        """Who is present, each name once, in the order they came."""
        return list(self._members.values())

    def _tell(self, event: Joined | Left) -> None:
        for outbox in self.followers:
            outbox.tell(event)


def _latest(fields: Fields, log: Log) -> LatestByKey | None:
    return None if fields.key is None else LatestByKey(fields.key, log)


Encoder = Callable[[Channel, Run], bytes]
"""Makes what goes on the wire, frame headers included, from a run: a dialect, on its way out."""


class Hub:
    """The channels of one server.

    Parameters
    ----------
    engine
        Where the logs live that outlast the process, if the engine lets them.
    tokens
        Issues and checks the signed tokens of its clients; when None, with a random secret.
    id
        What tells the server from others in presence; when None, eight random hex digits.
    """

    def __init__(self, engine: Engine, tokens: Tokens | None = None, *, id: str | None = None) -> None:
        self.engine = engine
        self.id = id or secrets.token_hex(4)
        self.tokens = tokens or Tokens()
        self.token: str | None = None
        """The server's own, with which its services knock at those of another one."""
        self.shared: dict[type, Any] = {}
        """What several services of the server have in common, by its type."""
        self._memory = MemoryEngine()
        self.counts = Counts()
        self._channels: dict[str, Channel] = {}
        self._rung: set[Channel] = set()
        self._flush: asyncio.TimerHandle | None = None
        self._flushed_at = 0.0
        self._breaths = 0

    async def channel(
        self, name: str, fields: Fields | None = None, *, durable: bool = True, compacted: bool = False
    ) -> Channel:
        """Return the channel of a name, making it on first use.

        Parameters
        ----------
        name
            Its name.
        fields
            Which fields of its rows are their key and their time; None leaves them as they are.
        durable
            Whether its log is the engine's, or in memory whatever the engine is. Counts when it is made.
        compacted
            Whether its log keeps all until it is compacted. Counts when it is made.

        Raises
        ------
        ChannelNameError
            When `name` is not a channel name.
        Refused
            When there are `MAX_CHANNELS` already.
        """
        channel = self._channels.get(name)
        if channel is None:
            if len(self._channels) >= MAX_CHANNELS:
                raise Refused(
                    "too_many_channels", f"this server has {MAX_CHANNELS} channels, and makes no more"
                )
            # An engine in memory has limits that the user may have set: they count for all channels.
            engine = self.engine if durable or isinstance(self.engine, MemoryEngine) else self._memory
            log = await engine.open(check_channel(name), compacted=compacted)
            made = Channel(name, log, engine, self, fields or Fields())
            channel = self._channels.setdefault(name, made)
            log.appended = channel.appended
        if fields is not None and fields != channel.fields:
            channel.refit(fields)
        return channel

    @property
    def channels(self) -> list[Channel]:
        """The channels that have been used, in no particular order."""
        return list(self._channels.values())

    async def breathe(self) -> None:
        """Let others run now and then, when somebody publishes in a loop that never waits."""
        self._breaths += 1
        if self._breaths % 100 == 0:
            await asyncio.sleep(0)

    def ring(self, channel: Channel) -> None:
        """Have everybody who follows a channel sent what is new, soon."""
        if channel.followers:
            self._rung.add(channel)
            if self._flush is None:
                loop = asyncio.get_running_loop()
                due = max(loop.time(), self._flushed_at + FLUSH_INTERVAL)
                self._flush = loop.call_at(due, self._pump)

    def close(self) -> None:
        """Flush no more."""
        if self._flush is not None:
            self._flush.cancel()

    def _pump(self) -> None:
        self._flush = None
        rung, self._rung = self._rung, set()
        for outbox in {outbox for channel in rung for outbox in channel.followers}:
            outbox.pump()
        self._flushed_at = asyncio.get_running_loop().time()
