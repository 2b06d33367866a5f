import asyncio
import gc
import itertools
import sqlite3
import subprocess
import sys
import threading
import time as clock
from contextlib import asynccontextmanager, closing

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rtwidgets.engines import SqliteEngine, open_engine, sqlite_file
from rtwidgets.errors import Closed, Refused, ServeError, UsageError
from rtwidgets.loop import take_errors

JOINED = "messages JOIN channels ON id = channel"

pytestmark = pytest.mark.usefixtures("tidy")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "logs.db"


@asynccontextmanager
async def opened(path, **options):
    engine = SqliteEngine(path, **options)
    try:
        yield engine
    finally:
        await engine.close()


def in_file(path, query):
    """Ask the file, which no engine has open."""
    with closing(sqlite3.connect(path)) as sql:
        return sql.execute(query).fetchall()


def in_thread(engine, statement, values=()):
    """Run a statement on the engine's own connection."""
    return engine._thread.submit(lambda: engine._file.sql.execute(statement, values).fetchall()).result()


def everything(log):
    return log.read(0, limit=10**9, max_bytes=10**9)


# What every engine does


async def test_messages_get_contiguous_offsets(path):
    """From 1 in each channel, several at once are together, and the log has them when the publish returns."""
    async with opened(path) as engine:
        assert await engine.publish("a", [b"1"]) == 1
        assert await engine.publish("a", [b"2", b"3"]) == 3
        assert await engine.publish("b", [b"1"]) == 1
        log = await engine.open("a")
        assert log is await engine.open("a")
        assert log is not await engine.open("b")
        assert log.read(0).pieces == [b"1", b"2", b"3"]
        assert await engine.publish("a", []) == 3
        assert engine.statistics() == (3, 4)


async def test_publishes_of_a_channel_keep_their_order(path):
    """However many wait, and whether or not the channel was opened before."""
    async with opened(path) as engine:
        for first in (0, 500):
            publishes = [engine.publish("a", [b"%d" % n]) for n in range(first, first + 500)]
            assert await asyncio.gather(*publishes) == list(range(first + 1, first + 501))
        assert everything(await engine.open("a")).pieces == [b"%d" % n for n in range(1_000)]


async def test_many_publishes_share_a_commit(path):
    """A thousand publishes of a hundred publishers take about ten."""

    async def publisher(engine, name):
        for n in range(10):
            await engine.publish(f"channel-{n % 3}", [b"%d" % n], idempotency=f"{name}-{n}")

    async with opened(path) as engine:
        await asyncio.gather(*(publisher(engine, name) for name in range(100)))
        assert engine.statistics().messages == 1_000
        assert engine.statistics().commits <= 20


async def test_a_message_is_on_the_disk_before_anybody_reads_it(path):
    """When the log has it, its transaction is over."""
    async with opened(path) as engine:
        log = await engine.open("a")
        rung = []
        log.appended = lambda: rung.append((log.last, engine.statistics().messages))
        await asyncio.gather(*(engine.publish("a", [b"x"]) for _ in range(50)))
        assert [last for last, _ in rung] == list(range(1, 51))
        assert all(stored >= last for last, stored in rung)


async def test_a_commit_waits_for_the_disk(path):
    """The file is set up so that a power cut takes nothing that was committed, after a restart as well."""
    for _ in range(2):
        async with opened(path) as engine:
            await engine.publish("a", [b"x"])
            assert in_thread(engine, "PRAGMA journal_mode") == [("wal",)]
            assert in_thread(engine, "PRAGMA synchronous") == [(2,)]  # FULL
            assert in_thread(engine, "PRAGMA fullfsync") == [(1,)]
            assert in_thread(engine, "PRAGMA application_id") == [(sqlite_file.APPLICATION_ID,)]


async def test_nothing_blocks_the_loop(path):
    """What takes time is on a thread of its own."""
    async with opened(path) as engine:
        with blockbuster_ctx(scanned_modules=["rtwidgets"]):
            log = await engine.open("a")
            await asyncio.gather(*(engine.publish("a", [b"x"]) for _ in range(100)))
            await engine.ping()
            assert log.last == 100


