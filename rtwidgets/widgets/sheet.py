"""The cells of a table in the browser: an ipydatagrid that gets only what is in sight and has changed.

The grid asks the kernel for the rows in sight, and a kernel does not answer while a cell runs. So its
questions are taken as news of what is in sight, and rows are sent unasked, from the background loop's thread.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import anywidget
import ipywidgets
import pandas as pd
import traitlets
from ipydatagrid import StreamingDataGrid, TextRenderer, VegaExpr

from rtwidgets.widgets.cells import MISSING, Column
from rtwidgets.widgets.scripts import TABLE

__all__ = ["HEIGHT", "Sheet", "Window"]

HEIGHT = 15
"""Rows that are in sight at once, at the most; one scrolls to the others."""

ASK_EVERY = 3.0
"""Seconds between two questions to the browser which rows are in sight."""
COUNT_EVERY = 1.0
"""Seconds between two numbers of rows that are sent, while it is rows out of sight that come."""

_ROW, _HEADER, _SCROLLBAR, _EDGES = 24, 28, 16, 7  # pixels; one short, and there are two scroll bars
_CHARACTER, _PADDING, _ICONS, _WIDEST = 7.6, 20, 24, 420  # pixels, of a column
_END = "\0end"  # the field that ipydatagrid wants behind the columns, and never shows
_TYPES = {"float": "number", "int": "integer", "time": "datetime", "bool": "boolean", "text": "string"}


class Window(NamedTuple):
    """Cells in sight: rows and columns of the grid's body, both ends included."""

    top: int
    bottom: int
    left: int
    right: int


class _Grid(StreamingDataGrid):  # type: ignore[misc]
    """The grid, without a pandas frame of its own."""

    def __init__(self, arranged: Callable[[], object], **traits: Any) -> None:
        self._arranged = arranged
        # Not the grid's own __init__: it takes a frame, adds a column to it, and answers on the thread that
        # cells run in.
        ipywidgets.DOMWidget.__init__(self, **traits)

    @traitlets.validate("_transforms")
    def _validate_transforms(self, proposal: Any) -> Any:
        return proposal["value"]

    @traitlets.observe("_transforms")
    def _on_transforms_changed(self, change: Any) -> None:
        self._arranged()


class _Feeder(anywidget.AnyWidget):
    """What runs in the browser; see ``browser/table.js``."""

    _esm = TABLE
    grid = traitlets.Unicode().tag(sync=True)
    marks = traitlets.Unicode().tag(sync=True)
    renderers = traitlets.List(traitlets.Unicode()).tag(sync=True)


