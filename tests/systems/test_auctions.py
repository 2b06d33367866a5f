"""Live auctions, as people see them: hundreds bid, and one wins."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random

import msgspec
import pytest
from websockets.exceptions import InvalidStatus

from rtwidgets.messages import Cursor, Error, Publish, Published
from rtwidgets.server import Server
from rtwidgets.services import auctions
from rtwidgets.services.auctions import Auctions
from tests.systems.clients import DIALECTS, V1, Plain
from tests.talking import Proxy, dial, dial_v1, eventually

pytestmark = pytest.mark.usefixtures("tidy")

LOT = "auctions/vase"
VASE = {"type": "open", "title": "Vase", "start": 100, "increment": 10, "seconds": 60, "extension": 10}

any_dialect = pytest.mark.parametrize("dialect", DIALECTS)


def bid(amount, **more):
    return {"type": "bid", "amount": amount, **more}


class Clock:
    """The server's clock, which stands until it is moved."""

    def __init__(self):
        self.now = 1_700_000_000_000.0

    def __call__(self):
        return self.now

    def forward(self, seconds):
        self.now += seconds * 1000.0


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(auctions, "clock", clock)
    monkeypatch.setattr(auctions, "LOOK_EVERY", 0.01)
    return clock


@pytest.fixture
def server():
    return Server([Auctions])


@any_dialect
async def test_an_auction(server, dialect, clock):
    """Somebody sells, others bid, everybody sees it, and the highest bid wins when the time is over."""
    async with (
        server,
        dialect.join(server, LOT, "sue") as sue,
        dialect.join(server, LOT, "ben") as ben,
        dialect.join(server, LOT, "ada") as ada,
        dialect.join(server, LOT) as watcher,
    ):
        begun = clock.now
        await sue.say(VASE)
        await ben.row("opened")
        await ben.say(bid(100, id="b1"))
        await ada.row("bid")
        await ada.say(bid(150))
        await ben.row("bid")
        await ben.row("bid")
        clock.forward(60)
        everybody = [sue, ben, ada, watcher]
        for client in everybody:
            await client.row("closed")
        assert ben.rows == [
            {
                "type": "opened", "title": "Vase", "seller": "sue", "start": 100, "increment": 10,
                "ends": begun + 60_000.0, "extension": 10.0, "reserve": False, "time": begun,
                "id": ben.rows[0]["id"],
            },
            {
                "type": "bid", "user": "ben", "amount": 100, "ends": begun + 60_000.0, "reserve_met": True,
                "time": begun, "id": "b1",
            },
            {
                "type": "bid", "user": "ada", "amount": 150, "ends": begun + 60_000.0, "reserve_met": True,
                "time": begun, "id": None,
            },
            {
                "type": "closed", "winner": "ada", "amount": 150, "sold": True, "reason": None,
                "time": begun + 60_000.0,
            },
        ]  # fmt: skip
        assert all(client.rows == ben.rows for client in everybody)


@any_dialect
async def test_bids_that_are_refused(server, dialect, clock):
    """With a code and the reason, to the one who made them; nobody else sees anything of it."""
    async with (
        server,
        dialect.join(server, LOT, "sue") as sue,
        dialect.join(server, LOT, "ben") as ben,
        dialect.join(server, LOT) as guest,
    ):

        async def refused(client, message):
            await client.say(message)
            return (await client.refusal())["code"]

        assert await refused(ben, bid(100)) == "not_open"
        assert await refused(guest, VASE) == "no_name"
        await sue.say(VASE)
        await sue.row("opened")
        assert await refused(ben, VASE) == "already_open"
        assert await refused(guest, bid(100)) == "no_name"
        assert await refused(sue, bid(100)) == "own_lot"
        assert await refused(ben, bid(99)) == "too_low"
        assert await refused(ben, bid("a lot")) == "bad_message"
        assert await refused(ben, {"type": "buy"}) == "bad_message"
        await ben.say(bid(100, id="x"))
        await ben.row("bid")
        assert await refused(ben, bid(200, id="x")) == "id_used"
        await ben.say(bid(109))
        refusal = await ben.refusal()
        assert "bid 110 or more" in refusal["message"]
        clock.forward(60)
        assert await refused(ben, bid(500)) == "closed"
        await guest.row("closed")
        assert [row["type"] for row in guest.rows] == ["opened", "bid", "closed"]
        assert not [*guest.refusals, *guest.asides]


