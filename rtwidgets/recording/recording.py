"""Recordings, whatever their format."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from rtwidgets.errors import UsageError
from rtwidgets.recording.batch import Batch, Info, Reader
from rtwidgets.recording.captures import Capture, is_capture
from rtwidgets.recording.jsonlines import JsonLines
from rtwidgets.recording.rtlog import Rtlog, is_rtlog

__all__ = ["Recording"]

_HEAD = 4_096  # bytes in which a format can be told


class Recording:
    """Opens a recording: one that `Writer` wrote, JSON lines (as `write_jsonl` writes them) or a capture.

    Which one it is shows in its first bytes. It is read a block, or a line, at a time, by any number of
    cursors, on any thread.

    Parameters
    ----------
    path
        Of the file.

    Raises
    ------
    UsageError
        When there is no such file, or it is something else.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self._reader = _open(self.path)
        except OSError as error:
            raise UsageError(f"cannot read {self.path}: {error.strerror}") from error

    def __repr__(self) -> str:
        return f"Recording({str(self.path)!r})"

    @cached_property
    def about(self) -> dict[str, Any]:
        """What the recording says of itself: the URL, what was sent first, how its rows were read.

        That of a capture is what can be told from its first lines.

        Raises
        ------
        RtError
            When the file is damaged there.
        """
        return self._reader.about

    @property
    def first(self) -> int | None:
        """Unix nanoseconds of the first record; None when there is none."""
        return self._reader.first

    @property
    def last(self) -> int | None:
        """Unix nanoseconds of the last record; None when there is none."""
        return self._reader.last

    def batches(self, start: int | None = None) -> Iterator[Batch]:
        """Yield the records in the order in which they were written.

        Parameters
        ----------
        start
            Unix nanoseconds: begin with the first record that is not before that.

        Raises
        ------
        RtError
            At a place where the file is damaged; the sentence says which one, and what can be read. What was
            cut off at the end is left out without a word, see `info`.
        """
        return self._reader.batches(start)

    def info(self) -> Info:
        """Count what is in it: by the index where there is one, otherwise by reading all of it once.

        Raises
        ------
        RtError
            When the file cannot be read as what it is.
        """
        return self._reader.info()


def _open(path: Path) -> Reader:
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if is_rtlog(head):
        return Rtlog(path)
    if head.lstrip().startswith(b"{"):
        return JsonLines(path)
    if is_capture(head):
        return Capture(path)
    raise UsageError(
        f"{path} is no recording: give a file that Stream.record or 'rtwidgets record' wrote, JSON lines of "
        'the form {"time": …, "kind": "text", "data": "…"}, or a capture'
    )
