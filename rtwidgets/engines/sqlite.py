"""`sqlite:///file.db`: logs that outlive the process, in one file of this machine.

A publish is answered once it is on the disk. All that waits while the disk is busy is committed together
(group commit), so that many publishers share the price of one `fsync`. What was committed enters the logs in
this process' memory afterwards, in the same order: nobody reads what a power cut could take back.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple, Self

from rtwidgets.engines.log import Log
from rtwidgets.engines.retention import Retention, split_url
from rtwidgets.engines.sqlite_file import File, Landed, Request
from rtwidgets.errors import Closed, UsageError

__all__ = ["SqliteEngine", "Statistics"]

WEEK = 7 * 86_400.0  # in seconds


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


class SqliteEngine:
    """Logs in an SQLite file. It belongs to one engine at a time, and the engine to the loop that uses it.

    What the file keeps of a channel is in memory too from its first use on, as a `Log`: after a restart it is
    there again, with its epoch, offsets and times, so that clients go on where they were.

    Parameters
    ----------
    path
        The file; made if it is not there. While it is open, and after a crash, a file with ``-wal`` at the
        end of its name belongs to it. Not on a network drive, where locks may not hold.
    max_messages, max_bytes, max_age
        How much of each channel is kept: messages, bytes of encoded data, seconds (`math.inf` is for ever).
        What is beyond leaves the file now and then, and its room is used again, while something is published:
        each minute, or 10 000 messages. A channel that is not in use is held to the number and the age only.
        Of idempotency keys the file keeps the newest 10 000. A compacted channel, which the file knows as
        one from then on, keeps all.

    Raises
    ------
    UsageError
        When the file is not one of ours, or of a newer version, or in a folder that does not exist; or when
        a number is not above 0.
    ServeError
        When the file is in use, is damaged, or cannot be written.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        max_messages: int = 100_000,
        max_bytes: int = 64 * 2**20,
        max_age: float = WEEK,
    ) -> None:
        retention = Retention(max_messages, max_bytes, max_age)
        retention.check()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rtwidgets-sqlite")
        try:
            self._file = self._thread.submit(File, Path(path).absolute(), retention).result()
        except BaseException:
            self._thread.shutdown()
            raise
        self._logs: dict[str, Log] = {}
        self._waiting: list[tuple[Request, asyncio.Future[int]]] = []
        self._busy = False
        self._ended: asyncio.Future[None] | None = None

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Make the engine of a URL such as ``sqlite:///file.db?max_messages=1000&max_age=3600``.

        Three slashes go before a path that begins in the current folder, four before an absolute one. The
        path is taken as it is written, without %-escapes. Raises a UsageError for other URLs and options.
        """
        place, options = split_url(url)
        path = place.removeprefix("sqlite:///")
        if path in {place, "", ":memory:"}:
            raise UsageError(
                f"{url!r} names no file: use 'sqlite:///file.db' for one in this folder, "
                "'sqlite:////folder/file.db' for one elsewhere, or 'memory://' to keep nothing"
            )
        return cls(path, **options)

    def __repr__(self) -> str:
        return f"SqliteEngine({self._file.path.name!r})"

    async def open(self, channel: str, *, compacted: bool = False) -> Log:
        """Return the log of a channel, making it if there is none. The same object each time.

        On the first use in this process `compacted` makes it a compacted channel, for good: one that is
        marked so in the file stays so. Raises what `publish` does.
        """
        if channel not in self._logs or self._ended is not None:
            await self._submit(Request(channel, [], compacted=compacted))
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
        return await self._submit(Request(channel, pieces, idempotency))

    async def compact(self, channel: str, upto: int, piece: bytes) -> None:
        """Put one message in place of all up to an offset, and return once that is on the disk.

        Raises what `publish` does, and what `Log.compact` does: nothing has changed then.
        """
        await self._submit(Request(channel, [piece], upto=upto))

    async def ping(self) -> None:
        """Write to the disk; raises what `publish` does."""
        await self._submit(Request(None, []))

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

    def _submit(self, request: Request) -> asyncio.Future[int]:
        if self._ended is not None:
            raise Closed(f"{self._file.path.name} was closed: make another engine to go on with it")
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, answer))
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
            requests = [request for request, _ in batch]
            work = loop.run_in_executor(self._thread, self._file.commit, requests)
            work.add_done_callback(partial(self._land, batch))
        elif self._ended is not None:
            loop.run_in_executor(self._thread, self._file.sql.close).add_done_callback(self._end)
        else:
            self._busy = False

    def _land(
        self,
        batch: list[tuple[Request, asyncio.Future[int]]],
        work: asyncio.Future[list[Landed | Exception]],
    ) -> None:
        for (request, answer), landed in zip(batch, work.result(), strict=True):
            if isinstance(landed, Exception):
                if not answer.done():  # as it is when its publish was cancelled
                    answer.set_exception(landed)
                continue
            if (channel := request.channel) is not None:
                if landed.log is not None:
                    self._logs[channel] = landed.log
                log = self._logs[channel]
                if request.upto is not None:
                    log.compact(request.upto, request.pieces[0])
                elif landed.time is not None:
                    log.append(request.pieces, at=landed.time)
                self._file.firsts[channel] = log.first
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
