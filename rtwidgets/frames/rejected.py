"""Rows that did not fit: all are counted, the last ones kept with the reason, in bounded memory."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import pandas as pd

from rtwidgets.frames.kinds import STRING
from rtwidgets.frames.values import Misfit, json_text

__all__ = ["Rejected", "Rejection"]

KEPT = 1_000
VALUE_LENGTH = 200
ROW_LENGTH = 1_000


class Rejection(NamedTuple):
    """One row, message or piece that was refused.

    Attributes
    ----------
    column, value
        What did not fit, the value as at most 200 characters of JSON; empty if the row as a whole was
        refused.
    reason
        Why, in words.
    offset
        Offset of the row in its channel, or None.
    row
        The row as at most 1 000 characters of text.
    """

    column: str
    value: str
    reason: str
    offset: int | None
    row: str


class Rejected:
    """The last `KEPT` rejections and the count of all."""

    def __init__(self) -> None:
        self.count = 0
        self._kept: deque[Rejection] = deque(maxlen=KEPT)

    def add(self, misfit: Misfit, row: object, offset: int | None) -> None:
        """Count a row that was refused and keep its text."""
        value = _text(misfit.value, VALUE_LENGTH) if misfit.column else ""
        self.count += 1
        self._kept.append(
            Rejection(misfit.column[:VALUE_LENGTH], value, misfit.reason, offset, _text(row, ROW_LENGTH))
        )

    @property
    def reason(self) -> str:
        """Why the last one was refused; empty when there was none."""
        return self._kept[-1].reason if self._kept else ""

    def frame(self) -> pd.DataFrame:
        """Return the kept rejections, oldest first; offset is nullable Int64, the rest `str`."""
        frame = pd.DataFrame(list(self._kept), columns=list(Rejection._fields))
        dtypes = dict.fromkeys(Rejection._fields, STRING) | {"offset": pd.Int64Dtype()}
        frame = frame.astype(dtypes)
        frame.index = pd.RangeIndex(self.count - len(frame), self.count)
        return frame


def _text(value: object, length: int) -> str:
    """Write a value as short text that can be shown anywhere."""
    if isinstance(value, bytes | bytearray | memoryview):
        text = bytes(value[: 4 * length]).decode("utf-8", "replace")
    elif isinstance(value, str) and length == ROW_LENGTH:
        text = value
    else:
        try:
            text = json_text(value)
        except Misfit:
            text = f"a Python {type(value).__name__}"
    text = text if len(text) <= length else text[: length - 1] + "\N{HORIZONTAL ELLIPSIS}"
    return text.encode("utf-8", "replace").decode()
