"""Live tables: the latest row of each key, or the newest rows.

A table is a cursor on a frame. Five times a second at the most it takes the rows, arranges them as its reader
has asked for (sorted, filtered), and has those cells sent that are in sight and have changed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import ipywidgets
import numpy as np
import pandas as pd

from rtwidgets.errors import SchemaError, UsageError
from rtwidgets.frames import LiveFrame
from rtwidgets.loop import lease
from rtwidgets.widgets.cells import Column, Latest, Moves, arrange, moves, plain
from rtwidgets.widgets.sheet import Sheet
from rtwidgets.widgets.theme import CSS, text
from rtwidgets.widgets.ticker import Ticker, close_widgets, closed, opened

__all__ = ["Table"]

SHOW_EVERY = 0.2
"""Seconds between two updates at the least."""
ROWS = 1_000
"""Rows of a table at the most, if nothing else is asked for."""

_OFFSET = "offset"


class Picture(NamedTuple):
    """Rows as they are shown, top to bottom.

    Attributes
    ----------
    rows
        The shown columns with types of their own, the key of latest rows in front.
    moved
        For columns of numbers: 1, -1 or 0 for each row, against the row before it of the same key.
    of
        Rows there would be without a bound.
    """

    rows: pd.DataFrame
    moved: dict[str, Moves]
    of: int


class Table(ipywidgets.VBox):  # type: ignore[misc]
    """Live rows of a frame.

    A click on the icon in a column's head sorts or filters; both hold while rows come. A number above or
    below the one before it of the same key has ▲ or ▼ beside it. Times are in UTC.

    Parameters
    ----------
    frame
        Where the rows are.
    columns
        Names of the columns to show, in this order; None for all but ``offset``. Latest rows always have the
        key in front.
    latest
        True shows the last row of each key, in the order that the keys appeared; False shows the newest rows,
        newest first; None the former if the frame has a key.
    max_rows
        Rows to show at the most.
    title
        Shown above the table.

    Raises
    ------
    SchemaError
        When the frame has rows and there is no such column, or the latest rows are asked of a frame without a
        key.
    UsageError
        When `max_rows` is not positive, or `columns` is not a list of names.
    """

    def __init__(
        self,
        frame: LiveFrame,
        columns: Sequence[str] | None = None,
        *,
        latest: bool | None = None,
        max_rows: int = ROWS,
        title: str = "",
    ) -> None:
        if max_rows < 1:
            raise UsageError(f"max_rows={max_rows!r}: show at least 1 row")
        if isinstance(columns, str) or (columns is not None and not columns):
            raise UsageError(f"columns={columns!r}: give a list of names, or None for all")
        if latest and frame.key is None:
            raise SchemaError(
                "there is no key to show the latest rows of: latest=False shows the newest rows"
            )
        if latest is None:
            latest = frame.key is not None
        self._frame = frame
        self._wanted = None if columns is None else tuple(dict.fromkeys(columns))
        self._latest = Latest(frame) if latest else None
        if frame.total:
            self._names()
        self._max_rows = max_rows
        self._title = title
        self._stopped = False
        self._problem = ""
        self._gridded = False
        self._idents: dict[str, str] = {}
        self._tail = pd.DataFrame()
        self._drawn = -1
        self._picture: Picture | None = None
        self._order = np.arange(0)
        self._writing = threading.RLock()  # for the last picture, which is drawn by whoever stops
        self._lease = lease()
        self._sheet = Sheet(headed=latest, soon=self._soon, arranged=self._arrange, values=self._values)
        self._style = ipywidgets.HTML(CSS, layout=ipywidgets.Layout(display="none"))
        self._head = ipywidgets.HTML()
        super().__init__([self._style, self._head, self._sheet.feeder])
        self.add_class("rtw")
        self.add_class("rtw-table")
        self._tick()  # so that the browser draws what there is before anything can change
        opened(self)
        self._ticker = Ticker(self._tick, SHOW_EVERY, f"the table of {title or 'a frame'}")

    def __repr__(self) -> str:
        return f"Table(of {self._title})" if self._title else "Table()"

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any] | None:
        bundle: dict[str, Any] | None = super()._repr_mimebundle_(**options)
        return bundle and bundle | {"text/plain": repr(self)}

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self.comm is None

    @property
    def failed(self) -> bool:
        """Whether the rows proved to lack a column that is shown."""
        return bool(self._problem)

    def sort(self, column: str | None, *, descending: bool = False) -> None:
        """Sort the rows, now and as they change, as a click in a column's head does.

        Parameters
        ----------
        column
            Name of a column that is shown; None for the order at first.
        descending
            The largest on top.

        Raises
        ------
        SchemaError
            When no such column is shown.
        """
        with self._writing:
            shown = {each.name: ident for ident, each in self._sheet.columns.items()}
            transforms = [each for each in self._sheet.transforms if each.get("type") != "sort"]
            if column is not None:
                if column not in shown:
                    raise SchemaError(
                        f"there is no column {column!r} to sort by; columns shown: "
                        f"{', '.join(shown) or 'none, for no rows have come yet'}"
                    )
                transforms.append({"type": "sort", "column": shown[column], "desc": descending})
            self._sheet.grid.transform(transforms)

    def stop(self) -> None:
        """Follow the frame no more. The last rows stay, and can be scrolled, sorted and filtered.

        Stopping twice is harmless.
        """
        if not self._stopped:
            self._ticker.stop()
            self._stopped = True
            self._tick()
            self._lease.release()

    def close(self) -> None:
        """Stop, and close every widget that the table has made; closing twice is harmless."""
        if self.closed:  # or never made: ipywidgets calls this of a half-made widget too
            return
        self.stop()
        closed(self)
        close_widgets([*self._sheet.widgets, self._style, self._head])
        super().close()
        self.layout.close()

    # Drawing, on the background loop's thread

    def _soon(self, function: Callable[..., object], *arguments: Any) -> None:
        """Call on the thread that writes; here, once that has stopped."""

        def call() -> None:
            with self._writing:
                if not self.closed:
                    function(*arguments)

        if self._stopped:
            call()
        else:
            self._lease.call(call)

    def _tick(self) -> None:
        with self._writing:
            total = self._frame.total
            if total != self._drawn:
                self._drawn = total
                if total:
                    self._take()
                    self._arrange()
            elif self._sheet.unsettled:
                self._arrange()
            self._tell()
            if not self._stopped:
                self._sheet.ask()

    def _take(self) -> None:
        """Take the rows as they are now, with the columns they have now."""
        try:
            names = self._names()
        except SchemaError as error:
            self._problem = str(error)
            raise
        rows, whole = self._latest_rows(names) if self._latest else self._newest_rows(names)
        known = [(each.name, each.dtype) for each in self._sheet.columns.values()]
        now = [(str(name), dtype) for name, dtype in rows.dtypes.items()]
        if now != known:
            for name, _ in now:
                self._idents.setdefault(name, f"c{len(self._idents)}")
            self._sheet.set_columns([Column(name, self._idents[name], dtype) for name, dtype in now])
        for column in self._sheet.columns.values():
            column.learn(rows[column.name])
        numbers = [each.name for each in self._sheet.columns.values() if each.is_number]
        numbers = [name for name in numbers if name != _OFFSET]
        if self._latest:
            moved = self._latest.moves(numbers, pd.Index(rows[self._frame.key]))
        else:
            moved = self._moves(numbers, len(rows))
        self._picture = Picture(rows, moved, whole)

    def _latest_rows(self, names: list[str]) -> tuple[pd.DataFrame, int]:
        latest = self._frame.latest
        rows = latest.iloc[: self._max_rows].reset_index()[[self._frame.key, *names]]
        return rows.apply(plain), len(latest)

    def _newest_rows(self, names: list[str]) -> tuple[pd.DataFrame, int]:
        kept = self._frame.df
        self._tail = kept.iloc[-2 * self._max_rows :]
        rows = self._tail.iloc[-self._max_rows :].iloc[::-1].reset_index(drop=True)[names]
        return rows.apply(plain), len(kept)

    def _moves(self, names: list[str], rows: int) -> dict[str, Moves]:
        """Compare the newest rows with those before them, of which as many are looked at again."""
        key = self._frame.key
        codes = np.zeros(len(self._tail), np.intp) if key is None else pd.factorize(self._tail[key])[0]
        return {name: moves(self._tail[name].to_numpy(), codes)[-rows:][::-1] for name in names}

    def _arrange(self) -> None:
        """Show the rows in the order that the reader wants."""
        picture = self._picture
        if picture is None or self.closed:
            return
        self._order = order = arrange(picture.rows, self._sheet.transforms, self._sheet.columns)

        def write(column: Column, top: int, end: int) -> list[str]:
            places = order[top:end]
            moved = picture.moved.get(column.name)
            values = picture.rows[column.name].iloc[places]
            return column.texts(values, None if moved is None else moved[places])

        self._sheet.show(len(order), write)

    def _values(self, column: Column) -> list[str]:
        picture = self._picture
        if picture is None:
            return []
        return list(dict.fromkeys(column.texts(picture.rows[column.name].drop_duplicates())))

    def _names(self) -> list[str]:
        """Names of the columns to show but the key of latest rows; `SchemaError` if one is not there."""
        schema, key = list(self._frame.schema), self._frame.key if self._latest else None
        if self._wanted is None:
            names = [name for name in schema if name != _OFFSET] or schema
        else:
            names = list(self._wanted)
            for name in names:
                if name not in schema:
                    raise SchemaError(f"there is no column {name!r} to show; columns: {', '.join(schema)}")
        return [name for name in names if name != key]

    def _tell(self) -> None:
        words = [self._state()]
        picture = self._picture
        if picture is not None:
            what = "keys" if self._latest else "rows"
            count = f"{len(self._order):,}"
            words.append(
                f"{count} of {picture.of:,} {what}" if len(self._order) < picture.of else f"{count} {what}"
            )
        if self._frame.rejected_count:
            words.append(f"{self._frame.rejected_count:,} rejected")
        title = f'<span class="rtw-title">{text(self._title)}</span> ' if self._title else ""
        self._head.value = f'<span>{title}<span class="rtw-dim">{text(" · ".join(words))}</span></span>'
        if picture is not None and not self._gridded:
            self._gridded = True  # a grid without columns cannot be drawn
            self.children = [self._style, self._head, self._sheet.feeder, self._sheet.grid]

    def _state(self) -> str:
        if self._problem:
            return self._problem
        if self._stopped:
            return "■ stopped"
        return "● live" if self._frame.total else "… waiting for rows"
