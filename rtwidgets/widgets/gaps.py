"""Where rows are missing: a band on a chart, from the last row before a gap to the first one after it."""

from __future__ import annotations

import bqplot
import numpy as np
import numpy.typing as npt

from rtwidgets.frames import LiveFrame

__all__ = ["GapMarks"]

_GREY = "#808080"  # reads on a light ground and on a dark one
_MOST = 50
"""Bands at the most, the newest."""


class GapMarks:
    """The bands of one chart.

    Parameters
    ----------
    frame
        Whose gaps they are.
    x
        The chart's scale.
    timed
        Whether it is one of times, in milliseconds, or of row numbers.
    """

    def __init__(self, frame: LiveFrame, x: bqplot.Scale, *, timed: bool) -> None:
        self._frame = frame
        self._timed = timed
        self._shown: list[tuple[float, float]] = []
        # From the bottom to the top, whatever the rows' values are.
        self._height = bqplot.LinearScale(min=0.0, max=1.0)
        scales = {"x": x, "y": self._height}
        self._bands = bqplot.Lines(
            x=[],
            y=[],
            scales=scales,
            colors=[_GREY],
            line_style="dashed",
            stroke_width=1.0,
            fill="inside",
            fill_colors=[_GREY],
            fill_opacities=[0.15],
            preserve_domain={"x": True, "y": True},
        )
        self._labels = bqplot.Label(
            x=[],
            y=[],
            text=[],
            scales=scales,
            colors=["var(--jp-ui-font-color2, #555)"],
            default_size=12,
            font_weight="normal",
            x_offset=4,
            y_offset=12,
            preserve_domain={"x": True, "y": True},
        )
        self.marks: list[bqplot.Mark] = [self._bands, self._labels]
        self.widgets = [*self.marks, self._height]

    def refresh(self) -> None:
        """Draw what is new, or take away what has left the frame."""
        found = self._found()
        if found == self._shown:
            return
        self._shown = found
        left, right = np.array(found, dtype=np.float64).reshape(-1, 2).T
        corners = self._x(np.stack([left, left, right, right], axis=1))
        with self._bands.hold_sync():
            self._bands.x = corners
            self._bands.y = np.tile([0.0, 1.0, 1.0, 0.0], (len(found), 1))
        with self._labels.hold_sync():
            self._labels.x = self._x(left)
            self._labels.y = np.ones(len(found))
            self._labels.text = np.array(["gap"] * len(found), dtype="U3")

    def _found(self) -> list[tuple[float, float]]:
        gaps, time = self._frame.gaps[-_MOST:], self._frame.time
        if not gaps or (self._timed and time is None):
            return []
        rows = self._frame.view([] if time is None else [time])
        kept = [(last, after) for last, after in gaps if rows.first <= last and after < rows.end]
        if not self._timed or time is None:
            return [(float(last), float(after)) for last, after in kept]
        moments = rows.columns[time][np.array(kept, dtype=np.int64).reshape(-1, 2) - rows.first]
        ends = moments[~np.isnat(moments).any(axis=1)].view(np.int64) / 1e6
        return [(float(left), float(right)) for left, right in ends]

    def _x(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.generic]:
        return values.astype(np.int64).astype("datetime64[ms]") if self._timed else values
