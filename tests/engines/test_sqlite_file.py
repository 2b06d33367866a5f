"""What is in the file after a process that published to it was killed."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest

from rtwidgets.engines import SqliteEngine

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the publishers are forked, so that many can live"),
    pytest.mark.usefixtures("tidy"),
]

SEED, KILLS, PUBLISHERS = 20, 50, 8

# Forks a process for each line that it is told. That one says what it finds in the file, then publishes: each
# publisher goes on with the number that it is told, and says where a message landed once it knows.
NURSERY = """
import asyncio, json, os, sys
from rtwidgets.engines import SqliteEngine

def say(*words):
    os.write(1, " ".join(map(str, words)).encode() + b"\\n")

async def publisher(engine, name, number):
    while True:
        text = f"{name}-{number}"
        pieces = [text.encode(), b"and"][: 1 + number % 2]
        say("landed", name, number, await engine.publish(f"channel-{name % 2}", pieces, idempotency=text))
        number += 1

async def live(numbers):
    engine = SqliteEngine(sys.argv[1])
    found = []
    for channel in ("channel-0", "channel-1"):
        log = await engine.open(channel)
        run = log.read(0, limit=10**6, max_bytes=10**9)
        found.append([log.epoch, run.offset, [piece.decode() for piece in run.pieces]])
    say("found", json.dumps(found))
    await asyncio.gather(*(publisher(engine, name, number) for name, number in enumerate(numbers)))

for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        try:
            say("born", os.getpid())
            asyncio.run(live(json.loads(line)))
        finally:
            os._exit(1)
    say("\\ndied", os.waitpid(pid, 0)[1])
"""


class Publishers:
    """A nursery, and what was heard of those who lived in it."""

    def __init__(self, path):
        command = [sys.executable, "-c", NURSERY, str(path)]
        self._nursery = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            start_new_session=True,
        )
        self._heard = iter(self._nursery.stdout.readline, "")
        self.landed = [[] for _ in range(PUBLISHERS)]
        """Of each publisher, where its messages landed as far as it was told."""
        self.epochs = set()
        self.found = 0
        self.recovered = 0
        """Messages that were found although their publisher had not been told."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.killpg(self._nursery.pid, signal.SIGKILL)  # and who lives in it, when a check has failed
        self._nursery.communicate()

    def live(self, answers, delay):
        """Let publishers live until so many messages have landed, and a moment longer; then kill them."""
        print(json.dumps(list(map(len, self.landed))), file=self._nursery.stdin)
        pid = int(next(self._heard).removeprefix("born "))
        while answers:
            answers -= self._take(next(self._heard))
        time.sleep(delay)
        os.kill(pid, signal.SIGKILL)
        line = next(self._heard)
        while not line.startswith("died"):
            self._take(line)
            line = next(self._heard)
        assert line == f"died {signal.SIGKILL:d}\n"

    def _take(self, line):
        """Take in what a process says; return whether a message has landed."""
        kind, _, words = line.partition(" ")
        if kind == "landed":
            name, number, offset = map(int, words.split())
            assert number == len(self.landed[name])
            self.landed[name].append(offset)
            return True
        if kind == "found" and words.endswith("]]]\n"):  # and not killed in the middle of it
            self.check(*json.loads(words))
        return False

    def check(self, *channels):
        """Compare channels, as epoch, first offset and texts, with what all publishers were told."""
        self.found += 1
        for parity, (epoch, first, texts) in enumerate(channels):
            self.epochs.add((parity, epoch))
            assert first == 1
            where = {text: offset for offset, text in enumerate(texts, start=1) if text != "and"}
            for name in range(parity, PUBLISHERS, 2):
                told = self.landed[name]
                # All it was told of, and at the most one more, each once and in its order.
                stored = [text for text in texts if text.startswith(f"{name}-")]
                assert stored == [f"{name}-{number}" for number in range(len(stored))]
                assert 0 <= len(stored) - len(told) <= 1
                self.recovered += len(stored) - len(told)
                assert [where[f"{name}-{number}"] + number % 2 for number in range(len(told))] == told
            # What was published together is together.
            pairs = [text for text, after in itertools.pairwise([*texts, ""]) if after == "and"]
            assert pairs == [text for text in where if int(text.partition("-")[2]) % 2]
            assert len(texts) == len(where) + len(pairs)


