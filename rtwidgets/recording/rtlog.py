"""The recording format as it lies in a file: the headers are the index."""

from __future__ import annotations

import datetime as dt
import json
import mmap
import threading
import weakref
from collections.abc import Iterator
from io import FileIO
from itertools import dropwhile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rtwidgets.errors import RtError, UsageError
from rtwidgets.recording.batch import Batch, Info, Kind
from rtwidgets.recording.blocks import (
    END,
    HEADER,
    MAGIC,
    META,
    RECORD,
    SIZE,
    VERSION,
    Damaged,
    block_size,
    is_header,
    unpack,
    unzip,
)

__all__ = ["Index", "Rtlog", "is_rtlog", "read_index"]

_LONGEST = 16 * 2**20  # bytes of a list at the end, of more than half a million blocks


class Index(NamedTuple):
    """Where the blocks of a file are.

    Attributes
    ----------
    headers
        Of the whole blocks, in order. Those with flags hold no records.
    places
        Where each begins, in bytes of the file.
    damaged
        Where something lies in front of a block that is none, by the number of that block.
    end
        Where the last whole block ends.
    size
        Bytes of the file.
    """

    headers: npt.NDArray[np.void]
    places: npt.NDArray[np.int64]
    damaged: dict[int, int]
    end: int
    size: int

    @property
    def closed(self) -> bool:
        """Whether the last block says that there are no more."""
        return bool(len(self.headers) and self.headers[-1]["flags"] & END)


def is_rtlog(head: bytes) -> bool:
    """Whether a file that begins so is in the recording format, or was cut before that can be told."""
    return head.startswith(MAGIC) or MAGIC.startswith(head)


def read_index(file: FileIO, path: Path) -> Index:
    """Return the whole blocks of a file: by the list at its end, or else by hopping from header to header.

    What was cut off at the end, and blocks there which are damaged, are no part of it.

    Raises
    ------
    UsageError
        When it was written by a later version of this library.
    """
    size = file.seek(0, 2)
    if not size:
        return Index(np.empty(0, HEADER), np.empty(0, np.int64), {}, 0, 0)
    with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as view:
        index = _listed(view) or _hopped(view)
    if (index.headers["version"] != VERSION).any():
        raise UsageError(f"{path} was written by a later version of rtwidgets: update to read it")
    return index


def _listed(view: mmap.mmap) -> Index | None:
    """Return the index that a closed recording ends with."""
    at = size = len(view)
    header = b""
    while not (is_header(header) and at + block_size(header) == size):
        at = view.rfind(MAGIC, max(0, size - _LONGEST), at)
        if at < 0:
            return None
        header = view[at : at + SIZE]
    last = np.frombuffer(header, HEADER)
    try:
        raw = unzip(last[0], view[at + SIZE :])
    except Damaged:
        return None
    if not last[0]["flags"] & END or len(raw) % SIZE:
        return None
    before = np.frombuffer(raw, HEADER)
    places = np.concatenate([[0], np.cumsum(before["stored"].astype(np.int64) + SIZE)])
    if places[-1] != at:  # something is missing, or lies between the blocks
        return None
    return Index(np.concatenate([before, last]), places.astype(np.int64), {}, size, size)


def _hopped(view: mmap.mmap) -> Index:
    """Return the index of any recording, hopping from header to header."""
    size = len(view)
    headers: list[bytes] = []
    places: list[int] = []
    damaged: dict[int, int] = {}
    at = _hop(view, 0, headers, places)
    while at < size and not is_header(view[at : at + SIZE]):
        found = _next_header(view, at + 1)
        if found is None:
            break
        damaged[len(headers)] = at
        at = _hop(view, found, headers, places)
    while headers and not _is_sound(headers[-1], view[places[-1] + SIZE : at]):
        damaged.pop(len(headers) - 1, None)
        headers.pop()
        at = places.pop()
    end = places[-1] + block_size(headers[-1]) if headers else 0
    return Index(np.frombuffer(b"".join(headers), HEADER), np.array(places, np.int64), damaged, end, size)


def _hop(view: mmap.mmap, at: int, headers: list[bytes], places: list[int]) -> int:
    """Go from header to header, as long as there are whole blocks; return where that ends."""
    size = len(view)
    while is_header(header := view[at : at + SIZE]):
        end = at + block_size(header)
        if end > size:
            break
        headers.append(header)
        places.append(at)
        at = end
    return at


