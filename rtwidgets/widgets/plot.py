"""What every live chart is made of: a bqplot figure, a feeder, and a turn at the pacemaker."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import bqplot
import ipywidgets
from bqplot.interacts import PanZoom

from rtwidgets.checks import is_positive
from rtwidgets.errors import RtError, SchemaError, UsageError
from rtwidgets.frames import LiveFrame
from rtwidgets.loop import report
from rtwidgets.widgets.feeder import Feeder, Operation
from rtwidgets.widgets.gaps import GapMarks
from rtwidgets.widgets.pacing import Pace, pacemaker
from rtwidgets.widgets.ticker import close_widgets, closed, opened

__all__ = ["Plot", "check_numbers", "check_options"]

WINDOWS = {10.0: "10 s", 60.0: "1 min", 300.0: "5 min", None: "all"}
NUMBERS = ("float64", "int64", "bool", "boolean")
RANGE_EVERY = 1.0
"""Seconds between two frames that say what is kept, for the slider, and between two notices."""
LAG_ROWS = 20_000
"""Rows not yet sent above which the window goes out as a whole, thinned, rather than row by row."""


class Plot(ipywidgets.VBox):  # type: ignore[misc]
    """A live chart of a frame. Subclasses say what goes to the browser.

    Parameters
    ----------
    frame
        Where the rows are.
    kind
        How the browser keeps them: ``"lines"``, ``"candles"`` or ``"whole"``.
    marks
        bqplot marks, in the order of the feeder's series.
    x, y
        Their scales.
    labels
        Of the x axis and of the y axis.
    window
        Seconds that are shown; None for all.
    windowed, zoomable
        Whether the window may be chosen, and whether the axes may be moved.
    names
        Of the series; None where a name comes later. What has no name is not drawn.
    title
        Shown above the chart.
    traits
        Of the feeder.
    """

    def __init__(
        self,
        frame: LiveFrame,
        kind: str,
        marks: Sequence[bqplot.Mark],
        x: bqplot.Scale,
        y: bqplot.Scale,
        *,
        labels: tuple[str, str],
        title: str,
        window: float | None = None,
        windowed: bool = True,
        zoomable: bool = True,
        names: Sequence[str | None] | None = None,
        **traits: Any,
    ) -> None:
        self._frame = frame
        self._pace = Pace()
        self._stopped = False
        self._asked: tuple[Any, ...] = ()
        self._total = -1
        self._range_at = self._noticed_at = -1e9
        self._failed = ""
        # The axis line turns down at its ends, into what is written there.
        down = {"transform": "translateY(5px)"}
        x_axis = bqplot.Axis(scale=x, label=labels[0], label_offset="36px", tick_style=down)
        y_axis = bqplot.Axis(scale=y, label=labels[1], side="left", label_offset="5em")
        self._gaps = GapMarks(frame, x, timed=isinstance(x, bqplot.DateScale)) if kind != "whole" else None
        behind = [] if self._gaps is None else self._gaps.marks
        self._figure = bqplot.Figure(
            marks=[*behind, *marks],
            axes=[x_axis, y_axis],
            fig_margin={"top": 14, "bottom": 52, "left": 88, "right": 24},
            padding_x=0.0,
            animation_duration=0,
            layout=ipywidgets.Layout(width="100%", height="320px"),
        )
        zoom = PanZoom(scales={"x": [x], "y": [y]}) if zoomable else None
        spans = dict(WINDOWS) if window in WINDOWS else {window: f"{window:g} s", **WINDOWS}
        self._feeder = Feeder(
            self._said,
            kind=kind,
            figure=self._figure,
            x=x,
            y=y,
            x_axis=x_axis,
            y_axis=y_axis,
            zoom=zoom,
            series=[
                {"name": name, "mark": f"IPY_MODEL_{mark.model_id}"}
                for name, mark in zip(names or [None] * len(marks), marks, strict=True)
            ],
            title=title,
            window=window,
            windows=[(label, seconds) for seconds, label in spans.items() if windowed],
            **traits,
        )
        super().__init__([self._feeder, self._figure])
        self.add_class("rtw")
        self.add_class("rtw-chart")
        self._own = [self._feeder, self._figure, x_axis, y_axis, x, y, *marks, *filter(None, [zoom])]
        if self._gaps is not None:
            self._own += self._gaps.widgets
        opened(self)
        pacemaker.add(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._feeder.title!r})"

    # For the user

    @property
    def paused(self) -> bool:
        """Whether the picture is held. The stream goes on meanwhile."""
        return self._feeder.at is not None

    @paused.setter
    def paused(self, value: bool) -> None:
        ends = self._ends() if value and self._frame.total else None
        self._feeder.at = None if ends is None else ends[1]

    @property
    def at(self) -> float | None:
        """Where the shown window ends, in Unix milliseconds of the frame's time; None for the newest row."""
        place: float | None = self._feeder.at
        return place

    @at.setter
    def at(self, value: float | None) -> None:
        self._feeder.at = value

    @property
    def window(self) -> float | None:
        """Seconds that the chart shows; None for all that the frame keeps."""
        seconds: float | None = self._feeder.window
        return seconds

    @window.setter
    def window(self, value: float | None) -> None:
        self._feeder.window = value

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self.comm is None

    @property
    def failed(self) -> bool:
        """Whether the rows proved to lack what is drawn."""
        return bool(self._failed)

    def stop(self) -> None:
        """Draw no more; the last picture stays. Stopping twice is harmless."""
        if not self._stopped:
            pacemaker.remove(self)
            self._stopped = True
            if self._pace.sent and self._waiting():
                self._paint(time.monotonic(), full=False)
            self._notice()  # nobody may have looked at the chart since the last gap
            self._feeder.stopped = True

    def close(self) -> None:
        """Stop drawing and close every widget that the chart has made; closing twice is harmless."""
        if self.closed:  # or never made: ipywidgets calls this of a half-made widget too
            return
        self.stop()
        closed(self)
        close_widgets(self._own)
        super().close()
        self.layout.close()

    # What a subclass says

    @abstractmethod
    def _check(self) -> None:
        """Raise SchemaError when the frame lacks the columns that are drawn. Called when there are rows."""

    @abstractmethod
    def _new(self) -> list[Operation] | None:
        """Return what has come since the last call; None when only the whole will do."""

    @abstractmethod
    def _whole(self) -> list[Operation]:
        """Return all that the window shows."""

    @abstractmethod
    def _ends(self) -> tuple[float, float] | None:
        """Return the oldest and newest x that the frame keeps."""

    def _notices(self) -> list[str]:
        """Return what else a reader of the chart should know."""
        gaps, rejected = len(self._frame.gaps), self._frame.rejected_count
        notices = [f"{gaps:,} gap{'s' if gaps > 1 else ''}"] if gaps else []
        return [*notices, f"{rejected:,} rejected"] if rejected else notices

    def _more(self) -> dict[str, Any]:
        """Return what goes into each frame beside the operations."""
        return {}

    def _said(self) -> None:
        """Answer the browser at the next beat; a page that was reloaded after `stop` at once."""
        if not self._stopped:
            pacemaker.wake()
            return
        for said in self._feeder.heard():
            self._pace.hear(said, time.monotonic())
        if self._frame.total and self._pace.due(time.monotonic(), busy=False) == "full":
            self._paint(time.monotonic(), full=True)

    # On the background loop's thread

    def beat(self, now: float, *, busy: bool) -> bool:
        """Send a frame if one is due, and return whether one went."""
        for said in self._feeder.heard():
            self._pace.hear(said, now)
        asked = (self._feeder.at, self._feeder.window)
        if asked != self._asked:
            self._asked = asked
            self._pace.renew()
        due = self._pace.due(now, busy=busy)
        if due is None:
            return False
        full = due == "full"
        drawn = self._wanted(full=full) and self._paint(now, full=full)
        # After the picture: a notice tells what is not to be seen in it.
        if now - self._noticed_at >= RANGE_EVERY:
            self._noticed_at = now
            self._notice()
        return drawn

    def _notice(self) -> None:
        if self._failed:
            return
        if self._gaps is not None:
            self._gaps.refresh()
        self._feeder.notice = " · ".join(self._notices())

    def _wanted(self, *, full: bool) -> bool:
        return bool(self._frame.total) and (full or (self._feeder.at is None and self._waiting()))

    def _waiting(self) -> bool:
        return self._frame.total != self._total

    def _paint(self, now: float, *, full: bool) -> bool:
        total = self._frame.total  # asked before: a row that comes while others are read is still to be sent
        try:
            self._check()
            operations = None if full or total - self._total > LAG_ROWS else self._new()
            if operations is None:
                operations, full = self._whole(), True
        except SchemaError as error:
            self._fail(error)
            return False
        self._total = total
        more = self._more()
        if full:
            more["full"] = True
            more["r"] = self._ends()
        elif now - self._range_at >= RANGE_EVERY:
            self._range_at = now
            more["r"] = self._ends()
        self._feeder.put(self._pace.send(now, full=full), self._total, operations, **more)
        return True

    def _fail(self, error: RtError) -> None:
        if str(error) != self._failed:
            self._failed = self._feeder.notice = str(error)
            report(repr(self), error)


def check_options(column: object, window: object) -> None:
    """Check what is asked of a chart, whatever its frame has.

    Raises
    ------
    UsageError
        When the column is not one name, or the window no number of seconds.
    """
    if not isinstance(column, str):
        raise UsageError(f"{column!r} is not a column: give one name as text, and make a chart of each")
    if window is not None and not is_positive(window):
        raise UsageError(f"window={window!r}: give seconds as a number above 0, or None for all rows")


def check_numbers(frame: LiveFrame, column: str, by: str | None = None) -> None:
    """Check that a frame with rows has a column of numbers, and another to split it by.

    Raises
    ------
    SchemaError
        Otherwise; the sentence names the columns that would do.
    """
    schema = frame.schema
    numbers = [name for name, dtype in schema.items() if dtype in NUMBERS]
    choice = ", ".join(numbers) or "there are none"
    if column not in schema:
        raise SchemaError(f"there is no column {column!r} to draw; columns of numbers: {choice}")
    if column not in numbers:
        raise SchemaError(f"column {column!r} is {schema[column]}, and a chart needs numbers: {choice}")
    if by is not None and by not in schema:
        raise SchemaError(f"there is no column {by!r} to split by; columns: {', '.join(schema)}")
