"""The systems of a platform under load: a chat room, an inventory that decides orders, an auction.

Chat: so many plain clients in one room, in which so many messages a second are said, by all in turn. A
delivery is a message that has come to one of them: `p50_ms`, `p95_ms` and `p99_ms` are from just before the
one's `send` to just after the other's `recv`, with what the load generator takes, which is this process.
`cpu_percent` is the server's processor time, of one core, meanwhile; `cpu_ms_each` that of one message until
its last delivery; `in_time_percent` the deliveries that had come when the last message was sent.

Auction: the same with bids, each higher than the one before, on one lot that so many watch. All of them have
to see the same sequence.

Orders: so many orders, of one of ten items each, are sent by twenty plain clients as fast as they are taken.
`decided_per_s` is their number by the seconds from the first `send` until a watcher of the inventory has the
last decision; `cpu_percent` that of the inventory's process.

`together`
    Orders and inventory in one server.
`apart`
    In a server each, in two processes, with a WebSocket between them.
`together_sqlite`, `apart_sqlite`
    The same with their logs in files: a decision is on the disk before anybody hears of it.
"""

from __future__ import annotations

import argparse
import json
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from websockets.frames import Opcode

from benchmarks._common import Feed, arguments, table
from benchmarks._sockets import PATIENCE, Load, Sockets, frame

BUYERS, ITEMS = 20, 10
WAITING = 2_000  # orders that may be under way


def say(made: socket.socket, message: object) -> None:
    made.sendall(frame(Opcode.TEXT, json.dumps(message).encode()))


@contextmanager
def crowd(url: str, path: str, count: int) -> Iterator[Sockets]:
    sockets = Sockets(url, path, count)
    try:
        yield sockets
    finally:
        sockets.close()


def number_in(message: bytes, before: bytes) -> int | None:
    """Return the whole number that comes after some bytes, where these are in a message."""
    _, found, rest = message.partition(before)
    return int(rest[: len(rest) - len(rest.lstrip(b"0123456789"))]) if found else None


def measure_chat(clients: int, rate: float, seconds: float) -> dict[str, float]:
    """Let people talk in a room, and return how long what they say takes to each other."""
    count = int(rate * seconds)
    sent: dict[int, float] = {}
    times: list[float] = []
    with (
        Feed("systems", 0, "--service", "chat") as feed,
        crowd(feed.url, "/chat/lobby?user=somebody", clients) as room,
    ):

        def send(n: int) -> None:
            sent[n] = time.perf_counter()
            say(room.sockets[n * 7 % clients], {"type": "message", "text": f"number {n}"})

        def take(client: int, message: bytes, now: float) -> None:
            if (n := number_in(message, b'"text":"number ')) is not None:
                times.append(now - sent[n])

        return Load(count, seconds, count * clients, send, take, times).run(feed, room)


def measure_auction(watchers: int, rate: float, seconds: float) -> dict[str, float]:
    """Let people bid, and return how long a bid takes to all who watch."""
    count = int(rate * seconds)
    sent: dict[int, float] = {}
    times: list[float] = []
    seen: list[list[int]] = [[] for _ in range(watchers)]
    with Feed("systems", 0, "--service", "auctions") as feed, ExitStack() as stack:
        seller = stack.enter_context(crowd(feed.url, "/auctions/lamp?user=seller", 1))
        opening = {"type": "open", "title": "a lamp", "start": 1, "increment": 1, "seconds": 600}
        say(seller.sockets[0], opening)
        opened = False

        def look(client: int, message: bytes, now: float) -> None:
            nonlocal opened
            opened = opened or b'"type":"opened"' in message

        while not opened:
            seller.read(1.0, look)
        room = stack.enter_context(crowd(feed.url, "/auctions/lamp?user=bidder", watchers))

        def send(n: int) -> None:
            sent[n + 1] = time.perf_counter()
            say(room.sockets[n * 7 % watchers], {"type": "bid", "amount": n + 1})

        def take(client: int, message: bytes, now: float) -> None:
            if b'"type":"bid"' in message and (amount := number_in(message, b'"amount":')) is not None:
                seen[client].append(amount)
                times.append(now - sent[amount])

        found = Load(count, seconds, count * watchers, send, take, times).run(feed, room)
    if any(each != seen[0] for each in seen):
        raise SystemExit("the watchers of the auction saw different sequences")
    return found


