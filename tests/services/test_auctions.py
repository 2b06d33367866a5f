"""What the service keeps, and what it does when something goes wrong. The rest is in `tests/systems`."""

from __future__ import annotations

import asyncio
import contextlib

import msgspec
import pytest

from rtwidgets.engines import MemoryEngine, SqliteEngine
from rtwidgets.errors import Refused
from rtwidgets.loop import peek_errors, take_errors
from rtwidgets.server import Hub, Server
from rtwidgets.services import auctions, ledger
from rtwidgets.services.auctions import Auctions
from tests.talking import eventually

pytestmark = pytest.mark.usefixtures("tidy")

VASE = {"type": "open", "title": "Vase", "start": 100, "increment": 10, "seconds": 60}


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self):
        self.now = 1_700_000_000_000.0

    def __call__(self):
        return self.now

    def forward(self, seconds):
        self.now += seconds * 1000.0


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(auctions, "clock", clock)
    monkeypatch.setattr(auctions, "LOOK_EVERY", 0.01)
    return clock


@pytest.fixture
def service(clock):
    return Auctions(Hub(MemoryEngine()))


async def ask(service, message, user, key=None, lot="vase"):
    """Do what a client of `rtwidgets.v1` does when it publishes."""
    channel = await service.channel({"lot": lot})
    return await service.publish(channel, msgspec.Raw(msgspec.json.encode(message)), user, key)


def bid(amount):
    return {"type": "bid", "amount": amount}


async def rows(service, lot="vase"):
    channel = await service.channel({"lot": lot})
    return [msgspec.json.decode(piece) for piece in channel.log.read(0).pieces]


def reserves(service, lot="vase"):
    (private,) = [each for each in service.hub.channels if each.name == f"auctions/{lot}/reserve"]
    return private.log.read(0).pieces


async def test_the_key_of_a_publish_is_its_id(service):
    """Where it has none: then a publish that is sent again lands once."""
    assert await ask(service, VASE, "sue", "a") == 1
    assert await ask(service, bid(100), "ben", "b") == 2
    assert await ask(service, bid(110) | {"id": "c"}, "ada", "d") == 3
    assert await ask(service, VASE, "sue", "a") == 1
    assert await ask(service, bid(100), "ben", "b") == 2
    assert await ask(service, bid(110) | {"id": "c"}, "ada", "e") == 3
    assert [row["id"] for row in await rows(service)] == ["a", "b", "c"]


async def test_guests_only_watch(service):
    """Whoever has no name can win nothing."""
    for message in (VASE, bid(100)):
        with pytest.raises(Refused) as caught:
            await ask(service, message, "guest-7")
        assert caught.value.code == "no_name"
    assert await rows(service) == []


async def test_the_reserve_is_kept_apart(service, clock):
    """In a channel of its own, which has the newest one only; and it counts for its own auction."""
    for reserve in (150, 250):
        await ask(service, VASE | {"reserve": reserve}, "sue")
        for amount in (reserve - 1, reserve + 9):
            await ask(service, bid(amount), "ben")
        clock.forward(60)
    await ask(service, VASE, "sue")
    await ask(service, bid(100), "ben")
    assert reserves(service) == [b"250"]
    assert [row.get("reserve_met") for row in await rows(service)] == (
        [None, False, True, None] * 2 + [None, True]
    )


async def test_two_open_a_lot_at_once(service):
    """One of them does, and the reserve is that one's."""

    async def opens(n):
        return await ask(service, VASE | {"title": f"{n}", "reserve": 1_000 + n}, f"user{n}")

    answers = await asyncio.gather(*map(opens, range(20)), return_exceptions=True)
    taken = [n for n, answer in enumerate(answers) if answer == 1]
    assert len(taken) == 1
    assert {answer.code for answer in answers if answer != 1} == {"already_open"}
    assert [row["seller"] for row in await rows(service)] == [f"user{taken[0]}"]
    assert reserves(service) == [b"%d" % (1_000 + taken[0])]


async def test_a_service_in_place_of_another(service):
    """Decides with the same: no bid comes in between."""
    other = Auctions(service.hub)
    await ask(service, VASE, "sue")
    answers = await asyncio.gather(
        *[ask(each, bid(100), f"user{n}") for n in range(10) for each in (service, other)],
        return_exceptions=True,
    )
    assert sum(answer == 2 for answer in answers) == 1
    assert len(await rows(service)) == 2


async def test_a_lot_that_is_due_is_opened_again(service, clock):
    """At once: it is closed before, whoever comes first."""
    await ask(service, VASE, "sue")
    channel = await service.channel({"lot": "vase"})
    clock.forward(60)
    assert await service.publish(channel, msgspec.Raw(msgspec.json.encode(VASE)), "ada") == 3
    assert [row["type"] for row in await rows(service)] == ["opened", "closed", "opened"]


