"""The inventory: what is in stock. It decides orders, which may be in another process."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container
from typing import Any, Literal

import msgspec

from rtwidgets.errors import Refused
from rtwidgets.messages import Cursor, clock
from rtwidgets.server import Channel, Fields, Peer
from rtwidgets.services.counterpart import Counterpart
from rtwidgets.services.ledger import check_name, converse, refused
from rtwidgets.services.trade import (
    Accepted,
    Decision,
    Levels,
    Line,
    Placed,
    Rejected,
    Sold,
    Standing,
    Stocked,
    TurnedDown,
    Whole,
)

__all__ = ["Inventory", "Stock"]

REMEMBERED = 10_000
"""Orders whose decision is known by their id, the newest ones: twice as many as may wait for one."""
RESTOCKS = 1_000
"""Restocks that are known by their id, the newest ones."""
MAX_LEVEL = 2**53 - 1


class _Restock(msgspec.Struct):
    """What a client sends."""

    item: Line
    quantity: Whole
    id: Line | None = None
    type: Literal["restock"] = "restock"


class Stock:
    """How many there are of each item, and which orders were decided."""

    def __init__(self) -> None:
        self.levels: dict[str, int] = {}
        self.decided: OrderedDict[str, str | None] = OrderedDict()
        self.stocked: OrderedDict[str, None] = OrderedDict()
        self.cursor: Cursor | None = None
        """How far the orders were read."""

    def apply(self, row: Stocked | Decision | Levels) -> None:
        """Take the next message of the channel."""
        match row:
            case Stocked():
                self.levels[row.item] = row.level
                if row.id is not None:
                    self.stocked[row.id] = None
                    if len(self.stocked) > RESTOCKS:
                        self.stocked.popitem(last=False)
            case Sold() | TurnedDown():
                if isinstance(row, Sold):
                    self.levels[row.item] = row.level
                if self.cursor is not None and self.cursor.epoch != row.epoch:
                    self.decided.clear()  # the orders have begun anew, and their ids too
                self.cursor = Cursor(row.epoch, row.offset)
                self.decided[row.order] = row.reason if isinstance(row, TurnedDown) else None
                if len(self.decided) > REMEMBERED:
                    self.decided.popitem(last=False)
            case Levels():
                self.levels = dict(row.levels)
                self.decided = OrderedDict(row.decided)
                self.stocked = OrderedDict.fromkeys(row.stocked)
                self.cursor = None if row.epoch is None else Cursor(row.epoch, row.offset)

    def snapshot(self) -> Levels:
        """Return all of it in one message."""
        epoch, offset = (None, 0) if self.cursor is None else (self.cursor.epoch, self.cursor.offset)
        return Levels(self.levels, self.decided, list(self.stocked), epoch, offset)

    def restock(self, what: _Restock, user: str) -> list[Stocked]:
        """Return what to write when something comes in: nothing when it has come in already.

        Raises
        ------
        Refused
            When there would be too many.
        """
        if what.id in self.stocked:
            return []
        level = self.levels.get(what.item, 0) + what.quantity
        if level > MAX_LEVEL:
            raise Refused("too_many", f"there is no room for more than {MAX_LEVEL} of {what.item!r}")
        return [Stocked(what.item, what.quantity, level, user, clock(), what.id)]

    def answer(self, rows: list[Placed | Accepted | Rejected | Standing], cursor: Cursor) -> list[Decision]:
        """Return what to write about orders that were placed, in their order."""
        begun_anew = self.cursor is not None and self.cursor.epoch != cursor.epoch
        decided: Container[str] = () if begun_anew else self.decided
        fresh = set[str]()
        levels = dict[str, int]()
        place: dict[str, Any] = {"time": clock(), "epoch": cursor.epoch, "offset": cursor.offset}
        decisions = list[Decision]()
        for row in rows:
            for placed in (
                [row] if isinstance(row, Placed) else row.pending if isinstance(row, Standing) else []
            ):
                if placed.id in decided or placed.id in fresh:
                    continue
                fresh.add(placed.id)
                level = levels.get(placed.item, self.levels.get(placed.item, 0))
                about: dict[str, Any] = {"item": placed.item, "quantity": placed.quantity}
                about |= {"order": placed.id, "user": placed.user}
                if placed.quantity <= level:
                    level = levels[placed.item] = level - placed.quantity
                    decisions.append(Sold(level=level, **about, **place))
                else:
                    reason = "not_enough" if placed.item in self.levels else "unknown_item"
                    decisions.append(TurnedDown(level=level, reason=reason, **about, **place))
        return decisions


class Inventory(Counterpart):
    """The stock at ``/inventory``. ``{"type": "restock", "item": …, "quantity": …}`` brings something in.

    Each message says the new `level` of an item: `stocked`, `sold`, or `rejected` where an order was not
    taken, with the `reason`. A restock with an `id` that is sent again is the same one. A plain client is
    sent all levels when it comes.
    """

    class Options(msgspec.Struct, forbid_unknown_fields=True):
        """`orders`: URL of the server that has them, which takes this server's token; this one when None."""

        orders: str | None = None

    name = "inventory"
    path = "/inventory"
    fields = Fields(key="item", time="time")
    other = "orders"
    kind = Stock
    rows = Stocked | Decision | Levels
    heard = Placed | Accepted | Rejected | Standing

    async def publish(
        self, channel: Channel, data: msgspec.Raw, user: str, idempotency: str | None = None
    ) -> int:
        """Bring something in; return the offset by which that is in the log.

        Raises
        ------
        Refused
            When it is none, comes from nobody, or is too much.
        """
        check_name(user)
        try:
            restock = msgspec.json.decode(data, type=_Restock)
        except (ValueError, RecursionError) as error:
            raise Refused(
                "bad_message", f'send {{"type": "restock", "item": …, "quantity": …}}: {error}'
            ) from error
        restock.id = restock.id or idempotency
        return await (await self.ledger()).decide(lambda stock: stock.restock(restock, user))

    async def talk(self, peer: Peer) -> None:
        """Show a plain client the stock."""
        ledger = await self.ledger()
        channel = ledger.channel

        async def answer(message: bytes) -> object:
            try:
                peer.require("publish", channel)
                await self.publish(channel, msgspec.Raw(message), peer.user)
            except Refused as refusal:
                return refused(refusal)
            return None

        await converse(peer, channel, {"type": "state", "levels": ledger.state.levels}, answer)
