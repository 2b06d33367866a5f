"""Live charts of what a frame is now, rather than of how it came to be: bars by key, histogram, depth."""

from __future__ import annotations

from typing import Any, Protocol

import bqplot
import numpy as np
import numpy.typing as npt

from rtwidgets.checks import is_count
from rtwidgets.errors import UsageError
from rtwidgets.frames import LiveFrame
from rtwidgets.frames.book import BookOfRows
from rtwidgets.widgets.feeder import Operation
from rtwidgets.widgets.plot import Plot, check_numbers, check_options
from rtwidgets.widgets.theme import COLOURS, FALL, RISE

__all__ = ["Depth", "Histogram", "LatestBars", "Levels"]

KEYS = 50
"""Bars by key at the most."""

Floats = npt.NDArray[np.float64]


class _Shape(Plot):
    """A chart whose marks go out as a whole each time; it has no past to show."""

    def _new(self) -> list[Operation] | None:
        return None

    def _ends(self) -> tuple[float, float] | None:
        return None


class LatestBars(_Shape):
    """A bar for the latest value of each key.

    Parameters
    ----------
    frame
        Where the rows are; it needs a key.
    column
        A column of numbers.
    title
        Shown above the chart.

    Raises
    ------
    SchemaError
        When the frame has rows, and `column` is not among its columns or holds no numbers.
    """

    def __init__(self, frame: LiveFrame, column: str, *, title: str = "") -> None:
        check_options(column, None)
        self._column = column
        if frame.total:
            check_numbers(frame, column)
        x, y = bqplot.OrdinalScale(), bqplot.LinearScale()
        mark = bqplot.Bars(x=[], y=[], scales={"x": x, "y": y}, colors=[COLOURS[0]], padding=0.2)
        self._labels: list[str] = []
        super().__init__(
            frame,
            "whole",
            [mark],
            x,
            y,
            labels=(frame.key or "", column),
            title=title or column,
            columns=[column],
            names=[column],
            windowed=False,
            zoomable=False,
        )

    def _check(self) -> None:
        check_numbers(self._frame, self._column)

    def _whole(self) -> list[Operation]:
        latest = self._frame.latest.iloc[-KEYS:]
        y = latest[self._column].to_numpy(np.float64, na_value=np.nan)
        self._labels = [str(label) for label in latest.index]
        return [Operation("s", 0, np.arange(len(y), dtype=np.float64), np.where(np.isfinite(y), y, 0.0))]

    def _more(self) -> dict[str, Any]:
        return {"labels": self._labels}


class Histogram(_Shape):
    """How the values of a column are distributed over the rows of a window.

    Parameters
    ----------
    frame
        Where the rows are.
    column
        A column of numbers.
    bins
        How many bars.
    window
        Seconds of the frame's time, counted back from the newest row (rows, for a frame without times); None
        for all that the frame keeps.
    title
        Shown above the chart.

    Raises
    ------
    SchemaError
        When the frame has rows, and `column` is not among its columns or holds no numbers.
    """

    def __init__(
        self,
        frame: LiveFrame,
        column: str,
        *,
        bins: int = 40,
        window: float | None = None,
        title: str = "",
    ) -> None:
        check_options(column, window)
        if not is_count(bins):
            raise UsageError(f"bins={bins!r}: draw at least 1 bar")
        self._column = column
        self._bins = bins
        if frame.total:
            check_numbers(frame, column)
        x, y = bqplot.LinearScale(), bqplot.LinearScale(min=0.0)
        mark = bqplot.Bars(x=[], y=[], scales={"x": x, "y": y}, colors=[COLOURS[0]], padding=0.05)
        super().__init__(
            frame,
            "whole",
            [mark],
            x,
            y,
            labels=(column, "rows"),
            title=title or column,
            columns=["rows"],
            names=[column],
            window=window,
        )

    def _check(self) -> None:
        check_numbers(self._frame, self._column)

    def _whole(self) -> list[Operation]:
        values = np.clip(self._values(), -1e300, 1e300)
        low, high = (values.min(), values.max()) if len(values) else (0.0, 0.0)
        # Values that are all but equal leave no room for so many bars.
        least = 1e-9 * max(abs(low), abs(high))
        pad = max(0.5, least) if low == high else least if high - low < least else 0.0
        counts, edges = np.histogram(values, bins=self._bins, range=(low - pad, high + pad))
        return [Operation("s", 0, (edges[1:] + edges[:-1]) / 2, counts.astype(np.float64))]

    def _values(self) -> Floats:
        """Return the finite values of the window."""
        window, time = self._feeder.window, self._frame.time
        rows = self._frame.view([self._column, *([] if time is None else [time])])
        values = rows.columns[self._column].astype(np.float64)
        kept = np.isfinite(values)
        if window is not None and len(values):
            at = rows.columns[time].view(np.int64) / 1e9 if time is not None else np.arange(len(values))
            kept &= at >= at.max() - window
        return values[kept]


