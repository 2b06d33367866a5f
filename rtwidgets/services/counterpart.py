"""Services that decide on what the channel of another one says, which may be in another process."""

from __future__ import annotations

from contextlib import aclosing
from functools import partial
from typing import Any, ClassVar, Protocol

import msgspec

from rtwidgets.messages import Cursor
from rtwidgets.server import Service
from rtwidgets.services.ledger import Ledger, State
from rtwidgets.services.upstream import follow

__all__ = ["Answering", "Counterpart"]


class Answering(State, Protocol):
    """A state that answers what the other channel says."""

    cursor: Cursor | None
    """How far that was read."""

    def answer(self, rows: list[Any], cursor: Cursor) -> list[Any]:
        """Return what to write when rows have come, up to a cursor. What was answered before is not again."""


class Counterpart(Service):
    """Base of such a service. Where the other one is, is an option of its name."""

    compacted = True
    other: ClassVar[str]
    """The other channel."""
    kind: ClassVar[type[Answering]]
    rows: ClassVar[Any]
    """A union of the types of its own messages."""
    heard: ClassVar[Any]
    """A union of the types of the other's."""

    _ledger: Ledger[Any] | None = None

    async def ledger(self) -> Ledger[Any]:
        """Return its decisions, read from the channel at first."""
        channel = await self.channel({})
        if self._ledger is None:
            self._ledger = Ledger(channel, self.kind, self.rows)
        return self._ledger

    async def run(self) -> None:
        """Answer what the other channel says, from where that was done last."""
        ledger = await self.ledger()
        decode = msgspec.json.Decoder(self.heard).decode
        url = getattr(self.options, self.other)
        async with aclosing(follow(self.hub, self.other, url, ledger.state.cursor)) as batches:
            async for cursor, pieces in batches:
                rows = [decode(piece) for piece in pieces]
                await ledger.decide(partial(self.kind.answer, rows=rows, cursor=cursor))
