"""Random faults for a minute, and exact checks in the end: `make stress`, or `--seconds 10 --seed 7`.

A server in a process of its own keeps a chat room in a file. Publishers send messages with idempotency keys,
and repeat each until it is answered; subscribers follow the room from its beginning. Each of them has a
network of its own, a `FaultProxy`, and one after the other is made to fail: cut, reset, swallowed, cut in the
middle of a frame, slowed down, handed on byte by byte. Now and then the server is killed (SIGKILL) or told to
end (SIGTERM), and started again on the same port and file. Subscribers also ask again on a connection that
runs: the server then goes back to where they were, and sends once more what was on its way.

In the end everything is healed, and has to hold: each key that was answered is in the log once, at the offset
that was told; each subscriber's frame has each message of the log once, in order, and knows of no gap, for
the log keeps all. `lost` counts what is missing in the log or in a frame, `duplicated` what is there twice.
The exit code is 1, and what is wrong is listed, unless both are 0 and nothing else is wrong.

The seed says what is broken in which order, but not what the clients are doing at that moment.

So that many faults fit into a minute, clients ask twice a second whether the server is there, give it up
after 1.5 seconds, and wait 0.05 to 1 second before they connect again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import secrets
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeVar
from unittest.mock import patch

from benchmarks._common import ROOT, arguments
from rtwidgets.client import ChannelSource, Intake, Multiplex, Subscription, link, pulse
from rtwidgets.client.backoff import Backoff
from rtwidgets.errors import Closed
from rtwidgets.frames import LiveFrame
from rtwidgets.loop import take_errors
from rtwidgets.testing import FaultProxy

T = TypeVar("T")

CHANNEL = "chat/stress"
PUBLISHERS, SUBSCRIBERS = 3, 3
RATE = 200.0  # messages a second that a publisher has in mind
PATIENCE = 60.0  # seconds that a server may take to start or end, and all to catch up in the end
LISTED = 10  # of what is wrong, of each kind

FAULTS: dict[str, Callable[[FaultProxy, random.Random], None]] = {
    "cut": lambda proxy, _: proxy.cut(),
    "reset": lambda proxy, _: proxy.reset(),
    "black hole": lambda proxy, _: proxy.black_hole(),
    "cut mid-frame": lambda proxy, chance: proxy.cut_after(chance.randint(1, 500)),
    "byte by byte": lambda proxy, _: setattr(proxy, "chunk", 1),
    "latency": lambda proxy, chance: setattr(proxy, "latency", chance.uniform(0.01, 0.3)),
    "little bandwidth": lambda proxy, chance: setattr(proxy, "bandwidth", chance.uniform(2_000, 50_000)),
    "refused": lambda proxy, _: _refuse(proxy),
}


def _refuse(proxy: FaultProxy) -> None:
    proxy.refuse = True
    proxy.cut()


class Served:
    """A server's process, which may end and be started again."""

    def __init__(self, folder: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.token = secrets.token_urlsafe(24)
        self._engine = f"sqlite:///{folder}/stress.db?max_messages=100000000&max_bytes={2**40}"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and wait until it serves."""
        serve = ["serve", "chat", "--json", "--port", str(self.port), "--engine", self._engine]
        self._process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", "rtwidgets", *serve, "--token", self.token],
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            if not await self._process.stdout.readline():
                raise SystemExit(f"the server ended with exit code {await self._process.wait()}")

    async def end(self, how: signal.Signals) -> None:
        """End it, and wait until it has gone."""
        assert self._process is not None
        self._process.send_signal(how)
        async with asyncio.timeout(PATIENCE):
            await self._process.wait()


class Client:
    """A connection to the room."""

    def __init__(self, url: str, token: str) -> None:
        self.multiplex = Multiplex(url, token)
        self.source = ChannelSource(
            self.multiplex, Subscription(CHANNEL), lambda _: Intake(LiveFrame(None, schema={"text": "str"}))
        )
        self.asked = 0

    async def publish(self, name: str, ended: asyncio.Event, told: dict[str, int]) -> None:
        """Publish, each message until it is answered, and note the offsets that were told."""
        number = 0
        while not ended.is_set():
            key = f"{name}-{number}"
            while key not in told:
                try:
                    async with asyncio.timeout(3.0):
                        message = {"type": "message", "text": key}
                        told[key] = await self.multiplex.publish(CHANNEL, message, key)
                except (Closed, TimeoutError):
                    await asyncio.sleep(0.02)
            number += 1
            await asyncio.sleep(1.0 / RATE)

    async def follow(self) -> None:
        """Follow the room from its beginning."""
        await self.multiplex.subscribe(self.source)

    async def ask_again(self, ended: asyncio.Event, chance: random.Random) -> None:
        """Now and then ask to go on, though nothing broke; if something does, ask until it follows."""
        following = True
        while not (following and ended.is_set()):
            await asyncio.sleep(chance.uniform(0.1, 0.6) if following else 0.02)
            try:
                await self.follow()
                following = True
                self.asked += 1
            except Closed:
                following = False

    @property
    def offset(self) -> int:
        """Up to where it has read."""
        cursor = self.source.subscription.cursor
        return 0 if cursor is None else cursor.offset

    @property
    def rows(self) -> list[tuple[int, str]]:
        """Offsets and keys, in the order of the frame."""
        columns = self.source.frame.view().columns
        return list(zip(columns["offset"].tolist(), columns["text"].tolist(), strict=True)) if columns else []


async def torment(
    seconds: float, chance: random.Random, proxies: list[FaultProxy], server: Served
) -> Counter[str]:
    """Make things fail, one after the other; return how often each did."""
    done: Counter[str] = Counter()
    end = time.monotonic() + seconds
    faults: list[str] = []
    ends = [signal.SIGKILL]  # the first one, so that a short run has one too
    next_end = time.monotonic() + min(2.0, seconds / 4)
    while time.monotonic() < end:
        if time.monotonic() > next_end:
            how = draw(ends, [signal.SIGKILL, signal.SIGTERM], chance)
            await server.end(how)
            await asyncio.sleep(chance.uniform(0.0, 0.5))
            await server.start()
            done["server killed" if how is signal.SIGKILL else "server restarted"] += 1
            next_end = time.monotonic() + min(chance.uniform(2.0, 8.0), seconds / 4)
        proxy, fault = chance.choice(proxies), draw(faults, FAULTS, chance)
        FAULTS[fault](proxy, chance)
        done[fault] += 1
        await asyncio.sleep(chance.uniform(0.05, 0.5))
        if chance.random() < 0.6:
            chance.choice(proxies).heal()
    return done


def draw(deck: list[T], cards: Iterable[T], chance: random.Random) -> T:
    """Draw the next card, of a deck that is filled and shuffled anew when it is used up."""
    if not deck:
        deck += cards
        chance.shuffle(deck)
    return deck.pop()


async def caught_up(clients: list[Client], offset: int) -> None:
    """Wait until all have read up to there, but not for ever: what is missing then is counted as lost."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while any(client.offset < offset for client in clients):  # noqa: ASYNC110 - only for a moment
                await asyncio.sleep(0.02)


class Verdict:
    """What is wrong: how much of each kind, and some of it in words."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.listed: list[str] = []

    def add(self, kind: str, where: str, what: Iterable[object]) -> None:
        """Note what is wrong somewhere."""
        found = list(what)
        self.counts[kind] += len(found)
        self.listed += [f"{kind}, in {where}: {each}" for each in found[:LISTED]]


def judge(told: dict[str, int], log: list[tuple[int, str]], clients: list[Client]) -> Verdict:
    """Compare what was told to the publishers, the log, and what each subscriber has."""
    verdict = Verdict()
    place = {key: offset for offset, key in log}
    verdict.add("lost", "the log", [key for key in told if key not in place])
    verdict.add("duplicated", "the log", (Counter(key for _, key in log) - Counter(place.keys())).elements())
    verdict.add(
        "elsewhere", "the log", [item for item in told.items() if place.get(item[0], item[1]) != item[1]]
    )
    offsets = [offset for offset, _ in log]
    if offsets != list(range(1, len(log) + 1)):
        verdict.add("elsewhere", "the log", ["its offsets are not contiguous from 1"])
    for number, client in enumerate(clients):
        where, rows = f"the frame of subscriber {number}", client.rows
        has, due = Counter(rows), Counter(set(log))
        verdict.add("lost", where, sorted(due.keys() - has.keys()))
        verdict.add("duplicated", where, (has - Counter(has.keys())).elements())
        verdict.add("elsewhere", where, sorted(has.keys() - due.keys()))
        if rows != sorted(rows):
            verdict.add("elsewhere", where, ["its rows are not in the order of their offsets"])
        verdict.add("gap", where, client.source.gaps)
    return verdict


async def stress(seconds: float, seed: int) -> dict[str, Any]:
    """Run it all; return what was done and found."""
    chance = random.Random(seed)
    told: dict[str, int] = {}
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(patch.object(link, "Backoff", partial(Backoff, 0.05, 1.0)))
        stack.enter_context(patch.object(pulse, "PING_EVERY", 0.5))
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="rtwidgets-stress-"))
        server = Served(folder)
        await server.start()
        stack.push_async_callback(server.end, signal.SIGKILL)
        proxies, clients = [], []
        for _ in range(PUBLISHERS + SUBSCRIBERS):
            proxies.append(await stack.enter_async_context(FaultProxy("127.0.0.1", server.port)))
            clients.append(Client(proxies[-1].url, server.token))
            stack.push_async_callback(clients[-1].multiplex.close)
        subscribers, publishers = clients[:SUBSCRIBERS], clients[SUBSCRIBERS:]
        for client in subscribers:
            await client.follow()
        ended = asyncio.Event()
        tasks = [
            *(
                asyncio.create_task(each.ask_again(ended, random.Random(seed + n)))
                for n, each in enumerate(subscribers)
            ),
            *(asyncio.create_task(each.publish(f"p{n}", ended, told)) for n, each in enumerate(publishers)),
        ]
        done = await torment(seconds, chance, proxies, server)
        for proxy in proxies:
            proxy.heal()
        ended.set()
        direct = Client(f"ws://127.0.0.1:{server.port}", server.token)
        stack.push_async_callback(direct.multiplex.close)
        try:
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*tasks)
                await direct.follow()
                message = {"type": "message", "text": "end"}
                told["end"] = await direct.multiplex.publish(CHANNEL, message, "end")
        except TimeoutError:
            raise SystemExit(f"{PATIENCE:g} s after all was healed the server has not answered all") from None
        await caught_up([direct, *subscribers], told["end"])
        verdict = judge(told, direct.rows, subscribers)
    verdict.add("error", "the background", [f"{where}: {error!r}" for where, error in take_errors()])
    return {
        "seed": seed,
        "faults": dict(sorted(done.items())),
        "messages": len(told),
        "reconnects": sum(client.multiplex.link.connects - 1 for client in clients),
        "asked_again": sum(client.asked for client in subscribers),
        "gaps": verdict.counts["gap"],
        "errors": verdict.counts["error"],
        "elsewhere": verdict.counts["elsewhere"],
        "lost": verdict.counts["lost"],
        "duplicated": verdict.counts["duplicated"],
        "wrong": verdict.listed,
    }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, help="a random one when left out")
    given = parser.parse_args()
    seed = secrets.randbelow(2**32) if given.seed is None else given.seed
    if not given.json:
        print(f"seed {seed}", flush=True)
    found = asyncio.run(stress(given.seconds, seed))
    failed = bool(found["wrong"])
    if given.json:
        print(json.dumps(found))
        sys.exit(failed)
    print("faults: " + ", ".join(f"{name} {count}" for name, count in found["faults"].items()))
    print(
        f"messages {found['messages']:,}, reconnects {found['reconnects']}, "
        f"asked again {found['asked_again']}, gaps {found['gaps']}"
    )
    for each in found["wrong"]:
        print(each)
    print(f"lost {found['lost']} duplicated {found['duplicated']}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
