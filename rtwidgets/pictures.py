"""What a stream can be drawn as. Floor 5, below the stream."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, TypeVar

from rtwidgets.frames import LiveFrame
from rtwidgets.widgets import Candles, Chart, Depth, Histogram, LatestBars, Plot, Table

__all__ = ["Pictures"]

P = TypeVar("P", bound=Plot | Table)


class Pictures(ABC):
    """Widgets of the rows of a frame, each made once."""

    name: str

    def __init__(self) -> None:
        self._charts: dict[tuple[object, ...], Plot | Table] = {}

    @property
    @abstractmethod
    def frame(self) -> LiveFrame:
        """The rows."""

    def chart(
        self, column: str, *, by: str | None = None, window: float | None = 60.0, relative: bool = False
    ) -> Chart:
        """Draw a column as live lines. Asking again for the same chart returns the same one.

        Parameters
        ----------
        column
            A column of numbers.
        by
            A column whose values each get a line; the stream's key when None.
        window
            Seconds of time that the chart shows; None for all the frame keeps.
        relative
            Draw the change in percent since the left edge, so that lines of very different size compare.

        Raises
        ------
        SchemaError
            When there is no such column, or it holds no numbers.
        """
        return self._made(Chart, column, by=by, window=window, relative=relative, title=self.name)

    def candles(self, every: str = "1s", *, price: str = "price", key: str | None = None) -> Candles:
        """Draw candlesticks of one key; see `rtwidgets.widgets.Candles`. Raises as `chart` does."""
        return self._made(Candles, every, price=price, key=key, title=self.name)

    def bars(self, column: str) -> LatestBars:
        """Draw a bar for the latest value of each key; see `rtwidgets.widgets.LatestBars`."""
        return self._made(LatestBars, column, title=self.name)

    def histogram(self, column: str, *, bins: int = 40, window: float | None = None) -> Histogram:
        """Draw how a column's values are distributed; see `rtwidgets.widgets.Histogram`."""
        return self._made(Histogram, column, bins=bins, window=window, title=self.name)

    def depth(self, *, key: str | None = None, levels: int = 50) -> Depth:
        """Draw the depth of an order book whose changes are the rows; see `rtwidgets.widgets.Depth`."""
        return self._made(Depth, key=key, levels=levels, title=self.name)

    def table(
        self, columns: Sequence[str] | None = None, latest: bool | None = None, max_rows: int = 1_000
    ) -> Table:
        """Show the rows as a live table. Asking again for the same table returns the same one.

        Parameters
        ----------
        columns
            Names of columns; None for all but the offset.
        latest
            True shows the last row of each key; False shows the newest rows, newest first; None the former if
            the stream has a key.
        max_rows
            Rows to show at the most.

        Raises
        ------
        SchemaError
            When there is no such column, or no key to show the latest rows of.
        """
        names = columns if columns is None or isinstance(columns, str) else tuple(columns)
        return self._made(Table, names, latest=latest, max_rows=max_rows, title=self.name)

    def _made(self, kind: type[P], *arguments: Any, **options: Any) -> P:
        """Return the widget of a kind that was made with these arguments before, or a new one."""
        asked = (kind, arguments, tuple(sorted(options.items())))
        chart = self._charts.get(asked)
        if chart is None or chart.closed or chart.failed:
            chart = self._charts[asked] = kind(self.frame, *arguments, **options)
        assert isinstance(chart, kind)
        return chart