@pytest.mark.parametrize("engine", ["memory", "sqlite"])
async def test_requests_that_race_with_themselves(engine, tmp_path, clock):
    """Land once, and each is told where, also where many are written together."""
    made = MemoryEngine() if engine == "memory" else SqliteEngine(tmp_path / "log.db")
    service = Auctions(Hub(made))
    await ask(service, VASE, "sue")
    asked = [(bid(100 + 10 * n), f"user{n}", "same") for n in range(20)]
    answers = await asyncio.gather(*[ask(service, *each) for each in asked for _ in range(3)])
    assert answers == [2 + n for n in range(20) for _ in range(3)]
    assert [row["user"] for row in (await rows(service))[1:]] == [user for _, user, _ in asked]
    await made.close()


@pytest.mark.parametrize("engine", ["memory", "sqlite"])
async def test_what_one_row_stands_for(engine, tmp_path, clock, monkeypatch):
    """When there are many rows, one is put in place of the older ones: nothing else is different then."""
    monkeypatch.setattr(ledger, "KEPT", 3)
    made = MemoryEngine() if engine == "memory" else SqliteEngine(tmp_path / "log.db")
    service = Auctions(Hub(made))
    await ask(service, VASE | {"reserve": 173}, "sue", "open")
    for n in range(9):
        await ask(service, bid(100 + 10 * n), "ben", f"bid {n}")
    first, *rest = await rows(service)
    assert first["type"] == "state"
    assert 3 <= len(rest) < 9
    assert b"173" not in (await service.channel({"lot": "vase"})).log.read(0).pieces[0]
    if engine == "sqlite":
        await made.close()
        made = SqliteEngine(tmp_path / "log.db")
    service = Auctions(Hub(made)) if engine == "sqlite" else service
    assert await ask(service, bid(100), "ben", "bid 0") == 2
    assert await ask(service, VASE, "sue", "open") == 1
    with pytest.raises(Refused, match="bid 190 or more"):
        await ask(service, bid(180), "ada")
    assert await ask(service, bid(190), "ada") == 11
    clock.forward(60)
    last = (await rows(service))[-1]
    assert (last["winner"], last["amount"]) == ("ada", 190)
    await made.close()


async def test_a_lot_that_was_due_while_nobody_was_there(tmp_path, clock):
    """Is closed when it is next used, once, whoever comes first; and its bids stay as they were."""
    engine = SqliteEngine(tmp_path / "log.db")
    service = Auctions(Hub(engine))
    await ask(service, VASE, "sue")
    await ask(service, bid(100), "ben")
    await engine.close()
    clock.forward(3600)
    engine = SqliteEngine(tmp_path / "log.db")
    service = Auctions(Hub(engine))
    answers = await asyncio.gather(
        *[ask(service, bid(200), "ada") for _ in range(5)],
        *[service.channel({"lot": "vase"}) for _ in range(5)],
        return_exceptions=True,
    )
    assert {answer.code for answer in answers[:5]} == {"closed"}
    assert [row["type"] for row in await rows(service)] == ["opened", "bid", "closed"]
    await engine.close()


async def test_a_disk_that_is_full(service, clock, monkeypatch):
    """While a lot cannot be closed no bid is taken, that is reported, and it is closed when it can be."""
    await ask(service, VASE, "sue")
    await ask(service, bid(100), "ben")
    running = asyncio.create_task(service.run())
    engine = service.hub.engine

    async def full(*args, **options):
        raise Refused("not_stored", "the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(engine, "publish", full)
        clock.forward(60)
        with pytest.raises(Refused) as caught:
            await ask(service, bid(200), "ada")
        assert caught.value.code == "closed"
        await eventually(lambda: len(peek_errors()) >= 3)
    assert not running.done()
    assert {where for where, _ in take_errors()} == {"closing auctions/vase"}
    channel = await service.channel({"lot": "vase"})
    await eventually(lambda: channel.log.last == 3)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert [row["type"] for row in await rows(service)] == ["opened", "bid", "closed"]
    take_errors()


async def test_names_of_lots(clock):
    """A lot whose reserve could have no channel is not opened, nor watched."""
    service = Auctions(Hub(MemoryEngine()))
    for name in ("a b", "", "é", "x" * 184):
        with pytest.raises(Refused) as caught:
            await service.channel({"lot": name})
        assert caught.value.code == "bad_channel"
    assert await ask(service, VASE | {"reserve": 1}, "sue", lot="x" * 183) == 1


@pytest.mark.parametrize("restarts", [False, True])
async def test_it_ends_by_itself(restarts, tmp_path, monkeypatch):
    """By the real clock, with nobody there, not before its end; after a restart too, once it is used."""
    monkeypatch.setattr(auctions, "LOOK_EVERY", 3_600.0)
    async with contextlib.AsyncExitStack() as stack:

        async def serve():
            server = await stack.enter_async_context(
                Server([Auctions], engine=f"sqlite:///{tmp_path}/log.db")
            )
            return server, server.find("/auctions/vase")[0]

        server, service = await serve()
        await ask(service, VASE | {"seconds": 0.5}, "sue")
        if restarts:
            await server.stop()
            server, service = await serve()
        channel = await service.channel({"lot": "vase"})
        await eventually(lambda: channel.log.last == 2)
        opened, closed = await rows(service)
        assert closed["reason"] == "no_bids"
        assert closed["time"] >= opened["ends"]
