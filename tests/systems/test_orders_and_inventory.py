"""Orders and inventory, as those who buy and those who watch see them, in one process and in two."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys

import msgspec
import pytest

from rtwidgets.messages import Cursor, Error, Messages, Presence, Publish
from rtwidgets.server import Server
from rtwidgets.services.inventory import Inventory
from rtwidgets.services.orders import Orders
from tests.talking import dial, dial_v1

pytestmark = pytest.mark.usefixtures("tidy")


class Plain:
    """A client with no subprotocol, of one of the two services."""

    def __init__(self, connection):
        self.connection = connection

    @classmethod
    @contextlib.asynccontextmanager
    async def enter(cls, server, channel, user):
        async with dial(server, f"/{channel}?user={user}", max_queue=None) as connection:
            client = cls(connection)
            client.state = await client.next()
            yield client

    async def next(self):
        return json.loads(await asyncio.wait_for(self.connection.recv(), 20))

    async def say(self, **message):
        await self.connection.send(json.dumps(message))

    async def refused(self):
        """Return why what was said is not taken."""
        return (await self.until(lambda row: row["type"] == "refused"))["message"]

    async def until(self, wanted):
        """Return the next message that is wanted."""
        while not wanted(message := await self.next()):
            pass
        return message


class V1(Plain):
    """A client of `rtwidgets.v1`, which publishes and reads the channel of a service."""

    @classmethod
    @contextlib.asynccontextmanager
    async def enter(cls, server, channel, user):
        async with dial_v1(server, max_queue=None) as dialogue:
            client = cls(dialogue)
            client.channel, client.rows, client.number = channel, [], 0
            await dialogue.say(Presence(channel, user))
            await dialogue.subscribe(channel, Cursor("", 0))
            yield client

    async def next(self):
        while not self.rows:
            message = await self.connection.hear()
            if isinstance(message, Messages):
                self.rows += msgspec.json.decode(message.data)
            elif isinstance(message, Error):
                return {"type": "refused", "message": message.message}
        return self.rows.pop(0)

    async def say(self, **message):
        self.number += 1
        data = msgspec.Raw(msgspec.json.encode(message))
        await self.connection.say(Publish(self.number, self.channel, data))


@pytest.fixture(params=[Plain, V1], ids=["plain", "v1"])
def kind(request):
    return request.param


def of(number, *types):
    """Whether a row of one of these types is about an order."""
    return lambda row: row["type"] in types and number in {row.get("id"), row.get("order")}


def order(number, item="lamp", quantity=1):
    return {"type": "order", "id": number, "item": item, "quantity": quantity}


async def buy(client, *arguments):
    """Order, and return how that was decided."""
    await client.say(**order(*arguments))
    return await client.until(of(arguments[0], "accepted", "rejected", "refused"))


async def stock(server, kind, **levels):
    async with kind.enter(server, "inventory", "ada") as client:
        for item, quantity in levels.items():
            await client.say(type="restock", item=item, quantity=quantity)
            await client.until(lambda row: row["type"] == "stocked")


async def test_an_order_is_accepted_or_rejected(kind):
    """With the reason; every watcher of the inventory gets the new level, and who comes later has it too."""
    async with Server([Orders, Inventory]) as server:
        async with (
            kind.enter(server, "inventory", "bob") as watcher,
            kind.enter(server, "orders", "cy") as buyer,
        ):
            await stock(server, kind, lamp=3)
            assert (await watcher.until(lambda row: row["type"] == "stocked"))["level"] == 3
            assert (await buy(buyer, "1", "lamp", 2))["type"] == "accepted"
            assert (await watcher.until(of("1", "sold")))["level"] == 1
            few, none = await buy(buyer, "2", "lamp", 2), await buy(buyer, "3", "car")
            assert [(row["type"], row["reason"]) for row in (few, none)] == [
                ("rejected", "not_enough"),
                ("rejected", "unknown_item"),
            ]
            assert (await watcher.until(of("2", "rejected")))["level"] == 1
        async with Plain.enter(server, "inventory", "late") as late:
            assert late.state["levels"] == {"lamp": 1}


async def test_an_order_that_is_sent_again_is_the_same_one(kind):
    """Also after the connection was lost; and nobody else's order can have its id."""
    async with Server([Orders, Inventory]) as server:
        await stock(server, kind, lamp=5)
        for _ in range(3):
            async with kind.enter(server, "orders", "cy") as buyer:
                assert (await buy(buyer, "1", "lamp", 2))["type"] == "accepted"
                assert (await buy(buyer, "after", "car"))["type"] == "rejected"
        async with kind.enter(server, "orders", "dan") as other:
            await other.say(**order("1", "lamp", 2))
            assert "another order with the id '1'" in await other.refused()
        async with (
            Plain.enter(server, "orders", "cy") as buyer,
            Plain.enter(server, "inventory", "x") as watcher,
        ):
            assert [(row["type"], row["id"]) for row in buyer.state["orders"]] == [
                ("accepted", "1"),
                ("rejected", "after"),
            ]
            assert watcher.state["levels"] == {"lamp": 3}


