"""One connection's conversation, in either dialect, from its first frame to its last."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from typing import Protocol

import msgspec
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from rtwidgets.engines import Log, Run
from rtwidgets.errors import ChannelNameError, Refused, UsageError
from rtwidgets.loop import supervise
from rtwidgets.messages import (
    MAX_USER,
    Auth,
    Cursor,
    Error,
    Gap,
    Joined,
    Ping,
    Pong,
    Presence,
    Publish,
    Published,
    Subscribe,
    Subscribed,
    Unsubscribe,
    check_channel,
    decode_client,
    encode,
    encode_data,
    encode_run,
)
from rtwidgets.server import limits
from rtwidgets.server.access import Access
from rtwidgets.server.hub import Channel
from rtwidgets.server.outbox import Connection, Outbox, text_frame
from rtwidgets.server.service import Peer, Service

__all__ = ["AUTH_TIMEOUT", "authenticate", "plain_session", "v1_session"]

AUTH_TIMEOUT = 10.0
"""Seconds a client has to show its token."""

_guests = itertools.count(1)


class Services(Protocol):
    """Finds the service of a path."""

    @property
    def channels(self) -> list[str]:
        """The channels there are."""

    def find(self, path: str) -> tuple[Service, dict[str, str]] | None:
        """Return the service at a path and the path's named parts."""


async def authenticate(connection: Connection, access: Access) -> bool:
    """Wait for the token of a client that gave none in its handshake; close on a wrong one."""
    try:
        async with asyncio.timeout(AUTH_TIMEOUT):
            message = decode_client(await connection.recv(decode=False))
        if isinstance(message, Auth) and access.accepts(message.token):
            return True
        reason = 'the first message has to be {"type": "auth", "token": …} with the server\'s token'
    except msgspec.DecodeError:
        reason = "a token is needed: as ?token=, as Authorization: Bearer, or in a first message of type auth"
    except TimeoutError:
        reason = f"no token came in {AUTH_TIMEOUT:g} s"
    await connection.send(encode(Error("unauthorized", reason)), text=True)
    await connection.close(CloseCode.POLICY_VIOLATION, reason)
    return False


# The plain dialect


def _encode_plain(channel: Channel, run: Run) -> bytes:
    return b"".join(map(text_frame, run.pieces))


async def plain_session(
    connection: Connection, service: Service, params: Mapping[str, str], user: str | None
) -> None:
    """Let a service talk with a plain client."""

    def missed(channel: Channel, first: int, last: int) -> None:
        # The dialect has no word for a gap: a client that cannot be told is better off starting again.
        for name in list(outbox.places):
            outbox.unfollow(name)
        reason = f"messages {first} to {last} left the history before you read them"
        supervise(connection.close(CloseCode.TRY_AGAIN_LATER, reason), f"closing a client of {channel.name}")

    outbox = Outbox(
        connection,
        _encode_plain,
        tell=lambda event: outbox.send(encode_data(service.event(event))),
        missed=missed,
    )
    peer = Peer(connection, outbox, params, (user or "")[:MAX_USER] or f"guest-{next(_guests)}")
    try:
        await service.talk(peer)
    except Refused as refusal:
        await peer.send({"type": "error", "message": str(refusal)})
        await connection.close(CloseCode.TRY_AGAIN_LATER, refusal.code)
    finally:
        outbox.close()


# The rtwidgets.v1 dialect


def _encode_v1(channel: Channel, run: Run) -> bytes:
    # Rows with a time of their own do not need the log's for each.
    times = run.times if channel.fields.time is None else run.times[-1:]
    return text_frame(encode_run(channel.name, channel.log.epoch, run.offset, times, run.pieces))


