"""A browser for one chart, without a browser: it reads frames as `feed.js` does and answers them."""

import json
from typing import Any, NamedTuple

import numpy as np

from rtwidgets.widgets import Plot

__all__ = ["Browser", "Frame"]


class Frame(NamedTuple):
    """What one frame was."""

    number: int
    full: bool
    content: int  # bytes of its JSON
    payload: int  # bytes of its buffer
    rows: int


class Browser:
    """Shows a chart and keeps all that it is sent, with no window.

    Says hello at once. Each frame is answered as painted, unless the browser is `silent`; while `losing` is
    above nought, that many frames get lost on the way.
    """

    def __init__(self, chart: Plot, *, silent: bool = False, losing: int = 0, name: str = "one") -> None:
        self.frames: list[Frame] = []
        self.series: dict[int, tuple[Any, np.ndarray]] = {}
        self.range: list[float] = []
        self.silent = silent
        self.losing = losing
        self._feeder = chart._feeder
        self._name = name
        self._last = 0
        self._feeder.send = self._take
        self.say(hello=name)

    def say(self, **words: object) -> None:
        self._feeder._said.append({"client": self._name, **words})

    @property
    def lines(self) -> dict[str, tuple[list, list]]:
        """By name: x and y of the series that have rows."""
        names = [spec["name"] for spec in self._feeder.series]
        return {
            names[number]: (list(x), y.tolist()) for number, (x, y) in self.series.copy().items() if len(x)
        }

    @property
    def values(self) -> dict[str, list]:
        return {name: y for name, (_, y) in self.lines.items()}

    @property
    def rows(self) -> int:
        """Rows in all frames."""
        return sum(frame.rows for frame in self.frames)

    @property
    def news(self) -> list[Frame]:
        """Frames that were not full."""
        return [frame for frame in self.frames if not frame.full]

    @property
    def full(self) -> int:
        """How many frames were full."""
        return sum(frame.full for frame in self.frames)

    def _take(self, content: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        if self.losing:
            self.losing -= 1
            return
        full = bool(content.get("full"))
        written = json.dumps(content)
        payload = b"".join(buffers or [])
        self.frames.append(
            Frame(content["f"], full, len(written), len(payload), sum(op[2] for op in content["o"]))
        )
        series = {} if full else dict(self.series)
        if not full and content["f"] != self._last + 1:
            if self._last:
                self.say(lost=True)
            self._last = 0
            return
        self._last = content["f"]
        self.range = list(content.get("r") or self.range or [])
        self.series = self._read(series, json.loads(written), np.frombuffer(payload))
        if not self.silent:
            self.say(painted=content["f"])

    def _read(self, series: dict, content: dict[str, Any], numbers: np.ndarray) -> dict:
        width = 4 if self._feeder.kind == "candles" else 1
        shape = (-1, 4) if width == 4 else (-1,)
        for code, number, rows in content["o"]:
            x, y, numbers = numbers[:rows], numbers[rows : rows * (1 + width)], numbers[rows * (1 + width) :]
            y = y.reshape(shape)
            old = series.get(number)
            if code == "s":
                series[number] = (content.get("labels", x), y)
            elif code == "r" or old is None:
                series[number] = (x, y)
            else:
                keep = ~np.isin(old[0], x) if code == "u" else np.ones(len(old[0]), dtype=bool)
                x, y = np.concatenate([old[0][keep], x]), np.concatenate([old[1][keep], y])
                order = np.argsort(x, kind="stable")
                series[number] = (x[order], y[order])
        assert not len(numbers), "a frame has more numbers than its operations say"
        return series