async def test_what_a_plain_client_is_told_of_a_bid_that_is_too_low(server):
    """The lowest one that would be taken, as a number, and the bid's id."""
    async with server, Plain.join(server, LOT, "sue") as sue, Plain.join(server, LOT, "ben") as ben:
        await sue.say(VASE)
        await ben.row("opened")
        await ben.say(bid(7, id="b7"))
        assert await ben.refusal() == {
            "type": "refused",
            "code": "too_low",
            "message": "this bid is too low: bid 100 or more",
            "minimum": 100,
            "id": "b7",
        }


async def test_a_token_says_who_bids(server):
    """And whether somebody may: a token that is for watching lets nobody bid, in either dialect."""
    tokens = server.hub.tokens
    may = tokens.issue("ben", scopes=["subscribe:*", "publish:*"], lifetime=600)
    watches = tokens.issue("ada", scopes=["subscribe:*"], lifetime=600)
    async with server, Plain.join(server, LOT, "sue") as sue:
        await sue.say(VASE)
        await sue.row("opened")
        for dialect, amount in zip(DIALECTS, (100, 200), strict=True):
            async with dialect.join(server, LOT, token=may) as ben:
                await ben.say(bid(amount))
                assert (await ben.row("bid"))["user"] == "ben"
            async with dialect.join(server, LOT, token=watches) as ada:
                await ada.say(bid(1_000))
                assert (await ada.refusal())["code"] == "forbidden"
        assert [row["user"] for row in sue.rows[1:]] == ["ben", "ben"]


@any_dialect
async def test_late_bids(server, dialect, clock):
    """One in the last seconds leaves `extension` seconds to answer it; one after the end is too late."""
    async with (
        server,
        dialect.join(server, LOT, "sue") as sue,
        dialect.join(server, LOT, "ben") as ben,
        dialect.join(server, LOT, "ada") as ada,
    ):
        await sue.say(VASE)
        end = (await ben.row("opened"))["ends"]
        clock.forward(59)
        await ben.say(bid(100))
        assert (await ada.row("bid"))["ends"] == end + 9_000.0
        clock.forward(9)  # past the first end
        await ada.say(bid(110))
        assert (await ben.row("bid"))["amount"] == 100
        assert (await ben.row("bid"))["ends"] == end + 18_000.0
        clock.forward(10)
        await ben.say(bid(500))
        assert (await ben.refusal())["code"] == "closed"
        closed = await sue.row("closed")
        assert (closed["winner"], closed["amount"], closed["time"]) == ("ada", 110, end + 18_000.0)


@any_dialect
async def test_two_equal_bids_at_once(server, dialect):
    """One of them is taken, and the other is too low: every time."""
    async with (
        server,
        dialect.join(server, LOT, "sue") as sue,
        dialect.join(server, LOT, "ben") as ben,
        dialect.join(server, LOT, "ada") as ada,
    ):
        await sue.say(VASE)
        for amount in range(100, 600, 10):
            await asyncio.gather(ben.say(bid(amount)), ada.say(bid(amount)))
            await eventually(lambda: len(ben.refusals) + len(ada.refusals) == 1)
            assert (ben.refusals or ada.refusals)[0]["code"] == "too_low"
            ben.refusals.clear()
            ada.refusals.clear()
        await eventually(lambda: len(sue.rows) == 51)
        assert [row["amount"] for row in sue.rows[1:]] == list(range(100, 600, 10))