async def v1_session(connection: Connection, services: Services) -> None:
    """Serve a client of the `rtwidgets.v1` dialect."""

    def missed(channel: Channel, first: int, last: int) -> None:
        outbox.send(encode(Gap(channel.name, channel.log.epoch, first, last)))

    outbox = Outbox(connection, _encode_v1, tell=lambda event: outbox.send(encode(event)), missed=missed)
    session = _Session(outbox, services)
    try:
        async for frame in connection:
            try:
                await session.handle(frame)
            except msgspec.DecodeError as error:
                outbox.send(encode(Error("bad_message", f"not a message of this dialect: {error}")))
                await connection.close(CloseCode.POLICY_VIOLATION, "not a message of this dialect")
    except ConnectionClosed:
        pass  # the peer went without a closing handshake; nobody is left to tell
    finally:
        outbox.close()


class _Session:
    def __init__(self, outbox: Outbox, services: Services) -> None:
        self._outbox = outbox
        self._services = services
        self._user = f"guest-{next(_guests)}"
        self._published = limits.TokenBucket(limits.PUBLISH_RATE, limits.PUBLISH_BURST)

    async def handle(self, frame: str | bytes) -> None:
        message = decode_client(frame)
        request = getattr(message, "id", None)
        try:
            match message:
                case Subscribe():
                    await self._subscribe(message)
                case Unsubscribe(channel):
                    self._outbox.unfollow(channel)
                case Publish():
                    await self._publish(message)
                case Presence(name, user):
                    await self._be_present(name, user)
                case Ping():
                    self._outbox.send(encode(Pong()))
                case Auth():
                    pass  # said again by a client that had shown its token in the handshake
        except Refused as refusal:
            self._outbox.send(encode(Error(refusal.code, str(refusal), request)))

    async def _subscribe(self, message: Subscribe) -> None:
        channel, service = await self._resolve(message.channel)
        places = self._outbox.places
        if len(places) >= limits.MAX_SUBSCRIPTIONS and channel.name not in places:
            raise Refused(
                "too_many_subscriptions",
                f"this connection follows {len(places)} channels, and may follow no more: "
                "unsubscribe from some, or open another connection",
            )
        offset, recovered, lost = _resume(channel.log, message.after)
        if recovered and message.after is not None:
            channel.counts.recoveries += 1
        key, time = service.fields
        epoch = channel.log.epoch
        answer = Subscribed(message.id, channel.name, epoch, offset, recovered, lost, key=key, time=time)
        self._outbox.send(encode(answer))
        self._outbox.follow(channel, offset)

    async def _be_present(self, name: str, user: str) -> None:
        if not 0 < len(user) <= MAX_USER:
            raise Refused("bad_user", f"a user's name has 1 to {MAX_USER} characters, not {len(user)}")
        channel, _ = await self._resolve(name)
        self._user = user
        for other in channel.members:  # those who came before
            self._outbox.tell(Joined(channel.name, other))
        self._outbox.join(channel, user)

    async def _publish(self, message: Publish) -> None:
        channel, service = await self._resolve(message.channel)
        if wait := self._published.take(asyncio.get_running_loop().time()):
            await asyncio.sleep(wait)  # nothing of this connection is read meanwhile, which slows it down
        data = service.accept(message.data, self._user)
        try:
            offset = await channel.publish(data, idempotency=message.idempotency)
        except UsageError as error:
            raise Refused("bad_message", str(error)) from error
        self._outbox.send(encode(Published(message.id, offset)))

    async def _resolve(self, name: str) -> tuple[Channel, Service]:
        try:
            found = self._services.find("/" + check_channel(name))
        except ChannelNameError as error:
            raise Refused("bad_channel", str(error)) from error
        if found is None or not found[0].has_channels:
            choice = ", ".join(self._services.channels) or "none"
            raise Refused("unknown_channel", f"this server has no channel {name!r}; it has: {choice}")
        service, params = found
        return await service.channel(params), service


def _resume(log: Log, after: Cursor | None) -> tuple[int, bool, int]:
    """Return where a subscriber goes on, whether that is exactly where it was, and how many are lost."""
    if after is None:
        return log.last, True, 0
    start = log.first - 1
    if after.epoch != log.epoch or not 0 <= after.offset <= log.last:
        return start, False, 0
    offset = max(after.offset, start)
    return offset, offset == after.offset, offset - after.offset
