"""The rules of an auction, with no socket and no clock, against an auctioneer with paper and pencil."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtwidgets.errors import Refused
from rtwidgets.services.bidding import (
    KNOWN,
    MAX_AMOUNT,
    SHOWN,
    Auction,
    PlaceBid,
    Row,
    StartAuction,
    TooLow,
    decode,
)

SECOND = 1000.0
decoder = msgspec.json.Decoder(Row)


def vase(**changes):
    asked = {"title": "Vase", "start": 100, "increment": 10, "seconds": 60.0, "extension": 10.0}
    return StartAuction(**(asked | changes))


class Lot:
    """The rows of a lot, and what they add up to, as a ledger has it."""

    def __init__(self):
        self.rows = []
        self.auction = Auction()
        self.reserve = None

    def add(self, row):
        self.rows.append(row)
        self.auction.apply(decoder.decode(msgspec.json.encode(row)))
        return row

    def do(self, asked, user, now):
        """Return the offset of the row that comes of it."""
        if (after := self.auction.since(asked, user)) is not None:
            return len(self.rows) - after
        if isinstance(asked, StartAuction):
            row = self.auction.open(asked, user, now)
            self.reserve = asked.reserve
        else:
            row = self.auction.bid(asked, user, now, self.reserve)
        self.add(row)
        return len(self.rows)

    def close(self, now):
        for row in self.auction.close(now):
            self.add(row)

    def restart(self):
        """Begin again with the one row that stands for all so far."""
        row = msgspec.json.encode(self.auction.snapshot())
        self.auction = Auction()
        self.auction.apply(decoder.decode(row))


def opened(**changes):
    lot = Lot()
    lot.do(vase(**changes), "sue", 0.0)
    return lot


def refusal(lot, amount, user="ben", now=0.0, id=None):
    with pytest.raises(Refused) as caught:
        lot.do(PlaceBid(amount, id), user, now)
    return caught.value


# One rule at a time


@pytest.mark.parametrize(("amount", "taken"), [(99, False), (100, True), (101, True)])
def test_the_first_bid(amount, taken):
    """It is `start` at the least."""
    lot = opened()
    if taken:
        assert lot.do(PlaceBid(amount), "ben", 0.0) == 2
    else:
        assert refusal(lot, amount).minimum == 100


@pytest.mark.parametrize(("amount", "taken"), [(100, False), (109, False), (110, True)])
def test_the_next_bid(amount, taken):
    """It is higher than the highest by the increment at the least, and may be the same bidder's."""
    lot = opened()
    lot.do(PlaceBid(100), "ben", 0.0)
    if taken:
        assert lot.do(PlaceBid(amount), "ben", 0.0) == 3
    else:
        error = refusal(lot, amount, user="ada")
        assert isinstance(error, TooLow)
        assert (error.code, error.minimum, str(error)) == (
            "too_low",
            110,
            "this bid is too low: bid 110 or more",
        )


def test_nothing_is_higher_than_the_highest_amount():
    """Where the next bid would have to be, there is no minimum any more."""
    lot = opened()
    lot.do(PlaceBid(MAX_AMOUNT - 9), "ben", 0.0)
    assert lot.auction.minimum is None
    error = refusal(lot, MAX_AMOUNT, user="ada")
    assert (error.code, error.minimum) == ("too_low", None)
    assert "no higher one is possible" in str(error)


def test_whose_bids_are_not_taken():
    """The seller's; and nobody's where there is no auction, or none any more."""
    assert refusal(Lot(), 100).code == "not_open"
    lot = opened()
    assert refusal(lot, 100, user="sue").code == "own_lot"
    assert refusal(lot, 100, now=60 * SECOND).code == "closed"  # nobody has closed it yet
    lot.close(60 * SECOND)
    assert refusal(lot, 100, now=60 * SECOND).code == "closed"