@any_dialect
async def test_a_reserve_that_is_not_met(server, dialect, clock):
    """Then nothing is sold, and nobody was told what it would have taken; the next time may be better."""
    secret = 987_654_321
    async with (
        server,
        dialect.join(server, LOT, "sue") as sue,
        dialect.join(server, LOT, "ben") as ben,
        contextlib.AsyncExitStack() as later,
    ):
        await sue.say(VASE | {"reserve": secret})
        assert (await ben.row("opened"))["reserve"] is True
        await ben.say(bid(secret - 1))
        assert (await ben.row("bid"))["reserve_met"] is False
        await ben.say(bid(secret))  # too low by the increment: even that says nothing of the reserve
        refusal = await ben.refusal()
        watchers = [await later.enter_async_context(Plain.join(server, LOT))]
        watchers.append(await later.enter_async_context(V1.join(server, LOT, after=Cursor("", 0))))
        clock.forward(60)
        closed = [await client.row("closed") for client in (sue, ben, *watchers)]
        assert {(row["winner"], row["amount"], row["sold"], row["reason"]) for row in closed} == {
            (None, None, False, "reserve_not_met")
        }
        assert (refusal["code"], watchers[0].state["reserve_met"]) == ("too_low", False)
        frames = [frame for client in (sue, ben, *watchers) for frame in client.frames]
        assert len(frames) > 8
        assert not [frame for frame in frames if str(secret) in str(frame)]
        await sue.say(VASE | {"reserve": 120})
        await ben.row("opened")
        await ben.say(bid(120))
        assert (await ben.row("bid"))["reserve_met"] is True
        clock.forward(60)
        assert (await ben.row("closed"))["winner"] == "ben"


async def test_where_the_reserve_is_nobody_gets(server):
    """No path leads to its channel, in no dialect, whatever the token: it cannot be read or written."""
    async with server, Plain.join(server, LOT, "sue") as sue, dial_v1(server) as eve:
        await sue.say(VASE | {"reserve": 500})
        await sue.row("opened")
        name = f"{LOT}/reserve"
        assert name in [channel.name for channel in server.hub.channels]
        for after in (None, Cursor("", 0)):
            answer = await eve.subscribe(name, after)
            assert isinstance(answer, Error)
            assert answer.code == "unknown_channel"
        await eve.say(Publish(9, name, msgspec.Raw(b"1")))
        assert (await eve.hear(Error)).code == "unknown_channel"
        for path in (name, "auctions/vase%2Freserve", "auctions/vase%2freserve", f"{LOT}//reserve"):
            with pytest.raises(InvalidStatus) as caught:
                await dial(server, f"/{path}")
            assert caught.value.response.status_code == 404


@pytest.mark.parametrize("end", ["open", "sold", "no_bids", "reserve_not_met"])
async def test_what_a_plain_client_is_shown(server, clock, end):
    """All that a page needs for its picture, whenever it comes, and the rows go on from there."""
    async with server, Plain.join(server, LOT, "sue") as sue, Plain.join(server, LOT, "ben") as ben:
        assert (ben.state["type"], ben.state["status"], ben.state["minimum"]) == ("state", "not_open", None)
        begun = clock.now
        await sue.say(VASE | ({"reserve": 10_000} if end == "reserve_not_met" else {}))
        bids = 0 if end == "no_bids" else 60
        for n in range(bids):
            await ben.say(bid(100 + 10 * n, id=f"b{n}"))
        await eventually(lambda: len(sue.rows) == 1 + bids)
        clock.forward(5 if end == "open" else 60)
        if end != "open":
            await sue.row("closed")
        async with Plain.join(server, LOT) as late:
            bids = [row for row in sue.rows if row["type"] == "bid"]
            assert late.state == {
                "type": "state",
                "status": end,
                "title": "Vase",
                "seller": "sue",
                "start": 100,
                "increment": 10,
                "extension": 10.0,
                "reserve": end == "reserve_not_met",
                "id": None,
                "ends": begun + 60_000.0,
                "amount": 690 if bids else None,
                "bidder": "ben" if bids else None,
                "reserve_met": end != "reserve_not_met",
                "minimum": 700 if end == "open" else None,
                "count": len(bids),
                "bids": bids[-50:],
                "time": sue.rows[-1]["time"],
                "now": clock.now,
            }
            seen = len(sue.rows)
            await sue.say(VASE | {"title": "Jug"} if end != "open" else {"type": "?"})
            await ben.say(bid(1_000))
            await late.row("bid")
            await eventually(lambda: late.rows == sue.rows[seen:])


