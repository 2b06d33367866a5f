"""The file of the engine `sqlite:///file.db`: its tables, its transactions, and what leaves it.

All of it happens on one thread, the engine's, which hands over what waits and takes what became of it.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections import OrderedDict
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from rtwidgets.engines.log import Log
from rtwidgets.engines.retention import Retention
from rtwidgets.errors import Refused, RtError, ServeError, UsageError
from rtwidgets.loop import report

__all__ = ["File", "Landed", "Request", "is_empty"]

APPLICATION_ID = 0x72744C67  # "rtLg" in ASCII
SCHEMA_VERSION = 2

# `last` and `time` of a channel are its newest message's, and stay when retention has deleted all of them,
# which it does not in one that is `compacted`.
_SCHEMA = f"""
    BEGIN;
    CREATE TABLE channels (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, epoch TEXT NOT NULL,
        last INTEGER NOT NULL, time REAL NOT NULL, compacted INTEGER NOT NULL DEFAULT 0
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
_TOUCH = f"PRAGMA user_version = {SCHEMA_VERSION}"  # is written, also where it changes nothing
_DELETE = "DELETE FROM messages WHERE channel = ? AND offset < ? AND (offset < ? OR time < ?)"
_KEYS_KEPT = 10_000
_SWEEP_INTERVAL = 60.0  # seconds between two sweeps of old messages,
_SWEEP_MESSAGES = 10_000  # or so many messages, whichever comes first
_SWEEP_LIMIT = 20_000  # messages that a sweep deletes at the most: publishers wait for it


class Request(NamedTuple):
    """A publish that waits. Without pieces it opens the channel; without a channel it only tries the disk.

    With `upto` its one piece takes the place of all messages up to that offset.
    """

    channel: str | None
    pieces: list[bytes]
    key: str | None = None
    compacted: bool = False
    upto: int | None = None


class Landed(NamedTuple):
    """A request's last offset, when something was appended if it was, and the log if it was opened."""

    offset: int
    time: float | None = None
    log: Log | None = None


class _Head(NamedTuple):
    """A channel's number in the file, its newest message's offset and time, and whether it is compacted."""

    id: int
    last: int
    time: float
    compacted: bool


class File:
    """The file. All of it happens on the engine's thread, but for a look at its counts, and for `firsts`."""

    def __init__(self, path: Path, retention: Retention) -> None:
        self.path = path
        self.commits = 0
        self.messages = 0
        self.firsts: dict[str, int] = {}
        """By channel, the first offset that its log has still: the loop says so, and a sweep follows."""
        self._retention = retention
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
        empty = is_empty(sql, self.path, APPLICATION_ID, SCHEMA_VERSION, advice="choose another file")
        if not empty and sql.execute("PRAGMA user_version").fetchone() == (1,):
            sql.execute("ALTER TABLE channels ADD COLUMN compacted INTEGER NOT NULL DEFAULT 0")
            sql.execute(_TOUCH)
        sql.execute("COMMIT")
        sql.execute("PRAGMA journal_mode = WAL")
        sql.execute("PRAGMA synchronous = FULL")
        sql.execute("PRAGMA fullfsync = ON")  # on macOS a plain fsync stops in the drive's memory
        if empty:
            sql.executescript(_SCHEMA)

    def commit(self, batch: list[Request]) -> list[Landed | Exception]:
        """Carry out requests in one transaction, in their order; return what became of each."""
        try:
            if time.monotonic() > self._sweep_at[0] or self.messages > self._sweep_at[1]:
                self._sweep()
            answers = self._transact(batch)
        except Exception as error:  # noqa: BLE001 - handed to who asked; the thread goes on
            if len(batch) > 1:  # one of them may be at fault: the others shall not suffer for it
                return [landed for request in batch for landed in self.commit([request])]
            if isinstance(error, sqlite3.Error):
                # A client may read this: no path is in it.
                reason = f"the server cannot write {self.path.name} ({error}): make room, or mend its disk"
                error = Refused("not_stored", reason)
            return [error]
        if any(request.upto is not None for request in batch):
            self._checkpoint()
        return answers

    def _transact(self, batch: list[Request]) -> list[Landed | Exception]:
        heads: dict[str, _Head] = {}
        keys: dict[tuple[str, str], int] = {}
        rows: list[tuple[int, int, float, bytes]] = []
        answers: list[Landed | Exception] = []
        appended = 0
        before = self.sql.total_changes
        with self.sql:  # commits, or rolls back
            self.sql.execute("BEGIN IMMEDIATE")
            for channel, pieces, key, compacted, upto in batch:
                if channel is None:
                    self.sql.execute(_TOUCH)
                    answers.append(Landed(0))
                    continue
                log = None
                head = heads.get(channel) or self._heads.get(channel)
                if head is None:
                    head, log = self._load(channel, compacted=compacted)
                    heads[channel] = head
                if upto is not None:
                    self._insert(_INSERT, rows)  # those before it in the batch
                    appended += len(rows)
                    rows.clear()
                    self._compact(head, upto, pieces[0])
                    answers.append(Landed(upto, None, log))
                    continue
                offset = None
                if key is not None:
                    offset = keys.get((channel, key), self._keys.get((channel, key)))
                if offset is not None or not pieces:
                    answers.append(Landed(head.last if offset is None else offset, None, log))
                else:
                    now = max(time.time() * 1000.0, head.time)
                    rows += [(head.id, n, now, piece) for n, piece in enumerate(pieces, head.last + 1)]
                    heads[channel] = head = head._replace(last=head.last + len(pieces), time=now)
                    answers.append(Landed(head.last, now, log))
                if key is not None and offset is None:
                    keys[channel, key] = head.last
            self._insert(_INSERT, rows)
            self._insert(_INSERT_KEY, [(*key, last) for key, last in keys.items()])
            self.sql.executemany(_UPDATE, [(last, at, id_, last) for id_, last, at, _ in heads.values()])
        self._heads |= heads
        self._keys |= keys
        while len(self._keys) > _KEYS_KEPT:
            self._keys.popitem(last=False)
        self.messages += appended + len(rows)
        self.commits += self.sql.total_changes > before
        return answers

    def _insert(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        # Many in one statement: each lets go of the interpreter's lock, and while a cell runs Python it takes
        # 5 ms to get it back.
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            some = rows[start : start + _ROWS_AT_ONCE]
            marks = f"({', '.join('?' * len(some[0]))})"
            self.sql.execute(statement + ", ".join([marks] * len(some)), [*chain.from_iterable(some)])

    def _compact(self, head: _Head, upto: int, piece: bytes) -> None:
        at = "SELECT time FROM messages WHERE channel = ? AND offset = ?"
        row = self.sql.execute(at, (head.id, upto)).fetchone()
        if row is None or not head.compacted:
            raise ValueError(f"cannot compact up to {upto}: there is no such message, or it is not that kind")
        # First the old ones, so that the new one has their pages in the file.
        self.sql.execute("DELETE FROM messages WHERE channel = ? AND offset <= ?", (head.id, upto))
        self._insert(_INSERT, [(head.id, upto, *row, piece)])

    def _checkpoint(self) -> None:
        """Move what is in the file beside this one into it, and cut that to nothing."""
        try:
            self.sql.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as error:  # what was committed is safe nevertheless
            report(f"moving the write-ahead log of {self.path} into it", error)

    def _load(self, channel: str, *, compacted: bool) -> tuple[_Head, Log]:
        """Return a channel's head, and its log with the newest messages; make it if there is none."""
        found = "SELECT id, last, time, compacted, epoch FROM channels WHERE name = ?"
        row = self.sql.execute(found, (channel,)).fetchone()
        if row is None:
            new = "INSERT INTO channels (name, epoch, last, time) VALUES (?, ?, 0, 0)"
            self.sql.execute(new, (channel, secrets.token_hex(8)))
            row = self.sql.execute(found, (channel,)).fetchone()
        id_, last, at, marked, epoch = row
        if compacted and not marked:
            self.sql.execute("UPDATE channels SET compacted = 1 WHERE id = ?", (id_,))
        head = _Head(id_, last, at, compacted=bool(compacted or marked))
        log = self._retention.log(epoch, compacted=head.compacted)
        newest = "SELECT time, data FROM messages WHERE channel = ? ORDER BY offset DESC"
        log.restore(head.last, self.sql.execute(newest, (head.id,)))
        return head, log

    def _sweep(self) -> None:
        """Delete what is too old or too much, but not for long: the rest is for the next time."""
        oldest = time.time() * 1000.0 - self._retention.max_age * 1000.0
        firsts = self.firsts.copy()  # at once: the loop may go on meanwhile
        left = _SWEEP_LIMIT
        try:
            with self.sql:
                self.sql.execute("BEGIN IMMEDIATE")
                keys = "DELETE FROM keys WHERE id <= (SELECT max(id) FROM keys) - ?"
                self.sql.execute(keys, (_KEYS_KEPT,))
                begins = self.sql.execute(
                    "SELECT id, name, last, offset, messages.time FROM channels JOIN messages "
                    "ON channel = id AND offset = (SELECT min(offset) FROM messages WHERE channel = id) "
                    "WHERE NOT compacted"
                ).fetchall()
                for id_, name, last, first, at in begins:
                    kept = max(last - self._retention.max_messages + 1, firsts.get(name, 0))
                    if first < kept or at < oldest:
                        left -= self.sql.execute(_DELETE, (id_, first + left, kept, oldest)).rowcount
        except sqlite3.Error as error:
            report(f"deleting old messages from {self.path}", error)
        interval = _SWEEP_INTERVAL if left else 1.0
        self._sweep_at = time.monotonic() + interval, self.messages + _SWEEP_MESSAGES


def is_empty(
    sql: sqlite3.Connection, path: Path | None, application: int, version: int, *, advice: str
) -> bool:
    """Whether a database is new, and has no tables yet.

    Parameters
    ----------
    sql, path
        The database, in a transaction, and what it is called.
    application, version
        Its application id and the newest version of its schema that is known.
    advice
        What to do with one that is of no use.

    Raises
    ------
    UsageError
        When it is another program's, or of a newer version.
    """
    (its_application,) = sql.execute("PRAGMA application_id").fetchone()
    (its_version,) = sql.execute("PRAGMA user_version").fetchone()
    (tables,) = sql.execute("SELECT count(*) FROM sqlite_master").fetchone()
    empty: bool = its_application == its_version == tables == 0
    if its_application != application and not empty:
        raise UsageError(f"{path} is a database of another program: {advice}")
    if its_version > version:
        raise UsageError(
            f"{path} is of a newer rtwidgets (version {its_version} of the file; this one knows {version}): "
            f"update rtwidgets, or {advice}"
        )
    return empty


def _cannot_open(path: Path, error: OSError | sqlite3.Error) -> RtError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest of it says more than is asked here
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return ServeError(f"{path} is in use by another server or program: stop it, or choose another file")
    if code == sqlite3.SQLITE_NOTADB:
        return UsageError(f"{path} is not a database: choose another file")
    if code == sqlite3.SQLITE_CORRUPT:
        return ServeError(f"{path} is damaged ({error}): bring back a copy, or move it away to begin anew")
    return ServeError(f"cannot write {path} ({error}): mend its rights or its disk, or choose another file")
