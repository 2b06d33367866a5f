"""Random faults for a minute, and exact checks in the end: `make stress`, or `--seconds 10 --seed 7`.

A server in a process of its own keeps a chat room in a file. Publishers send messages with idempotency keys,
and repeat each until it is answered; subscribers follow the room from its beginning. Each of them has a
network of its own, a `FaultProxy`, and one after the other is made to fail: cut, reset, swallowed, cut in the
middle of a frame, slowed down, handed on byte by byte. Now and then the server is killed (SIGKILL) or told to
end (SIGTERM), and started again on the same port and file.

In the end everything is healed, and has to hold: each key that was answered is in the log once, at the offset
that was told; each subscriber's frame has each message of the log once, in order. `lost` counts what is
missing in the log or in a frame, `duplicated` what is there twice. The exit code is 1 unless both are 0.

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
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks._common import ROOT, arguments
from rtwidgets.client import ChannelSource, Intake, Multiplex, Subscription, link, pulse
from rtwidgets.client.backoff import Backoff
from rtwidgets.errors import Closed
from rtwidgets.frames import LiveFrame
from rtwidgets.loop import take_errors
from rtwidgets.testing import FaultProxy

CHANNEL = "chat/stress"
PUBLISHERS, SUBSCRIBERS = 3, 3
RATE = 200.0  # messages a second that a publisher has in mind
PATIENCE = 60.0  # seconds that all may take to catch up in the end

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
        self._engine = f"sqlite:///{folder}/stress.db?max_messages=1000000"
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
        assert await self._process.stdout.readline(), "the server did not start"

    async def end(self, how: signal.Signals) -> None:
        """End it, and wait until it has gone."""
        assert self._process is not None
        self._process.send_signal(how)
        await self._process.wait()


class Client:
    """A connection with a network of its own."""

    def __init__(self, proxy: FaultProxy, token: str) -> None:
        self.proxy = proxy
        self.multiplex = Multiplex(proxy.url, token)

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

    async def follow(self) -> LiveFrame:
        """Follow the room from its beginning; return the frame."""
        source = ChannelSource(
            self.multiplex, Subscription(CHANNEL), lambda _: Intake(LiveFrame(None, schema={"text": "str"}))
        )
        await self.multiplex.subscribe(source)
        return source.frame


async def torment(
    seconds: float, chance: random.Random, proxies: list[FaultProxy], server: Served
) -> Counter[str]:
    """Make things fail, one after the other; return how often each did."""
    done: Counter[str] = Counter()
    end = time.monotonic() + seconds
    next_kill = time.monotonic() + min(3.0, seconds / 3)
    while time.monotonic() < end:
        if time.monotonic() > next_kill:
            how = chance.choice([signal.SIGKILL, signal.SIGTERM])
            await server.end(how)
            await asyncio.sleep(chance.uniform(0.0, 0.5))
            await server.start()
            done["server killed" if how is signal.SIGKILL else "server restarted"] += 1
            next_kill = time.monotonic() + chance.uniform(2.0, 8.0)
        proxy, fault = chance.choice(proxies), chance.choice(list(FAULTS))
        FAULTS[fault](proxy, chance)
        done[fault] += 1
        await asyncio.sleep(chance.uniform(0.05, 0.5))
        if chance.random() < 0.6:
            chance.choice(proxies).heal()
    return done


async def caught_up(frames: list[LiveFrame], count: int) -> None:
    """Wait until each frame has so many rows, but not for ever."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            for frame in frames:
                changed = asyncio.Event()
                forget = frame.on_change(changed.set)
                while frame.total < count:
                    changed.clear()
                    await changed.wait()
                forget()


def rows(frame: LiveFrame) -> list[tuple[int, str]]:
    """Return offsets and keys, in the order of the frame."""
    columns = frame.view().columns
    return list(zip(columns["offset"].tolist(), columns["text"].tolist(), strict=True)) if columns else []


def judge(
    told: dict[str, int], log: list[tuple[int, str]], frames: list[list[tuple[int, str]]]
) -> Counter[str]:
    """Count what is lost, duplicated or out of place."""
    found: Counter[str] = Counter()
    keys = [key for _, key in log]
    places = {key: offset for offset, key in log}
    found["lost"] += sum(key not in places for key in told)
    found["duplicated"] += len(keys) - len(set(keys))
    found["elsewhere"] += sum(places.get(key, offset) != offset for key, offset in told.items())
    found["elsewhere"] += [offset for offset, _ in log] != list(range(1, len(log) + 1))
    for frame in frames:
        found["lost"] += len(set(log) - set(frame))
        found["duplicated"] += len(frame) - len(set(frame))
        found["elsewhere"] += frame != sorted(frame) or bool(set(frame) - set(log))
    return found


async def stress(seconds: float, seed: int) -> dict[str, Any]:
    """Run it all; return what was done and found."""
    link.Backoff = partial(Backoff, 0.05, 1.0)  # type: ignore[misc, assignment]
    pulse.PING_EVERY = 0.5
    chance = random.Random(seed)
    told: dict[str, int] = {}
    async with contextlib.AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="rtwidgets-stress-"))
        server = Served(str(Path(folder)))
        await server.start()
        stack.push_async_callback(server.end, signal.SIGKILL)
        clients = []
        for _ in range(PUBLISHERS + SUBSCRIBERS):
            proxy = await stack.enter_async_context(FaultProxy("127.0.0.1", server.port))
            clients.append(Client(proxy, server.token))
            stack.push_async_callback(clients[-1].multiplex.close)
        frames = [await client.follow() for client in clients[:SUBSCRIBERS]]
        ended = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for n, client in enumerate(clients[SUBSCRIBERS:]):
                tasks.create_task(client.publish(f"p{n}", ended, told))
            proxies = [client.proxy for client in clients]
            done = await torment(seconds, chance, proxies, server)
            for proxy in proxies:
                proxy.heal()
            ended.set()
        await caught_up(frames, len(told))
        proxy = await stack.enter_async_context(FaultProxy("127.0.0.1", server.port))
        late = Client(proxy, server.token)
        stack.push_async_callback(late.multiplex.close)
        log = await late.follow()
        await caught_up([log], len(told))
        found = judge(told, rows(log), [rows(frame) for frame in frames])
        reconnects = sum(client.multiplex.link.connects - 1 for client in clients)
    errors = [f"{where}: {error!r}" for where, error in take_errors()]
    return {
        "seed": seed,
        "faults": dict(sorted(done.items())),
        "messages": len(told),
        "reconnects": reconnects,
        "errors": errors,
        "lost": found["lost"],
        "duplicated": found["duplicated"],
        "elsewhere": found["elsewhere"],
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
    failed = bool(found["lost"] or found["duplicated"] or found["elsewhere"] or found["errors"])
    if given.json:
        print(json.dumps(found))
        sys.exit(failed)
    print("faults: " + ", ".join(f"{name} {count}" for name, count in found["faults"].items()))
    print(f"messages {found['messages']:,}, reconnects {found['reconnects']}")
    for error in found["errors"]:
        print(f"error: {error}")
    if found["elsewhere"]:
        print(f"out of place: {found['elsewhere']}")
    print(f"lost {found['lost']} duplicated {found['duplicated']}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
