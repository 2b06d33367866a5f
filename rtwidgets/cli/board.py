"""The live table of ``rtwidgets tail``."""

from __future__ import annotations

import math
import time
from collections import deque
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import pandas as pd
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rtwidgets.loop import peek_errors
from rtwidgets.stream import Stream

__all__ = ["Board"]

_COLUMNS = 12  # shown at the most
_WIDEST = 60  # characters of a cell
_RATE_OVER = 5.0  # seconds that the rate is the mean of


class Board:
    """Shows a stream in the terminal while the ``with`` block lasts, and leaves the last picture there.

    Parameters
    ----------
    stream
        What to show: the latest row of each key, or the newest rows where there is no key.
    console
        Where; the standard output when None.
    """

    def __init__(self, stream: Stream, console: Console | None = None) -> None:
        self._stream = stream
        self._console = console or Console()
        self._seen: deque[tuple[float, int]] = deque()
        # rich asks for the picture a few times a second, on a thread of its own; frames may be read from any.
        self._live = Live(
            get_renderable=self.render, console=self._console, refresh_per_second=8, redirect_stderr=False
        )

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def render(self) -> Group:
        """Return the table as it is now, and a line about the stream."""
        frame = self._stream.frame
        room = max(1, self._console.size.height - 6)  # title, heads, rules and the line below
        rows = frame.df if frame.key is None else frame.latest.reset_index()
        hidden = len(rows.columns) - _COLUMNS
        chosen = rows.iloc[-room:, :_COLUMNS]
        table = Table(title=Text(_clean(self._stream.name)), title_justify="left")
        for name in chosen.columns:
            numbers = pd.api.types.is_numeric_dtype(chosen[name].dtype)
            table.add_column(Text(_clean(str(name))), justify="right" if numbers else "left", no_wrap=True)
        for row in chosen.itertuples(index=False):
            table.add_row(*(Text(_shown(value)) for value in row))
        return Group(table, Text(self._caption(len(rows) - len(chosen), hidden), style="dim"))

    def _caption(self, rows: int, columns: int) -> str:
        stream, frame = self._stream, self._stream.frame
        state = stream.state.value
        words = [
            state if state == "open" or not stream.reason else f"{state} ({stream.reason})",
            f"{self._rate(frame.total):,.1f} rows/s",
            f"{frame.total:,} rows",
            f"{frame.rejected_count:,} rejected",
        ]
        if rows > 0:
            words.append(f"{rows:,} more " + ("rows" if frame.key is None else f"values of {frame.key}"))
        if columns > 0:
            words.append(f"{columns} more columns")
        if frame.rejected_count:
            words.append(f"last reason: {stream.rejected['reason'].iloc[-1]}")
        words += [f"{where}: {error}" for where, error in peek_errors()[-1:]]
        return _clean(" · ".join(words), longest=400)

    def _rate(self, total: int) -> float:
        """Return the rows a second of the last few seconds."""
        now = time.monotonic()
        self._seen.append((now, total))
        while now - self._seen[0][0] > _RATE_OVER:
            self._seen.popleft()
        since, before = self._seen[0]
        return (total - before) / (now - since) if now > since else 0.0


def _shown(value: Any) -> str:
    if value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, datetime):
        return value.strftime("%H:%M:%S.%f")[:-3]
    if isinstance(value, float):
        return f"{value:,.10g}"
    return _clean(str(value))


def _clean(text: str, longest: int = _WIDEST) -> str:
    """Return text that cannot move the cursor, as a server's escape sequences would, cut to a length."""
    text = "".join(
        char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text[: longest + 1]
    )
    return text if len(text) <= longest else text[: longest - 1] + "…"
