"""What a service is: one system that a server offers, at one path.

A service owns channels, may work in the background, may talk with plain clients in its own way, and
decides what clients may publish. `rtwidgets.services` has those that come with the package.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar
from urllib.parse import unquote

import msgspec
from websockets.exceptions import ConnectionClosed

from rtwidgets.errors import Refused, UsageError
from rtwidgets.messages import Joined, Left, encode_data
from rtwidgets.server.hub import Channel, Encoder, Fields, Hub
from rtwidgets.server.limits import PUBLISH_BURST, PUBLISH_RATE, TokenBucket
from rtwidgets.server.outbox import Connection, Outbox
from rtwidgets.server.rights import Rights
from rtwidgets.server.tokens import FULL

__all__ = ["Peer", "Route", "Service"]


class Route:
    """A path with named parts, such as ``/chat/{room}``.

    Raises
    ------
    UsageError
        When it does not begin with a slash, or has empty or malformed parts.
    """

    def __init__(self, path: str) -> None:
        parts = path.split("/")[1:]
        if not path.startswith("/") or not all(re.fullmatch(r"[\w.~-]+|\{[a-z]+\}", part) for part in parts):
            raise UsageError(f"{path!r} is not a service path: write it as '/name' or '/name/{{part}}'")
        self.path = path
        self._pattern = re.compile("".join(f"/{_pattern(part)}" for part in parts))

    def match(self, path: str) -> dict[str, str] | None:
        """Return the named parts of a path, or None when it is another one."""
        found = self._pattern.fullmatch(path)
        params = {} if found is None else {name: unquote(part) for name, part in found.groupdict().items()}
        return None if found is None or any("/" in value for value in params.values()) else params

    def channel(self, params: Mapping[str, str]) -> str:
        """Return the channel of the path: the path itself, without its first slash."""
        return self.path[1:].format(**params)


def _pattern(part: str) -> str:
    return f"(?P<{part[1:-1]}>[^/]+)" if part.startswith("{") else re.escape(part)


class Peer:
    """A plain client, as a service sees it: messages in, messages out.

    Attributes
    ----------
    params
        The named parts of its path and the query's parameters.
    user
        The name it goes by: its token's subject, if that has one.
    """

    def __init__(
        self, connection: Connection, outbox: Outbox, rights: Rights, params: Mapping[str, str], user: str
    ) -> None:
        self._connection = connection
        self._outbox = outbox
        self._rights = rights
        self.params = params
        self.user = user

    @property
    def trusted(self) -> bool:
        """Whether it has shown the server's own token, not a user's; on an open server everybody has."""
        return self._rights.grant is FULL

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Yield what the client sends, text as str and binary as bytes, until it goes."""
        with contextlib.suppress(ConnectionClosed):  # however it goes
            async for message in self._connection:
                yield message

    async def paced(self) -> AsyncIterator[str | bytes]:
        """Yield what the client sends, as fast as one may publish; what is faster than that waits."""
        published = TokenBucket(PUBLISH_RATE, PUBLISH_BURST)
        async for message in self:
            if wait := published.take(asyncio.get_running_loop().time()):
                await asyncio.sleep(wait)
            yield message

    async def send(self, data: object) -> None:
        """Send one message: text as it is, bytes as binary, anything else as JSON."""
        if isinstance(data, str | bytes):
            await self._connection.send(data)
        else:
            await self._connection.send(encode_data(data), text=True)

    def follow(self, channel: Channel, *, after: int | None = None, encoder: Encoder | None = None) -> None:
        """Send each message of a channel as a frame of its own, from now on or from after an offset.

        An `encoder` takes the place of that, for all that this client follows.
        """
        if encoder is not None:
            self._outbox.encoder = encoder
        self._outbox.follow(channel, channel.log.last if after is None else after)

    def join(self, channel: Channel) -> None:
        """Be present in a channel, until the connection ends, where its token allows that."""
        if self.allows("presence", channel):
            self._outbox.join(channel, self.user)

    def allows(self, action: str, channel: Channel | str) -> bool:
        """Whether its token allows an action, such as ``"publish"``, on a channel or one of that name."""
        return self._rights.allows(action, channel if isinstance(channel, str) else channel.name)

    async def close(self, code: int, reason: str) -> None:
        """End the connection, with a reason of which the first 123 bytes are sent."""
        await self._connection.part(code, reason)

    def require(self, action: str, channel: Channel | str) -> None:
        """Check that its token allows an action, such as ``"publish"``, on a channel or one of that name.

        Raises
        ------
        Refused
            When it does not.
        """
        self._rights.require(action, channel if isinstance(channel, str) else channel.name)