@pytest.mark.parametrize(("at", "ends"), [(0, 60), (50, 60), (50.001, 60.001), (59.999, 69.999)])
def test_a_late_bid_moves_the_end(at, ends):
    """To `extension` seconds after it, if there was less left; the row says so."""
    lot = opened()
    lot.do(PlaceBid(100), "ben", at * SECOND)
    assert lot.rows[-1].ends == lot.auction.ends == pytest.approx(ends * SECOND)
    assert lot.auction.left(at * SECOND) == pytest.approx(ends - at)


def test_without_an_extension_the_end_stays():
    """Then the last moment counts."""
    lot = opened(extension=0)
    lot.do(PlaceBid(100), "ben", 59.999 * SECOND)
    assert lot.auction.ends == 60 * SECOND


def test_the_end_moves_again_and_again():
    """As long as somebody bids."""
    lot = opened()
    for n in range(10):
        lot.do(PlaceBid(100 + 10 * n), "ben", (55 + 9 * n) * SECOND)
    assert lot.auction.ends == (55 + 81 + 10) * SECOND


@pytest.mark.parametrize(
    ("bids", "reserve", "how"),
    [
        ([], None, (None, None, False, "no_bids")),
        ([], 100, (None, None, False, "no_bids")),
        ([100, 149], 150, (None, None, False, "reserve_not_met")),
        ([100, 150], 150, ("ben", 150, True, None)),
        ([100], None, ("ben", 100, True, None)),
    ],
)
def test_how_it_ends(bids, reserve, how):
    """With one winner, or none and the reason: once, and at its end."""
    lot = opened(reserve=reserve)
    for amount in bids:
        lot.do(PlaceBid(amount), "ben", 0.0)
    lot.close(60 * SECOND - 0.001)
    assert lot.auction.status == "open"
    lot.close(60 * SECOND)
    lot.close(61 * SECOND)
    closed = lot.rows[-1]
    assert (closed.winner, closed.amount, closed.sold, closed.reason) == how
    assert len(lot.rows) == 2 + len(bids)
    assert (lot.auction.status, lot.auction.minimum) == (closed.reason or "sold", None)


def test_whether_the_reserve_is_met():
    """Each bid says so, and without a reserve it is met."""
    lot = opened(reserve=120)
    assert not lot.auction.reserve_met
    for amount in (100, 119 + 1, 130):
        lot.do(PlaceBid(amount), "ben", 0.0)
    assert [row.reserve_met for row in lot.rows[1:]] == [False, True, True]
    assert opened().auction.reserve_met


def test_a_lot_is_opened_again():
    """Once it is closed, by anybody; nothing is left of the auction before."""
    lot = opened(id="x", reserve=500)
    lot.do(PlaceBid(100, "b"), "ben", 0.0)
    with pytest.raises(Refused) as caught:
        lot.do(vase(), "ada", 0.0)
    assert caught.value.code == "already_open"
    lot.close(60 * SECOND)
    lot.do(vase(title="Jug"), "ada", 61 * SECOND)
    fresh = Lot()
    fresh.do(vase(title="Jug"), "ada", 61 * SECOND)
    assert lot.auction == fresh.auction
    assert lot.do(PlaceBid(100, "b"), "ben", 61 * SECOND) == 5


def test_a_request_sent_again():
    """Is the same one: it gets the offset of before, also when the auction is over; another user's is not."""
    lot = opened(id="o")
    lot.do(PlaceBid(100, "x"), "ben", 0.0)
    lot.do(PlaceBid(110, "x"), "ada", 0.0)
    for now in (0.0, 60 * SECOND):
        lot.close(now)
        assert lot.do(vase(id="o"), "sue", now) == 1
        assert lot.do(PlaceBid(100, "x"), "ben", now) == 2
        assert lot.do(PlaceBid(110, "x"), "ada", now) == 3
    assert len(lot.rows) == 4
    with pytest.raises(Refused):
        lot.do(PlaceBid(110, "x"), "cleo", 60 * SECOND)


