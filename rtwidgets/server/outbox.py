"""What one connection has still to be sent: cursors on logs, and a transport.

An outbox has no queue. It writes runs of the log straight to the transport until the transport's buffer
is full; what has not been written stays in the log, shared with everybody else. When the buffer drains the
outbox goes on from its cursors. A peer that takes nothing for `STALL_TIMEOUT` seconds is cut off. One that
takes too little is sent the last message of each key instead of all, where channel and dialect allow it.

The `websockets` library would stay in `drain()` for such a peer for ever, keep-alive included, so the
bytes go past its `send()`: whole unmasked frames, written between its own, which is the order in which
the protocol wants them. Compression has to be off for that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State

from rtwidgets.messages import SUBPROTOCOL, Joined, Left
from rtwidgets.server.hub import Channel, Encoder
from rtwidgets.server.rights import Rights

__all__ = ["CONFLATE_ABOVE", "STALL_TIMEOUT", "WRITE_HIGH", "WRITE_MAX", "Connection", "Outbox", "text_frame"]

STALL_TIMEOUT = 2.0
"""Seconds that a full buffer may stay as it is before the peer is cut off."""
WRITE_HIGH = 256 * 1024
"""Bytes in a transport's buffer above which an outbox stops writing."""
WRITE_MAX = 2**20
"""Bytes in a transport's buffer that cut the peer off at once: answers to what it asks without reading."""

CONFLATE_ABOVE = 5_000
"""Messages that a slow subscriber may be behind before they are conflated: half of a log by default."""


def text_frame(payload: bytes) -> bytes:
    """Return the bytes of one unmasked text frame, as a server sends it."""
    return Frame(Opcode.TEXT, payload).serialize(mask=False)


class Connection(ServerConnection):
    """A server connection that tells its outbox when its buffer drains, and drops a stalled peer.

    `silent` is how often somebody has looked since the peer gave a sign of life: see `Pulse`. `rights` are
    what its token allows, or None as long as it has shown none.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.drained: Callable[[], None] = lambda: None
        self.dropped: Callable[[], None] = lambda: None
        self.rights: Rights | None = None
        self.silent = 0
        self._controlled = False  # whether the bytes at hand have a control frame
        self._made = False
        self._watch: asyncio.TimerHandle | None = None
        self._seen = (0, 0.0)  # bytes in the buffer, and since when

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        super().connection_made(transport)
        self._made = True

    def start_keepalive(self) -> None:
        """Leave the dialect that has pings of its own alone.

        The library counts nothing but the answer to its ping as life. With a backlog before it that comes
        late, and a slow reader would be closed in the middle of it.
        """
        if self.subprotocol != SUBPROTOCOL:
            super().start_keepalive()

    def data_received(self, data: bytes) -> None:
        """Take bytes, a sign of life unless all they bring is a control frame, which a library sends."""
        self._controlled = False
        super().data_received(data)
        if not self._controlled:
            self.silent = 0

    def process_event(self, event: Frame | Request) -> None:  # type: ignore[override, unused-ignore]
        """Take a frame."""
        if isinstance(event, Frame) and event.opcode >= Opcode.CLOSE:
            self._controlled = True
        else:
            self.silent = 0
        super().process_event(event)

    def pause_writing(self) -> None:
        """Start to watch whether the peer takes anything."""
        super().pause_writing()
        self._seen = (self.transport.get_write_buffer_size(), self.loop.time())
        self._watch = self.loop.call_later(STALL_TIMEOUT / 4, self._look)

    def resume_writing(self) -> None:
        """Go on writing."""
        super().resume_writing()
        self._unwatch()
        self.silent = 0
        self.drained()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop watching."""
        self._unwatch()
        super().connection_lost(exc)

    @property
    def writable(self) -> bool:
        """Whether there is somebody to write to: not from the moment on in which the transport was cut."""
        return self.state is State.OPEN and not self.transport.is_closing()

    def has_room(self) -> bool:
        """Whether its buffer takes more of what can wait."""
        return not self.paused and self.writable

    def drop(self) -> None:
        """Cut off a peer that does not read, with no closing handshake: it would not read that either."""
        self.dropped()
        self.abort()

    async def part(self, code: int, reason: str) -> None:
        """Close it, with as much of a reason as a close frame has room for: 123 bytes (RFC 6455, 5.5)."""
        await self.close(code, reason.encode()[:123].decode(errors="ignore"))

    def abort(self) -> None:
        """Cut the connection, as far as it has come."""
        if self._made:
            self.transport.abort()

    def _look(self) -> None:
        size, since = self._seen
        now, left = self.loop.time(), self.transport.get_write_buffer_size()
        if left != size:
            self._seen = (left, now)
            self.silent = 0
        elif now - since >= STALL_TIMEOUT * 0.9:  # the next look would be too late
            self.drop()
            return
        self._watch = self.loop.call_later(STALL_TIMEOUT / 4, self._look)

    def _unwatch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None


