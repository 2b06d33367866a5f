"""Rows in, columns out: the careful way, one row at a time, and the fast way through msgspec.

The careful way is the definition of what a row becomes. It alone infers, widens, adds columns and rejects.
The fast way decodes rows straight into structs compiled from the schema; it succeeds only where the careful
way would have accepted every row as it is, and otherwise leaves the rows to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import msgspec
import numpy as np

from rtwidgets.errors import SchemaError, UsageError
from rtwidgets.frames.columns import Table
from rtwidgets.frames.kinds import NAT, Array, Becomes, Doubt, Float, Int, Kind, Null
from rtwidgets.frames.rejected import Rejected
from rtwidgets.frames.rowtype import RowType, compile_row, decode
from rtwidgets.frames.schema import MAX_COLUMNS, SAMPLE, infer, infer_row_kinds
from rtwidgets.frames.times import Time
from rtwidgets.frames.values import EXACT, Misfit, is_null

__all__ = ["Intake"]

OFFSET = "offset"
NO_OFFSET = -1
RECEIVED = ("time", "received")
"""Names for the time of arrival, the first that is free."""

SMALL_TEXT = 300
SMALL_ROWS = 6
"""Below these the careful way is the faster one."""

_NOT_FAST = (msgspec.MsgspecError, Doubt, ValueError, TypeError, OverflowError, RecursionError)


class Extras(NamedTuple):
    """What the channel knows of each row beside the row: int64 arrays, one element a row, or None."""

    rows: int
    offsets: Array | None
    received: Array | None

    def offset(self, row: int) -> int | None:
        """Return the offset of a row."""
        return None if self.offsets is None else int(self.offsets[row])

    def only(self, rows: Sequence[int]) -> Extras:
        """Return the extras of some rows."""
        offsets, received = (None if values is None else values[rows] for values in self[1:])
        return Extras(len(rows), offsets, received)


class Intake:
    """Decodes rows by the schema of a table and appends them to it.

    Parameters
    ----------
    table
        Where the rows go. The intake adds and widens its columns: first the fields of the rows, then the
        extras.
    declared
        Kinds of all columns by name, or None to infer them.
    """

    def __init__(self, table: Table, declared: Mapping[str, Kind] | None) -> None:
        self.table = table
        self.rejected = Rejected()
        self._inferred = declared is None
        self._settled = False
        self._extras: list[str] = []
        self._ignored: set[str] = set()
        self._known: set[str] = set()
        self._fits: list[tuple[str, Callable[[Any], Any]]] = []
        self._compiled: RowType | None = None
        self._stale = False
        if declared is not None:
            self._settle_kinds(declared)

    def take_rows(self, rows: Iterable[object], offsets: object, received: object) -> int:
        """Append mappings; returns how many were accepted."""
        listed = rows if isinstance(rows, list) else list(rows)
        extras = self._extras_of(offsets, received, len(listed))
        self._settle(listed, extras)
        if len(listed) >= SMALL_ROWS and (row_type := self._row_type()) is not None:
            taken = self._fast(lambda: row_type.convert(listed), extras)
            if taken is not None:
                return taken
        return self._careful(listed, extras)

    def take_json(self, raw: bytes | str, offsets: object, received: object) -> int:
        """Append the objects of one JSON array; returns how many were accepted."""
        if len(raw) > SMALL_TEXT and (taken := self._fast_json(raw, offsets, received)) is not None:
            return taken
        try:
            decoded = decode(raw)
        except Misfit as misfit:
            self.rejected.add(misfit, raw, _first(offsets))
            return 0
        rows = decoded if isinstance(decoded, list) else [decoded]
        extras = self._extras_of(offsets, received, len(rows))
        if self._settle(rows, extras) and len(rows) > SAMPLE:
            taken = self._fast_json(raw, offsets, received)
            if taken is not None:
                return taken
        return self._careful(rows, extras)

    def take_messages(self, messages: Sequence[bytes | str], offsets: object, received: object) -> int:
        """Append messages of one JSON object each; returns how many were accepted."""
        extras = self._extras_of(offsets, received, len(messages))
        if len(messages) >= SMALL_ROWS and (row_type := self._row_type()) is not None:
            # Each on its own: joined into one array, text such as `1],[2` could pass for its neighbours.
            taken = self._fast(lambda: list(map(row_type.single.decode, messages)), extras)
            if taken is not None:
                return taken
        rows: list[object] = []
        good: list[int] = []
        for position, message in enumerate(messages):
            try:
                rows.append(decode(message))
                good.append(position)
            except Misfit as misfit:
                self.rejected.add(misfit, message, extras.offset(position))
        if len(good) < len(messages):
            extras = extras.only(good)
        self._settle(rows, extras)
        return self._careful(rows, extras)

    # The fast way

    def _fast_json(self, raw: bytes | str, offsets: object, received: object) -> int | None:
        row_type = self._row_type()
        if row_type is None:
            return None
        try:
            structs = row_type.array.decode(raw)
        except _NOT_FAST:
            return None
        return self._fast(lambda: structs, self._extras_of(offsets, received, len(structs)))

    def _fast(self, structs: Callable[[], list[Any]], extras: Extras) -> int | None:
        """Append structs of the row type; None if the careful way has to look at the rows."""
        row_type = self._row_type()
        assert row_type is not None
        try:
            rows = structs()
            values: list[Any] = [
                column.kind.bulk(list(map(getter, rows)))
                for column, getter in zip(self.table.columns, row_type.getters, strict=False)
            ]
        except _NOT_FAST:
            return None
        self._append(values, len(rows), extras)
        return len(rows)

    def _row_type(self) -> RowType | None:
        """Compile the schema if it has changed; None if msgspec cannot express it or nothing is known yet."""
        if self._stale:
            names = [name for name, _ in self._fits]
            kinds = [column.kind for column in self.table.columns[: len(names)]]
            self._compiled = compile_row(
                dict(zip(names, kinds, strict=True)), self._ignored, closed=self._inferred
            )
            self._stale = False
        return self._compiled

    # The careful way

    def _careful(self, rows: Sequence[object], extras: Extras) -> int:
        pending: list[list[Any]] = []
        kept: list[int] = []
        taken = 0
        for position, row in enumerate(rows):
            try:
                fields = _fields_of(row)
                values = self._fit(fields)
                if values is None:
                    values, changes = self._adapt(fields, rows, position)
                    if changes:
                        taken += self._flush(pending, kept, extras)
                        self._change(changes, fields)
            except Misfit as misfit:
                self.rejected.add(misfit, row, extras.offset(position))
            else:
                pending.append(values)
                kept.append(position)
        return taken + self._flush(pending, kept, extras)

    def _fit(self, row: Mapping[Any, Any]) -> list[Any] | None:
        """Fit a row to the schema as it is; None if it does not."""
        if self._inferred and not row.keys() <= self._known:
            return None
        get = row.get
        try:
            return [fit(get(name)) for name, fit in self._fits]
        except (Misfit, Becomes):
            return None

    def _flush(self, pending: list[list[Any]], kept: list[int], extras: Extras) -> int:
        """Append the rows fitted so far, emptying both lists."""
        count = len(kept)
        if count:
            rows = extras if extras.rows == count else extras.only(kept)
            self._append([list(values) for values in zip(*pending, strict=True)], count, rows)
            pending.clear()
            kept.clear()
        return count

    def _adapt(
        self, row: Mapping[Any, Any], rows: Sequence[object], position: int
    ) -> tuple[list[Any], dict[str, Kind]]:
        """Fit a row to the schema as it could be.

        Returns
        -------
        values
            What the row becomes in every field, new ones included.
        changes
            The kinds of fields that are new or have to change.
        """
        row = {str(name): value for name, value in row.items()}
        kinds = {name: column.kind for (name, _), column in zip(self._fits, self.table.columns, strict=False)}
        changes: dict[str, Kind] = {}
        if self._inferred:
            for name in row.keys() - self._known & set(self._extras):
                self._ignore(name)
            for name in row:
                if name not in self._known:
                    if len(kinds) >= MAX_COLUMNS:
                        raise Misfit(
                            f"a new field, and the frame has {MAX_COLUMNS} columns already", name, row[name]
                        )
                    kinds[name] = changes[name] = infer(_sample(name, rows, position), nullable=True)
        values = []
        for name, kind in kinds.items():
            value = row.get(name)
            try:
                if isinstance(kind, Null) and not is_null(value):
                    changes[name] = infer(_sample(name, rows, position), nullable=True)
                try:
                    values.append(changes.get(name, kind).fit(value))
                except Becomes as becomes:
                    changes[name] = becomes.kind
                    values.append(becomes.kind.fit(value))
            except Misfit as misfit:
                misfit.column, misfit.value = name, value
                raise
        return values, changes

    def _change(self, changes: dict[str, Kind], row: Mapping[Any, Any]) -> None:
        """Widen and add columns, all or none."""
        names = [name for name, _ in self._fits]
        for name, kind in changes.items():
            column = self.table.find(name)
            if column is not None and isinstance(column.kind, Int) and isinstance(kind, Float):
                held = column.data[: self.table.end]
                if len(held) and (held.max() > EXACT or held.min() < -EXACT):
                    raise Misfit(
                        "not an integer, and the column has integers that float64 cannot hold",
                        name,
                        row.get(name),
                    )
        for name, kind in changes.items():
            if name in names:
                self.table.change(names.index(name), kind)
            else:
                names.append(name)
                self.table.add(name, kind, len(names) - 1)
        self._refresh(names)

    # The schema and the extras

    def _settle(self, rows: Sequence[object], extras: Extras) -> bool:
        """Infer the schema from the first rows there ever were; whether that was now."""
        if self._settled:
            return False
        sample = list(islice((row for row in rows if isinstance(row, Mapping)), SAMPLE))
        if not sample:
            return False
        if extras.offsets is not None:
            sample = [{name: row[name] for name in row if name != OFFSET} for row in sample]
        kinds, self.table.time = infer_row_kinds(sample, self.table.key, self.table.time)
        self._settle_kinds(kinds)
        return True

    def _settle_kinds(self, kinds: Mapping[str, Kind]) -> None:
        for position, (name, kind) in enumerate(kinds.items()):
            self.table.add(name, kind, position)
        self._settled = True
        self._refresh(list(kinds))

    def _refresh(self, names: list[str]) -> None:
        """Follow a change of the table's columns."""
        self._fits = [
            (name, column.kind.fit) for name, column in zip(names, self.table.columns, strict=False)
        ]
        self._known = {*names, *self._ignored}
        self._stale = bool(names)

    def _ignore(self, name: str) -> None:
        """Leave out a field of the rows whose name an extra has."""
        self._ignored.add(name)
        self._known.add(name)
        self._stale = True

    def _extras_of(self, offsets: Any, received: Any, rows: int) -> Extras:
        if offsets is not None:
            offsets = np.asarray(offsets, np.int64)
            if offsets.shape != (rows,):
                raise UsageError(
                    f"{rows} rows came with {offsets.size} offsets: give one offset for each row"
                )
            if OFFSET in self._known and OFFSET not in self._extras and OFFSET not in self._ignored:
                raise SchemaError(
                    f"the rows have a field {OFFSET!r} of their own: "
                    "give offsets from the first rows on, and it gives way, or never"
                )
        if received is not None:
            received = np.asarray(received, np.int64)
            if received.ndim == 0:
                received = np.full(rows, received)
            elif received.shape != (rows,):
                raise UsageError(
                    f"{rows} rows came with {received.size} times of arrival: give one, or one for each row"
                )
        return Extras(rows, offsets, received)

    def _append(self, values: list[Any], rows: int, extras: Extras) -> None:
        table = self.table
        if not rows:
            return
        if extras.received is not None and table.time is None:
            name = next((name for name in RECEIVED if name not in self._known), None)
            if name is not None:
                table.add(name, Time(), len(self._fits))
                table.time = name
                self._extras.insert(0, name)
        if extras.offsets is not None and OFFSET not in self._extras:
            table.add(OFFSET, Int(), len(table.columns), fill=NO_OFFSET)
            self._extras.append(OFFSET)
        for name in self._extras:
            known, null = (extras.offsets, NO_OFFSET) if name == OFFSET else (extras.received, NAT)
            values.append(np.full(rows, null) if known is None else known)
        table.append(values, rows)


def _fields_of(row: object) -> Mapping[Any, Any]:
    if isinstance(row, Mapping):
        return row
    names = {
        type(None): "null",
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "text",
        list: "a list",
    }
    raise Misfit(f"not an object of named fields but {names.get(type(row), type(row).__name__)}")


def _sample(name: str, rows: Sequence[object], position: int) -> list[Any]:
    """Return the values of a field in the rows from `position` on."""
    return [row.get(name) for row in rows[position : position + SAMPLE] if isinstance(row, Mapping)]


def _first(offsets: Any) -> int | None:
    return None if offsets is None or not len(offsets) else int(offsets[0])
