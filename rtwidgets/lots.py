"""The user's handle on an auction. Floor 5."""

from __future__ import annotations

from typing import Any, NamedTuple

import pandas as pd
from pandas.api.typing import NaTType

from rtwidgets.play import Play, moment
from rtwidgets.services import bidding
from rtwidgets.widgets import AuctionPanel

__all__ = ["Auction", "AuctionStanding"]

LADDER = 15
"""Bids that the widget shows, the newest."""


class AuctionStanding(NamedTuple):
    """How an auction stands.

    Attributes
    ----------
    title
        What is sold; None before the lot is opened.
    status
        ``"not_open"``, ``"open"``, ``"sold"``, ``"no_bids"`` or ``"reserve_not_met"``.
    high, bidder
        The highest bid and whose it is; None before the first one.
    bids
        How many there were.
    minimum
        The lowest bid that would be taken; None when none would.
    ends
        When it ends or has ended, in UTC by the server's clock; NaT before the lot is opened.
    sold
        Whether it is over, and the highest bidder has won.
    seller
        Who has opened it.
    reserve_met
        Whether the highest bid is as high as the seller's reserve; True where there is none.
    """

    title: str | None
    status: str
    high: int | None
    bidder: str | None
    bids: int
    minimum: int | None
    ends: pd.Timestamp | NaTType
    sold: bool
    seller: str | None
    reserve_met: bool


class Auction(Play):
    """An auction of one lot: the stream of its rows, and ways to sell and to bid.

    Made by `rtwidgets.auction`. Amounts are whole numbers: of cents, say.
    """

    service = "auctions"
    schema = {
        "type": "category",
        "user": "category",
        "amount": "float64",
        "ends": "datetime64[ms]",
        "reserve_met": "boolean",
        "title": "str",
        "seller": "str",
        "start": "float64",
        "increment": "float64",
        "winner": "str",
        "sold": "boolean",
        "reason": "str",
        "time": "datetime64[ms]",
    }
    rows = bidding.Row
    rules = bidding.Auction
    panel = AuctionPanel

    @staticmethod
    def show(state: bidding.Auction) -> bidding.Auction:
        """Return a picture of a state that does not change with it."""
        return state.picture(0.0)

    @property
    def standing(self) -> AuctionStanding:
        """How it stands, by the newest row here."""
        state: bidding.Auction = self._decisions.picture
        return AuctionStanding(
            title=state.title,
            status=state.status,
            high=state.amount,
            bidder=state.bidder,
            bids=state.count,
            minimum=state.minimum,
            ends=moment(state.ends or None),
            sold=state.status == "sold",
            seller=state.seller,
            reserve_met=state.reserve_met,
        )

    @property
    def picture(self) -> dict[str, Any]:
        """How it stands, for the page: what JSON can hold."""
        state: bidding.Auction = self._decisions.picture
        shown = ("status", "title", "seller", "start", "increment", "reserve", "reserve_met")
        standing = {name: getattr(state, name) for name in (*shown, "ends", "amount", "bidder", "minimum")}
        bids = [[bid.user, bid.amount, bid.time] for bid in state.bids[-LADDER:]]
        return standing | {"count": state.count, "bids": bids}

    def open(
        self,
        title: str,
        *,
        start: int,
        increment: int,
        seconds: float,
        reserve: int | None = None,
        extension: float = bidding.EXTENSION,
    ) -> None:
        """Open the lot, and wait until it is.

        Parameters
        ----------
        title
            What is sold.
        start
            The lowest first bid.
        increment
            How much a bid has to be above the one before, at the least.
        seconds
            How long it lasts.
        reserve
            The lowest price it is sold for, which nobody is told.
        extension
            A bid with fewer seconds left moves the end so far away from it.

        Raises
        ------
        Refused
            When it is open already, or an amount is no whole number from 1.
        Closed
            When the connection is down.
        """
        secret = {} if reserve is None else {"reserve": reserve}
        times = {"seconds": seconds, "extension": extension}
        self._do("open", title=title, start=start, increment=increment, **times, **secret)

    def bid(self, amount: int) -> None:
        """Bid, and wait until the bid is the highest.

        Raises
        ------
        Refused
            When it is too low, the lot is not open, or one sells it oneself; the sentence says which.
        Closed
            When the connection is down.
        """
        self._do("bid", amount=amount)
