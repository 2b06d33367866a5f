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
    TOKEN_EXPIRED,
    Auth,
    Conflated,
    Cursor,
    Error,
    Gap,
    Joined,
    Latest,
    Left,
    Ping,
    Pong,
    Presence,
    Present,
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
from rtwidgets.server.rights import EXPIRED, Rights
from rtwidgets.server.service import Peer, Service

__all__ = ["AUTH_TIMEOUT", "authenticate", "plain_session", "v1_session"]

AUTH_TIMEOUT = 10.0
"""Seconds a client has to show its token."""

MAX_PRESENT = 1_000
"""Members of a channel that somebody who comes is told of, the newest: all in one write, which has to fit in
the transport's buffer.
"""

_guests = itertools.count(1)


class Services(Protocol):
    """Finds the service of a path."""

    @property
    def channels(self) -> list[str]:
        """The channels there are."""

    def find(self, path: str) -> tuple[Service, dict[str, str]] | None:
        """Return the service at a path and the path's named parts."""


async def authenticate(connection: Connection, access: Access) -> Rights | None:
    """Wait for the token of a client that gave none in its handshake; close on a wrong one (None)."""
    try:
        async with asyncio.timeout(AUTH_TIMEOUT):
            message = decode_client(await connection.recv(decode=False))
        if isinstance(message, Auth):
            return Rights(access, await access.grant(message.token))
        wrong = 'the first message has to be {"type": "auth", "token": …} with the server\'s token'
        refusal = Refused("unauthorized", wrong)
    except msgspec.DecodeError:
        wrong = "a token is needed: as ?token=, as Authorization: Bearer, or in a first message of type auth"
        refusal = Refused("unauthorized", wrong)
    except TimeoutError:
        refusal = Refused("unauthorized", f"no token came in {AUTH_TIMEOUT:g} s")
    except Refused as error:
        refusal = error
    await connection.send(encode(Error(refusal.code, refusal.message)), text=True)
    await _close(connection, refusal)
    return None


_CLOSING: Mapping[str, int] = {
    "unauthorized": CloseCode.POLICY_VIOLATION,
    "forbidden": CloseCode.POLICY_VIOLATION,
    "token_expired": TOKEN_EXPIRED,
}
"""The close codes of refusals that are no matter of trying again later."""


async def _close(connection: Connection, refusal: Refused) -> None:
    await connection.part(_CLOSING.get(refusal.code, CloseCode.TRY_AGAIN_LATER), refusal.message)


def _expire(outbox: Outbox, farewell: bytes | None) -> None:
    if farewell is not None:
        outbox.send(farewell)
    outbox.close()
    supervise(_close(outbox.connection, EXPIRED), "closing a client whose token has expired")


# The plain dialect

_EXPIRED_PLAIN = encode_data({"type": "error", "message": EXPIRED.message})


def _encode_plain(channel: Channel, run: Run) -> bytes:
    return b"".join(map(text_frame, run.pieces))


async def plain_session(
    connection: Connection, rights: Rights, service: Service, params: Mapping[str, str], user: str | None
) -> None:
    """Let a service talk with a plain client, as long as its token is good."""

    def missed(channel: Channel, first: int, last: int) -> None:
        if channel.log.compacted:
            return  # nothing is lost: the oldest message stands for all before it
        # The dialect has no word for a gap: a client that cannot be told is better off starting again.
        for name in list(outbox.places):
            outbox.unfollow(name)
        reason = f"messages {first} to {last} left the history before you read them"
        supervise(connection.close(CloseCode.TRY_AGAIN_LATER, reason), f"closing a client of {channel.name}")

    def tell(event: Joined | Left) -> None:
        if not service.binary and rights.allows("presence", event.channel):
            outbox.send(encode_data(service.event(event)))

    outbox = Outbox(
        connection,
        _encode_plain,
        tell=tell,
        missed=missed,
    )
    name = rights.grant.subject or (user or "")[:MAX_USER] or f"guest-{next(_guests)}"
    peer = Peer(connection, outbox, rights, params, name)
    rights.watch(lambda: _expire(outbox, None if service.binary else _EXPIRED_PLAIN))
    try:
        if service.has_channels and not service.public:
            rights.require("subscribe", service.route.channel(params))
        await service.talk(peer)
    except Refused as refusal:
        await peer.send({"type": "error", "message": str(refusal)})
        await connection.close(_CLOSING.get(refusal.code, CloseCode.TRY_AGAIN_LATER), refusal.code)
    finally:
        rights.close()
        outbox.close()


# The rtwidgets.v1 dialect

_EXPIRED_V1 = encode(Error(EXPIRED.code, EXPIRED.message))


def _encode_v1(channel: Channel, run: Run) -> bytes:
    # Rows with a time of their own do not need the log's for each.
    times = run.times if channel.fields.time is None else run.times[-1:]
    return text_frame(encode_run(channel.name, channel.log.epoch, run.offset, times, run.pieces))


