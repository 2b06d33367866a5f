import asyncio
from datetime import UTC, datetime

import msgspec
import pytest

from rtwidgets.messages import Cursor
from rtwidgets.server import Server
from rtwidgets.services import Prices, prices
from rtwidgets.services.prices import Tick
from tests.talking import dial_v1

pytestmark = pytest.mark.usefixtures("tidy")
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


async def ticks(count, *, pause=0.0, **options):
    """Return the first ticks of a server; with `pause` the loop is held up now and then."""
    seed = options.pop("seed", 1)
    server = Server([Prices], seed=seed, options={"prices": {"rate": 5_000, **options}})
    async with server, dial_v1(server) as client:
        await client.subscribe("prices", Cursor("", 0))
        if pause:
            for _ in range(4):
                await asyncio.sleep(pause)
        return [row for _, row in (await client.rows(count))[:count]]


def bare(rows):
    return [(row["symbol"], row["price"], row["size"]) for row in rows]


async def test_the_same_seed_gives_the_same_ticks_irrespective_of_timing():
    """Whatever the rate, and whenever the loop gets round to it."""
    first = bare(await ticks(300))
    assert first == bare(await ticks(300, pause=0.03))
    assert first == bare(await ticks(300, rate=10_000))
    assert first != bare(await ticks(300, seed=2))
    assert {symbol for symbol, *_ in first} == {"AAPL", "GOOGL", "MSFT"}


async def test_no_seed_gives_new_ticks_each_time():
    """Chance is chance."""
    assert bare(await ticks(50, seed=None)) != bare(await ticks(50, seed=None))


async def test_a_start_gives_the_same_times():
    """Tick n is at start + n / rate."""
    rows = await ticks(200, start=START)
    assert rows == await ticks(200, start=START, pause=0.02)
    times = [row["time"] for row in rows]
    assert times == pytest.approx([START.timestamp() * 1000 + n / 5 for n in range(200)])
    naive = await ticks(1, start=START.replace(tzinfo=None))
    assert naive[0]["time"] == times[0]


async def test_symbols_are_a_list_or_first_prices():
    """Unknown ones begin at 100."""
    rows = await ticks(100, symbols=["AAPL", "NEW"])
    assert {row["symbol"] for row in rows} == {"AAPL", "NEW"}
    assert next(row["price"] for row in rows if row["symbol"] == "NEW") == pytest.approx(100, rel=0.02)
    rows = await ticks(50, symbols={"ONE": 1.0})
    assert rows[0]["price"] == pytest.approx(1, rel=0.02)


async def test_prices_stay_above_zero():
    """However low they begin."""
    rows = await ticks(500, symbols={"PENNY": 0.01})
    assert min(row["price"] for row in rows) == 0.01


async def test_a_machine_that_slept_goes_on_from_now(monkeypatch):
    """It does not catch up with hours of ticks."""
    now = [0.0]
    monkeypatch.setattr(prices.time, "monotonic", lambda: now[0])
    sleeps = []

    async def sleep(seconds):
        sleeps.append(seconds)
        now[0] += 10_000.0 if len(sleeps) == 5 else seconds
        if len(sleeps) > 20:
            raise asyncio.CancelledError

    server = Server([Prices], options={"prices": {"rate": 100}})
    [service] = server._services.values()
    with monkeypatch.context() as patch, pytest.raises(asyncio.CancelledError):
        patch.setattr(prices.asyncio, "sleep", sleep)
        await service.run()
    assert 15 <= service._made <= 25


def test_a_tick_is_small():
    """On the wire it is one flat object."""
    assert msgspec.json.encode(Tick("A", 1.5, 2, 3.0)) == b'{"symbol":"A","price":1.5,"size":2,"time":3.0}'
