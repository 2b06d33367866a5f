"""People at a system of a server: the same things done in the plain dialect and in `rtwidgets.v1`."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from urllib.parse import quote

import msgspec
from websockets.exceptions import ConnectionClosed

from rtwidgets.messages import (
    SUBPROTOCOL,
    Cursor,
    Error,
    Messages,
    Presence,
    Publish,
    Subscribe,
    Subscribed,
    decode_server,
    encode,
    encode_data,
)
from tests.talking import dial, eventually

__all__ = ["DIALECTS", "Client", "Plain", "V1"]


class Client:
    """Somebody who follows one channel and may act in it. Use `join`.

    `rows` are the channel's, as they came; `refusals` what was refused, with `code` and `message`; `asides`
    all else that it was told; `frames` all of it as it came.
    """

    def __init__(self, connection, channel):
        self.channel = channel
        self.rows = []
        self.refusals = []
        self.asides = []
        self.frames = []
        self._connection = connection
        self._looked_at = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def join(cls, server, channel, user=None, *, token=None, through=None, **options):
        """Connect as somebody of a name, or with a token of theirs; to a proxy, if there is one."""
        token = token or server.token
        async with cls._dial(through or server, channel, user, token) as connection:
            client = cls(connection, channel)
            await client._begin(user, **options)
            reading = asyncio.create_task(client._read())
            try:
                yield client
            finally:
                reading.cancel()
                await asyncio.wait([reading])
        if not reading.cancelled():
            reading.result()  # raises what went wrong in it

    async def say(self, message, key=None):
        """Ask for something; `key` makes it the same request as another one."""
        raise NotImplementedError

    async def row(self, kind):
        """Return the next row of a type that this has not returned yet, or passed by."""

        def places():
            return [n for n in range(self._looked_at, len(self.rows)) if self.rows[n]["type"] == kind]

        await eventually(places)
        place = places()[0]
        self._looked_at = place + 1
        return self.rows[place]

    async def refusal(self):
        """Return the next refusal, and forget it."""
        await eventually(lambda: self.refusals)
        return self.refusals.pop(0)

    async def _read(self):
        with contextlib.suppress(ConnectionClosed):
            async for frame in self._connection:
                self._take(frame)


class Plain(Client):
    """A client of the plain dialect. `state` is what it was shown first."""

    state: dict

    @staticmethod
    def _dial(server, channel, user, token):
        query = "" if user is None else f"?user={quote(user)}"
        return dial(server, f"/{channel}{query}", token=token)

    async def _begin(self, user):
        frame = await asyncio.wait_for(self._connection.recv(), 20)
        self.frames.append(frame)
        self.state = json.loads(frame)

    async def say(self, message, key=None):
        await self._connection.send(json.dumps(message if key is None else message | {"id": key}))

    def _take(self, frame):
        self.frames.append(frame)
        message = json.loads(frame)
        kinds = {
            "refused": self.refusals,
            "repeated": self.asides,
            "joined": self.asides,
            "left": self.asides,
        }
        kinds.get(message["type"], self.rows).append(message)


class V1(Client):
    """A client of `rtwidgets.v1`, who goes on `after` a cursor.

    `start` is where it began to read, and `cursor` how far it has come.
    """

    start: Cursor
    cursor: Cursor

    @staticmethod
    def _dial(server, channel, user, token):
        return dial(server, "/", token=token, subprotocols=[SUBPROTOCOL])

    async def _begin(self, user, after=None):
        self._ids = itertools.count(1)
        if user is not None:
            await self._connection.send(encode(Presence(self.channel, user)).decode())
        await self._connection.send(encode(Subscribe(0, self.channel, after)).decode())
        answer = None
        while not isinstance(answer, Subscribed):
            answer = decode_server(await asyncio.wait_for(self._connection.recv(decode=False), 20))
            assert not isinstance(answer, Error), answer
        self.start = self.cursor = Cursor(answer.epoch, answer.offset)

    async def say(self, message, key=None):
        data = msgspec.Raw(encode_data(message))
        await self._connection.send(encode(Publish(next(self._ids), self.channel, data, key)).decode())

    def _take(self, frame):
        self.frames.append(frame)
        match decode_server(frame):
            case Messages() as run:
                assert run.offset == self.cursor.offset + 1, "rows are missing"
                self.cursor = Cursor(run.epoch, run.offset + run.count - 1)
                self.rows += msgspec.json.decode(run.data)
            case Error() as error:
                self.refusals.append({"code": error.code, "message": error.message, "id": error.id})
            case other:
                self.asides.append(other)


DIALECTS = [Plain, V1]