def test_an_id_for_another_amount():
    """Is a mistake of the client, and said to be one, or else a bid would be lost without a word."""
    lot = opened()
    lot.do(PlaceBid(100, "x"), "ben", 0.0)
    assert refusal(lot, 500, id="x").code == "id_used"


def test_a_clock_that_is_set_back():
    """No row is before the one that came before it."""
    lot = opened()
    lot.do(PlaceBid(100), "ben", 30 * SECOND)
    lot.do(PlaceBid(110), "ada", 20 * SECOND)
    assert [row.time for row in lot.rows] == [0.0, 30 * SECOND, 30 * SECOND]


def test_what_is_kept_and_shown():
    """The newest bids; the state of a lot does not grow with each one."""
    lot = opened(increment=1)
    for n in range(KNOWN + 20):
        lot.do(PlaceBid(100 + n, f"{n}"), "ben", float(n))
    assert lot.auction.count == KNOWN + 20
    assert len(lot.auction.snapshot().bids) == KNOWN
    picture = lot.auction.picture(5e6)
    assert picture.now == 5e6
    assert [bid.amount for bid in picture.bids] == [row.amount for row in lot.rows[-SHOWN:]]
    assert lot.do(PlaceBid(120, "20"), "ben", 0.0) == 22
    assert refusal(lot, 119, id="19").code == "too_low"  # too old to be known, and lands no second time


@pytest.mark.parametrize("amount", ["0", "-1", "1.5", str(2**53), '"7"', "true", "null", "1e400"])
def test_amounts_that_are_none(amount):
    """They are whole, above 0 and at most 2**53-1."""
    with pytest.raises(Refused) as caught:
        decode(f'{{"type":"bid","amount":{amount}}}')
    assert caught.value.code == "bad_message"
    assert decode(f'{{"type":"bid","amount":{MAX_AMOUNT}}}').amount == MAX_AMOUNT


@pytest.mark.parametrize(
    "changes",
    [{"title": ""}, {"title": "x" * 201}, {"start": 0}, {"increment": 0}, {"reserve": 0}, {"seconds": 0},
     {"seconds": 1e9}, {"seconds": None}, {"extension": -1}, {"extension": 1e6}, {"id": ""},
     {"id": "x" * 201}, {"type": "sell"}]
)  # fmt: skip
def test_lots_that_cannot_be_opened(changes):
    """What is asked is checked, and the answer says what to send."""
    asked = {"type": "open", "title": "Vase", "start": 1, "increment": 1, "seconds": 1}
    assert decode(json.dumps(asked)).extension == 10.0
    with pytest.raises(Refused, match=r"send .*bid.*open") as caught:
        decode(json.dumps(asked | changes))
    assert caught.value.code == "bad_message"


@pytest.mark.parametrize("message", [b"", b"null", b"[]", b"\xff", b'{"a":' + b"[" * 100_000])
def test_messages_that_are_none(message):
    """Neither JSON of another kind, nor what is no JSON."""
    with pytest.raises(Refused):
        decode(message)


# All of them together