async def test_a_publish_that_is_cancelled_leaves_no_hole(path):
    """It may land; what comes after it goes on."""
    async with opened(path) as engine:
        tasks = [asyncio.create_task(engine.publish("a", [b"%d" % n])) for n in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        assert await tasks[0] == 1
        assert await tasks[2] == 3
        assert (await engine.open("a")).read(0).pieces == [b"0", b"1", b"2"]


# A restart


async def test_a_reopened_file_goes_on(path, monkeypatch):
    """With the same epoch, offsets and times, even when the clock was set back meanwhile."""
    async with opened(path) as engine:
        for n in range(5):
            await engine.publish("a", [b"%d" % n, b"and"])
        await engine.open("empty")
        before, empty = await engine.open("a"), (await engine.open("empty")).epoch
        times = everything(before).times
    assert not path.with_name("logs.db-wal").exists()

    monkeypatch.setattr(clock, "time", lambda: times[-1] / 1000.0 - 60.0)
    async with opened(path) as engine:
        after = await engine.open("a")
        assert (after.epoch, after.first, after.last) == (before.epoch, 1, 10)
        assert everything(after) == everything(before)
        assert (await engine.open("empty")).epoch == empty != after.epoch
        assert (await engine.open("new")).epoch not in {empty, after.epoch}
        assert await engine.publish("a", [b"more"]) == 11
        assert everything(after).times == [*times, times[-1]]
    async with opened(path) as engine:
        assert await engine.publish("a", [b"more"]) == 12  # without opening it first
        assert everything(await engine.open("a")).times == [*times, times[-1], times[-1]]


async def test_opening_what_is_there_writes_nothing(path):
    """Only a new channel costs a commit."""
    async with opened(path) as engine:
        await engine.publish("a", [b"1"])
        await engine.open("b")
        assert engine.statistics() == (2, 1)
    async with opened(path) as engine:
        await engine.open("a")
        await engine.open("b")
        assert engine.statistics() == (0, 0)


async def test_a_reopened_log_has_as_much_as_a_log_holds(path, monkeypatch):
    """The newest messages, by number, bytes and age."""
    now = [1_000_000.0]
    monkeypatch.setattr(clock, "time", lambda: now[0])
    limits = {"max_messages": 10_000, "max_age": 300.0}
    async with opened(path, **limits) as engine:
        await engine.publish("old", [b"old"] * 3)
        now[0] += 299
        await engine.publish("old", [b"newer"] * 2)
        now[0] += 2
        await engine.publish("old", [b"new"])
        await engine.publish("many", [b"%d" % n for n in range(12_000)])
        await engine.publish("large", [b"x" * 2**20] * 70)
        logs = {name: await engine.open(name) for name in ("many", "large", "old")}
    async with opened(path, **limits) as engine:
        for name, before in logs.items():
            after = await engine.open(name)
            assert (after.first, after.last, after.size) == (before.first, before.last, before.size)
            assert everything(after) == everything(before)
        assert [logs[name].first for name in logs] == [2_001, 7, 4]


async def test_all_that_the_file_keeps_can_be_read(path, monkeypatch):
    """While it runs and after a restart: more messages than a log in memory has, and older ones."""
    now = [1_000_000.0]
    monkeypatch.setattr(clock, "time", lambda: now[0])
    pieces = [b"%d" % n for n in range(100_000)]
    async with opened(path) as engine:
        await engine.publish("a", pieces[:50_000])
        now[0] += 6 * 86_400  # days
        await engine.publish("a", pieces[50_000:])
        before = everything(await engine.open("a"))
        assert before.pieces == pieces
    async with opened(path) as engine:
        assert everything(await engine.open("a")) == before


async def test_others_go_on_while_a_long_channel_is_loaded(path):
    """The loop has its turns; only what wants the file waits."""
    async with opened(path) as engine:
        await engine.publish("a", [b"x"] * 100_000)
    async with opened(path) as engine:
        opening, turns = asyncio.ensure_future(engine.open("a")), 0
        while not opening.done():
            await asyncio.sleep(0.001)
            turns += 1
        assert (await opening).first == 1
        assert turns > 2


# Keys


async def test_a_key_lands_once(path):
    """One after the other, racing in one commit, and after a restart; keys are each channel's own."""
    async with opened(path) as engine:
        await engine.publish("a", [b"0"])
        assert await engine.publish("a", [b"1", b"2"], idempotency="k") == 3
        assert await engine.publish("a", [b"other"], idempotency="k") == 3
        assert await engine.publish("b", [b"1"], idempotency="k") == 1
        commits = engine.statistics().commits
        racing = [engine.publish("a", [b"%d" % n], idempotency="race") for n in range(20)]
        assert set(await asyncio.gather(*racing, engine.publish("a", [b"4"]))) == {4, 5}
        assert engine.statistics().commits == commits + 1
        assert (await engine.open("a")).read(0).pieces == [b"0", b"1", b"2", b"0", b"4"]
    async with opened(path) as engine:
        assert await engine.publish("a", [b"again"], idempotency="race") == 4
        assert await engine.publish("a", [b"again"], idempotency="k") == 3
        assert await engine.publish("b", [b"again"], idempotency="k") == 1
        assert (await engine.open("a")).last == 5
        assert engine.statistics() == (0, 0)


async def test_keys_are_forgotten_oldest_first(path, monkeypatch):
    """The newest are kept, in memory and in the file, whichever channel they belong to."""
    monkeypatch.setattr(sqlite_file, "_KEYS_KEPT", 3)
    async with opened(path) as engine:
        for key in "abcdef":
            await engine.publish("x", [b"1"], idempotency=key)
        assert await engine.publish("x", [b"1"], idempotency="d") == 4
        assert await engine.publish("x", [b"1"], idempotency="a") == 7
    async with opened(path) as engine:
        assert await engine.publish("x", [b"1"], idempotency="e") == 5
        assert await engine.publish("x", [b"1"], idempotency="b") == 8
        assert await engine.publish("x", [b"1"], idempotency="f") == 6
        assert await engine.publish("x", [b"1"], idempotency="a") == 7
    assert [key for (key,) in in_file(path, "SELECT key FROM keys ORDER BY id")] == ["e", "f", "a", "b"]


# Retention


async def test_old_messages_leave_the_file(path, monkeypatch):
    """By number and by age, in every channel, and offsets go on where nothing is left."""
    now = [1_000_000.0]
    monkeypatch.setattr(clock, "time", lambda: now[0])
    async with opened(path) as engine:
        await engine.publish("many", [b"x"] * 500)
        await engine.publish("quiet", [b"x"] * 5)
        epoch = (await engine.open("quiet")).epoch
    async with opened(path, max_messages=100) as engine:
        await engine.publish("other", [b"x"])  # the first publish sweeps
    sizes = f"SELECT name, min(offset), max(offset), count(*) FROM {JOINED} GROUP BY id"
    assert in_file(path, sizes) == [("many", 401, 500, 100), ("quiet", 1, 5, 5), ("other", 1, 1, 1)]
    now[0] += 50
    async with opened(path, max_age=100) as engine:
        await engine.publish("many", [b"y"] * 10)
    now[0] += 60
    async with opened(path, max_age=100) as engine:
        log = await engine.open("other")
        await engine.publish("new", [b"x"])
        assert (log.first, log.last) == (2, 1)
        log = await engine.open("quiet")
        assert (log.first, log.last, log.epoch) == (6, 5, epoch)
        assert await engine.publish("quiet", [b"z"]) == 6
    assert in_file(path, sizes) == [("many", 501, 510, 10), ("quiet", 6, 6, 1), ("new", 1, 1, 1)]


async def test_what_is_too_large_together_leaves_the_file(path, monkeypatch):
    """The newest messages stay that have so many bytes, in memory and, after a sweep, in the file."""
    monkeypatch.setattr(sqlite_file, "_SWEEP_MESSAGES", 100)
    sizes = f"SELECT name, min(offset), max(offset), sum(length(data)) FROM {JOINED} GROUP BY id"
    async with opened(path, max_bytes=10_000) as engine:
        for n in range(300):
            await engine.publish("a", [b"x" * (n % 7 * 10)] * 5)
        log = await engine.open("a")
        assert 9_900 < log.size <= 10_000
        engine._thread.submit(engine._file._sweep).result()
        assert in_thread(engine, sizes) == [("a", log.first, 1_500, log.size)]
        await engine.publish("b", [b"x" * 100] * 20)
    async with opened(path, max_bytes=1_000) as engine:  # what was kept before may be too much now
        await engine.open("b")
        engine._thread.submit(engine._file._sweep).result()
        assert in_thread(engine, sizes) == [("a", log.first, 1_500, log.size), ("b", 11, 20, 1_000)]


async def test_the_file_stays_bounded_while_it_is_written(path, monkeypatch):
    """A sweep comes after so many messages, and one that had too much to do is followed by another."""
    monkeypatch.setattr(sqlite_file, "_SWEEP_MESSAGES", 100)
    monkeypatch.setattr(sqlite_file, "_SWEEP_LIMIT", 200)
    async with opened(path, max_messages=50) as engine:
        await engine.publish("a", [b"x"] * 1_000)
        for _ in range(200):
            await engine.publish("a", [b"x"] * 10)
        assert everything(await engine.open("a")).offset == 2_951
    ((first, last),) = in_file(path, "SELECT min(offset), max(offset) FROM messages")
    assert last == 3_000
    assert last - first < 50 + 100 + 20


async def test_a_sweep_does_not_take_long(path, monkeypatch):
    """It deletes so many messages at the most, and leaves the rest to the next one."""
    monkeypatch.setattr(sqlite_file, "_SWEEP_LIMIT", 200)
    async with opened(path, max_messages=50) as engine:
        await engine.publish("a", [b"x"] * 300)
        await engine.publish("b", [b"x"] * 300)
        for left in ([100, 300], [50, 150], [50, 50]):
            engine._thread.submit(engine._file._sweep).result()
            assert in_thread(engine, "SELECT count(*) FROM messages GROUP BY channel") == [(n,) for n in left]


async def test_a_sweep_that_fails_is_reported(path):
    """And publishing goes on."""
    async with opened(path, max_messages=1) as engine:
        in_thread(
            engine, "CREATE TEMP TRIGGER no BEFORE DELETE ON messages BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
        assert await engine.publish("a", [b"x"] * 3) == 3
        engine._file._sweep_at = 0.0, 0
        assert await engine.publish("a", [b"x"]) == 4
        ((where, error),) = take_errors()
        assert where.startswith("deleting old messages")
        assert str(error) == "no"
    assert in_file(path, "SELECT count(*) FROM messages") == [(4,)]


# Compacted channels


async def test_compacting_is_in_order_with_publishing(path):
    """In one commit and in several: what came before is in the one message, the rest follows it."""
    async with opened(path) as engine:
        log = await engine.open("a", compacted=True)
        commits = engine.statistics().commits
        answers = await asyncio.gather(
            engine.publish("a", [b"1", b"2"]),
            engine.compact("a", 2, b"1-2"),
            engine.publish("a", [b"3"], idempotency="k"),
            engine.compact("a", 3, b"1-3"),
            engine.publish("a", [b"4"]),
            engine.publish("a", [b"3"], idempotency="k"),
        )
        assert answers == [2, None, 3, None, 4, 3]
        assert engine.statistics() == (commits + 1, 4)
        assert (log.first, log.last, log.read(0).pieces) == (3, 4, [b"1-3", b"4"])
        before = everything(log)
    async with opened(path) as engine:
        await engine.compact("a", 4, b"1-4")  # without opening it first
        log = await engine.open("a")
        assert (log.compacted, log.epoch, everything(log)) == (
            True,
            log.epoch,
            (4, before.times[1:], [b"1-4"]),
        )
        assert await engine.publish("a", [b"5"]) == 5
    assert in_file(path, "SELECT offset, data FROM messages") == [(4, b"1-4"), (5, b"5")]


async def test_a_compaction_is_on_the_disk_before_anybody_reads_it(path):
    """As long as its transaction has not ended the log is as it was."""
    async with opened(path) as engine:
        log = await engine.open("a", compacted=True)
        await engine.publish("a", [b"1", b"2"])
        held, go = threading.Event(), threading.Event()
        engine._thread.submit(lambda: held.set() or go.wait(20))
        await asyncio.to_thread(held.wait, 20)
        compacting = asyncio.ensure_future(engine.compact("a", 2, b"1-2"))
        for _ in range(10):
            await asyncio.sleep(0)
        assert log.read(0).pieces == [b"1", b"2"]
        go.set()
        await compacting
        assert log.read(0).pieces == [b"1-2"]


@pytest.mark.parametrize("upto", [0, 1, 4])
async def test_what_is_not_there_cannot_be_compacted(path, upto):
    """Nor can other channels; nothing changes, and publishes in the same batch land."""
    async with opened(path) as engine:
        log = await engine.open("a", compacted=True)
        await engine.publish("a", [b"1", b"2"])
        await engine.compact("a", 2, b"1-2")
        await engine.publish("b", [b"1"])
        refused, offset, other = await asyncio.gather(
            engine.compact("a", upto, b"no"),
            engine.publish("a", [b"3"]),
            engine.compact("b", 1, b"no"),
            return_exceptions=True,
        )
        assert (type(refused), offset, type(other)) == (ValueError, 3, ValueError)
        assert log.read(0).pieces == [b"1-2", b"3"]
    assert in_file(path, "SELECT data FROM messages") == [(b"1-2",), (b"3",), (b"1",)]


async def test_a_compaction_that_cannot_be_written_changes_nothing(path):
    """Neither what is in memory nor the file; it is refused as a publish is, and may be tried again."""
    async with opened(path) as engine:
        log = await engine.open("a", compacted=True)
        await engine.publish("a", [b"1", b"2", b"3"])
        before = everything(log)
        in_thread(engine, "PRAGMA max_page_count = 10")
        with pytest.raises(Refused, match="cannot write") as refused:
            await engine.compact("a", 2, b"x" * 100_000)
        assert refused.value.code == "not_stored"
        assert everything(log) == before
        assert in_thread(engine, "SELECT data FROM messages") == [(b"1",), (b"2",), (b"3",)]
        in_thread(engine, "PRAGMA max_page_count = 1000000")
        await engine.compact("a", 2, b"x" * 100_000)
        assert log.read(0).pieces == [b"x" * 100_000, b"3"]


async def test_nothing_but_compaction_leaves_a_compacted_channel(path, monkeypatch):
    """However old, many or large its messages are, also while nobody has opened it since a restart."""
    now = [1_000_000.0]
    monkeypatch.setattr(clock, "time", lambda: now[0])
    limits = {"max_messages": 5, "max_bytes": 50, "max_age": 100.0}
    async with opened(path, **limits) as engine:
        log = await engine.open("kept", compacted=True)
        await engine.publish("kept", [b"0123456789"] * 20)
        await engine.publish("other", [b"x"] * 20)
        now[0] += 1_000
        await engine.publish("kept", [b"new"])
        engine._thread.submit(engine._file._sweep).result()
        before = everything(log)
        assert len(before.pieces) == 21
    count = f"SELECT name, count(*) FROM {JOINED} GROUP BY id"
    now[0] += 1_000
    async with opened(path, **limits) as engine:
        await engine.publish("new", [b"x"])  # the first publish sweeps
        engine._thread.submit(engine._file._sweep).result()
        assert in_thread(engine, count) == [("kept", 21), ("new", 1)]
        log = await engine.open("kept")
        assert log.compacted
        assert everything(log) == before
        await engine.publish("kept", [b"newer"])
        engine._thread.submit(engine._file._sweep).result()
        assert in_thread(engine, count) == [("kept", 22), ("new", 1)]


async def test_a_channel_of_the_file_may_become_compacted(path):
    """When it is opened as one; from then on it stays so."""
    async with opened(path) as engine:
        await engine.publish("a", [b"1", b"2"])
        assert not (await engine.open("a", compacted=True)).compacted  # it is in use already
    async with opened(path) as engine:
        assert (await engine.open("a", compacted=True)).compacted
        await engine.compact("a", 2, b"1-2")
    async with opened(path) as engine:
        log = await engine.open("a")
        assert (log.compacted, log.read(0).pieces) == (True, [b"1-2"])


async def test_the_file_stays_small_while_it_is_compacted(path, tmp_path):
    """What compaction frees is used again: with what is beside it, it has less than three times the size of a
    file that never had more than what is left.
    """
    piece = b"x" * 50_000
    async with opened(path) as engine:
        await engine.open("a", compacted=True)
        for _ in range(20):
            await asyncio.gather(*(engine.publish("a", [b"y" * 40]) for _ in range(500)))
            await engine.compact("a", (await engine.open("a")).last, piece)
        size = sum(file.stat().st_size for file in path.parent.glob("logs.db*"))
    fresh = tmp_path / "fresh.db"
    async with opened(fresh) as engine:
        await engine.publish("a", [piece])
    assert size < 3 * fresh.stat().st_size


async def test_a_file_beside_that_cannot_be_emptied_is_reported(path, monkeypatch):
    """And the compaction is done."""
    async with opened(path) as engine:
        log = await engine.open("a", compacted=True)
        await engine.publish("a", [b"1", b"2"])

        class Connection:
            def __init__(self, sql):
                self._sql = sql

            def __getattr__(self, name):
                return getattr(self._sql, name)

            def __enter__(self):
                return self._sql.__enter__()

            def __exit__(self, *error):
                return self._sql.__exit__(*error)

            def execute(self, statement, *values):
                if "checkpoint" in statement:
                    raise sqlite3.OperationalError("no room")
                return self._sql.execute(statement, *values)

        monkeypatch.setattr(engine._file, "sql", Connection(engine._file.sql))
        await engine.compact("a", 2, b"1-2")
        assert log.read(0).pieces == [b"1-2"]
        ((where, error),) = take_errors()
        assert where.startswith("moving the write-ahead log of")
        assert str(error) == "no room"


VERSION_1 = """
    CREATE TABLE channels (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, epoch TEXT NOT NULL,
        last INTEGER NOT NULL, time REAL NOT NULL
    );
    CREATE TABLE messages (
        channel INTEGER NOT NULL, offset INTEGER NOT NULL, time REAL NOT NULL, data BLOB NOT NULL,
        PRIMARY KEY (channel, offset)
    ) WITHOUT ROWID;
    CREATE TABLE keys (
        id INTEGER PRIMARY KEY, channel TEXT NOT NULL, key TEXT NOT NULL, last INTEGER NOT NULL
    );
    INSERT INTO channels VALUES (1, 'a', 'the epoch', 3, 5.0);
    INSERT INTO messages VALUES (1, 2, 4.0, x'32'), (1, 3, 5.0, x'33');
    INSERT INTO keys VALUES (1, 'a', 'k', 2);
    PRAGMA journal_mode = WAL;
    PRAGMA user_version = 1;
"""


async def test_a_file_of_version_1_is_gone_on_with(path):
    """All that it has is there, nothing in it is compacted, and it is of the present version afterwards."""
    with closing(sqlite3.connect(path)) as sql:
        sql.executescript(VERSION_1 + f"PRAGMA application_id = {sqlite_file.APPLICATION_ID};")
    for last in (4, 5):
        async with opened(path, max_age=float("inf")) as engine:
            assert await engine.publish("a", [b"2"], idempotency="k") == 2
            log = await engine.open("a")
            assert (log.epoch, log.first, log.compacted) == ("the epoch", 2, False)
            assert log.read(0).pieces[:2] == [b"2", b"3"]
            assert await engine.publish("a", [b"4"]) == last
            new = await engine.open("b", compacted=True)
            await engine.publish("b", [b"1"])
            await engine.compact("b", new.last, b"all")
    assert in_file(path, "PRAGMA user_version") == [(2,)]
    assert in_file(path, "SELECT name, compacted FROM channels") == [("a", 0), ("b", 1)]


# Errors while it runs


async def test_a_full_disk_is_told_and_mended(path):
    """Nothing half lands, and publishing goes on once there is room."""
    async with opened(path) as engine:
        assert await engine.publish("a", [b"1"]) == 1
        in_thread(engine, "PRAGMA max_page_count = 10")
        large = [b"x" * 10_000] * 10
        publishes = [engine.publish("a", large, idempotency="k"), engine.publish("b", large), engine.ping()]
        failures = await asyncio.gather(*publishes, return_exceptions=True)
        assert [type(failure) for failure in failures] == [Refused, Refused, type(None)]
        assert failures[0].code == "not_stored"
        assert str(failures[0]) == (
            "the server cannot write logs.db (database or disk is full): make room, or mend its disk"
        )
        log = await engine.open("a")
        assert log.last == 1
        small = [engine.publish("a", [b"2"]), engine.publish("a", large), engine.publish("a", [b"3"])]
        assert (await asyncio.gather(*small, return_exceptions=True))[::2] == [2, 3]  # these had room
        in_thread(engine, "PRAGMA max_page_count = 1000000")
        assert await engine.publish("a", large, idempotency="k") == 13
        assert log.read(0).pieces == [b"1", b"2", b"3", *large]
        assert (await engine.open("b")).last == 0
    async with opened(path) as engine:
        assert everything(await engine.open("a")) == everything(log)
        assert (await engine.open("b")).last == 0


async def test_a_disk_that_takes_nothing_fails_a_ping(path):
    """A ping writes."""
    async with opened(path) as engine:
        await engine.ping()
        in_thread(engine, "PRAGMA query_only = ON")
        with pytest.raises(Refused, match="cannot write"):
            await engine.ping()
        with pytest.raises(Refused, match="cannot write"):
            await engine.open("a")
        in_thread(engine, "PRAGMA query_only = OFF")
        await engine.ping()
        assert await engine.publish("a", [b"1"]) == 1


async def test_a_publish_that_cannot_be_written_does_not_harm_others(path):
    """Those that were in its batch land; it gets its own error."""
    async with opened(path) as engine:
        publishes = [
            engine.publish("a", [b"1"]),
            engine.publish("a", [b"2"], idempotency="\ud800"),
            engine.publish("a", [b"3"]),
        ]
        first, second, third = await asyncio.gather(*publishes, return_exceptions=True)
        assert (first, third) == (1, 2)
        assert isinstance(second, UnicodeEncodeError)
        assert (await engine.open("a")).read(0).pieces == [b"1", b"3"]


async def test_closing_writes_what_waits(path):
    """Afterwards there is no more publishing, and closing again does nothing."""
    engine = SqliteEngine(path)
    answers = [engine._submit(sqlite_file.Request("a", [b"%d" % n])) for n in range(50)]
    other = asyncio.create_task(engine.close())
    await engine.close()
    await other
    assert [answer.result() for answer in answers] == list(range(1, 51))
    for call in (engine.publish("a", [b"x"]), engine.open("a"), engine.ping()):
        with pytest.raises(Closed, match=r"logs\.db was closed"):
            await call
    await engine.close()
    async with opened(path) as again:
        assert (await again.open("a")).last == 50


async def test_a_close_that_is_cancelled_closes(path):
    """Whoever waits for it next finds it done."""
    engine = SqliteEngine(path)
    closing_ = asyncio.create_task(engine.close())
    await asyncio.sleep(0)
    closing_.cancel()
    await engine.close()
    async with opened(path):
        pass


# Opening


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("sqlite:///x.db", (100_000, 2**26, 604_800.0)),
        ("sqlite:///x.db?max_messages=5", (5, 2**26, 604_800.0)),
        ("sqlite:///x.db?max_age=1.5&max_messages=7&max_bytes=9", (7, 9, 1.5)),
        ("sqlite:///x.db?max_age=inf", (100_000, 2**26, float("inf"))),
    ],
)
async def test_a_url_names_a_file_and_options(url, options, tmp_path, monkeypatch):
    """Three slashes for one in the current folder, four for an absolute path."""
    monkeypatch.chdir(tmp_path)
    for each in (url, url.replace("x.db", f"{tmp_path}/y%20z.db")):
        engine = open_engine(each)
        assert isinstance(engine, SqliteEngine)
        log = await engine.open("a")
        assert (log.max_messages, log.max_bytes, log.max_age) == options
        await engine.publish("a", [b"x"])
        await engine.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.db", "y%20z.db"]
    assert repr(engine) == "SqliteEngine('y%20z.db')"


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("sqlite:", "names no file: use 'sqlite:///file.db'"),
        ("sqlite://", "names no file"),
        ("sqlite:///", "names no file"),
        ("sqlite:///:memory:", "or 'memory://' to keep nothing"),
        ("sqlite://x.db", "names no file"),
        ("sqlite:///x.db?max_message=1", "max_bytes=NUMBER and max_age=SECONDS, with &"),
        ("sqlite:///x.db?max_messages", "is not understood"),
        ("sqlite:///x.db?max_messages=many", "is not understood"),
        ("sqlite:///x.db?max_messages=0", "max_messages is 0: give a number above 0"),
        ("sqlite:///x.db?max_bytes=1.5", "is not understood"),
        ("sqlite:///x.db?max_bytes=0", "max_bytes is 0: give a number above 0"),
        ("sqlite:///x.db?max_age=-1", "max_age is -1.0: give a number above 0"),
        ("sqlite:///x.db?max_age=nan", "max_age is nan"),
        ("sqlite:///nowhere/x.db", "nowhere does not exist: make it, or choose another one"),
        ("sqlite3:///x.db", "there is no engine for .* use 'memory://' or 'sqlite:///file.db'"),
    ],
)
def test_a_url_that_does_not_do_is_refused(url, sentence, tmp_path, monkeypatch):
    """With a sentence that says how to write it; no file is made."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=sentence):
        open_engine(url)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", ["/proc/x.db", "/"])
def test_a_place_that_cannot_be_written_is_refused(path):
    """A folder that takes no files, and a folder."""
    with pytest.raises(ServeError, match=r"cannot write /.*: mend its rights"):
        SqliteEngine(path)


async def test_files_that_are_not_ours_are_refused(path):
    """And stay as they are: text, another program's database, a newer version's file, a damaged one."""
    path.write_text("Dear diary, " * 100)
    with pytest.raises(UsageError, match="is not a database: choose another file"):
        SqliteEngine(path)
    assert path.read_text() == "Dear diary, " * 100

    path.unlink()
    in_file(path, "CREATE TABLE cooking (recipe TEXT)")
    before = path.read_bytes()
    with pytest.raises(UsageError, match="is a database of another program"):
        SqliteEngine(path)
    assert path.read_bytes() == before

    path.unlink()
    await SqliteEngine(path).close()
    in_file(path, f"PRAGMA user_version = {sqlite_file.SCHEMA_VERSION + 1}")
    with pytest.raises(UsageError, match=r"version 3 of the file; this one knows 2\): update rtwidgets"):
        SqliteEngine(path)

    in_file(path, f"PRAGMA user_version = {sqlite_file.SCHEMA_VERSION}")
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    with pytest.raises(ServeError, match=r"is damaged .*: bring back a copy"):
        SqliteEngine(path)


async def test_an_empty_file_will_do(path):
    """As `mktemp` makes it, or a crash of the very first start leaves it."""
    path.touch()
    async with opened(path) as engine:
        assert await engine.publish("a", [b"1"]) == 1


OPENER = """
import sys
from rtwidgets.engines import SqliteEngine
try:
    SqliteEngine(sys.argv[1])