@contextmanager
def shop(folder: str | None, *, apart: bool) -> Iterator[tuple[Feed, Feed]]:
    """Start orders and inventory; yield the servers that have them, which may be the same one."""
    place = ("--folder", folder) if folder else ()
    with ExitStack() as stack:
        if not apart:
            both = Feed("systems", 0, "--service", "orders", "--service", "inventory", *place)
            stack.enter_context(both)
            yield both, both
            return
        ports = {}
        for name in ("orders", "inventory"):
            with socket.create_server(("127.0.0.1", 0)) as taken:
                ports[name] = taken.getsockname()[1]
        feeds = []
        for name, other in (("orders", "inventory"), ("inventory", "orders")):
            options = json.dumps({name: {other: f"ws://127.0.0.1:{ports[other]}"}})
            given = ("--service", name, "--port", str(ports[name]), "--options", options, *place)
            feeds.append(stack.enter_context(Feed("systems", 0, *given)))
        yield feeds[0], feeds[1]


def measure_orders(count: int, folder: str | None, *, apart: bool) -> dict[str, float]:
    """Send orders, and return how many of them the inventory decides a second."""
    with (
        shop(folder, apart=apart) as (orders, inventory),
        crowd(inventory.url, "/inventory?user=watcher", 1) as watcher,
        crowd(orders.url, "/orders?user=buyer", BUYERS) as buyers,
    ):
        seen = Counter[bytes]()

        def note(client: int, message: bytes, now: float) -> None:
            if client == 0:
                seen[message[: message.index(b'"', 9)]] += 1  # its type comes first

        def read() -> None:
            buyers.read(0.0, note)
            watcher.read(0.001, note)

        for item in range(ITEMS):
            restock = {"type": "restock", "item": f"item{item}", "quantity": count // ITEMS}
            say(watcher.sockets[0], restock)
        while seen[b'{"type":"stocked'] < ITEMS:
            read()
        before = inventory.ask()["cpu"]
        began = time.perf_counter()
        for n in range(count):
            order = {"type": "order", "id": f"o{n}", "item": f"item{n % ITEMS}", "quantity": 1}
            say(buyers.sockets[n % BUYERS], order)
            while n % 100 == 0 and n - seen[b'{"type":"accepted'] > WAITING:
                read()
        until = time.perf_counter() + PATIENCE
        while seen[b'{"type":"sold'] < count:
            if time.perf_counter() > until:
                raise SystemExit(f"of {count} orders these came: {seen}")
            read()
        took = time.perf_counter() - began
        cpu = inventory.ask()["cpu"] - before
    return {"decided_per_s": round(count / took), "cpu_percent": round(100.0 * cpu / took)}


def measure(given: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {
        "chat": {"room": measure_chat(given.clients, given.rate, given.seconds)},
        "auction": {"lot": measure_auction(given.watchers, given.bids, given.seconds)},
        "orders": {},
    }
    for apart in (False, True):
        name = "apart" if apart else "together"
        found["orders"][name] = measure_orders(given.orders, None, apart=apart)
        with tempfile.TemporaryDirectory() as folder:
            found["orders"][f"{name}_sqlite"] = measure_orders(given.orders, folder, apart=apart)
    return found


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--clients", type=int, default=500, help="in the chat room")
    parser.add_argument("--rate", type=float, default=20.0, help="messages a second in it")
    parser.add_argument("--watchers", type=int, default=1_000, help="of the auction")
    parser.add_argument("--bids", type=float, default=100.0, help="a second")
    parser.add_argument("--orders", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=5.0)
    given = parser.parse_args()
    results = measure(given)
    if given.json:
        print(json.dumps(results))
        return
    titles = {
        "chat": f"{given.clients} people in a room, {given.rate:g} messages a second",
        "auction": f"{given.watchers} people at an auction, {given.bids:g} bids a second",
        "orders": f"{given.orders:,} orders",
    }
    for name, title in titles.items():
        found = results[name]
        print(title)
        head = ("", *next(iter(found.values())))
        print(table(head, [(row, *(f"{each:,}" for each in cells.values())) for row, cells in found.items()]))
    p99 = results["chat"]["room"]["p99_ms"]
    print(f"{'reached' if p99 <= 100 else 'MISSED'}: a message is everywhere in {p99:.0f} ms (p99), of 100")
    rate = results["orders"]["apart"]["decided_per_s"]
    print(f"{'reached' if rate >= 2_000 else 'MISSED'}: {rate:,} orders are decided a second, of 2,000")


if __name__ == "__main__":
    main()