def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path):
    """However often and whenever: each acknowledged message is there once, at its offset, and offsets have no
    holes; who publishes again what was not answered finds it where it landed.
    """
    path = tmp_path / "logs.db"
    draw = random.Random(SEED)
    with Publishers(path) as publishers:
        for _ in range(KILLS):
            publishers.live(draw.choice([0, draw.randrange(1, 60)]), draw.uniform(0.0, 0.005))

        async def look():
            engine = SqliteEngine(path)
            logs = [await engine.open(f"channel-{parity}") for parity in (0, 1)]
            runs = [log.read(0, limit=10**6, max_bytes=10**9) for log in logs]
            await engine.close()
            publishers.check(
                *(
                    (log.epoch, run.offset, [piece.decode() for piece in run.pieces])
                    for log, run in zip(logs, runs, strict=True)
                )
            )
            return runs

        runs = asyncio.run(look())
    for run in runs:
        assert run.times == sorted(run.times)
    with closing(sqlite3.connect(path)) as sql:
        rows = sql.execute("SELECT channel, time, data FROM messages ORDER BY channel, offset").fetchall()
    assert [(time, piece) for _, time, piece in rows] == [
        pair for run in runs for pair in zip(run.times, run.pieces, strict=True)
    ]
    assert len(publishers.epochs) == 2
    assert publishers.found > KILLS / 3
    assert publishers.recovered
    assert sum(map(len, publishers.landed)) > 10 * KILLS


# Says each offset that it is told, and compacts now and then; the one message says how far it stands for all.
COMPACTOR = """
import asyncio, itertools, sys
from rtwidgets.engines import SqliteEngine

async def live():
    engine = SqliteEngine(sys.argv[1])
    log = await engine.open("a", compacted=True)
    while True:
        offset = await engine.publish("a", [b"%d" % (log.last + 1)])
        print("published", offset, flush=True)
        if offset % 5 == 0:
            upto = offset - 2
            compacting = engine.compact("a", upto, b"all %d " % upto + b"x" * 50_000)
            await asyncio.gather(compacting, engine.publish("a", [b"%d" % (log.last + 1)]))
            print("compacted", upto, flush=True)

asyncio.run(live())
"""


def test_kill_9_leaves_a_compaction_done_or_not_begun(tmp_path):
    """However often and whenever: the messages are there or the one for them, and no hole."""
    path = tmp_path / "logs.db"
    draw = random.Random(SEED)
    told, compacted = 0, 0
    for _ in range(15):
        process = subprocess.Popen(
            [sys.executable, "-c", COMPACTOR, str(path)], stdout=subprocess.PIPE, text=True
        )
        try:
            for _ in range(draw.randrange(1, 40)):
                word, number = process.stdout.readline().split()
                told = max(told, int(number))
                compacted = int(number) if word == "compacted" else compacted
            time.sleep(draw.uniform(0.0, 0.005))
        finally:
            process.kill()
            rest, _ = process.communicate()
        for line in rest.splitlines(keepends=True):
            if line.endswith("\n"):
                word, number = line.split()
                told = max(told, int(number))
                compacted = int(number) if word == "compacted" else compacted

        with closing(sqlite3.connect(path)) as sql:
            rows = sql.execute("SELECT offset, data FROM messages ORDER BY offset").fetchall()
            ((last,),) = sql.execute("SELECT last FROM channels").fetchall()
            assert sql.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        first = rows[0][0]
        assert [offset for offset, _ in rows] == list(range(first, last + 1))
        assert last >= told
        assert first >= max(compacted, 1)
        assert rows[0][1].split()[:2] == ([b"all", b"%d" % first] if first > 1 else [b"1"])
        assert [data for _, data in rows[1:]] == [b"%d" % offset for offset, _ in rows[1:]]
    assert compacted
