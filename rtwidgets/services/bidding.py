"""The rules of an auction: what is asked, what is decided, and the state that the decisions add up to.

Nothing here knows a socket or a clock: decisions are told the time, in Unix milliseconds, as all times are.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import msgspec

from rtwidgets.errors import Refused

__all__ = ["Auction", "Bid", "Closed", "Opened", "PlaceBid", "Row", "StartAuction", "TooLow", "decode"]

MAX_AMOUNT = 2**53 - 1
"""The highest bid: all whole numbers up to there are the same in every language."""
EXTENSION = 10.0
"""Seconds that are left after a late bid, where the seller says nothing else."""
SHOWN = 50
"""Bids that somebody is shown who comes, the newest ones."""
KNOWN = 1_000
"""Bids that are known again when they are sent again, the newest ones. An older one is too low by then."""

_Amount = Annotated[int, msgspec.Meta(ge=1, le=MAX_AMOUNT)]
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class TooLow(Refused):
    """A bid that is too low.

    Attributes
    ----------
    minimum
        The lowest one that would be taken; None when there can be no higher one.
    """

    def __init__(self, minimum: int | None) -> None:
        least = "no higher one is possible" if minimum is None else f"bid {minimum} or more"
        super().__init__("too_low", f"this bid is too low: {least}")
        self.minimum = minimum


# What is asked


class StartAuction(msgspec.Struct, tag_field="type", tag="open"):
    """Open a lot. The same `id` is the same request, sent again."""

    title: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    start: _Amount
    increment: _Amount
    seconds: Annotated[float, msgspec.Meta(gt=0, le=366 * 86_400)]
    extension: Annotated[float, msgspec.Meta(ge=0, le=86_400)] = EXTENSION
    reserve: _Amount | None = None
    id: _Id | None = None


class PlaceBid(msgspec.Struct, tag_field="type", tag="bid"):
    """Bid for a lot. The same `id` is the same bid, sent again."""

    amount: _Amount
    id: _Id | None = None


_decoder: msgspec.json.Decoder[StartAuction | PlaceBid] = msgspec.json.Decoder(StartAuction | PlaceBid)


def decode(message: str | bytes | msgspec.Raw) -> StartAuction | PlaceBid:
    """Decode what a client sent.

    Raises
    ------
    Refused
        When it is neither.
    """
    try:
        return _decoder.decode(message)
    except (ValueError, RecursionError) as error:
        raise Refused(
            "bad_message",
            'send {"type": "bid", "amount": …}, or {"type": "open", "title": …, "start": …, "increment": …, '
            f'"seconds": …}}, with amounts as whole numbers from 1 to {MAX_AMOUNT}: {error}',
        ) from error


# What is decided


class Opened(msgspec.Struct, tag_field="type", tag="opened"):
    """An auction has begun. `reserve` is whether there is one; `extension` is in seconds."""

    title: str
    seller: str
    start: int
    increment: int
    ends: float
    extension: float
    reserve: bool
    time: float
    id: str | None = None


class Bid(msgspec.Struct, tag_field="type", tag="bid"):
    """The highest bid from now on. `ends` is when the auction ends, which it may have moved."""

    user: str
    amount: int
    ends: float
    reserve_met: bool
    time: float
    id: str | None = None


class Closed(msgspec.Struct, tag_field="type", tag="closed"):
    """An auction is over. Where nothing was sold there is a `reason`, and neither `winner` nor `amount`."""

    winner: str | None
    amount: int | None
    sold: bool
    reason: Literal["no_bids", "reserve_not_met"] | None
    time: float


class Auction(msgspec.Struct, tag_field="type", tag="state"):
    """A lot's newest auction, as its rows say. It is the row, too, that stands for all before it.

    A decision's time is never before that of the newest row, even where the clock was set back.

    Attributes
    ----------
    status
        ``not_open`` before the first auction of the lot, ``open``, or how the newest one ended.
    title, seller, start, increment, extension, reserve, id
        As in `Opened`.
    ends
        When it ends, or was to end; 0 before the first auction.
    amount, bidder, reserve_met
        The highest bid and whose it is, None before the first; whether the reserve is met, if there is one.
    minimum
        The lowest bid that would be taken; None when none would.
    count, bids
        How many bids there were, and the newest of them.
    time, now
        When the newest row was decided, and the server's clock when somebody was shown this.
    """

    status: Literal["not_open", "open", "sold", "no_bids", "reserve_not_met"] = "not_open"
    title: str | None = None
    seller: str | None = None
    start: int | None = None
    increment: int = 0
    extension: float = EXTENSION
    reserve: bool = False
    id: str | None = None
    ends: float = 0.0
    amount: int | None = None
    bidder: str | None = None
    reserve_met: bool = False
    minimum: int | None = None
    count: int = 0
    bids: list[Bid] = []
    time: float = 0.0
    now: float = 0.0

    # What the rows add up to

    def apply(self, row: Row) -> None:
        """Take the next row."""
        match row:
            case Opened():
                begun = {name: getattr(row, name) for name in row.__struct_fields__}
                self._become(Auction("open", **begun, reserve_met=not row.reserve, minimum=row.start))
            case Bid():
                self.amount, self.bidder = row.amount, row.user
                self.ends, self.reserve_met = row.ends, row.reserve_met
                least = row.amount + self.increment
                self.minimum = least if least <= MAX_AMOUNT else None
                self.count += 1
                self.bids.append(row)
                del self.bids[:-KNOWN]
            case Closed():
                self.status = row.reason or "sold"
                self.minimum = None
            case Auction():
                self._become(row)
        self.time = self.now = row.time

    def snapshot(self) -> Auction:
        """Return the row that stands for all so far."""
        return self

    def picture(self, now: float) -> Auction:
        """Return what somebody is shown who comes."""
        return msgspec.structs.replace(self, now=now, bids=self.bids[-SHOWN:])

    def _become(self, other: Auction) -> None:
        for name in self.__struct_fields__:
            setattr(self, name, getattr(other, name))

    # Decisions: what they return becomes part of the state by `apply` only

    def left(self, now: float) -> float:
        """Return the seconds until it is to be closed: 0 or less when it is due, inf when it is not open."""
        return (self.ends - max(now, self.time)) / 1000.0 if self.status == "open" else math.inf

    def since(self, asked: StartAuction | PlaceBid, user: str) -> int | None:
        """Return how many rows came after the one that somebody got by asking the same before, if any did."""
        if asked.id is None or self.status == "not_open":
            return None
        after = 0 if self.status == "open" else 1
        if isinstance(asked, StartAuction):
            return self.count + after if (user, asked.id) == (self.seller, self.id) else None
        for bid in reversed(self.bids):
            if (bid.user, bid.amount, bid.id) == (user, asked.amount, asked.id):
                return after
            after += 1
        return None

    def open(self, asked: StartAuction, user: str, now: float) -> Opened:
        """Decide whether somebody may open the lot.

        Raises
        ------
        Refused
            With the code ``already_open`` when it is open.
        """
        if self.status == "open":
            raise Refused("already_open", "this lot is open: wait until it is closed, or open another one")
        now = max(now, self.time)
        return Opened(
            title=asked.title,
            seller=user,
            start=asked.start,
            increment=asked.increment,
            ends=round(now + asked.seconds * 1000.0, 3),
            extension=asked.extension,
            reserve=asked.reserve is not None,
            time=now,
            id=asked.id,
        )

    def bid(self, asked: PlaceBid, user: str, now: float, reserve: int | None) -> Bid:
        """Decide about a bid.

        Raises
        ------
        Refused
            With the code ``not_open``, ``closed``, ``own_lot``, or ``id_used`` for an id that this user has
            given another amount.
        TooLow
            When it is too low.
        """
        if self.status == "not_open":
            raise Refused("not_open", "this lot is not open: wait until somebody opens it")
        if self.left(now) <= 0 or self.status != "open":
            raise Refused("closed", "this auction is over: wait until the lot is opened again")
        if user == self.seller:
            raise Refused("own_lot", "you sell this lot: only others may bid for it")
        if asked.id is not None and any((bid.user, bid.id) == (user, asked.id) for bid in self.bids):
            raise Refused("id_used", "you have made another bid with this id: give each bid an id of its own")
        if self.minimum is None or asked.amount < self.minimum:
            raise TooLow(self.minimum)
        now = max(now, self.time)
        ends = max(self.ends, round(now + self.extension * 1000.0, 3))
        return Bid(user, asked.amount, ends, reserve is None or asked.amount >= reserve, now, asked.id)

    def close(self, now: float) -> list[Closed]:
        """Decide how it ends: one row when it is to be closed, or none."""
        if self.left(now) > 0:
            return []
        now = max(now, self.time)
        if self.count and self.reserve_met:
            return [Closed(self.bidder, self.amount, sold=True, reason=None, time=now)]
        reason: Literal["no_bids", "reserve_not_met"] = "reserve_not_met" if self.count else "no_bids"
        return [Closed(None, None, sold=False, reason=reason, time=now)]


Row = Opened | Bid | Closed | Auction
"""What is in a lot's channel."""
