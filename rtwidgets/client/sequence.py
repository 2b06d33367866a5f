"""Gaps in the numbers that a feed gives to its messages. Pure: rows in, gaps out."""

from __future__ import annotations

import math
from collections import deque

import numpy as np
import numpy.typing as npt

from rtwidgets.client.records import Intake, Records
from rtwidgets.client.subscription import Missing
from rtwidgets.errors import UsageError
from rtwidgets.frames import LiveFrame
from rtwidgets.loop import report

__all__ = ["ANEW", "GapFinder", "NumberedIntake"]

ANEW = 1_000
"""How far a number lies below the highest one when it is no latecomer, but the numbers have begun anew."""


class GapFinder:
    """Follows a column of numbers that go up by one, for each key on its own.

    A number that jumps ahead tells that those in between are missing. One that was there, or a lower one, is
    a repeat or a latecomer and tells nothing; one that is `ANEW` or more below the highest has begun anew.
    A row without a number tells nothing either.

    Parameters
    ----------
    frame
        The rows.
    column
        Which column has the numbers.
    """

    def __init__(self, frame: LiveFrame, column: str) -> None:
        self.gaps: deque[Missing] = deque(maxlen=1_000)
        """What is missing, the newest thousand gaps: `epoch` is the key."""
        self._frame = frame
        self._column = column
        self._cursor = 0
        self._highest: dict[object, int] = {}

    def look(self) -> None:
        """Look at the rows that have come since the last look.

        Raises
        ------
        UsageError
            When there is no such column, or it holds no numbers.
        """
        frame, key = self._frame, self._frame.key
        if frame.total == self._cursor:
            return
        rows = frame.view([self._column] if key is None else [key, self._column], self._cursor)
        if rows.first > self._cursor:
            self._highest.clear()  # some have left the frame before they could be seen
        self._cursor = rows.end
        column = rows.columns[self._column]
        if column.dtype.kind not in "if":
            raise UsageError(
                f"{self._column!r} holds no numbers, so it cannot tell what is missing: choose another column"
            )
        if key is None:
            names: list[str | int] = [""] * len(column)
        else:
            known = [*rows.categories[key], ""]  # what is of no key has the code -1
            names = [known[code] for code in rows.columns[key].tolist()]
        for row, (name, number) in enumerate(zip(names, column.tolist(), strict=True), rows.first):
            if math.isfinite(number):
                self._follow(name, int(number), row)

    def _follow(self, name: str | int, number: int, row: int) -> None:
        highest = self._highest.get(name)
        if highest is not None and highest - number < ANEW:
            if number <= highest:
                return
            if number > highest + 1:
                self._missing(name, highest, number, row)
        self._highest[name] = number

    def _missing(self, name: str | int, before: int, after: int, row: int) -> None:
        reason = f"{self._column} went from {before} to {after}"
        self.gaps.append(Missing(str(name), before + 1, after - 1, reason))
        self._frame.mark_gap(row, row)


class NumberedIntake(Intake):
    """An intake of rows that their sender numbers.

    Parameters
    ----------
    frame, records
        As for `Intake`.
    column
        Which column has the numbers.
    """

    def __init__(self, frame: LiveFrame, column: str, *, records: Records | None = None) -> None:
        super().__init__(frame, records=records)
        self._finder = GapFinder(frame, column)
        self._told = False

    @property
    def gaps(self) -> list[Missing]:
        """What the numbers say is missing; `epoch` is the key."""
        return list(self._finder.gaps)

    def messages(self, messages: list[bytes], received: int | npt.NDArray[np.int64]) -> None:
        """Take a batch of messages and look at their numbers."""
        super().messages(messages, received)
        try:
            self._finder.look()
        except UsageError as error:
            if not self._told:
                self._told = True
                report("looking for gaps", error)
