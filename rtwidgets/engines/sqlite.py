"""`sqlite:///file.db`: logs that outlive the process, in one file of this machine.

A publish is answered once it is on the disk. All that waits while the disk is busy is committed together
(group commit), so that many publishers share the price of one `fsync`. What was committed enters the logs in
this process' memory afterwards, in the same order: nobody reads what a power cut could take back.
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
import time
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qsl

from rtwidgets.engines.log import Log
from rtwidgets.errors import Closed, Refused, RtError, ServeError, UsageError
from rtwidgets.loop import report

__all__ = ["SqliteEngine", "Statistics"]

APPLICATION_ID = 0x72744C67  # "rtLg" in ASCII
SCHEMA_VERSION = 1

WEEK = 7 * 86_400.0  # in seconds

# `last` and `time` of a channel are its newest message's, and stay when retention has deleted all of them.
_SCHEMA = f"""
    BEGIN;
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
    PRAGMA application_id = {APPLICATION_ID};
    PRAGMA user_version = {SCHEMA_VERSION};
    COMMIT;
"""

_INSERT = "INSERT INTO messages (channel, offset, time, data) VALUES "
_INSERT_KEY = "INSERT INTO keys (channel, key, last) VALUES "
_ROWS_AT_ONCE = 100  # in one statement
# What is as it was stays unwritten: or else opening a channel would cost an fsync.
_UPDATE = "UPDATE channels SET last = ?, time = ? WHERE id = ? AND last <> ?"
_TOUCH = f"PRAGMA user_version = {SCHEMA_VERSION}"  # is written, though it changes nothing
_KEYS_KEPT = 10_000
_SWEEP_INTERVAL = 60.0  # seconds between two sweeps of old messages,
_SWEEP_MESSAGES = 10_000  # or so many messages, whichever comes first
_SWEEP_LIMIT = 20_000  # messages that a sweep deletes at the most: publishers wait for it


class Statistics(NamedTuple):
    """What an engine has done since it was opened.

    Attributes
    ----------
    commits
        Transactions that wrote messages or made channels.
    messages
        Messages that they appended.
    """

    commits: int
    messages: int


class _Request(NamedTuple):
    """A publish that waits. Without pieces it opens the channel; without a channel it only tries the disk."""

    channel: str | None
    pieces: list[bytes]
    key: str | None
    answer: asyncio.Future[int]


class _Landed(NamedTuple):
    """A request's last offset, when something was appended if it was, and the log if it was opened."""

    offset: int
    time: float | None = None
    log: Log | None = None


class _Head(NamedTuple):
    """A channel's number in the file, and its newest message's offset and time."""

    id: int
    last: int
    time: float


