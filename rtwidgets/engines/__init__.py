"""Where a channel's log lives. Floor 3: no network in here but an engine's own.

An engine keeps each channel's log somewhere (this process, a file, a database) and a recent tail of it in
this process' memory, as a `Log` that cursors read. `open_engine` makes one from its URL.
"""

from __future__ import annotations

from typing import Protocol

from rtwidgets.engines.log import Log, Run
from rtwidgets.engines.memory import MemoryEngine
from rtwidgets.engines.retention import split_url
from rtwidgets.engines.sqlite import SqliteEngine
from rtwidgets.errors import UsageError

__all__ = ["Engine", "Log", "MemoryEngine", "Run", "SqliteEngine", "open_engine"]


class Engine(Protocol):
    """What the hub asks of the place where logs live."""

    async def open(self, channel: str, *, compacted: bool = False) -> Log:
        """Return the log of a channel, making it if there is none. The same object each time.

        `compacted` counts on the first use of a channel: nothing leaves its log then but by `compact`.
        """

    async def publish(self, channel: str, pieces: list[bytes], *, idempotency: str | None = None) -> int:
        """Append encoded messages to a channel's log, all or none.

        Returns
        -------
        int
            The offset of the last one. When a publish with the same `idempotency` key has landed before,
            nothing is appended and its offset comes back.
        """

    async def compact(self, channel: str, upto: int, piece: bytes) -> None:
        """Put one encoded message in place of all up to an offset of a compacted channel, or fail as a whole.

        As safe as a publish when it returns, and in order with those. See `Log.compact`.
        """

    async def ping(self) -> None:
        """Go to where the logs live and back; raises when that fails."""

    async def close(self) -> None:
        """Let go of everything."""


def open_engine(url: str) -> Engine:
    """Make the engine that a URL names: ``memory://``, or ``sqlite:///file.db`` as `SqliteEngine` reads it.

    How much of each channel is kept may follow: ``memory://?max_messages=200000&max_bytes=100000000&max_age=3600``.

    Raises
    ------
    UsageError
        When there is no engine for the URL's scheme, or the URL does not say what that engine needs.
    ServeError
        When the engine's file cannot be used.
    """
    if url.partition("?")[0] == "memory://":
        _, limits = split_url(url)
        return MemoryEngine(**limits)
    if url.startswith("sqlite:"):
        return SqliteEngine.from_url(url)
    raise UsageError(f"there is no engine for {url!r}: use 'memory://' or 'sqlite:///file.db'")