def _next_header(view: mmap.mmap, at: int) -> int | None:
    while (at := view.find(MAGIC, at)) >= 0:
        if is_header(view[at : at + SIZE]):
            return at
        at += 1
    return None


def _is_sound(header: bytes, payload: bytes) -> bool:
    fields = np.frombuffer(header, HEADER)[0]
    try:
        unzip(fields, payload[: fields["stored"]])
    except Damaged:
        return False
    return True


class Rtlog:
    """Reads a recording in its own format, a block at a time. A `Reader`.

    It sees what was in the file when it was opened.

    Parameters
    ----------
    path
        Of the file.

    Raises
    ------
    UsageError
        When it was written by a later version of this library.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = FileIO(path)
        weakref.finalize(self, self._file.close)
        self._lock = threading.Lock()  # the file has one position
        self._index = read_index(self._file, path)
        headers = self._index.headers
        self._latest = np.maximum.accumulate(headers["latest"])  # clocks may have been set back
        self._records = np.flatnonzero(headers["flags"] == 0)  # numbers of the blocks with records

    @property
    def about(self) -> dict[str, Any]:
        """What the writer was told."""
        if len(self._index.headers) and self._index.headers[0]["flags"] & META:
            about = json.loads(self._read(0))
            if isinstance(about, dict):
                return about
        return {}

    @property
    def first(self) -> int | None:
        """Unix nanoseconds of the first record."""
        return int(self._index.headers[self._records[0]]["first"]) if len(self._records) else None

    @property
    def last(self) -> int | None:
        """Unix nanoseconds of the last record."""
        return int(self._index.headers[self._records[-1]]["last"]) if len(self._records) else None

    def batches(self, start: int | None = None) -> Iterator[Batch]:
        """Yield the records, from the first one on that is not before `start`.

        Raises
        ------
        RtError
            At a place where the file is damaged.
        """
        index = self._index
        begin = 0 if start is None else int(np.searchsorted(self._latest, start))
        for number in range(begin, len(index.headers)):
            if number in index.damaged and (number > begin or start is None):
                raise self._damaged(index.damaged[number], "what is there is no block", number, number)
            if index.headers[number]["flags"]:
                continue
            batches = unpack(self._read(number))
            if number == begin and start is not None:
                batches = dropwhile(lambda batch: batch.time < start, batches)
            try:
                yield from batches
            except Damaged as error:
                raise self._damaged(int(index.places[number]), str(error), number, number + 1) from None

    def info(self) -> Info:
        """Count what is in the file, by its headers."""
        headers = self._index.headers[self._records]
        counts = headers["counts"].sum(axis=0, dtype=np.int64)
        framing = RECORD.size * headers["records"].sum(dtype=np.int64) + 4 * counts.sum()
        return Info(
            messages=int(counts[Kind.TEXT] + counts[Kind.BINARY]),
            sent=int(counts[Kind.SENT_TEXT] + counts[Kind.SENT_BINARY]),
            connections=int(counts[Kind.OPENED]),
            first=self.first,
            last=self.last,
            raw=int(headers["raw"].sum(dtype=np.int64) - framing),
            compressed=self._index.size,
            whole=self._index.closed and self._index.size == self._index.end and not self._index.damaged,
        )

    def _read(self, number: int) -> bytes:
        header, place = self._index.headers[number], int(self._index.places[number])
        with self._lock:
            self._file.seek(place + SIZE)
            payload = self._file.read(int(header["stored"]))
        try:
            return unzip(header, payload)
        except Damaged as error:
            raise self._damaged(place, str(error), number, number + 1) from None

    def _damaged(self, place: int, why: str, end: int, begin: int) -> RtError:
        """Return an error that says what can be read: the blocks before one, and those from one on."""
        before = self._records[self._records < end]
        after = self._records[self._records >= begin]
        readable = "nothing before that can be read"
        if len(before):
            readable = f"what was recorded until {self._time(before[-1], 'last')} can be read"
        if len(after):
            seconds = (int(self._index.headers[after[0]]["first"]) - (self.first or 0)) / 1e9
            readable += f", and what was recorded from {self._time(after[0], 'first')} on"
            readable += f" (rt.replay(…, start={seconds!r}))"
        return RtError(f"{self._path} is damaged at byte {place}: {why}; {readable}")

    def _time(self, number: int, field: str) -> str:
        moment = dt.datetime.fromtimestamp(int(self._index.headers[number][field]) / 1e9, dt.UTC)
        return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