except Exception as error:
    print(f"{type(error).__name__}: {error}")
"""


def test_a_file_belongs_to_one_engine(path):
    """A second one is refused, in this process or another, until the first one is closed."""
    sentence = f"{path} is in use by another server or program: stop it, or choose another file"
    command = [sys.executable, "-c", OPENER, str(path)]
    with asyncio.Runner() as runner:
        engine = SqliteEngine(path)
        for offset in (1, 2):  # also after it has written
            with pytest.raises(ServeError) as refused:
                SqliteEngine(path)
            assert str(refused.value) == sentence
            ran = subprocess.run(command, capture_output=True, text=True, check=True)
            assert ran.stdout == f"ServeError: {sentence}\n"
            assert runner.run(engine.publish("a", [b"1"])) == offset
        runner.run(engine.close())
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ""
        engine = SqliteEngine(path)
        assert runner.run(engine.open("a")).last == 2
        runner.run(engine.close())


def test_an_engine_that_was_never_used_lets_go(path):
    """Of its thread and its file, when it is forgotten: a server may fail to start after it was made."""
    engine = SqliteEngine(path)
    (thread,) = engine._thread._threads
    del engine
    gc.collect()
    thread.join(20)
    assert not thread.is_alive()
    again = SqliteEngine(path)
    asyncio.run(again.close())


# Anything in any order

steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("publish"),
            st.lists(
                st.tuples(
                    st.sampled_from("ab"),
                    st.lists(st.binary(max_size=4), max_size=3),
                    st.sampled_from([None, "k", "l"]),
                ),
                min_size=1,
                max_size=6,
            ),
        ),
        st.tuples(st.just("restart"), st.none()),
    ),
    max_size=12,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
def test_a_file_keeps_what_a_list_would(tmp_path, steps):
    """Batches of publishes with and without keys, and restarts, agree with a list and a dict of keys."""
    path = tmp_path / f"{next(_numbers)}.db"
    lists, landed = {"a": [], "b": []}, {}

    async def scenario():
        engine = SqliteEngine(path)
        for kind, batch in steps:
            if kind == "restart":
                await engine.close()
                engine = SqliteEngine(path)
                continue
            answers = await asyncio.gather(
                *(engine.publish(channel, pieces, idempotency=key) for channel, pieces, key in batch)
            )
            for (channel, pieces, key), answer in zip(batch, answers, strict=True):
                if (channel, key) not in landed:
                    lists[channel] += pieces
                    landed[channel, key] = len(lists[channel])
                assert answer == landed[channel, key]
                if key is None:
                    del landed[channel, key]
            for channel, expected in lists.items():
                run = everything(await engine.open(channel))
                assert (run.offset, run.pieces) == (1, expected)
        await engine.close()

    asyncio.run(scenario())


_numbers = itertools.count()
