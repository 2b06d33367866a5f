"""What orders and inventory say to each other: the messages of their channels."""

from __future__ import annotations

from typing import Annotated

import msgspec

__all__ = [
    "Accepted",
    "Decision",
    "Levels",
    "Line",
    "Placed",
    "Rejected",
    "Sold",
    "Standing",
    "Stocked",
    "TurnedDown",
    "Whole",
]

Line = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
"""A name of something, or a number given to it."""
Whole = Annotated[int, msgspec.Meta(ge=1, le=10**9)]
"""How many of something."""


class _Row(msgspec.Struct, tag_field="type", tag=str.lower, omit_defaults=True):
    pass


# In the channel of orders


class Placed(_Row):
    """Somebody has ordered something."""

    id: str
    item: str
    quantity: int
    user: str
    time: float


class Accepted(_Row):
    """An order was taken from the stock. `epoch` and `offset` are of the message that says so."""

    id: str
    item: str
    quantity: int
    user: str
    time: float
    epoch: str
    offset: int


class Rejected(_Row):
    """An order was not: `reason` is ``unknown_item`` or ``not_enough``."""

    id: str
    item: str
    quantity: int
    user: str
    reason: str
    time: float
    epoch: str
    offset: int


class Standing(_Row, tag="state"):
    """All orders that are known, in place of the messages up to there."""

    pending: list[Placed]
    decided: list[Accepted | Rejected]
    epoch: str | None = None
    offset: int = 0


# In the channel of the inventory: `level` is that of the item from then on


class Stocked(_Row):
    """Something came into the stock; `id` is what the one who brought it calls that."""

    item: str
    quantity: int
    level: int
    user: str
    time: float
    id: str | None = None


class Sold(_Row):
    """An order was taken from the stock. `epoch` and `offset` are those of the newest order read by then."""

    item: str
    quantity: int
    level: int
    order: str
    user: str
    time: float
    epoch: str
    offset: int


class TurnedDown(_Row, tag="rejected"):
    """An order was not, and why."""

    item: str
    quantity: int
    level: int
    order: str
    user: str
    reason: str
    time: float
    epoch: str
    offset: int


class Levels(_Row, tag="state"):
    """What is in stock, in place of the messages up to there.

    `decided` has the newest orders that were decided, each with the reason or None, and `stocked` the newest
    ids of what came in.
    """

    levels: dict[str, int]
    decided: dict[str, str | None]
    stocked: list[str]
    epoch: str | None = None
    offset: int = 0


Decision = Sold | TurnedDown
