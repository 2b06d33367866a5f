"""The rows of an alert as a live list, the newest first. Its half in the browser is `browser/alerts.js`."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, Protocol

import traitlets as t

from rtwidgets.frames import LiveFrame
from rtwidgets.widgets.cells import Column
from rtwidgets.widgets.scripts import ALERTS, ALERTS_STYLE
from rtwidgets.widgets.shown import Looking

__all__ = ["AlertList", "Alerting"]

LOOK_EVERY = 0.25
"""Seconds between two looks for what is new."""
MOST = 200
"""Rows that are shown."""


class Alerting(Protocol):
    """An alert, as the widget sees it."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def frame(self) -> LiveFrame:
        """Its rows."""

    @property
    def shown(self) -> Sequence[str]:
        """The columns to show of them."""

    @property
    def state(self) -> Any:
        """What the connection is doing; its `value` is a word."""

    @property
    def reason(self) -> str:
        """Why it is not open."""

    @property
    def stopped(self) -> bool:
        """Whether it is over."""


class AlertList(Looking):
    """The newest 200 rows of an alert: the time, the key, and the columns of the condition.

    Parameters
    ----------
    alert
        The alert.
    """

    _esm = ALERTS
    _css = ALERTS_STYLE
    reason = t.Unicode().tag(sync=True)
    columns = t.List(t.Unicode()).tag(sync=True)
    # The newest first, each with its number: few, and seldom new, so that all of them cross together.
    rows: Any = t.List().tag(sync=True)
    total = t.Int().tag(sync=True)

    def __init__(self, alert: Alerting) -> None:
        self._alert = alert
        self._written: dict[str, Column] = {}
        super().__init__(uid=secrets.token_hex(8), name=alert.name)
        self._look()
        self._begin(LOOK_EVERY, f"the list of {alert.name}", stopped=alert.stopped)

    def _look(self) -> None:
        state = self._alert.state.value
        with self.hold_sync():
            self.state, self.reason = state, "" if state == "open" else self._alert.reason
            if self._alert.frame.total > self.total:
                self._show()

    def _show(self) -> None:
        rows, total = self._alert.frame.since(0)
        rows = rows.iloc[: -MOST - 1 : -1]
        self.columns = [name for name in self._alert.shown if name in rows]
        texts = [self._column(name, rows[name]) for name in self.columns]
        self.rows = list(zip(rows.index.tolist(), *texts, strict=True))
        self.total = total

    def _column(self, name: str, values: Any) -> list[str]:
        column = self._written.get(name)
        if column is None or str(column.dtype) != str(values.dtype):
            column = self._written[name] = Column(name, name, values.dtype)
        column.learn(values)
        return column.texts(values)
