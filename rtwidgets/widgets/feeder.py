"""The widget that feeds bqplot marks in the browser. Its other half, `browser/feed.js`, has the protocol."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import anywidget
import ipywidgets
import numpy as np
import numpy.typing as npt
import traitlets as t

from rtwidgets.widgets.scripts import CHART, CHART_STYLE

__all__ = ["Feeder", "Operation"]

Floats = npt.NDArray[np.float64]


class Operation(NamedTuple):
    """Rows for one series.

    Attributes
    ----------
    code
        ``"a"`` append, ``"r"`` reset, ``"u"`` update by x, ``"s"`` set.
    series
        Number of the series.
    x
        float64, Unix milliseconds or numbers; sorted.
    values
        float64, of the same length; (n, 4) for candles.
    """

    code: str
    series: int
    x: Floats
    values: Floats


class Feeder(anywidget.AnyWidget):
    """Sends rows to the browser, and tells what the browser said.

    Parameters
    ----------
    on_said
        Called when the browser has said something, on any thread.
    traits
        See `browser/feed.js`.
    """

    _esm = CHART
    _css = CHART_STYLE

    uid = t.Unicode().tag(sync=True)
    kind = t.Unicode("lines").tag(sync=True)
    figure = t.Instance(ipywidgets.Widget).tag(sync=True, **ipywidgets.widget_serialization)
    zoom = t.Instance(ipywidgets.Widget, allow_none=True).tag(sync=True, **ipywidgets.widget_serialization)
    x = t.Instance(ipywidgets.Widget).tag(sync=True, **ipywidgets.widget_serialization)
    y = t.Instance(ipywidgets.Widget).tag(sync=True, **ipywidgets.widget_serialization)
    x_axis = t.Instance(ipywidgets.Widget).tag(sync=True, **ipywidgets.widget_serialization)
    y_axis = t.Instance(ipywidgets.Widget).tag(sync=True, **ipywidgets.widget_serialization)
    series: t.List[dict[str, Any]] = t.List().tag(sync=True)
    title = t.Unicode().tag(sync=True)
    columns = t.List(t.Unicode()).tag(sync=True)
    windows: t.List[tuple[str, float | None]] = t.List().tag(sync=True)
    timed = t.Bool(True).tag(sync=True)
    relative = t.Bool(False).tag(sync=True)
    bar = t.Float(0.0).tag(sync=True)
    window = t.Float(None, allow_none=True).tag(sync=True)
    at = t.Float(None, allow_none=True).tag(sync=True)
    hidden = t.List(t.Unicode()).tag(sync=True)
    notice = t.Unicode().tag(sync=True)
    stopped = t.Bool(False).tag(sync=True)

    def __init__(self, on_said: Callable[[], None], **traits: Any) -> None:
        self._said: deque[dict[str, Any]] = deque(maxlen=1_000)
        super().__init__(uid=secrets.token_hex(8), **traits)
        self._on_said = on_said
        self.on_msg(self._hear)

    def _hear(self, _: Any, content: dict[str, Any], buffers: Any) -> None:
        # Called on whichever thread reads the comm: it notes what was said and rings the bell.
        self._said.append(content)
        self._on_said()

    def heard(self) -> list[dict[str, Any]]:
        """Return what the browser has said since the last call."""
        said = []
        while self._said:
            said.append(self._said.popleft())
        return said

    def put(self, number: int, total: int, operations: list[Operation], **more: Any) -> None:
        """Send a frame.

        Parameters
        ----------
        number
            Of the frame; one more than that of the last.
        total
            Rows that the stream has ever had.
        operations
            What is new.
        more
            ``full`` when the frame replaces all there is, ``r`` the oldest and newest x kept here, and
            ``labels`` of the x of bars.
        """
        parts = [part for op in operations for part in (op.x, op.values.reshape(-1))]
        content = {
            "f": number,
            "t": total,
            "o": [(op.code, op.series, len(op.x)) for op in operations],
            **more,
        }
        self.send(content, [np.concatenate(parts).tobytes()] if parts else None)
