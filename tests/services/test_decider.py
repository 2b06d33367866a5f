"""Requests that are decided at once: who may ask, which are the same, and what the log says of them."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from rtwidgets.engines import MemoryEngine
from rtwidgets.errors import Refused
from rtwidgets.server import Hub, Peer, Server
from rtwidgets.services import decider
from rtwidgets.services import ledger as ledger_
from rtwidgets.services.decider import Decider, DeciderService, Request, Row, Snapshot
from rtwidgets.services.ledger import Ledger
from tests.talking import dial

pytestmark = pytest.mark.usefixtures("tidy")


class Add(Request, tag="add"):
    number: int


class Take(Request, tag="take"):
    number: int


class Added(Row, tag="added"):
    total: int


class Total(Snapshot):
    total: int


class Sum(Decider):
    def __init__(self):
        super().__init__()
        self.total = 0

    def decide(self, request, stamp):
        total = self.total + (request.number if isinstance(request, Add) else -request.number)
        if total < 0:
            raise Refused("too_low", "no")
        return Added(**stamp, total=total)

    def evolve(self, row):
        self.total = row.total

    def picture(self):
        return Total(event=self.event, time=self.time, total=self.total)

    def restore(self, snapshot):
        self.total = snapshot.total


class Sums(DeciderService):
    name = "sums"
    path = "/sums/{name}"
    decider = Sum
    requests = Add | Take
    rows = Added | Total


async def summing():
    """Return a service, a channel of it, and a function that publishes to the channel."""
    service = Sums(Hub(MemoryEngine()))
    channel = await service.channel({"name": "a"})

    async def ask(user="ada", key=None, **message):
        message = {"type": "add", "number": 1} | message
        return await service.publish(channel, msgspec.Raw(msgspec.json.encode(message)), user, key)

    return service, channel, ask


def rows_of(channel):
    return [msgspec.json.decode(piece) for piece in channel.log.read(0).pieces]


async def test_a_request_becomes_a_row(monkeypatch):
    """It says its offset, who asked for it and when; the request's id too, if it has one."""
    monkeypatch.setattr(decider, "clock", lambda: 1000.5)
    _, channel, ask = await summing()
    assert [await ask(), await ask("bob", id="x")] == [1, 2]
    assert rows_of(channel) == [
        {"type": "added", "event": 1, "user": "ada", "time": 1000.5, "total": 1},
        {"type": "added", "event": 2, "user": "bob", "time": 1000.5, "total": 2, "id": "x"},
    ]


async def test_times_never_fall(monkeypatch):
    """Where the clock is set back they stay as they are."""
    _, channel, ask = await summing()
    for time in (10.0, 5.0, 11.0):
        monkeypatch.setattr(decider, "clock", lambda time=time: time)
        await ask()
    assert [row["time"] for row in rows_of(channel)] == [10.0, 10.0, 11.0]


async def test_a_request_that_was_sent_before_lands_once():
    """By the name and the id, however many come at once; it is answered with the offset of the first."""
    _, channel, ask = await summing()
    assert await ask(id="x") == 1
    assert await ask(id="other") == 2
    assert await asyncio.gather(*[ask(id="x", number=7) for _ in range(5)]) == [1] * 5
    assert set(await asyncio.gather(*[ask(key="y") for _ in range(5)])) == {3}, "an idempotency key is an id"
    assert await ask(id="y") == 3
    assert await ask("bob", id="x") == 4
    assert channel.log.last == 4


async def test_what_was_refused_may_be_sent_again():
    """With the same id: it has not landed."""
    _, channel, ask = await summing()
    with pytest.raises(Refused, match="no"):
        await ask(type="take", id="x")
    await ask()
    assert await ask(type="take", id="x") == 2
    assert rows_of(channel)[-1]["total"] == 0


async def test_the_newest_ids_are_known(monkeypatch):
    """The older ones are forgotten, so that a state has bounds."""
    monkeypatch.setattr(decider, "REMEMBERED", 2)
    _, _, ask = await summing()
    assert [await ask(id=key) for key in "abcab"] == [1, 2, 3, 4, 5]
    assert [await ask(id=key) for key in "ab"] == [4, 5]