class Service:
    """Base of a service. A subclass sets `name` and `path` and overrides what it needs.

    Parameters
    ----------
    hub
        The server's channels.
    seed
        Seeds what the service makes up; None for something new each time.
    options
        The user's options, checked against `Options`.

    Raises
    ------
    UsageError
        When the options are not those of the service.
    """

    class Options(msgspec.Struct, forbid_unknown_fields=True):
        """What a user may set."""

    name: ClassVar[str]
    path: ClassVar[str]
    has_channels: ClassVar[bool] = True
    fields: ClassVar[Fields] = Fields()
    public: ClassVar[bool] = False
    """Whether a plain client may connect to its path without any token."""
    binary: ClassVar[bool] = False
    """Whether its plain clients know binary messages only: nothing is told to them in JSON then."""
    durable: bool = True
    """Whether its channels outlast the process where the server's engine lets them."""
    companions: ClassVar[tuple[type[Service], ...]] = ()
    """Services that are offered along with it."""
    compacted: ClassVar[bool] = False
    """Whether its channels keep all until it compacts them: see `Channel.compact`."""

    def __init__(
        self, hub: Hub, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> None:
        self.hub = hub
        self.seed = seed
        self.route = Route(self.path)
        try:
            self.options: Any = msgspec.convert(dict(options or {}), self.Options)
        except msgspec.ValidationError as error:
            known = ", ".join(field.name for field in msgspec.structs.fields(self.Options)) or "none"
            raise UsageError(f"options of {self.name!r}: {error}. It has: {known}") from error

    async def channel(self, params: Mapping[str, str]) -> Channel:
        """Return the channel of a path's named parts."""
        name = self.route.channel(params)
        return await self.hub.channel(name, self.fields, durable=self.durable, compacted=self.compacted)

    async def run(self) -> None:
        """Work in the background while the server runs. A failure is reported and stops this service."""

    async def talk(self, peer: Peer) -> None:
        """Talk with a plain client until it goes. As it stands: what the channel keeps, then what comes."""
        channel = await self.channel(peer.params)
        peer.follow(channel, after=channel.log.first - 1)
        await self.listen(peer, channel)

    async def listen(self, peer: Peer, channel: Channel) -> None:
        """Publish what a plain client sends, as far as `publish` takes it, until it goes."""
        async for message in peer.paced():
            try:
                peer.require("publish", channel)
                data = message if isinstance(message, bytes) else message.encode()
                await self.publish(channel, msgspec.Raw(data), peer.user)
            except (Refused, UsageError) as refusal:
                await peer.send({"type": "error", "message": str(refusal)})

    async def publish(
        self, channel: Channel, data: msgspec.Raw, user: str, idempotency: str | None = None
    ) -> int:
        """Do what a client's publish asks and return the message's offset. As it stands: append what `accept`
        makes of it.

        Parameters
        ----------
        channel
            One of this service's.
        data
            What the client sent, which may not even be JSON.
        user
            The name it goes by.
        idempotency
            See `Channel.publish`.

        Raises
        ------
        Refused
            When it may not.
        UsageError
            When it cannot be published.
        """
        return await channel.publish(self.accept(data, user), idempotency=idempotency)

    def accept(self, data: msgspec.Raw, user: str) -> object:
        """Return what to append to the log when a client publishes `data`, which may not even be JSON.

        Raises
        ------
        Refused
            When it may not: as it stands, always.
        """
        raise Refused("read_only", f"{self.path} takes no messages from clients")

    def event(self, event: Joined | Left) -> object:
        """Return how a presence event looks to a plain client."""
        return {"type": type(event).__name__.lower(), "user": event.user}
