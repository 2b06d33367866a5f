"""Orders: placed here, decided by the inventory, which may be in another process."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

import msgspec

from rtwidgets.errors import Refused
from rtwidgets.messages import Cursor, clock
from rtwidgets.server import Channel, Fields, Peer
from rtwidgets.services.counterpart import Counterpart
from rtwidgets.services.ledger import check_name, converse, refused
from rtwidgets.services.trade import (
    Accepted,
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

__all__ = ["Orders"]

MAX_PENDING = 5_000
"""Orders that wait for the inventory at the most."""
REMEMBERED = 10_000
"""Decided orders that are known by their id, the newest ones."""


class _Order(msgspec.Struct):
    """What a client sends."""

    id: Line
    item: Line
    quantity: Whole
    type: Literal["order"] = "order"


class OrderBook:
    """The orders, by their ids."""

    def __init__(self) -> None:
        self.pending: dict[str, Placed] = {}
        self.decided: OrderedDict[str, Accepted | Rejected] = OrderedDict()
        self.cursor: Cursor | None = None
        """How far the inventory was read."""

    def apply(self, row: Placed | Accepted | Rejected | Standing) -> None:
        """Take the next message of the channel."""
        match row:
            case Placed():
                self.pending[row.id] = row
            case Accepted() | Rejected():
                self.pending.pop(row.id, None)
                self.decided[row.id] = row
                self.cursor = Cursor(row.epoch, row.offset)
                if len(self.decided) > REMEMBERED:
                    self.decided.popitem(last=False)
            case Standing():
                self.pending = {placed.id: placed for placed in row.pending}
                self.decided = OrderedDict((each.id, each) for each in row.decided)
                self.cursor = None if row.epoch is None else Cursor(row.epoch, row.offset)

    def snapshot(self) -> Standing:
        """Return all of it in one message."""
        epoch, offset = (None, 0) if self.cursor is None else (self.cursor.epoch, self.cursor.offset)
        return Standing(list(self.pending.values()), list(self.decided.values()), epoch, offset)

    def known(self, id: str) -> Placed | Accepted | Rejected | None:
        """Return the last word on an order."""
        return self.pending.get(id) or self.decided.get(id)

    def of(self, user: str) -> list[Placed | Accepted | Rejected]:
        """Return the last word on each order of somebody's, the oldest first."""
        return [each for each in (*self.decided.values(), *self.pending.values()) if each.user == user]

    def place(self, order: _Order, user: str) -> list[Placed]:
        """Return what to write when an order is placed: nothing when it is here already.

        Raises
        ------
        Refused
            When another order has its id, or too many wait already.
        """
        known = self.known(order.id)
        if known is not None:
            if (known.user, known.item, known.quantity) != (user, order.item, order.quantity):
                raise Refused(
                    "id_taken", f"there is another order with the id {order.id!r}: give each one its own"
                )
            return []
        if len(self.pending) >= MAX_PENDING:
            raise Refused(
                "busy", f"{MAX_PENDING} orders wait for the inventory: send this one again in a while"
            )
        return [Placed(order.id, order.item, order.quantity, user, clock())]

    def answer(
        self, rows: list[Sold | TurnedDown | Stocked | Levels], cursor: Cursor
    ) -> list[Accepted | Rejected]:
        """Return what to write when the inventory has decided."""
        now = clock()
        decided: dict[str, str | None] = {}
        for row in rows:
            match row:
                case Sold():
                    decided[row.order] = None
                case TurnedDown():
                    decided[row.order] = row.reason
                case Levels():
                    decided |= row.decided
        settled: list[Accepted | Rejected] = []
        for order, reason in decided.items():
            if (placed := self.pending.get(order)) is not None:
                head = placed.id, placed.item, placed.quantity, placed.user
                if reason is None:
                    settled.append(Accepted(*head, now, cursor.epoch, cursor.offset))
                else:
                    settled.append(Rejected(*head, reason, now, cursor.epoch, cursor.offset))
        return settled


class Orders(Counterpart):
    """Orders at ``/orders``: ``{"type": "order", "id": …, "item": …, "quantity": …}``.

    Each is `placed`, and then `accepted` or `rejected` once the inventory has decided; if that is away, when
    it is back. An order that is sent again is the same order. A plain client is sent its own orders that are
    known when it comes, and everybody's from then on.
    """

    class Options(msgspec.Struct, forbid_unknown_fields=True):
        """`inventory`: URL of the server that has it, which takes this server's token; this one when None."""

        inventory: str | None = None

    name = "orders"
    path = "/orders"
    fields = Fields(key="id", time="time")
    other = "inventory"
    kind = OrderBook
    rows = Placed | Accepted | Rejected | Standing
    heard = Sold | TurnedDown | Stocked | Levels

    async def publish(
        self, channel: Channel, data: msgspec.Raw, user: str, idempotency: str | None = None
    ) -> int:
        """Place an order; return the offset by which it is in the log.

        Raises
        ------
        Refused
            When it is none, comes from nobody, has another one's id, or too many wait.
        """
        check_name(user)
        order = _read(data)
        ledger = await self.ledger()
        return await ledger.decide(lambda book: book.place(order, user))

    async def talk(self, peer: Peer) -> None:
        """Let a plain client order."""
        ledger = await self.ledger()
        channel = ledger.channel

        async def answer(message: bytes) -> object:
            try:
                peer.require("publish", channel)
                known = ledger.state.known(_read(message).id)
                await self.publish(channel, msgspec.Raw(message), peer.user)
            except Refused as refusal:
                return refused(refusal)
            return known  # sent again, it is in no new message

        picture = {"type": "state", "orders": ledger.state.of(peer.user)}
        await converse(peer, channel, picture, answer)


def _read(data: bytes | msgspec.Raw) -> _Order:
    try:
        return msgspec.json.decode(data, type=_Order)
    except (ValueError, RecursionError) as error:
        raise Refused(
            "bad_message", f'send {{"type": "order", "id": …, "item": …, "quantity": …}}: {error}'
        ) from error
