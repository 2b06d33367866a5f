"""What writes recordings: batches are handed over in no time, and reach the file on a thread."""

from __future__ import annotations

import atexit
import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from io import FileIO
from pathlib import Path
from typing import Any, Self

from rtwidgets.errors import Closed, RtError, UsageError
from rtwidgets.loop import report
from rtwidgets.recording.batch import Kind, Reader
from rtwidgets.recording.blocks import MAGIC, SIZE, Packer
from rtwidgets.recording.files import replacing
from rtwidgets.recording.rtlog import is_rtlog, read_index

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]

__all__ = ["Writer", "write_rtlog"]

BLOCK = 2**20
"""Bytes of messages at which a block ends."""
INTERVAL = 0.5
"""Seconds after which one ends in any case."""
LIMIT = 64 * 2**20
"""Bytes of messages that may wait for the disk."""

_RECEIVED = (Kind.TEXT, Kind.BINARY)
_AT_ONCE = 16 * 2**20  # bytes that a conversion hands over before it waits for the file

_Record = tuple[int, Kind, tuple[bytes, ...], int]  # the last one is the bytes of all messages


class Writer:
    """Writes a recording. An existing one is continued, after what a crash cut off has been removed.

    `write` keeps a reference to the messages; a thread compresses them and appends them to the file, in
    blocks of a mebibyte or half a second. A process that is killed loses what it has written since then.

    Where the disk is so slow that 64 MiB of messages wait for it, or fails, recording stops: nobody has to
    wait for it. The error is reported (see `rtwidgets.health`), the last record of the file says why if that
    can be written, and further messages are not recorded.

    Parameters
    ----------
    path
        Of the file.
    about
        What the recording says of itself, as JSON. A recording that is continued keeps what it says.

    Attributes
    ----------
    messages
        Messages that were received and recorded so far.
    bytes
        Bytes of all messages recorded so far.

    Raises
    ------
    UsageError
        When the file is something else, is being written, or cannot be opened.
    """

    def __init__(self, path: str | Path, about: Mapping[str, Any] | None = None) -> None:
        self.path = Path(path)
        self.messages = 0
        self.bytes = 0
        self._packer = Packer()
        beginning = self._packer.about(about or {})
        self._file, self._headers, self._end = _open(self.path, beginning)
        self._changed = threading.Condition()
        self._queue: list[_Record] = []
        self._waiting = 0  # bytes that are not in the file yet
        self._handed = self._done = 0  # records handed over, and those that nobody has to wait for any more
        self._hurry = False
        self._closing = False
        self._stopped = ""  # why nothing more is recorded
        self._thread = threading.Thread(
            target=self._run, name=f"rtwidgets recording {self.path.name}", daemon=True
        )
        self._thread.start()
        atexit.register(self.close)

    def __repr__(self) -> str:
        return f"Writer({str(self.path)!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def write(self, time: int, kind: Kind, messages: Sequence[bytes]) -> None:
        """Record messages of one kind that came, or went, at one moment. Returns at once.

        Parameters
        ----------
        time
            Unix nanoseconds.
        kind
            What they are.
        messages
            In order. None of them is no record.

        Raises
        ------
        Closed
            When this was closed.
        """
        kept = tuple(messages)
        size = sum(map(len, kept))
        with self._changed:
            if self._closing:
                raise Closed(f"the recording {self.path.name} was closed: begin another one, or continue it")
            if self._stopped or not kept:
                return
            if not self._waiting or self._waiting + size <= LIMIT:
                if kind in _RECEIVED:
                    self.messages += len(kept)
                self.bytes += size
                self._hand_over((time, kind, kept, size))
                return
            reason = (
                f"recording stopped: {LIMIT // 2**20} MiB of messages were waiting for a disk that is slower "
                "than they come"
            )
            self._stopped = reason
            self._hand_over((time, Kind.CLOSED, (reason.encode(),), 0))
        self._report(RtError(f"{reason}. Record to a faster disk, or less"))

    def flush(self) -> None:
        """Wait until what was written so far is in the file.

        Raises
        ------
        RtError
            When recording has stopped by itself.
        """
        with self._changed:
            goal = self._handed
            if self._done < goal:
                self._hurry = True
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._done >= goal)
            if self._stopped:
                raise RtError(f"{self.path}: {self._stopped}")

    def close(self) -> None:
        """Wait until everything is in the file, and close it; twice is harmless."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        atexit.unregister(self.close)

    def _hand_over(self, record: _Record) -> None:
        self._queue.append(record)
        self._handed += 1
        self._waiting += record[3]
        if len(self._queue) == 1 or self._waiting >= BLOCK:
            self._changed.notify_all()

    # On the thread

    def _run(self) -> None:
        with contextlib.closing(self._file):
            try:
                while records := self._take():
                    for block in _parts(records):
                        self._append(block)
                self._store(self._packer.end(bytes(self._headers)))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and nobody waits for ever
                self._fail(error)

    def _take(self) -> list[_Record]:
        """Wait for the records of a block; none, when there will be no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing)
            self._changed.wait_for(
                lambda: self._waiting >= BLOCK or self._hurry or self._closing, timeout=INTERVAL
            )
            records, self._queue, self._hurry = self._queue, [], False
            return records

    def _append(self, records: list[_Record]) -> None:
        self._store(self._packer.block([record[:3] for record in records]))
        with self._changed:
            self._done += len(records)
            self._waiting -= sum(record[3] for record in records)
            self._changed.notify_all()

    def _store(self, block: bytes) -> None:
        rest = memoryview(block)
        while rest:
            rest = rest[self._file.write(rest) :]
        self._headers += block[:SIZE]
        self._end += len(block)

    def _fail(self, error: Exception) -> None:
        with contextlib.suppress(OSError):  # a block that is cut there is left out when it is read
            self._file.truncate(self._end)
        why = error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        with self._changed:
            self._stopped = f"recording stopped: {why}"
            self._queue.clear()
            self._waiting, self._done = 0, self._handed
            self._changed.notify_all()
        self._report(RtError(f"{self._stopped}. What was recorded before is in {self.path}"))

    def _report(self, error: RtError) -> None:
        report(f"the recording {self.path.name}", error)


