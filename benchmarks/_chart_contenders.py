"""The charts of `benchmarks.chart`, each as its users would write it. Runs inside a kernel."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import msgspec
import numpy as np

ROW_MS = 0.2
"""Between two rows: 5 000 a second."""

_encode = msgspec.json.Encoder().encode


class Rows:
    """A random walk, one row after the other, dealt out to the series in turn."""

    def __init__(self, series: int, row_ms: float) -> None:
        self.series = series
        self.row_ms = row_ms
        self._draw = np.random.default_rng(1)
        self._last = np.full(series, 100.0)

    def until(self, now: float, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return `count` times (Unix ms, up to `now`) and values, both of shape (count / series, series)."""
        x = now - self.row_ms * np.arange(count - 1, -1, -1)
        steps = self._draw.normal(0.0, 0.05, (count // self.series, self.series)).cumsum(axis=0)
        y = self._last + steps
        self._last = y[-1]
        return x.reshape(-1, self.series), y


class Window:
    """The newest values of one array, as a view. What it costs is counted to nobody."""

    def __init__(self, values: np.ndarray) -> None:
        self._size = len(values)
        self._room = np.empty(self._size * 2 + 200_000, values.dtype)
        self._room[: self._size] = values
        self._end = self._size

    def add(self, values: np.ndarray) -> None:
        if self._end + len(values) > len(self._room):
            room = np.empty_like(self._room)
            room[: self._size] = self.view
            self._room, self._end = room, self._size
        self._room[self._end : self._end + len(values)] = values
        self._end += len(values)

    @property
    def view(self) -> np.ndarray:
        return self._room[self._end - self._size : self._end]


class Contender:
    """One chart with a full window.

    `add` keeps new rows, `update` hands on what is new since the last one.
    """

    pushes = True
    """Whether `update` has to be called."""

    def __init__(self, rows: Rows, window: int) -> None:
        self.rows = rows
        x, y = rows.until(time.time() * 1000, window // rows.series * rows.series)
        self.make(x, y)

    def make(self, x: np.ndarray, y: np.ndarray) -> None:
        raise NotImplementedError

    def show(self) -> None:
        from IPython.display import display

        display(self.widget)

    widget: Any = None

    def add(self, x: np.ndarray, y: np.ndarray) -> None:
        raise NotImplementedError

    def update(self) -> None: ...

    def start(self) -> None:
        """Called when the browser shows it, before the first rows."""

    def close(self) -> None:
        if self.widget is not None:
            self.widget.close()


class Ours(Contender):
    pushes = False

    def make(self, x: np.ndarray, y: np.ndarray) -> None:
        from rtwidgets.frames import LiveFrame
        from rtwidgets.widgets import Chart

        self.frame = LiveFrame(x.size, key="symbol", time="time")
        self._names = [f"S{n}" for n in range(self.rows.series)]
        for start in range(0, len(x), 50_000):
            self.add(x[start : start + 50_000], y[start : start + 50_000])
        assert self.frame.total == x.size
        self.widget = Chart(self.frame, "price", window=None)

    def add(self, x: np.ndarray, y: np.ndarray) -> None:
        rows = zip(np.tile(self._names, len(x)).tolist(), y.ravel().tolist(), x.ravel().tolist(), strict=True)
        self.frame.extend_json(_encode([{"symbol": s, "price": p, "time": t} for s, p, t in rows]))


class Kept(Contender):
    """Peers that are given whole windows: one pair of arrays for each series."""

    def make(self, x: np.ndarray, y: np.ndarray) -> None:
        self.x = [Window(x[:, n]) for n in range(self.rows.series)]
        self.y = [Window(y[:, n]) for n in range(self.rows.series)]

    def add(self, x: np.ndarray, y: np.ndarray) -> None:
        for n in range(self.rows.series):
            self.x[n].add(x[:, n])
            self.y[n].add(y[:, n])


class Bqplot(Kept):
    """``mark.x, mark.y = ...`` with whole arrays."""

    def make(self, x: np.ndarray, y: np.ndarray) -> None:
        import bqplot
        import ipywidgets

        super().make(x.astype("datetime64[ms]"), y)
        scales = {"x": bqplot.DateScale(), "y": bqplot.LinearScale()}
        self.marks = [
            bqplot.Lines(x=mine.view, y=its.view, scales=scales, stroke_width=1)
            for mine, its in zip(self.x, self.y, strict=True)
        ]
        axes = [
            bqplot.Axis(scale=scales["x"]),
            bqplot.Axis(scale=scales["y"], orientation="vertical", grid_lines="solid"),
        ]
        self.widget = bqplot.Figure(
            marks=self.marks,
            axes=axes,
            animation_duration=0,
            layout=ipywidgets.Layout(width="100%", height="320px"),
        )

    def add(self, x: np.ndarray, y: np.ndarray) -> None:
        super().add(x.astype("datetime64[ms]"), y)

    def update(self) -> None:
        for mark, mine, its in zip(self.marks, self.x, self.y, strict=True):
            with mark.hold_sync():
                mark.x, mark.y = mine.view, its.view

    def close(self) -> None:
        for mark in self.marks:
            mark.close()
        super().close()


class Bokeh(Contender):
    """``ColumnDataSource.stream(rows, rollover)`` and ``push_notebook``; all series share one x."""

    def make(self, x: np.ndarray, y: np.ndarray) -> None:
        from bokeh.models import ColumnDataSource
        from bokeh.plotting import figure

        self._rollover = len(x)
        self.source = ColumnDataSource(self._columns(x, y))
        self.figure = figure(
            height=320, sizing_mode="stretch_width", x_axis_type="datetime", toolbar_location=None
        )
        for n in range(self.rows.series):
            self.figure.line("x", f"y{n}", source=self.source)
        self._new: list[tuple[np.ndarray, np.ndarray]] = []
        self.handle: Any = None

    def _columns(self, x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
        columns = {"x": np.ascontiguousarray(x[:, -1])}
        columns |= {f"y{n}": np.ascontiguousarray(y[:, n]) for n in range(self.rows.series)}
        return columns

    def show(self) -> None:
        from bokeh.io import output_notebook, show
        from bokeh.resources import INLINE

        output_notebook(INLINE, hide_banner=True)
        self.handle = show(self.figure, notebook_handle=True)

    def add(self, x: np.ndarray, y: np.ndarray) -> None:
        self._new.append((x, y))

    def update(self) -> None:
        from bokeh.io import push_notebook

        if not self._new:
            return
        x, y = (np.concatenate(parts) for parts in zip(*self._new, strict=True))
        self._new = []
        self.source.stream(self._columns(x, y), self._rollover)
        push_notebook(handle=self.handle)


class Plotly(Kept):
    """``with figure.batch_update()``: whole arrays."""

    def make(self, x: np.ndarray, y: np.ndarray) -> None:
        import plotly.graph_objects as go

        super().make(x, y)
        self.widget = go.FigureWidget(
            [
                go.Scatter(x=mine.view, y=its.view, mode="lines")
                for mine, its in zip(self.x, self.y, strict=True)
            ],
            {
                "height": 320,
                "width": 1150,
                "xaxis": {"type": "date"},
                "margin": {"t": 12, "b": 44, "l": 60, "r": 24},
            },
        )

    def update(self) -> None:
        with self.widget.batch_update():
            for trace, mine, its in zip(self.widget.data, self.x, self.y, strict=True):
                trace.x, trace.y = mine.view, its.view


class Perspective(Contender):
    """``table.update`` with a limit; the viewer asks for what it draws."""

    def make(self, x: np.ndarray, y: np.ndarray) -> None:
        import perspective
        from perspective.widget import PerspectiveWidget

        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting = False
        self._names = [f"S{n}" for n in range(self.rows.series)]
        self._client = perspective.Server().new_local_client()
        self.table = self._client.table(
            {"symbol": "string", "price": "float", "time": "datetime"}, limit=x.size
        )
        self._new: list[dict[str, Any]] = []
        for start in range(0, len(x), 100_000):
            self.add(x[start : start + 100_000], y[start : start + 100_000])
            self.update()
        self.widget = PerspectiveWidget(
            self.table,
            columns=["time", "price"],
            split_by=["symbol"] if self.rows.series > 1 else [],
            settings=False,
        )
        self.widget.layout.height = "320px"

    def add(self, x: np.ndarray, y: np.ndarray) -> None:
        self._new.append(
            {
                "symbol": np.tile(self._names, len(x)).tolist(),
                "price": y.ravel().tolist(),
                "time": x.ravel().astype(np.int64).tolist(),
            }
        )

    def update(self) -> None:
        # Its answers to the browser are made on the kernel's own loop; an update on another thread meanwhile
        # is where both wait for each other.
        if self._loop is None:
            self._hand_on()
        elif not self._waiting:
            self._waiting = True
            self._loop.call_soon_threadsafe(self._hand_on)

    def start(self) -> None:
        # A viewer that is told at birth shows a table: its charts are not registered by then.
        assert self._loop is not None
        self._loop.call_soon_threadsafe(setattr, self.widget, "plugin", "X/Y Line")
        time.sleep(2)

    def show(self) -> None:
        super().show()
        with contextlib.suppress(RuntimeError):  # nobody asks for anything where no browser is
            self._loop = asyncio.get_running_loop()

    def _hand_on(self) -> None:
        self._waiting = False
        new, self._new = self._new, []
        for columns in new:
            self.table.update(columns)


CONTENDERS: dict[str, type[Contender]] = {
    "ours": Ours,
    "bqplot": Bqplot,
    "bokeh": Bokeh,
    "plotly": Plotly,
    "perspective": Perspective,
}
