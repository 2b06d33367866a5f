"""Recordings that are text: a record in each line."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from rtwidgets.errors import UsageError
from rtwidgets.recording.batch import Batch, Info, Kind, batched

__all__ = ["Line", "Lines"]


class Line(NamedTuple):
    """One message of a recording."""

    time: int
    kind: Kind
    message: bytes


class Lines(ABC):
    """Reads a recording line by line. A `Reader`.

    There is no index: what comes late in the file is reached by reading what comes before it. A last line
    that has no end was cut, and is left out.

    Parameters
    ----------
    path
        Of the file.

    Raises
    ------
    UsageError
        When its first record cannot be read.
    """

    what: str
    """What a line is called that is none: ``no line of …``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        first = next(self.lines(), None)
        self.first = None if first is None else first.time

    @property
    @abstractmethod
    def about(self) -> dict[str, Any]:
        """What the recording says of itself."""

    @property
    def last(self) -> int | None:
        """Unix nanoseconds of the last record; reads all of them, once."""
        return self._counted.last

    def batches(self, start: int | None = None) -> Iterator[Batch]:
        """Yield the records, from the first one on that is not before `start`.

        Raises
        ------
        UsageError
            At a line that is no record.
        """
        lines = self.lines()
        if start is not None:
            for line in lines:
                if line.time >= start:
                    yield from batched(_before(line, lines))
                    return
        yield from batched(lines)

    def info(self) -> Info:
        """Count what is in the file; reads all of it, once."""
        return self._counted

    def lines(self) -> Iterator[Line]:
        """Yield the records.

        Raises
        ------
        UsageError
            At a line that is none.
        """
        with self._path.open("rb") as file:
            for number, text in enumerate(file, 1):
                if not text.endswith(b"\n"):
                    return
                try:
                    line = self._parse(text[:-1])
                    if line is not None and not -(2**63) <= line.time < 2**63:
                        raise ValueError("its time is beyond all times in nanoseconds")
                except ValueError as error:
                    raise UsageError(f"{self._path}, line {number} is {self.what}: {error}") from None
                if line is not None:
                    yield line

    @abstractmethod
    def _parse(self, text: bytes) -> Line | None:
        """Return the record of a line, if it has one; a ValueError says why it is no line of the format."""

    @cached_property
    def _counted(self) -> Info:
        counts: Counter[Kind] = Counter()
        raw = 0
        last = None
        for last in self.lines():
            counts[last.kind] += 1
            raw += len(last.message)
        with self._path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - 1))
            whole = file.read() == b"\n"
        return Info(
            messages=counts[Kind.TEXT] + counts[Kind.BINARY],
            sent=counts[Kind.SENT_TEXT] + counts[Kind.SENT_BINARY],
            connections=counts[Kind.OPENED],
            first=self.first,
            last=None if last is None else last.time,
            raw=raw,
            compressed=size,
            whole=whole,
        )


def _before(line: Line, lines: Iterator[Line]) -> Iterator[Line]:
    yield line
    yield from lines