async def test_a_snapshot_stands_for_what_was_before(monkeypatch):
    """It brings back the state and the ids."""
    monkeypatch.setattr(ledger_, "KEPT", 3)
    service, channel, ask = await summing()
    for n in range(20):
        await ask(id=f"n{n}")
    assert channel.log.first > 10
    first = rows_of(channel)[0]
    assert (first["type"], first["total"], first["event"]) == ("state", channel.log.first, channel.log.first)
    state = Ledger(channel, Sum, Sums.rows).state
    assert state.snapshot() == service.ledger(channel).state.snapshot()
    assert state.landed["ada", "n0"] == 1


async def test_a_service_in_place_of_another_decides_with_the_same():
    """Or else two of them could decide at once."""
    service, channel, _ = await summing()
    assert Sums(service.hub).ledger(channel) is service.ledger(channel)


async def test_what_is_decided_while_the_state_is_sent_follows_it(monkeypatch):
    """However long the sending takes: each row is in the state, or comes after it."""

    async def slow(peer, data):
        await service.publish(channel, msgspec.Raw(b'{"type":"add","number":10}'), "bob")
        await send(peer, data)

    send = Peer.send
    monkeypatch.setattr(Peer, "send", slow)
    async with Server([Sums]) as server:
        service, params = server.find("/sums/a")
        channel = await service.channel(params)
        await service.publish(channel, msgspec.Raw(b'{"type":"add","number":1}'), "bob")
        async with dial(server, "/sums/a") as client:
            state, row = [msgspec.json.decode(await asyncio.wait_for(client.recv(), 20)) for _ in range(2)]
    assert (state["type"], state["total"], state["event"]) == ("state", 1, 1)
    assert (row["type"], row["total"], row["event"]) == ("added", 11, 2)


@pytest.mark.parametrize("allowed", [True, False])
async def test_a_token_that_allows_to_watch_allows_no_more(allowed):
    """What its holder asks for is refused, unless the token allows to publish too."""
    async with Server([Sums]) as server:
        scopes = ["subscribe:sums/*", "publish:sums/*"] if allowed else ["subscribe:sums/*"]
        token = server.hub.tokens.issue("ada", scopes=scopes, lifetime=60)
        async with dial(server, "/sums/a", token=token) as client:
            await client.recv()
            await client.send('{"type":"add","number":1}')
            answer = msgspec.json.decode(await asyncio.wait_for(client.recv(), 20))
            assert answer["type"] == ("added" if allowed else "refused")
            assert answer.get("code") == (None if allowed else "forbidden")


@pytest.mark.parametrize(
    "message",
    [b"", b"null", b"[]", b"{}", b'{"type":"nope"}', b'{"type":"add"}', b'{"type":"add","number":"1"}',
     b'{"type":"add","number":1,"id":""}', b'{"type":"add","number":1,"id":"' + b"x" * 201 + b'"}',
     b'{"type":"add","number":1,"id":"\xff"}', b'{"a":' + b"[" * 100_000]
)  # fmt: skip
async def test_what_is_no_request(message):
    """The sentence has the types that there are."""
    service, channel, _ = await summing()
    with pytest.raises(Refused, match="one of add, take") as caught:
        await service.publish(channel, msgspec.Raw(message), "ada")
    assert caught.value.code == "bad_message"
    assert channel.log.last == 0


async def test_guests_ask_for_nothing():
    """They are told how to get a name."""
    _, channel, ask = await summing()
    with pytest.raises(Refused, match="say who you are") as caught:
        await ask("guest-7")
    assert caught.value.code == "no_name"
    assert channel.log.last == 0


async def test_rows_that_are_written_together_have_their_own_numbers():
    """`event` is a row's offset, and what is asked for returns that of its row."""
    _, channel, ask = await summing()
    assert await asyncio.gather(*[ask(number=n) for n in range(20)]) == list(range(1, 21))
    assert [(row["event"], row["total"]) for row in rows_of(channel)] == [
        (n + 1, n * (n + 1) // 2) for n in range(20)
    ]