class SqliteEngine:
    """Logs in an SQLite file. It belongs to one engine at a time, and the engine to the loop that uses it.

    A channel's newest messages are in memory too, as a `Log`. After a restart they are there again, with
    their epoch, offsets and times, so that clients go on where they were.

    Parameters
    ----------
    path
        The file; made if it is not there. While it is open, and after a crash, a file with ``-wal`` at the
        end of its name belongs to it. Not on a network drive, where locks may not hold.
    max_messages, max_age
        How many messages of each channel the file keeps, and for how many seconds (`math.inf` is for ever).
        What is beyond is deleted now and then, and its room in the file used again, while something is
        published: each minute, or 10 000 messages. Of idempotency keys the file keeps the newest 10 000.

    Raises
    ------
    UsageError
        When the file is not one of ours, or of a newer version, or in a folder that does not exist; or when
        a number is not above 0.
    ServeError
        When the file is in use, is damaged, or cannot be written.
    """

    def __init__(self, path: str | Path, *, max_messages: int = 100_000, max_age: float = WEEK) -> None:
        for name, value in {"max_messages": max_messages, "max_age": max_age}.items():
            if not value > 0:  # nan is not either
                raise UsageError(f"{name} is {value}: give a number above 0")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rtwidgets-sqlite")
        try:
            self._file = self._thread.submit(_File, Path(path).absolute(), max_messages, max_age).result()
        except BaseException:
            self._thread.shutdown()
            raise
        self._logs: dict[str, Log] = {}
        self._waiting: list[_Request] = []
        self._busy = False
        self._ended: asyncio.Future[None] | None = None

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Make the engine of a URL such as ``sqlite:///file.db?max_messages=1000&max_age=3600``.

        Three slashes go before a path that begins in the current folder, four before an absolute one. The
        path is taken as it is written, without %-escapes. Raises a UsageError for other URLs and options.
        """
        place, _, query = url.partition("?")
        path = place.removeprefix("sqlite:///")
        if path in {place, "", ":memory:"}:
            raise UsageError(
                f"{url!r} names no file: use 'sqlite:///file.db' for one in this folder, "
                "'sqlite:////folder/file.db' for one elsewhere, or 'memory://' to keep nothing"
            )
        kinds: dict[str, Any] = {"max_messages": int, "max_age": float}
        try:
            given = parse_qsl(query, strict_parsing=True) if query else []
            options = {name: kinds[name](text) for name, text in given}
        except (KeyError, ValueError) as error:
            raise UsageError(
                f"{query!r} at the end of {url!r} is not understood: "
                "the options are max_messages=NUMBER and max_age=SECONDS, with & in between"
            ) from error
        return cls(path, **options)

    def __repr__(self) -> str:
        return f"SqliteEngine({self._file.path.name!r})"

    async def open(self, channel: str) -> Log:
        """Return the log of a channel, making it if there is none. The same object each time.

        Raises what `publish` does.
        """
        if channel not in self._logs or self._ended is not None:
            await self._submit(channel, [])
        return self._logs[channel]

    async def publish(self, channel: str, pieces: list[bytes], *, idempotency: str | None = None) -> int:
        """Append encoded messages, all or none, and return the last one's offset once they are on the disk.

        A key that is known appends nothing. A publish that is cancelled while it waits may land nevertheless.

        Raises
        ------
        Refused
            When the file cannot be written, as on a full disk: nothing was appended.
        Closed
            After `close`.
        """
        return await self._submit(channel, pieces, idempotency)

    async def ping(self) -> None:
        """Write to the disk; raises what `publish` does."""
        await self._submit(None, [])

    async def close(self) -> None:
        """Write what waits, then let go of the file."""
        if self._ended is None:
            self._ended = asyncio.get_running_loop().create_future()
            self._wake()
        await asyncio.shield(self._ended)

    def statistics(self) -> Statistics:
        """Return counts of what was written."""
        return Statistics(self._file.commits, self._file.messages)

    # One batch at a time is with the thread; what comes meanwhile is the next one. These are callbacks and
    # not a task because a task may be cancelled, and the logs would then lack what the file has.

    def _submit(
        self, channel: str | None, pieces: list[bytes], key: str | None = None
    ) -> asyncio.Future[int]:
        if self._ended is not None:
            raise Closed(f"{self._file.path.name} was closed: make another engine to go on with it")
        answer = asyncio.get_running_loop().create_future()
        self._waiting.append(_Request(channel, pieces, key, answer))
        self._wake()
        return answer

    def _wake(self) -> None:
        if not self._busy:
            self._busy = True
            # Soon and not now: whoever else is about to publish gets into the same batch.
            asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        loop = asyncio.get_running_loop()
        if self._waiting:
            batch, self._waiting = self._waiting, []
            work = loop.run_in_executor(self._thread, self._file.commit, batch)
            work.add_done_callback(partial(self._land, batch))
        elif self._ended is not None:
            loop.run_in_executor(self._thread, self._file.sql.close).add_done_callback(self._end)
        else:
            self._busy = False

    def _land(self, batch: list[_Request], work: asyncio.Future[list[_Landed | Exception]]) -> None:
        for (channel, pieces, _, answer), landed in zip(batch, work.result(), strict=True):
            if isinstance(landed, Exception):
                if not answer.done():  # as it is when its publish was cancelled
                    answer.set_exception(landed)
                continue
            if channel is not None and landed.log is not None:
                self._logs[channel] = landed.log
            if channel is not None and landed.time is not None:
                self._logs[channel].append(pieces, at=landed.time)
            if not answer.done():
                answer.set_result(landed.offset)
        # After those who were answered: they may publish again.
        asyncio.get_running_loop().call_soon(self._next)

    def _end(self, work: asyncio.Future[None]) -> None:
        assert self._ended is not None
        self._thread.shutdown()  # it has nothing more to do, so this waits for a moment only
        self._logs.clear()
        if (error := work.exception()) is None:
            self._ended.set_result(None)
        else:
            self._ended.set_exception(error)


class _File:
    """The file. All of it happens on the engine's thread, but for a look at its counts."""

    def __init__(self, path: Path, max_messages: int, max_age: float) -> None:
        self.path = path
        self.commits = 0
        self.messages = 0
        self._max_messages = min(max_messages, 2**62)  # SQLite's numbers have 64 bits
        self._max_age = max_age
        self._heads: dict[str, _Head] = {}
        self._sweep_at = 0.0, 0  # a time of the monotonic clock, and a number of messages
        try:
            if not path.parent.is_dir():
                raise UsageError(f"the folder {path.parent} does not exist: make it, or choose another one")
            # No waiting for a lock: who has it keeps it for long.
            self.sql = sqlite3.connect(path, timeout=0.0, isolation_level=None)
            try:
                self._prepare()
                newest = "SELECT channel, key, last FROM keys ORDER BY id DESC LIMIT ?"
                keys = self.sql.execute(newest, (_KEYS_KEPT,)).fetchall()
            except BaseException:
                self.sql.close()
                raise
        except (OSError, sqlite3.Error) as error:
            raise _cannot_open(path, error) from error
        self._keys = OrderedDict(((channel, key), last) for channel, key, last in reversed(keys))

    def _prepare(self) -> None:
        sql = self.sql
        # The lock is kept until the end: two engines would give out the same offsets.
        sql.execute("PRAGMA locking_mode = EXCLUSIVE")
        sql.execute("BEGIN EXCLUSIVE")
        (application,) = sql.execute("PRAGMA application_id").fetchone()
        (version,) = sql.execute("PRAGMA user_version").fetchone()
        (tables,) = sql.execute("SELECT count(*) FROM sqlite_master").fetchone()
        sql.execute("COMMIT")
        empty = application == version == tables == 0
        if application != APPLICATION_ID and not empty:
            raise UsageError(f"{self.path} is a database of another program: choose another file")
        if version > SCHEMA_VERSION:
            raise UsageError(
                f"{self.path} is of a newer rtwidgets (version {version} of the file; this one knows "
                f"{SCHEMA_VERSION}): update rtwidgets, or choose another file"
            )
        sql.execute("PRAGMA journal_mode = WAL")
        sql.execute("PRAGMA synchronous = FULL")
        sql.execute("PRAGMA fullfsync = ON")  # on macOS a plain fsync stops in the drive's memory
        if empty:
            sql.executescript(_SCHEMA)

    def commit(self, batch: list[_Request]) -> list[_Landed | Exception]:
        """Carry out requests in one transaction, in their order; return what became of each."""
        try:
            if time.monotonic() > self._sweep_at[0] or self.messages > self._sweep_at[1]:
                self._sweep()
            return self._transact(batch)
        except Exception as error:  # noqa: BLE001 - handed to who asked; the thread goes on
            if len(batch) > 1:  # one of them may be at fault: the others shall not suffer for it
                return [landed for request in batch for landed in self.commit([request])]
            if isinstance(error, sqlite3.Error):
                # A client may read this: no path is in it.
                reason = f"the server cannot write {self.path.name} ({error}): make room, or mend its disk"
                error = Refused("not_stored", reason)
            return [error]

    def _transact(self, batch: list[_Request]) -> list[_Landed | Exception]:
        heads: dict[str, _Head] = {}
        keys: dict[tuple[str, str], int] = {}
        rows: list[tuple[int, int, float, bytes]] = []
        answers: list[_Landed | Exception] = []
        before = self.sql.total_changes
        with self.sql:  # commits, or rolls back
            self.sql.execute("BEGIN IMMEDIATE")
            for channel, pieces, key, _ in batch:
                if channel is None:
                    self.sql.execute(_TOUCH)
                    answers.append(_Landed(0))
                    continue
                log = None
                head = heads.get(channel) or self._heads.get(channel)
                if head is None:
                    head, log = self._load(channel)
                    heads[channel] = head
                offset = None
                if key is not None:
                    offset = keys.get((channel, key), self._keys.get((channel, key)))
                if offset is not None or not pieces:
                    answers.append(_Landed(head.last if offset is None else offset, None, log))
                else:
                    now = max(time.time() * 1000.0, head.time)
                    rows += [(head.id, n, now, piece) for n, piece in enumerate(pieces, head.last + 1)]
                    heads[channel] = head = _Head(head.id, head.last + len(pieces), now)
                    answers.append(_Landed(head.last, now, log))
                if key is not None and offset is None:
                    keys[channel, key] = head.last
            self._insert(_INSERT, rows)
            self._insert(_INSERT_KEY, [(*key, last) for key, last in keys.items()])
            self.sql.executemany(_UPDATE, [(last, at, id_, last) for id_, last, at in heads.values()])
        self._heads |= heads
        self._keys |= keys
        while len(self._keys) > _KEYS_KEPT:
            self._keys.popitem(last=False)
        self.messages += len(rows)
        self.commits += self.sql.total_changes > before
        return answers

    def _insert(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        # Many in one statement: each lets go of the interpreter's lock, and while a cell runs Python it takes
        # 5 ms to get it back.
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            some = rows[start : start + _ROWS_AT_ONCE]
            marks = f"({', '.join('?' * len(some[0]))})"
            self.sql.execute(statement + ", ".join([marks] * len(some)), [*chain.from_iterable(some)])

    def _load(self, channel: str) -> tuple[_Head, Log]:
        """Return a channel's head, and its log with the newest messages; make it if there is none."""
        found = "SELECT id, last, time, epoch FROM channels WHERE name = ?"
        row = self.sql.execute(found, (channel,)).fetchone()
        if row is None:
            new = "INSERT INTO channels (name, epoch, last, time) VALUES (?, ?, 0, 0)"
            self.sql.execute(new, (channel, secrets.token_hex(8)))
            row = self.sql.execute(found, (channel,)).fetchone()
        *place, epoch = row
        head, log = _Head(*place), Log(epoch=epoch)
        newest = "SELECT time, data FROM messages WHERE channel = ? ORDER BY offset DESC LIMIT ?"
        log.restore(head.last, self.sql.execute(newest, (head.id, log.max_messages)))
        return head, log

    def _sweep(self) -> None:
        """Delete what is too old or too much, but not for long: the rest is for the next time."""
        oldest = time.time() * 1000.0 - self._max_age * 1000.0
        left = _SWEEP_LIMIT
        try:
            with self.sql:
                self.sql.execute("BEGIN IMMEDIATE")
                keys = "DELETE FROM keys WHERE id <= (SELECT max(id) FROM keys) - ?"
                self.sql.execute(keys, (_KEYS_KEPT,))
                begins = self.sql.execute(
                    "SELECT id, last, offset FROM channels JOIN messages ON channel = id AND offset = "
                    "(SELECT min(offset) FROM messages WHERE channel = id) "
                    "WHERE offset <= last - ? OR messages.time < ?",
                    (self._max_messages, oldest),
                ).fetchall()
                for id_, last, first in begins:
                    left -= self.sql.execute(
                        "DELETE FROM messages WHERE channel = ? AND offset < ? AND (offset <= ? OR time < ?)",
                        (id_, first + left, last - self._max_messages, oldest),
                    ).rowcount
        except sqlite3.Error as error:
            report(f"deleting old messages from {self.path}", error)
        interval = _SWEEP_INTERVAL if left else 1.0
        self._sweep_at = time.monotonic() + interval, self.messages + _SWEEP_MESSAGES


def _cannot_open(path: Path, error: OSError | sqlite3.Error) -> RtError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest of it says more than is asked here
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return ServeError(f"{path} is in use by another server or program: stop it, or choose another file")
    if code == sqlite3.SQLITE_NOTADB:
        return UsageError(f"{path} is not a database: choose another file")
    if code == sqlite3.SQLITE_CORRUPT:
        return ServeError(f"{path} is damaged ({error}): bring back a copy, or move it away to begin anew")
    return ServeError(f"cannot write {path} ({error}): mend its rights or its disk, or choose another file")