class Levels(Protocol):
    """What has the best prices of an order book."""

    def check(self) -> None:
        """Raise SchemaError when there is no book to tell of."""

    def top(self, levels: int) -> tuple[Floats, Floats]:
        """Return the best bids and asks, float64 of shape (n, 2): price and size, the best price first."""


class Depth(_Shape):
    """An order book's depth: the sizes wanted and offered, summed from the middle outwards.

    Parameters
    ----------
    frame
        Rows of changes: side, price and the size that is now at that price (0 takes the price away). Any
        rows that come when the book has changed, if there is a `book`.
    book
        Has the book; None makes it of the rows.
    key
        Which of the frame's keys; None takes all rows for one book.
    levels
        Prices on each side, counted from the middle.
    side, price, size
        The columns.
    title
        Shown above the chart.

    Raises
    ------
    SchemaError
        When the frame has rows, and lacks one of the columns.
    """

    def __init__(
        self,
        frame: LiveFrame,
        *,
        book: Levels | None = None,
        key: str | None = None,
        levels: int = 50,
        side: str = "side",
        price: str = "price",
        size: str = "size",
        title: str = "",
    ) -> None:
        self._book = book or BookOfRows(frame, key=key, side=side, price=price, size=size)
        self._levels = levels
        if frame.total:
            self._book.check()
        x, y = bqplot.LinearScale(), bqplot.LinearScale(min=0.0)
        marks = [
            bqplot.Lines(
                x=[],
                y=[],
                scales={"x": x, "y": y},
                colors=[colour],
                line_style=style,
                fill="bottom",
                fill_colors=[colour],
                fill_opacities=[0.25],
                interpolation=steps,
            )
            for colour, style, steps in ((RISE, "solid", "step-before"), (FALL, "dashed", "step-after"))
        ]
        super().__init__(
            frame,
            "whole",
            marks,
            x,
            y,
            labels=("price", "size, summed"),
            title=title or "depth",
            columns=["size"],
            names=["bids", "asks"],
            windowed=False,
        )

    def _check(self) -> None:
        self._book.check()

    def _whole(self) -> list[Operation]:
        bids, asks = self._book.top(self._levels)
        return [
            # From the left to the right: the bids rise to the middle, so they are summed and then turned.
            Operation("s", 0, bids[::-1, 0].copy(), np.cumsum(bids[:, 1])[::-1].copy()),
            Operation("s", 1, asks[:, 0].copy(), np.cumsum(asks[:, 1])),
        ]

    def _notices(self) -> list[str]:
        bids, asks = self._book.top(1)
        if not len(bids) or not len(asks):
            return [*super()._notices(), "one side of the book is empty"]
        return [*super()._notices(), f"bid {bids[0, 0]:,.8g}", f"ask {asks[0, 0]:,.8g}"]