async def v1_session(connection: Connection, rights: Rights, services: Services) -> None:
    """Serve a client of the `rtwidgets.v1` dialect, as long as its token is good."""

    def missed(channel: Channel, first: int, last: int) -> None:
        latest = channel.latest(first - 1, last)
        outbox.send(encode(Gap(channel.name, channel.log.epoch, first, last, latest)))

    def conflated(channel: Channel, after: int) -> None:
        last = channel.log.last
        latest = channel.latest(after, last) or Latest([], [], msgspec.Raw(b"[]"))
        channel.counts.conflated += last - after - len(latest.offsets)
        outbox.send(encode(Conflated(channel.name, channel.log.epoch, after + 1, last, latest)))

    def tell(event: Joined | Left) -> None:
        if rights.allows("presence", event.channel):
            outbox.send(encode(event))

    outbox = Outbox(connection, _encode_v1, tell=tell, missed=missed, conflated=conflated)

    session = _Session(outbox, rights, services)
    rights.watch(lambda: _expire(outbox, _EXPIRED_V1))
    try:
        async for frame in connection:
            try:
                await session.handle(frame)
            except msgspec.DecodeError as error:
                outbox.send(encode(Error("bad_message", f"not a message of this dialect: {error}")))
                await connection.close(CloseCode.POLICY_VIOLATION, "not a message of this dialect")
    except Refused as refusal:
        outbox.send(encode(Error(refusal.code, refusal.message)))
        await _close(connection, refusal)
    except ConnectionClosed:
        pass  # the peer went without a closing handshake; nobody is left to tell
    finally:
        rights.close()
        outbox.close()


class _Session:
    def __init__(self, outbox: Outbox, rights: Rights, services: Services) -> None:
        self._outbox = outbox
        self._rights = rights
        self._services = services
        self._user = rights.grant.subject or f"guest-{next(_guests)}"
        self._published = limits.TokenBucket(limits.PUBLISH_RATE, limits.PUBLISH_BURST)

    async def handle(self, frame: str | bytes) -> None:
        """Do what a message asks.

        Raises
        ------
        Refused
            For a new token that is wrong; what else is refused is answered here.
        """
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
                case Auth(token):
                    await self._renew(token)
                case Pong():
                    pass  # a sign of life says nothing more
        except Refused as refusal:
            if isinstance(message, Auth) and refusal.code in {"unauthorized", "token_expired"}:
                raise
            self._outbox.send(encode(Error(refusal.code, str(refusal), request)))

    async def _renew(self, token: str) -> None:
        heard = self._heard()
        await self._rights.renew(token)
        for name in list(self._outbox.places):
            if not self._rights.allows("subscribe", name):
                self._outbox.unfollow(name)
                reason = f"your new token does not allow to subscribe to {name!r} any more"
                self._outbox.send(encode(Error("forbidden", reason)))
        hears = self._heard()
        for channel in hears - heard:
            self._outbox.send(*(encode(channel.joined(member)) for member in _newest(channel)))
        for channel in heard - hears:
            self._outbox.send(*(encode(channel.left(member.user)) for member in _newest(channel)))
        for channel in list(self._outbox.present):
            if not self._rights.allows("presence", channel.name):
                self._outbox.leave(channel)

    def _heard(self) -> set[Channel]:
        """Return the channels of which it is told who is present."""
        places = self._outbox.places.values()
        return {place.channel for place in places if self._rights.allows("presence", place.channel.name)}

    async def _subscribe(self, message: Subscribe) -> None:
        places = self._outbox.places
        if len(places) >= limits.MAX_SUBSCRIPTIONS and message.channel not in places:
            raise Refused(
                "too_many_subscriptions",
                f"this connection follows {len(places)} channels, and may follow no more: "
                "unsubscribe from some, or open another connection",
            )
        channel, service = await self._resolve(message.channel, "subscribe")
        offset, recovered, lost = _resume(channel.log, message.after)
        if recovered and message.after is not None:
            channel.counts.recoveries += 1
        key, time, _ = service.fields
        hears = self._rights.allows("presence", channel.name)
        answer = Subscribed(
            message.id,
            channel.name,
            channel.log.epoch,
            offset,
            recovered,
            lost,
            key=key,
            time=time,
            latest=None if recovered else channel.latest(offset - lost if lost else 0, offset),
            last=channel.log.last,
            writable=self._rights.allows("publish", channel.name),
            present=(_newest(channel) or None) if hears else None,
        )
        self._outbox.send(encode(answer))
        self._outbox.follow(channel, offset)

    async def _be_present(self, name: str, user: str) -> None:
        if not 0 < len(user) <= MAX_USER:
            raise Refused("bad_user", f"a user's name has 1 to {MAX_USER} characters, not {len(user)}")
        channel, _ = await self._resolve(name, "presence")
        self._user = self._rights.name(user)
        self._outbox.send(*(encode(channel.joined(other)) for other in _newest(channel)))  # who came before
        self._outbox.join(channel, user)

    async def _publish(self, message: Publish) -> None:
        channel, service = await self._resolve(message.channel, "publish")
        if wait := self._published.take(asyncio.get_running_loop().time()):
            await asyncio.sleep(wait)  # nothing of this connection is read meanwhile, which slows it down
        try:
            offset = await service.publish(channel, message.data, self._user, message.idempotency)
        except UsageError as error:
            raise Refused("bad_message", str(error)) from error
        self._outbox.send(encode(Published(message.id, offset)))

    async def _resolve(self, name: str, action: str) -> tuple[Channel, Service]:
        try:
            check_channel(name)
        except ChannelNameError as error:
            raise Refused("bad_channel", str(error)) from error
        self._rights.require(action, name)
        found = self._services.find(f"/{name}")
        if found is None or not found[0].has_channels:
            choice = ", ".join(self._services.channels) or "none"
            raise Refused("unknown_channel", f"this server has no channel {name!r}; it has: {choice}")
        service, params = found
        return await service.channel(params), service


def _newest(channel: Channel) -> list[Present]:
    return channel.members[-MAX_PRESENT:]


def _resume(log: Log, after: Cursor | None) -> tuple[int, bool, int]:
    """Return where a subscriber goes on, whether that is exactly where it was, and how many are lost."""
    if after is None:
        return log.last, True, 0
    start = log.first - 1
    if after.epoch != log.epoch or not 0 <= after.offset <= log.last:
        return start, False, 0
    offset = max(after.offset, start)
    return offset, offset == after.offset, offset - after.offset