@any_dialect
async def test_who_comes_in_the_middle(server, dialect):
    """Sees what was before and what comes after it, each once, while others bid."""
    async with (
        server,
        Plain.join(server, LOT, "sue") as sue,
        Plain.join(server, LOT, "ben") as ben,
        contextlib.AsyncExitStack() as stack,
    ):
        await sue.say(VASE)
        await ben.row("opened")
        everybody_is_there = asyncio.Event()

        async def bids():
            amounts = itertools.count(100, 10)
            while not everybody_is_there.is_set():
                await ben.say(bid(next(amounts)))
                await asyncio.sleep(0.001)

        bidding = asyncio.create_task(bids())
        watchers = []
        for _ in range(20):
            await sue.row("bid")
            watchers.append(await stack.enter_async_context(dialect.join(server, LOT)))
        everybody_is_there.set()
        await bidding
        await ben.say({"type": "?"})
        await ben.refusal()  # so all bids were decided
        last = (await server.hub.channel(LOT)).log.last
        await eventually(lambda: len(sue.rows) == last)
        for watcher in watchers:
            before = 1 + watcher.state["count"] if dialect is Plain else watcher.start.offset
            await eventually(lambda watcher=watcher, before=before: watcher.rows == sue.rows[before:])
            assert before > 1