@pytest.mark.parametrize(
    ("channel", "message", "reason"),
    [
        ("orders", {"type": "order", "id": "1", "item": "lamp", "quantity": 0}, "quantity"),
        ("orders", {"type": "order", "id": "1", "item": "lamp", "quantity": 1.5}, "quantity"),
        ("orders", {"type": "order", "id": "", "item": "lamp", "quantity": 1}, "id"),
        ("orders", {"type": "sell", "id": "1", "item": "lamp", "quantity": 1}, "order"),
        ("orders", {}, "send"),
        ("inventory", {"type": "restock", "item": "lamp", "quantity": -1}, "quantity"),
        ("inventory", {"type": "restock", "item": "x" * 101, "quantity": 1}, "item"),
    ],
)
async def test_what_is_none_is_refused(kind, channel, message, reason):
    """With a sentence that says what to send."""
    async with Server([Orders, Inventory]) as server, kind.enter(server, channel, "cy") as client:
        await client.say(**message)
        assert reason in await client.refused()


async def test_guests_may_only_watch(kind):
    """Who has not said a name cannot order; the sentence says how to."""
    async with Server([Orders, Inventory]) as server:
        if kind is Plain:
            async with dial(server, "/orders") as connection:
                client = Plain(connection)
                await client.say(**order("1"))
                assert "log in" in await client.refused()
            return
        async with dial_v1(server) as dialogue:
            await dialogue.say(Publish(1, "orders", msgspec.Raw(msgspec.json.encode(order("1")))))
            assert "log in" in (await dialogue.hear(Error)).message


async def test_two_hundred_buyers_and_not_one_too_many():
    """At once, in both dialects, for fewer things than they want: the stock is sold out and no further."""
    async with Server([Orders, Inventory]) as server, contextlib.AsyncExitStack() as stack:
        await stock(server, Plain, lamp=100, chair=50)
        buyers = await asyncio.gather(
            *[
                stack.enter_async_context((Plain, V1)[n % 2].enter(server, "orders", f"buyer{n}"))
                for n in range(200)
            ]
        )
        rows = await asyncio.gather(
            *[buy(buyer, f"o{n}", ("lamp", "chair")[n % 3 == 0], 1 + n % 2) for n, buyer in enumerate(buyers)]
        )
        sold = {"lamp": 0, "chair": 0}
        for row in rows:
            sold[row["item"]] += row["quantity"] * (row["type"] == "accepted")
        async with Plain.enter(server, "inventory", "x") as watcher:
            levels = watcher.state["levels"]
        assert {item: sold[item] + levels[item] for item in sold} == {"lamp": 100, "chair": 50}
        # Who was turned down wanted more than what was left in the end.
        turned_down = [(row["item"], row["quantity"]) for row in rows if row["type"] == "rejected"]
        assert turned_down
        assert all(quantity > levels[item] for item, quantity in turned_down)


# Processes


class Process:
    """A server in a process of its own, on a port and a file that it has again when it is started again."""

    def __init__(self, service, port, folder, **options):
        self.command = [sys.executable, "-m", "rtwidgets", "serve", service, "--port", str(port), "--json"]
        self.command += ["--engine", f"sqlite:///{folder}/{service}.db"]
        for name, url in options.items():
            self.command += ["--option", f"{service}.{name}={json.dumps(url)}"]
        self.url, self.token = f"ws://127.0.0.1:{port}", "token-of-both"

    def start(self):
        environment = {**os.environ, "RTWIDGETS_TOKEN": self.token}
        self.process = subprocess.Popen(
            self.command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self.process.stdout.readline()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def processes(tmp_path):
    """Orders and inventory, started, each with the other's URL."""
    ports = []
    for _ in range(2):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            ports.append(taken.getsockname()[1])
    urls = [f"ws://127.0.0.1:{port}" for port in ports]
    both = (
        Process("orders", ports[0], tmp_path, inventory=urls[1]),
        Process("inventory", ports[1], tmp_path, orders=urls[0]),
    )
    for each in both:
        each.start()
    yield both
    for each in both:
        each.kill()


async def test_a_killed_inventory_catches_up(processes, kind):
    """Orders are taken meanwhile, and wait; when it is back each is decided once, from where it was."""
    orders, inventory = processes
    await stock(inventory, kind, lamp=10)
    async with kind.enter(orders, "orders", "cy") as buyer:
        assert (await buy(buyer, "before"))["type"] == "accepted"
        inventory.kill()
        for number in range(5):
            await buyer.say(**order(f"while{number}", "lamp", 2))
            await buyer.until(of(f"while{number}", "placed"))
        inventory.start()
        decided = [await buyer.until(of(f"while{number}", "accepted", "rejected")) for number in range(5)]
        assert [row["type"] for row in decided] == ["accepted"] * 4 + ["rejected"]
        assert (await buy(buyer, "after"))["type"] == "accepted"
    async with V1.enter(inventory, "inventory", "x") as watcher:
        rows = [await watcher.next() for _ in range(8)]
    assert [(row.get("order", "stocked"), row["level"]) for row in rows] == [
        ("stocked", 10),
        ("before", 9),
        ("while0", 7),
        ("while1", 5),
        ("while2", 3),
        ("while3", 1),
        ("while4", 1),
        ("after", 0),
    ]


async def test_killed_orders_are_still_there(processes, kind):
    """With how they were decided, also where that happened while they were away."""
    orders, inventory = processes
    await stock(inventory, kind, lamp=1)
    async with kind.enter(orders, "orders", "cy") as buyer:
        for number in range(3):
            await buyer.say(**order(f"o{number}"))
            await buyer.until(of(f"o{number}", "placed"))
    orders.kill()
    orders.start()
    async with Plain.enter(orders, "orders", "cy") as buyer:
        known = {row["id"]: row["type"] for row in buyer.state["orders"]}
        while "placed" in known.values():
            row = await buyer.next()
            known[row["id"]] = row["type"]
        assert known == {"o0": "accepted", "o1": "rejected", "o2": "rejected"}