class Sheet:
    """Rows of text in the browser.

    What is not a callback of the browser is called on one thread at a time.

    Parameters
    ----------
    headed
        Whether the first column stays in sight on the left.
    soon
        Calls a function on the thread that writes.
    arranged
        Called there when the reader has sorted or filtered.
    values
        Called there with a column: the texts of its different values.
    """

    def __init__(
        self,
        *,
        headed: bool,
        soon: Callable[..., None],
        arranged: Callable[[], object],
        values: Callable[[Column], list[str]],
    ) -> None:
        self._headed = headed
        self._soon = soon
        self._values = values
        self.columns: dict[str, Column] = {}
        self._count = 0
        self._write: Callable[[Column, int, int], list[str]] | None = None
        self._known: dict[int, dict[str, str]] = {}  # what the browser has: texts by row and column
        self._windows: dict[Window, bool] = {}  # and whether each was asked for since the last question
        self._views: dict[int, bool] = {}
        self._asked = time.monotonic()
        self._forget = 0
        self._counted = -math.inf
        self._late = False  # the grid has not been told of all rows
        self._widths: dict[str, int] = {}

        self._marks = VegaExpr("default_value")
        looks: dict[str, Any] = {
            "background_color": "rgba(0, 0, 0, 0)",
            "text_color": "#222",
            "missing": MISSING,
        }
        right = looks | {"horizontal_alignment": "right"}
        self._plain, self._head = TextRenderer(**looks), TextRenderer(**looks)
        self._right, self._number = TextRenderer(**right), TextRenderer(**right | {"text_color": self._marks})
        renderers = [self._plain, self._head, self._right, self._number]
        self.grid = _Grid(
            lambda: soon(arranged),
            default_renderer=self._plain,
            header_renderer=self._head,
            base_row_size=_ROW,
            base_column_header_size=_HEADER,
            header_visibility="all" if headed else "column",
            selection_mode="cell",
            _data=_empty(
                [Column("", "key", object), Column(" ", "none", object)], headed=headed
            ),  # it cannot be without columns
        )
        self.feeder = _Feeder(
            grid=self.grid.model_id,
            marks=self._marks.model_id,
            renderers=[each.model_id for each in renderers],
        )
        self.widgets = [self.feeder, self.grid, *renderers, self._marks]
        self.grid.on_msg(self._heard_of_grid)
        self.feeder.on_msg(self._heard_of_feeder)

    @property
    def transforms(self) -> list[dict[str, Any]]:
        """What the reader has asked for, as ipydatagrid writes it."""
        return list(self.grid._transforms)  # noqa: SLF001 - it has no public name

    def set_columns(self, columns: Sequence[Column]) -> None:
        """Show other columns; the first one on the left if the sheet is headed."""
        self.columns = {column.ident: column for column in columns}
        self._known.clear()
        # Until a view says otherwise, all the new columns are in sight.
        self._windows = {seen._replace(left=0, right=len(columns)): True for seen in self._windows}
        # The grid may take its new columns after the rows that follow them.
        self._forget = 2
        with self.grid.hold_sync():
            self.grid.renderers = {column.ident: self._renderer(column) for column in columns}
            self.grid._data = _empty(columns, headed=self._headed)  # noqa: SLF001 - as its setter does

    def show(self, count: int, write: Callable[[Column, int, int], list[str]]) -> None:
        """Show rows.

        Parameters
        ----------
        count
            How many there are.
        write
            Gives the texts of a column from one row up to another.
        """
        if self._forget:
            self._forget -= 1
            self._known.clear()
        self._count, self._write = count, write
        for row in [row for row in self._known if row >= count]:
            del self._known[row]
        self._push()
        self._measure()
        self._set_count()

    def _set_count(self) -> None:
        """Tell the grid the number of rows, after the rows themselves, which would be dots until they came.

        It paints all it has then. So rows that come out of sight are told once a second.
        """
        now, told = time.monotonic(), self.grid._row_count  # noqa: SLF001
        self._late = told > HEIGHT and self._count > told and now - self._counted < COUNT_EVERY
        if told != self._count and not self._late:
            self._counted = now
            self.grid._row_count = self._count  # noqa: SLF001

    @property
    def unsettled(self) -> bool:
        """Whether rows have to be shown again although none has come."""
        return self._forget > 0 or self._late

    def ask(self) -> None:
        """Ask every view now and then what is in sight, and forget what nobody has named since."""
        if time.monotonic() - self._asked < ASK_EVERY or not self._count or not self._seen:
            return
        self._asked = time.monotonic()
        if any(self._windows.values()):  # else the kernel is busy, and no answer is read
            self._windows = {window: False for window, named in self._windows.items() if named}
        self.feeder.send({"ask": True})

    # What the browser says, on whichever thread reads it

    def _heard_of_grid(self, _: Any, content: dict[str, Any], buffers: Any) -> None:
        if content.get("type") == "data-request":
            window = Window(*(int(content[name]) for name in ("r1", "r2", "c1", "c2")))
            self._soon(self._look, window)
        elif content.get("type") == "unique-values-request":
            self._soon(self._list, str(content["column"]))

    def _heard_of_feeder(self, _: Any, content: dict[str, Any], buffers: Any) -> None:
        if "view" in content:
            self._soon(self._see, content["view"], content["seen"])

    # The same on the thread that writes

    def _see(self, view: int, seen: bool | None) -> None:
        self._views[view] = bool(seen)
        if seen is None:
            del self._views[view]
        self._push()

    @property
    def _seen(self) -> bool:
        """Whether anybody can see it: yes, unless all views say no."""
        return not self._views or any(self._views.values())

    def _look(self, window: Window) -> None:
        """Send all that a view has in sight. The page may be a new one that has nothing yet."""
        window = self._bounded(window)
        self._windows[window] = True
        for row in range(window.top, window.bottom + 1):
            self._known.pop(row, None)
        self._push()

    def _list(self, ident: str) -> None:
        column = self.columns.get(ident)
        if column is not None and self.grid.comm is not None:
            data = {ident: {"type": "raw", "value": self._values(column)}}
            self.grid.send({"event_type": "unique-values-reply", "column": ident, "value": {"data": data}})

    # Sending

    def _bounded(self, window: Window) -> Window:
        body = len(self.columns) - self._headed
        top, left = min(max(window.top, 0), self._count), max(window.left, 0)
        bottom = window.bottom if window.bottom >= top else top + HEIGHT - 1
        right = window.right if window.right >= left else body - 1
        return Window(top, min(bottom, top + 4 * HEIGHT), left, min(right, body - 1))

    def _push(self) -> None:
        if self._write is None or not self._seen or self.feeder.comm is None:
            return
        for window in self._windows or [Window(0, HEIGHT - 1, 0, len(self.columns))]:
            self._push_window(self._bounded(window))

    def _push_window(self, window: Window) -> None:
        assert self._write is not None
        top, end = window.top, min(window.bottom + 1, self._count)
        columns = list(self.columns.values())
        shown = columns[: self._headed] + columns[self._headed :][window.left : window.right + 1]
        if top >= end or not shown:
            return
        texts = {column.ident: self._write(column, top, end) for column in shown}
        changed = []
        for row in range(top, end):
            has = self._known.setdefault(row, {})
            now = {ident: column[row - top] for ident, column in texts.items()}
            if any(has.get(ident) != text for ident, text in now.items()):
                has.update(now)
                changed.append(row)
        if not changed:
            return
        names = [*([] if self._headed else ["row"]), *self.columns, "end"]
        blocks = [
            {
                "row": first,
                "cells": [texts[name][first - top : last - top] if name in texts else [] for name in names],
            }
            for first, last in _runs(changed)
        ]
        self.feeder.send({"first": window.left, "last": window.right, "columns": names, "blocks": blocks})
        for column in shown:
            column.fit(texts[column.ident])

    # Sizes

    def _measure(self) -> None:
        """Make columns and the grid as large as what they show. They grow, and never shrink."""
        widths = {}
        for ident, column in self.columns.items():
            label = len(column.name) * _CHARACTER + _PADDING + _ICONS
            need = max(label, column.width * _CHARACTER + _PADDING)
            widths[ident] = min(-(-int(need) // 8) * 8, _WIDEST)
        if widths != self._widths:
            now = self.grid.column_widths
            by_hand = {ident: width for ident, width in now.items() if self._widths.get(ident) != width}
            self._widths = widths
            self.grid.column_widths = widths | by_hand
        rows = min(self._count, HEIGHT)
        layout = self.grid.layout
        height = max(_HEADER + _ROW * rows + _EDGES, int((layout.height or "0px")[:-2]))
        width = sum(self.grid.column_widths.values()) + _EDGES + (_SCROLLBAR if self._count > HEIGHT else 0)
        width = max(width, int((layout.width or "0px")[:-2]))
        if (f"{height}px", f"{width}px") != (layout.height, layout.width):
            with layout.hold_sync():
                layout.height, layout.width, layout.max_width = f"{height}px", f"{width}px", "100%"

    def _renderer(self, column: Column) -> TextRenderer:
        if column.is_number:
            return self._number
        return self._right if column.kind == "time" else self._plain


def _empty(columns: Sequence[Column], *, headed: bool) -> dict[str, Any]:
    """Return the grid's columns without rows, as ipydatagrid makes them of a pandas frame."""
    fields = [(column.ident, column.name, _TYPES[column.kind]) for column in columns]
    if not headed:
        fields.insert(0, ("row", "\0row", "integer"))
    fields.append(("end", _END, "integer"))
    return {
        "data": {ident: pd.Series([], dtype=object) for ident, _, _ in fields},
        "schema": {
            "fields": [{"name": name, "type": kind} for _, name, kind in fields],
            "primaryKey": [fields[0][1], _END],
            "primaryKeyUuid": _END,
        },
        "fields": [{ident: None} for ident, _, _ in fields],
    }


def _runs(rows: list[int]) -> list[tuple[int, int]]:
    """Return runs of rows next to each other: the first one, and the one after the last."""
    runs: list[tuple[int, int]] = []
    for row in rows:
        if runs and runs[-1][1] == row:
            runs[-1] = (runs[-1][0], row + 1)
        else:
            runs.append((row, row + 1))
    return runs
