"""Live candlesticks: bars of open, high, low and close of one key, the open bar updated in place."""

from __future__ import annotations

import bqplot
import numpy as np
import numpy.typing as npt
import pandas as pd

from rtwidgets.errors import SchemaError
from rtwidgets.frames import Bars, LiveFrame
from rtwidgets.widgets.feeder import Operation
from rtwidgets.widgets.plot import Plot, check_numbers
from rtwidgets.widgets.theme import FALL, RISE

__all__ = ["Candles"]

SHOWN = 200
"""Candles at the most: bqplot draws each of them anew at every change."""
KEPT = 20_000
"""Bars kept, of all keys together."""


class Candles(Plot):
    """Live candlesticks. Rising candles are pale blue, falling ones filled with orange.

    Parameters
    ----------
    frame
        Where the rows are.
    every
        Width of a candle, such as ``"1s"`` or ``"5min"``.
    price
        Column of prices.
    key
        Which of the frame's keys; None for the first one.
    title
        Shown above the chart.

    Raises
    ------
    SchemaError
        When `every` is no duration, or the frame has rows and no such column of numbers, no times or no
        such key.
    """

    def __init__(
        self,
        frame: LiveFrame,
        every: str = "1s",
        *,
        price: str = "price",
        key: str | None = None,
        title: str = "",
    ) -> None:
        self._bars = Bars(frame, every, price, max_bars=KEPT)
        self._price = price
        self._key = key
        self._sent: npt.NDArray[np.float64] = np.empty((0, 5))
        self._frame = frame
        if frame.total:
            self._check()
            self._read()
        x, y = bqplot.DateScale(), bqplot.LinearScale()
        mark = bqplot.OHLC(
            x=[],
            y=[],
            scales={"x": x, "y": y},
            marker="candle",
            colors=[f"{RISE}30", FALL],
            stroke="var(--jp-ui-font-color1)",
            stroke_width=1.2,
            preserve_domain={"x": True, "y": True},
        )
        bar = pd.Timedelta(every).total_seconds()
        super().__init__(
            frame,
            "candles",
            [mark],
            x,
            y,
            labels=("time (UTC)", price),
            title=f"{title} {every}".strip(),
            window=bar * 60,
            columns=["open", "high", "low", "close"],
            bar=bar,
        )

    def _check(self) -> None:
        check_numbers(self._frame, self._price)
        key = self._frame.key
        if self._key is not None and key is not None:
            keys = self._frame.latest.index
            if self._key not in keys:
                raise SchemaError(
                    f"there is no {key} {self._key!r}; there is: {', '.join(map(str, keys[:20]))}"
                )

    def _new(self) -> list[Operation] | None:
        rows = self._read()
        old, new = self._sent[-SHOWN:], rows[-SHOWN:]
        self._sent = rows
        if not len(old) or new[0, 0] > old[-1, 0]:
            return None
        known = dict(zip(old[:, 0], old, strict=True))
        changed = [row for row in new if row[0] not in known or not np.array_equal(row, known[row[0]])]
        return self._operations("u", np.array(changed).reshape(-1, 5))

    def _whole(self) -> list[Operation]:
        rows = self._sent = self._read()
        at = self._feeder.at
        return self._operations("r", (rows if at is None else rows[rows[:, 0] <= at])[-SHOWN:])

    def _ends(self) -> tuple[float, float] | None:
        rows = self._sent
        return (float(rows[0, 0]), float(rows[-1, 0])) if len(rows) else None

    def _read(self) -> npt.NDArray[np.float64]:
        bars = self._bars.df
        key = self._frame.key
        if key is not None and len(bars):
            if self._key is None:
                self._key = bars[key].iloc[0]
            bars = bars[bars[key] == self._key]
        columns = [bars[name].to_numpy() for name in ("open", "high", "low", "close")]
        moments = bars["time"].to_numpy("datetime64[ns]").view(np.int64) / 1e6
        return np.column_stack([moments, *columns])

    def _operations(self, code: str, rows: npt.NDArray[np.float64]) -> list[Operation]:
        name = str(self._key) if self._key is not None else self._price
        if self._feeder.series[0]["name"] != name:
            self._feeder.series = [{**self._feeder.series[0], "name": name, "colour": RISE, "dash": "solid"}]
        return [Operation(code, 0, rows[:, 0], rows[:, 1:])] if len(rows) else []
