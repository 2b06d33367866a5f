"""Decisions on a log: one after the other, on the newest state, and the same again after a restart."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from rtwidgets.engines import MemoryEngine, SqliteEngine
from rtwidgets.errors import Refused
from rtwidgets.loop import take_errors
from rtwidgets.server import Hub
from rtwidgets.services import ledger as ledger_
from rtwidgets.services.ledger import Ledger, check_name


class Sum:
    """Adds numbers up."""

    def __init__(self):
        self.total = 0
        self.rows = 0

    def apply(self, row):
        self.total = row["total"] if "total" in row else self.total + row["add"]
        self.rows += 1

    def snapshot(self):
        return {"total": self.total}


async def summing(engine=None):
    hub = Hub(engine or MemoryEngine())
    return Ledger(await hub.channel("sums", compacted=True), Sum, dict[str, Any])


def add(number):
    return lambda state: [{"add": number}]


async def test_decisions_add_up():
    """Each is made on the state after the one before, and returns its place in the log."""
    sums = await summing()
    assert [await sums.decide(add(n)) for n in (1, 2, 3)] == [1, 2, 3]
    assert sums.state.total == 6


async def test_decisions_do_not_cross():
    """However many ask at once, each sees what all before it have done; so a limit holds."""

    def take(state):
        if state.total >= 10:
            raise Refused("full", "no more")
        return [{"add": 1}]

    sums = await summing()
    answers = await asyncio.gather(*[sums.decide(take) for _ in range(50)], return_exceptions=True)
    assert sums.state.total == 10
    assert sum(isinstance(each, Refused) for each in answers) == 40


async def test_what_is_refused_leaves_nothing():
    """Neither in the log nor in the state; and nothing to write is no message."""

    def refuse(state):
        raise Refused("no", "not today")

    sums = await summing()
    with pytest.raises(Refused, match="not today"):
        await sums.decide(refuse)
    assert await sums.decide(lambda state: []) == 0
    assert (sums.channel.log.last, sums.state.total) == (0, 0)


async def test_who_asked_may_go(monkeypatch):
    """A decision that is on its way when its asker is cancelled is known to the next one."""
    sums = await summing()
    publish, going = sums.channel.publish_many, asyncio.Event()

    async def slowly(rows):
        going.set()
        await asyncio.sleep(0.05)
        return await publish(rows)

    monkeypatch.setattr(sums.channel, "publish_many", slowly)
    asking = asyncio.create_task(sums.decide(add(1)))
    await going.wait()
    asking.cancel()
    seen = []
    await sums.decide(lambda state: seen.append(state.total) or [])
    assert seen == [1]
    assert asking.cancelled()


async def test_what_is_not_stored_did_not_happen(monkeypatch):
    """The failure is the asker's, and the next decision is made as if it had not asked."""
    sums = await summing()
    publish = sums.channel.publish_many

    async def fail(rows):
        raise OSError("disk full")

    monkeypatch.setattr(sums.channel, "publish_many", fail)
    with pytest.raises(OSError, match="disk full"):
        await sums.decide(add(1))
    monkeypatch.setattr(sums.channel, "publish_many", publish)
    await sums.decide(add(2))
    assert sums.state.total == 2


async def test_the_log_stays_bounded_and_adds_up_to_the_same(monkeypatch):
    """One message stands for the oldest ones; who reads it from the start has the same state."""
    monkeypatch.setattr(ledger_, "KEPT", 10)
    sums = await summing()
    for number in range(95):
        await sums.decide(add(number))
        assert sums.channel.log.last - sums.channel.log.first <= 20
        again = Ledger(sums.channel, Sum, dict[str, Any])
        assert again.state.total == sums.state.total == sum(range(number + 1))
    assert again.state.rows <= 21


async def test_a_restart_brings_the_state_back(tmp_path, monkeypatch):
    """From the file, compacted or not."""
    monkeypatch.setattr(ledger_, "KEPT", 10)
    for number in range(3):
        engine = SqliteEngine.from_url(f"sqlite:///{tmp_path}/sums.db")
        sums = await summing(engine)
        assert sums.state.total == 25 * number
        for _ in range(25):
            await sums.decide(add(1))
        await engine.close()


async def test_a_message_that_is_none_is_passed_over():
    """It is reported, and the rest counts."""
    sums = await summing()
    await sums.decide(add(1))
    await sums.channel.publish_many([msgspec.Raw(b"[]")])
    await sums.decide(add(2))
    assert sums.state.total == 3
    assert [where for where, _ in take_errors()] == ["message 2 of sums"]


def test_guests_have_no_say():
    """A name that a server has made up is none to act under."""
    assert check_name("ada") == "ada"
    with pytest.raises(Refused, match="log in"):
        check_name("guest-7")