def write_rtlog(recording: Reader, path: str | Path) -> None:
    """Write all of a recording to a file in the recording format; a file that is there is replaced.

    Raises
    ------
    RtError
        When the recording is damaged, or the file cannot be written.
    """
    with replacing(Path(path)) as beside, Writer(beside, recording.about) as writer:
        flushed = 0
        for batch in recording.batches():
            writer.write(*batch)
            if writer.bytes - flushed > _AT_ONCE:
                writer.flush()
                flushed = writer.bytes
        writer.flush()


def _open(path: Path, beginning: bytes) -> tuple[FileIO, bytearray, int]:
    """Open a file to append to, with the first block in it; return it, its headers, and where it ends."""
    try:
        file = FileIO(path, "a+")
    except OSError as error:
        raise UsageError(f"cannot record to {path}: {error.strerror}") from error
    try:
        _lock(file, path)
        file.seek(0)
        if not is_rtlog(file.read(len(MAGIC))):
            raise UsageError(f"{path} is no recording of rtwidgets: name another file to record to")
        index = read_index(file, path)
        headers, end = index.headers, index.end
        if index.closed:  # it goes on
            headers, end = headers[:-1], int(index.places[-1])
        file.truncate(end)
        known = bytearray(headers.tobytes())
        if not end:
            end = file.write(beginning)
            known += beginning[:SIZE]
    except OSError as error:
        file.close()
        raise UsageError(f"cannot record to {path}: {error.strerror}") from error
    except BaseException:
        file.close()
        raise
    return file, known, end


def _lock(file: FileIO, path: Path) -> None:
    """Keep others from writing to a file, in this process and elsewhere, until it is closed."""
    if fcntl is not None:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"{path} is being recorded to already: stop that first, or name another file"
            ) from None


def _parts(records: list[_Record]) -> Iterator[list[_Record]]:
    """Yield records block by block, none of them much smaller than the others."""
    total = sum(record[3] for record in records)
    enough = total / max(1, total // BLOCK)
    part: list[_Record] = []
    size = 0
    for record in records:
        part.append(record)
        size += record[3]
        if size >= enough:
            yield part
            part, size = [], 0
    if part:
        yield part
