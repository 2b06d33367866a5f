"""G2, of a log in a file: what was acknowledged is there after kill -9, once and at its offset."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys

from rtwidgets.engines import SqliteEngine

KILLS = 50
PUBLISHERS = 4

# Publishes keys such as "2-17" (publisher and number), and prints each with its offset once it is answered.
CHILD = """
import asyncio, itertools, sys
from rtwidgets.engines import SqliteEngine

async def publisher(engine, name, first):
    for number in itertools.count(first):
        key = f"{name}-{number}"
        offset = await engine.publish("log", [b'"%b"' % key.encode()], idempotency=key)
        print(key, offset, flush=True)

async def main(path, *firsts):
    engine = SqliteEngine(path)
    await asyncio.gather(*(publisher(engine, name, int(first)) for name, first in enumerate(firsts)))

asyncio.run(main(*sys.argv[1:]))
"""


def publish_and_kill(path, firsts, most):
    """Let a process publish, kill it after so many answers, and return all of them: offsets by key."""
    command = [sys.executable, "-c", CHILD, str(path), *map(str, firsts)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        lines = [child.stdout.readline() for _ in range(most)]
        child.kill()
        lines += child.stdout.readlines()  # what it said before it died
    pairs = [line.split() for line in lines if line.endswith("\n")]
    return {key: int(offset) for key, offset in pairs}


async def kept(path):
    """Open the file, and return what is in it: the key at each offset."""
    engine = SqliteEngine(path)
    try:
        log, keys = await engine.open("log"), []
        while len(keys) < log.last:
            run = log.read(len(keys))
            assert run.offset == len(keys) + 1
            keys += [piece.decode().strip('"') for piece in run.pieces]
        return keys
    finally:
        await engine.close()


def test_fifty_kills_lose_no_acknowledged_message(tmp_path):
    """Whoever got no answer asks again with the same key, which lands once however often that happens."""
    chance = random.Random(1)
    path = tmp_path / "log.db"
    acknowledged = {}
    for _ in range(KILLS):
        numbers = [
            [int(number) for name, number in (key.split("-") for key in acknowledged) if int(name) == each]
            for each in range(PUBLISHERS)
        ]
        firsts = [max(each, default=-1) + 1 for each in numbers]  # the one with no answer yet
        acknowledged |= publish_and_kill(path, firsts, chance.randint(1, 60))
        keys = asyncio.run(kept(path))
        assert len(set(keys)) == len(keys)
        assert all(keys[offset - 1] == key for key, offset in acknowledged.items())
    assert len(acknowledged) > KILLS
