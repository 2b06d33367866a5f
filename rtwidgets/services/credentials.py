"""What is kept of users: their names, the hashes of their passwords, and their sessions. An SQLite file.

A session is what RFC 9700 (Best Current Practice for OAuth 2.0 Security, section 4.14.2) calls a family of
refresh tokens: each use of one gives the next, and only the newest is good. A refresh token is the session's
random name and a random secret, so an old one is told from a made-up one although only the newest is kept;
and it is kept as a SHA-256, which is of no use to who reads the file.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import secrets
import sqlite3
from pathlib import Path
from typing import NamedTuple

from rtwidgets.engines.sqlite_file import is_empty
from rtwidgets.errors import Refused, RtError, ServeError, UsageError

__all__ = ["Credentials", "User"]

APPLICATION_ID = 0x72744163  # "rtAc" in ASCII
SCHEMA_VERSION = 1

MAX_USERS = 100_000
"""Users of one file at the most."""
MAX_SESSIONS = 100
"""Sessions of one user at the most: a further one ends the one that was used the longest ago."""
SESSION_AGE = 30 * 86_400.0
"""Seconds after its last use that a session ends."""

_NAME_BYTES, _SECRET_BYTES = 16, 32
_BUSY_TIMEOUT = 5.0  # seconds to wait for another server that has the same file

_SCHEMA = [
    """CREATE TABLE users (
        id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, name TEXT NOT NULL, hash TEXT NOT NULL
    )""",
    """CREATE TABLE sessions (
        name BLOB PRIMARY KEY, user INTEGER NOT NULL REFERENCES users, newest BLOB NOT NULL,
        expires REAL NOT NULL
    ) WITHOUT ROWID""",
    "CREATE INDEX sessions_expire ON sessions (expires)",
    "CREATE INDEX sessions_of_user ON sessions (user, expires)",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
]

_logger = logging.getLogger("rtwidgets.accounts")


class User(NamedTuple):
    """A user: `name` is how it was written when it was registered, `hash` is of the password."""

    id: int
    name: str
    hash: str

    def __repr__(self) -> str:
        return f"User({self.name!r})"


class Credentials:
    """The file, or the same in memory. It belongs to the thread that opens it.

    Several servers of one machine may have the same file. All times are in seconds of Unix time.

    Parameters
    ----------
    path
        The file, which is made if it is not there; for its owner's eyes only. None is for memory.

    Raises
    ------
    UsageError
        When it is not one of ours, or of a newer version.
    ServeError
        When it cannot be opened or written.
    """

    def __init__(self, path: Path | None) -> None:
        try:
            if path is not None:
                # SQLite itself would let others read it.
                os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._sql = sqlite3.connect(path or ":memory:", timeout=_BUSY_TIMEOUT, isolation_level=None)
            try:
                self._prepare(path)
            except BaseException:
                self._sql.close()
                raise
        except (OSError, sqlite3.Error) as error:
            raise _cannot_open(path, error) from error

    def _prepare(self, path: Path | None) -> None:
        sql = self._sql
        with sql:
            sql.execute("BEGIN IMMEDIATE")
            advice = "choose another file for accounts"
            empty = is_empty(sql, path, APPLICATION_ID, SCHEMA_VERSION, advice=advice)
            for statement in _SCHEMA if empty else []:
                sql.execute(statement)
        if path is not None:
            sql.execute("PRAGMA journal_mode = WAL")
            for suffix in ("", "-wal", "-shm"):  # somebody may have copied it here for all to read
                with contextlib.suppress(FileNotFoundError):
                    Path(f"{path}{suffix}").chmod(0o600)
        sql.execute("PRAGMA synchronous = FULL")
        sql.execute("PRAGMA fullfsync = ON")  # on macOS a plain fsync stops in the drive's memory

    def close(self) -> None:
        """Let go of the file."""
        self._sql.close()

    # Users

    def find(self, key: str) -> User | None:
        """Return the user of a key, which is what names are compared by."""
        row = self._sql.execute("SELECT id, name, hash FROM users WHERE key = ?", (key,)).fetchone()
        return None if row is None else User(*row)

    def add(self, key: str, name: str, hash: str) -> User:
        """Add a user.

        Raises
        ------
        Refused
            When there is one with this key, or `MAX_USERS` of them.
        """
        new = "INSERT INTO users (key, name, hash) VALUES (?, ?, ?) ON CONFLICT (key) DO NOTHING"
        with self._sql:
            self._sql.execute("BEGIN IMMEDIATE")
            (count,) = self._sql.execute("SELECT count(*) FROM users").fetchone()
            if count >= MAX_USERS:
                raise Refused("full", f"this server has {MAX_USERS} users, and takes no more")
            cursor = self._sql.execute(new, (key, name, hash))
            if not cursor.rowcount:
                raise Refused("name_taken", f"somebody has the name {name!r} already: choose another one")
            assert cursor.lastrowid is not None
            return User(cursor.lastrowid, name, hash)

    def rehash(self, user: User, hash: str) -> None:
        """Put another hash of the same password in place of the one that was found."""
        self._sql.execute("UPDATE users SET hash = ? WHERE id = ? AND hash = ?", (hash, user.id, user.hash))

    # Sessions

    def begin(self, user: User, now: float) -> str:
        """Begin a session and return its first refresh token."""
        name = secrets.token_bytes(_NAME_BYTES)
        refresh = _make_refresh(name)
        others = "SELECT name FROM sessions WHERE user = ? ORDER BY expires DESC LIMIT -1 OFFSET ?"
        new = "INSERT INTO sessions (name, user, newest, expires) VALUES (?, ?, ?, ?)"
        with self._sql:
            self._sql.execute("BEGIN IMMEDIATE")
            self._sql.execute("DELETE FROM sessions WHERE expires <= ?", (now,))
            self._sql.execute(
                f"DELETE FROM sessions WHERE name IN ({others})",  # noqa: S608 (no value is in it)
                (user.id, MAX_SESSIONS - 1),
            )
            self._sql.execute(new, (_digest(name), user.id, _digest(refresh.encode()), now + SESSION_AGE))
        return refresh

    def rotate(self, refresh: str, now: float) -> tuple[str, str] | None:
        """Return the user's name and the next refresh token; None when this one is good for nothing.

        One that was good before ends its session: two have it, and nobody knows who of them is the thief.
        """
        name = _session_of(refresh)
        found = (
            "SELECT users.name, newest, expires FROM sessions JOIN users ON user = id WHERE sessions.name = ?"
        )
        with self._sql:
            self._sql.execute("BEGIN IMMEDIATE")
            row = self._sql.execute(found, (_digest(name),)).fetchone()
            if row is None:
                return None
            user, newest, expires = row
            again = newest != _digest(refresh.encode())
            if again or expires <= now:
                self._delete(name)
            else:
                following = _make_refresh(name)
                self._sql.execute(
                    "UPDATE sessions SET newest = ?, expires = ? WHERE name = ?",
                    (_digest(following.encode()), now + SESSION_AGE, _digest(name)),
                )
                return user, following
        if again:
            _logger.warning("a refresh token of %r was used again: its session was ended", user)
        return None

    def end(self, refresh: str) -> None:
        """End the session of a refresh token, if there is one."""
        self._delete(_session_of(refresh))

    def _delete(self, name: bytes) -> None:
        self._sql.execute("DELETE FROM sessions WHERE name = ?", (_digest(name),))


def _make_refresh(session: bytes) -> str:
    return (session + secrets.token_bytes(_SECRET_BYTES)).hex()


def _session_of(refresh: str) -> bytes:
    try:
        return bytes.fromhex(refresh)[:_NAME_BYTES]
    except ValueError:
        return b""  # no session has this name


def _digest(value: bytes) -> bytes:
    return hashlib.sha256(value).digest()


def _cannot_open(path: Path | None, error: OSError | sqlite3.Error) -> RtError:
    if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_NOTADB:
        return UsageError(f"{path} is not a database: choose another file for accounts")
    return ServeError(
        f"cannot open {path} for accounts ({error}): mend its rights or its disk, or choose another file"
    )
