"""Live lines: a column of a frame against time, one line for each key."""

from __future__ import annotations

import bqplot

from rtwidgets.frames import LiveFrame
from rtwidgets.widgets.feeder import Operation
from rtwidgets.widgets.lines import LineCursor, Points
from rtwidgets.widgets.plot import Plot, check_numbers, check_options
from rtwidgets.widgets.theme import line_look

__all__ = ["Chart"]

LINES = 20
"""Lines at the most; those with the newest rows are drawn."""


class Chart(Plot):
    """Live lines of one column.

    Parameters
    ----------
    frame
        Where the rows are.
    column
        A column of numbers.
    by
        A column whose values each get a line; the frame's key when None, and one line if it has none.
    window
        Seconds of the frame's time to show, counted back from the newest row (rows, for a frame without
        times); None for all that the frame keeps.
    relative
        Draw each line's change in percent since the left edge: lines of very different size side by side.
    title
        Shown above the chart.

    Raises
    ------
    SchemaError
        When the frame has rows, and `column` or `by` is not among their columns or holds no numbers.
    UsageError
        When `column` is not one name, or `window` is not above 0.
    """

    def __init__(
        self,
        frame: LiveFrame,
        column: str,
        *,
        by: str | None = None,
        window: float | None = 60.0,
        relative: bool = False,
        title: str = "",
    ) -> None:
        check_options(column, window)
        self._column = column
        self._by = by or frame.key
        if frame.total:
            check_numbers(frame, column, self._by)
        timed = frame.time is not None or not frame.total
        self._cursor = LineCursor(frame, column, self._by, LINES)
        x = bqplot.DateScale() if timed else bqplot.LinearScale()
        y = bqplot.LinearScale()
        # bqplot's figure does not hear of marks that are added while the browser builds its view, so all
        # that can be needed are there from the start; one without points costs next to nothing.
        marks = [_line(number, x, y) for number in range(LINES if self._by is not None else 1)]
        super().__init__(
            frame,
            "lines",
            marks,
            x,
            y,
            labels=("time (UTC)" if timed else "row", f"{column}, change in %" if relative else column),
            title=title or column,
            window=window,
            columns=[column],
            timed=timed,
            relative=bool(relative),
        )

    def _check(self) -> None:
        check_numbers(self._frame, self._column, self._by)

    def _new(self) -> list[Operation] | None:
        points = self._cursor.new()
        return None if points is None else self._operations("a", points)

    def _whole(self) -> list[Operation]:
        return self._operations("r", self._cursor.window(self._feeder.window, self._feeder.at))

    def _ends(self) -> tuple[float, float] | None:
        return self._cursor.ends()

    def _notices(self) -> list[str]:
        drawn, keys = len(self._cursor.names), self._cursor.keys
        few = [f"{drawn} of {keys} lines drawn"] if keys > drawn else []
        none = [f"no numbers in {self._column!r} yet"] if self._frame.total and not drawn else []
        return [*super()._notices(), *few, *none]

    def _operations(self, code: str, points: list[Points]) -> list[Operation]:
        names = self._cursor.names
        if names != [spec["name"] for spec in self._feeder.series[: len(names)]]:
            self._feeder.series = [
                {**spec, **_look(number, names[number] if number < len(names) else None)}
                for number, spec in enumerate(self._feeder.series)
            ]
        return [Operation(code, line, x, y) for line, x, y in points]


def _look(number: int, name: str | None) -> dict[str, str | None]:
    colour, dash = line_look(number)
    return {"name": name, "colour": colour, "dash": dash}


def _line(number: int, x: bqplot.Scale, y: bqplot.Scale) -> bqplot.Lines:
    colour, style = line_look(number)
    return bqplot.Lines(
        x=[],
        y=[],
        scales={"x": x, "y": y},
        colors=[colour],
        line_style=style,
        stroke_width=2.0,
        # The scales are set in the browser, once a picture; otherwise each mark would rescan them for all.
        preserve_domain={"x": True, "y": True},
    )