async def test_two_hundred_bid(server, clock):
    """A hundred plain clients and a hundred of `rtwidgets.v1` see the same, and the highest bid wins."""
    luck = random.Random(7)
    async with server, contextlib.AsyncExitStack() as stack:
        sue = await stack.enter_async_context(Plain.join(server, LOT, "sue"))
        tokens = [server.hub.tokens.issue(f"bidder {n}", scopes=["*:*"], lifetime=600) for n in range(200)]
        crowd = [
            await stack.enter_async_context(DIALECTS[n % 2].join(server, LOT, token=token))
            for n, token in enumerate(tokens)
        ]
        await sue.say(VASE | {"increment": 1})
        # Each amount comes from a plain client and from one of the other dialect.
        amounts = [luck.sample(range(100 + 300 * n, 400 + 300 * n), 100) for n in range(3)]

        async def act(n):
            for some in amounts:
                await crowd[n].say(bid(some[n // 2]))

        await asyncio.gather(*map(act, luck.sample(range(200), 200)))

        def taken():
            return len(sue.rows) - 1

        def refused():
            return sum(len(client.refusals) for client in crowd)

        await eventually(lambda: taken() + refused() == 600)
        clock.forward(60)
        await eventually(lambda: all(client.rows and client.rows[-1]["type"] == "closed" for client in crowd))
        opened, *bids, closed = sue.rows
        assert all(client.rows == sue.rows for client in crowd)
        assert {refusal["code"] for client in crowd for refusal in client.refusals} == {"too_low"}
        accepted = [row["amount"] for row in bids]
        assert len(accepted) >= 3
        assert accepted == sorted(set(accepted))
        assert accepted[-1] == max(map(max, amounts))
        assert (closed["winner"], closed["amount"]) == (bids[-1]["user"], bids[-1]["amount"])
        told = [client for client in crowd if isinstance(client, V1)]
        landed = [aside.offset for client in told for aside in client.asides if isinstance(aside, Published)]
        names = {f"bidder {n}" for n in range(1, 200, 2)}
        assert sorted(landed) == [n for n, row in enumerate(bids, start=2) if row["user"] in names]
        assert opened["seller"] == "sue"


@any_dialect
async def test_a_restart_in_the_middle(dialect, clock, tmp_path):
    """With its log in a file an auction goes on where it was, reserve and all, and is closed."""

    def serve():
        return Server([Auctions], engine=f"sqlite:///{tmp_path}/log.db")

    async with (
        serve() as server,
        dialect.join(server, LOT, "sue") as sue,
        Plain.join(server, LOT, "ben") as ben,
    ):
        await sue.say(VASE | {"reserve": 150})
        await ben.row("opened")
        await ben.say(bid(100, id="b"))
        await sue.row("bid")
        async with Plain.join(server, LOT) as watcher:
            before = watcher.state
    clock.forward(30)
    async with (
        serve() as server,
        dialect.join(server, LOT, "ada") as ada,
        Plain.join(server, LOT, "ben") as ben,
    ):
        assert ben.state == before | {"now": clock.now}
        assert [ben.state[name] for name in ("status", "amount", "reserve_met")] == ["open", 100, False]
        await ben.say(bid(100, id="b"))
        await eventually(lambda: ben.asides == [{"type": "repeated", "id": "b", "offset": 2}])
        await ada.say(bid(109))
        assert (await ada.refusal())["code"] == "too_low"
        for amount, met in ((149, False), (159, True)):
            await ada.say(bid(amount))
            assert (await ben.row("bid"))["reserve_met"] is met
        clock.forward(30)
        for client in (ada, ben):
            closed = await client.row("closed")
            assert (closed["winner"], closed["amount"]) == ("ada", 159)
    async with serve() as server, Plain.join(server, LOT) as watcher:
        assert (watcher.state["status"], watcher.state["bidder"]) == ("sold", "ada")


async def test_an_auction_that_was_over_while_the_server_was_down(clock, tmp_path):
    """Is closed by the time somebody sees it again."""

    def serve():
        return Server([Auctions], engine=f"sqlite:///{tmp_path}/log.db")

    async with (
        serve() as server,
        Plain.join(server, LOT, "sue") as sue,
        Plain.join(server, LOT, "ben") as ben,
    ):
        await sue.say(VASE)
        await ben.row("opened")
        await ben.say(bid(100))
        await ben.row("bid")
    clock.forward(3_600)
    async with serve() as server:
        async with V1.join(server, LOT, after=Cursor("", 0)) as watcher:
            await watcher.row("closed")
            assert [row["type"] for row in watcher.rows] == ["opened", "bid", "closed"]
        async with Plain.join(server, LOT) as watcher:
            assert (watcher.state["status"], watcher.state["bidder"]) == ("sold", "ben")


@any_dialect
@pytest.mark.parametrize("arrived", [True, False])
async def test_a_bid_that_is_sent_again_after_a_cut(server, dialect, arrived):
    """Lands once, whether or not it had arrived; who sent it is told so."""
    async with (
        server,
        Proxy(server.port) as proxy,
        Plain.join(server, LOT, "sue") as sue,
        Plain.join(server, LOT, "ada") as ada,
    ):
        await sue.say(VASE)
        await sue.row("opened")
        async with dialect.join(server, LOT, "ben", through=proxy) as ben:
            proxy.silent = not arrived
            await ben.say(bid(100), key="ben's first")
            if arrived:
                await sue.row("bid")
                await ada.say(bid(200))
                await sue.row("bid")
            proxy.cut()
        proxy.silent = False
        async with dialect.join(server, LOT, "ben", through=proxy) as ben:
            await ben.say(bid(100), key="ben's first")
            if dialect is V1:
                await eventually(lambda: [a.offset for a in ben.asides if isinstance(a, Published)] == [2])
            elif arrived:
                await eventually(lambda: [(a["id"], a["offset"]) for a in ben.asides] == [("ben's first", 2)])
            else:
                await ben.row("bid")
            await ben.say(bid(500))
            await ben.row("bid")
        assert not ben.refusals
        await eventually(lambda: sue.rows[-1].get("amount") == 500)
        assert [row["amount"] for row in sue.rows[1:]] == ([100, 200, 500] if arrived else [100, 500])


async def test_a_watcher_who_comes_back(server, clock):
    """With its cursor, after a cut, and misses nothing of what happened meanwhile, nor sees it twice."""
    async with (
        server,
        Proxy(server.port) as proxy,
        Plain.join(server, LOT, "sue") as sue,
        Plain.join(server, LOT, "ben") as ben,
    ):
        await sue.say(VASE)
        await ben.row("opened")
        seen, cursor = [], Cursor("", 0)
        for n in range(5):
            async with V1.join(server, LOT, through=proxy, after=cursor) as watcher:
                await eventually(lambda seen=seen, watcher=watcher: seen + watcher.rows == sue.rows)
                await ben.say(bid(100 + 20 * n))
                await watcher.row("bid")
                proxy.cut()
            seen, cursor = seen + watcher.rows, watcher.cursor
            await ben.say(bid(110 + 20 * n))
            await eventually(lambda n=n: len(sue.rows) == 3 + 2 * n)
        clock.forward(60)
        async with V1.join(server, LOT, through=proxy, after=cursor) as watcher:
            await watcher.row("closed")
        assert seen + watcher.rows == sue.rows
        assert len(sue.rows) == 12