class Auctioneer:
    """The oracle: goes through all that has happened, for every question anew."""

    def __init__(self):
        self.events = []  # (offset, kind, user, asked, time)
        self.time = 0.0

    def sale(self):
        """Return what was opened last, the bids that it got, and how it ended."""
        starts = [n for n, event in enumerate(self.events) if event[1] == "open"]
        if not starts:
            return None, [], None
        start, *rest = self.events[starts[-1] :]
        bids = [event for event in rest if event[1] == "bid"]
        ends = [event for event in rest if event[1] == "close"]
        return start, bids, ends[0] if ends else None

    def end(self):
        start, bids, _ = self.sale()
        end = start[4] + start[3].seconds * SECOND
        for bid in bids:
            if end - bid[4] < start[3].extension * SECOND:
                end = bid[4] + start[3].extension * SECOND
        return end

    def record(self, kind, user, asked, now):
        self.time = max(now, self.time)
        self.events.append((len(self.events) + 1, kind, user, asked, self.time))
        return len(self.events)

    def open(self, asked, user, now):
        start, _, closed = self.sale()
        if start and asked.id and (start[2], start[3].id) == (user, asked.id):
            return start[0]
        if start and not closed:
            return "already_open"
        return self.record("open", user, asked, now)

    def bid(self, asked, user, now):
        start, bids, closed = self.sale()
        if not start:
            return "not_open"
        same = [bid for bid in bids if asked.id and bid[2] == user and bid[3].id == asked.id]
        for bid in same:
            if bid[3].amount == asked.amount:
                return bid[0]
        if closed or max(now, self.time) >= self.end():
            return "closed"
        if user == start[2]:
            return "own_lot"
        if same:
            return "id_used"
        if asked.amount < (bids[-1][3].amount + start[3].increment if bids else start[3].start):
            return "too_low"
        return self.record("bid", user, asked, now)

    def close(self, now):
        start, _, closed = self.sale()
        if start and not closed and max(now, self.time) >= self.end():
            self.record("close", None, None, now)

    def status(self):
        start, bids, closed = self.sale()
        if not closed:
            return ("open" if start else "not_open"), None
        if not bids:
            return "no_bids", None
        highest = max(bids, key=lambda bid: bid[3].amount)
        if start[3].reserve is not None and highest[3].amount < start[3].reserve:
            return "reserve_not_met", None
        return "sold", (highest[2], highest[3].amount)


users = st.sampled_from(["ada", "ben", "sue"])
ids = st.sampled_from([None, None, "x", "y"])
starts = st.builds(
    StartAuction,
    title=st.just("Vase"),
    start=st.integers(1, 4),
    increment=st.integers(1, 3),
    seconds=st.sampled_from([1.0, 5.0, 20.0]),
    extension=st.sampled_from([0.0, 1.0, 4.0, 30.0]),
    reserve=st.none() | st.integers(1, 12),
    id=ids,
)
steps = st.one_of(
    st.tuples(st.just("bid"), users, st.builds(PlaceBid, st.integers(1, 20), ids)),
    st.tuples(st.just("bid"), users, st.builds(PlaceBid, st.integers(1, 20), ids)),
    st.tuples(st.just("open"), users, starts),
    st.tuples(st.just("wait"), st.sampled_from([-2.0, 0.001, 0.999, 1.0, 3.0, 20.0])),
    st.tuples(st.just("close")),
    st.tuples(st.just("restart")),
)


@settings(max_examples=300, deadline=None)
@given(starts, st.lists(steps, max_size=40))
def test_any_order_of_bids_time_and_closing(first, order):
    """Comes to the same as with the auctioneer: each answer, each row, the winner; and so after a restart."""
    lot, oracle, now = Lot(), Auctioneer(), 1_000_000.0
    for kind, *rest in [("open", "sue", first), *order]:
        match kind, rest:
            case "wait", [seconds]:
                now += seconds * SECOND
            case "close", []:
                lot.close(now)
                oracle.close(now)
            case "restart", []:
                lot.restart()
            case _, [user, asked]:
                try:
                    answer = lot.do(asked, user, now)
                except Refused as error:
                    answer = error.code
                assert answer == getattr(oracle, kind)(asked, user, now)
        status, winner = oracle.status()
        start, bids, closed = oracle.sale()
        auction = lot.auction
        assert auction.status == status
        assert [row.time for row in lot.rows] == [event[4] for event in oracle.events]
        if start:
            assert auction.ends == oracle.end()
            assert auction.count == len(bids)
            assert [bid.amount for bid in auction.bids] == [bid[3].amount for bid in bids]
            assert (auction.bidder, auction.amount) == (
                (bids[-1][2], bids[-1][3].amount) if bids else (None, None)
            )
        if closed:
            row = lot.rows[closed[0] - 1]
            assert (row.sold, (row.winner, row.amount) if row.sold else None) == (winner is not None, winner)
