"""Live auctions: bids go up, late ones move the end away, and one bidder wins.

All that is decided is in the channel of the lot, but for the reserve: nobody shall see it, so it is in a
channel that no path leads to.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

import msgspec

from rtwidgets.errors import ChannelNameError, Refused
from rtwidgets.loop import report
from rtwidgets.messages import check_channel, clock, encode_data
from rtwidgets.server import Channel, Fields, Hub, Peer, Service
from rtwidgets.services.bidding import Auction, Bid, Opened, PlaceBid, Row, StartAuction, TooLow, decode
from rtwidgets.services.ledger import Ledger, check_name, converse, refused

__all__ = ["Auctions"]

LOOK_EVERY = 1.0
"""Seconds between two looks at the clock at the most: it may have been set."""


class _Lot:
    """One lot: its rows, and what only the server reads.

    Parameters
    ----------
    channel
        The lot's.
    private
        The one whose newest message is the reserve of the newest auction that has one.
    """

    def __init__(self, channel: Channel, private: Channel) -> None:
        self.ledger = Ledger(channel, Auction, Row)
        self._private = private
        self._opening = asyncio.Lock()

    def __repr__(self) -> str:
        return f"_Lot({self.ledger.channel.name!r})"

    async def close(self) -> None:
        """Close it if its time is over."""
        if self.ledger.state.left(clock()) <= 0:
            await self.ledger.decide(lambda auction: auction.close(clock()))

    async def do(self, asked: StartAuction | PlaceBid, user: str) -> int:
        """Open it or bid for it; return the offset of the row. Raises as `Auction.open` and `Auction.bid`."""
        if isinstance(asked, PlaceBid) or asked.reserve is None:
            return await self._decide(asked, user)
        async with self._opening:
            # The reserve goes first, so that no auction is ever without it: only an open lot looks at it, and
            # this one is not open. What was opened meanwhile had none.
            if self.ledger.state.since(asked, user) is None:
                self.ledger.state.open(asked, user, clock())
                await self._keep(asked.reserve)
            return await self._decide(asked, user)

    async def _decide(self, asked: StartAuction | PlaceBid, user: str) -> int:
        repeated = None

        def decide(auction: Auction) -> list[Opened | Bid]:
            nonlocal repeated
            if (after := auction.since(asked, user)) is not None:
                repeated = self.ledger.next - 1 - after
                return []
            if isinstance(asked, StartAuction):
                return [auction.open(asked, user, clock())]
            return [auction.bid(asked, user, clock(), self._reserve() if auction.reserve else None)]

        last = await self.ledger.decide(decide)
        return last if repeated is None else repeated

    async def _keep(self, reserve: int) -> None:
        last = await self._private.publish(reserve)
        if self._private.log.first < last:
            await self._private.compact(last, encode_data(reserve))

    def _reserve(self) -> int:
        log = self._private.log
        return msgspec.json.decode(log.read(log.last - 1).pieces[0], type=int)


class Auctions(Service):
    """Live auctions at ``/auctions/{lot}``. Amounts are whole numbers: of cents, say.

    ``{"type": "open", "title": …, "start": …, "increment": …, "seconds": …}`` begins an auction of a lot,
    with a ``reserve``, and an ``extension`` in seconds, if the seller likes; ``{"type": "bid", "amount": …}``
    bids. Either may have an ``id``: with the same one it is the same request sent again, which lands once. A
    bid that is less than ``extension`` before the end moves the end to ``extension`` after the bid.

    The channel has the rows `Opened`, `Bid` and `Closed`. A plain client is sent an `Auction`, then these as
    they come. It alone is sent ``{"type": "refused", "code": …, "message": …}``, with the ``minimum`` where a
    bid was too low and with the request's ``id``; and ``{"type": "repeated", "id": …, "offset": …}`` for what
    has landed before.
    """

    name = "auctions"
    path = "/auctions/{lot}"
    fields = Fields(time="time")
    compacted = True

    def __init__(
        self, hub: Hub, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(hub, seed=seed, options=options)
        # The server's: a service that takes the place of this one has to decide with the same.
        self._lots: dict[Channel, _Lot] = hub.shared.setdefault(_Lot, {})
        self._woken = asyncio.Event()

    async def channel(self, params: Mapping[str, str]) -> Channel:
        """Return the channel of a lot, which is closed by then if its time is over.

        Raises
        ------
        Refused
            When the lot's name is none that a channel can have, or there are too many channels.
        """
        private = f"{self.route.channel(params)}/reserve"  # the path of no service: nobody can follow it
        try:
            check_channel(private)  # the longer one of the two
        except ChannelNameError as error:
            raise Refused("bad_channel", str(error)) from error
        channel = await super().channel(params)
        if channel not in self._lots:
            reserve = await self.hub.channel(private, compacted=True)
            self._lots.setdefault(channel, _Lot(channel, reserve))
            self._woken.set()
        await self._close(self._lots[channel])
        return channel

    async def run(self) -> None:
        """Close each lot when its time is over."""
        while True:
            self._woken.clear()
            wait = LOOK_EVERY
            for lot in list(self._lots.values()):
                if await self._close(lot):
                    wait = min(wait, lot.ledger.state.left(clock()))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, wait)):
                    await self._woken.wait()

    async def _close(self, lot: _Lot) -> bool:
        """Close a lot if its time is over; return False when that cannot be stored now."""
        try:
            await lot.close()
        except Refused as error:
            report(f"closing {lot.ledger.channel.name}", error)
            return False
        return True

    async def publish(
        self, channel: Channel, data: msgspec.Raw, user: str, idempotency: str | None = None
    ) -> int:
        """Open a lot or bid for it; return the offset of the row, or the one of before for what is repeated.

        The `idempotency` key is the request's ``id`` where it has none.

        Raises
        ------
        Refused
            When it is neither, comes from nobody, or as `Auction.open` and `Auction.bid`.
        """
        asked = decode(data)
        asked.id = asked.id or idempotency or None
        return await self._do(channel, asked, user)

    async def talk(self, peer: Peer) -> None:
        """Let a plain client watch, and take part."""
        channel = await self.channel(peer.params)
        picture = self._lots[channel].ledger.state.picture(clock())
        await converse(peer, channel, picture, lambda message: self._answer(channel, message, peer))

    async def _answer(self, channel: Channel, message: bytes, peer: Peer) -> dict[str, Any] | None:
        """Do what a plain client asks; return what to tell it that it does not see in the rows."""
        asked, last = None, channel.log.last
        try:
            peer.require("publish", channel)
            asked = decode(message)
            offset = await self._do(channel, asked, peer.user)
        except Refused as refusal:
            told = refused(refusal, None if asked is None else asked.id)
            return told | {"minimum": refusal.minimum} if isinstance(refusal, TooLow) else told
        return {"type": "repeated", "id": asked.id, "offset": offset} if offset <= last else None

    async def _do(self, channel: Channel, asked: StartAuction | PlaceBid, user: str) -> int:
        check_name(user)
        lot = self._lots[channel]
        await self._close(lot)
        offset = await lot.do(asked, user)
        if isinstance(asked, StartAuction):
            self._woken.set()
        return offset
