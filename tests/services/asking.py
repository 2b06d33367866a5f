"""Asks a service that decides for something, with no socket in between."""

import json

import msgspec

from rtwidgets.engines import MemoryEngine
from rtwidgets.errors import Refused
from rtwidgets.server import Hub

__all__ = ["At"]


class At:
    """A channel of a service, and somebody who publishes to it."""

    def __init__(self, kind, **params):
        self.service = kind(Hub(MemoryEngine()))
        self._params = params

    async def ask(self, message, user="ada", key=None):
        """Return the row that comes of it, or the code of the refusal."""
        self.channel = await self.service.channel(self._params)
        raw = msgspec.Raw(msgspec.json.encode(message))
        try:
            offset = await self.service.publish(self.channel, raw, user, key)
        except Refused as refusal:
            return refusal.code
        row = json.loads(self.channel.log.read(offset - 1).pieces[0])
        assert (row["event"], row["user"]) == (offset, user)
        return row

    @property
    def ledger(self):
        """The decisions of the channel."""
        return self.service.ledger(self.channel)

    @property
    def state(self):
        """What a plain client would be sent first, but for the server's clock."""
        return json.loads(msgspec.json.encode(self.ledger.state.picture()))

    def check_snapshot(self):
        """Check that the state is the same again after its snapshot was in a log."""
        snapshot = self.ledger.state.snapshot()
        state = self.service.decider()
        state.apply(msgspec.json.decode(msgspec.json.encode(snapshot), type=self.service.rows))
        assert state.snapshot() == snapshot