@dataclass(slots=True)
class _Place:
    """A cursor of this outbox on one channel. What came up to `asked` was asked for, one by one."""

    channel: Channel
    after: int
    asked: int


@dataclass(slots=True, eq=False)
class Outbox:
    """The cursors of one connection.

    Parameters
    ----------
    connection
        Where the bytes go.
    encoder
        Turns runs into frames of the connection's dialect.
    tell
        Sends a presence event in the connection's dialect.
    missed
        Called with a channel, and the first and last offset that left its log before they could be sent.
    conflated
        Sends the last message of each key that came after an offset of a channel; None where the dialect
        has no word for that.
    """

    connection: Connection
    encoder: Encoder
    tell: Callable[[Joined | Left], None]
    missed: Callable[[Channel, int, int], None]
    conflated: Callable[[Channel, int], None] | None = None
    places: dict[str, _Place] = field(default_factory=dict)
    present: set[Channel] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.connection.drained = self._drained

    def follow(self, channel: Channel, after: int) -> None:
        """Send what comes after an offset of a channel, from now on."""
        self.places[channel.name] = _Place(channel, after, asked=channel.log.last)
        channel.followers.add(self)
        self.pump()

    def unfollow(self, name: str) -> None:
        """Follow a channel no longer; one that is not followed is left as it is."""
        place = self.places.pop(name, None)
        if place is not None:
            place.channel.followers.discard(self)

    def join(self, channel: Channel, user: str) -> None:
        """Be present in a channel under a name, until `close`."""
        self.present.add(channel)
        channel.join(self, user)

    def leave(self, channel: Channel) -> None:
        """Be present in a channel no longer."""
        self.present.discard(channel)
        channel.leave(self)

    def close(self) -> None:
        """Follow nothing and be present nowhere any more."""
        for name in list(self.places):
            self.unfollow(name)
        for channel in list(self.present):
            self.leave(channel)

    def send(self, *payloads: bytes) -> None:
        """Send text frames now, in one write, past the cursors: answers or events."""
        connection = self.connection
        if connection.writable:
            connection.transport.write(b"".join(map(text_frame, payloads)))
            if connection.transport.get_write_buffer_size() > WRITE_MAX:
                connection.drop()

    def _drained(self) -> None:
        for place in self.places.values():
            channel, last = place.channel, place.channel.log.last
            if (
                self.conflated is not None
                and channel.fields.conflate
                and place.after >= place.asked
                and last - place.after > CONFLATE_ABOVE
            ):
                self.conflated(channel, place.after)
                place.after = last
        self.pump()

    def pump(self) -> None:
        """Write what the cursors have not read yet, until the transport's buffer is full."""
        connection = self.connection
        for name, place in list(self.places.items()):
            channel, log = place.channel, place.channel.log
            while place.after < log.last and connection.has_room():
                if place.after + 1 < log.first:
                    first, place.after = place.after + 1, log.first - 1
                    channel.counts.gaps += 1
                    self.missed(channel, first, place.after)
                else:
                    payload, reached = channel.encoded(self.encoder, place.after)
                    connection.transport.write(payload)
                    channel.counts.deliveries += reached - place.after
                    place.after = reached
                if self.places.get(name) is not place:
                    break  # `missed` ended it
                if not connection.has_room():
                    self.places[name] = self.places.pop(name)  # the other channels go first next time
