"""The cells of a table as text, which way numbers moved, and the order that a reader asks for."""

from __future__ import annotations

import datetime as dt
import math
import operator
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from rtwidgets.frames import LiveFrame

__all__ = ["DOWN", "MISSING", "UP", "Column", "Latest", "arrange", "moves"]

UP, DOWN = "▲", "▼"
MISSING = "–"

DIGITS = 8
"""Decimals at the most."""
_SIGNIFICANT = 6
"""Digits of numbers that no short decimal fraction writes exactly."""
_LONGEST = 200
"""Characters of a text at the most."""

Moves = npt.NDArray[np.int8]


class Column:
    """How one column is written.

    What it learns from the values (decimals, width, whether a date is needed) only grows, so that a live
    table does not flicker between two ways to write a column.

    Parameters
    ----------
    name
        Name in the frame.
    ident
        Name in the grid: short, and no number, which JavaScript would put first.
    dtype
        Of the values: the one pandas has for them.
    """

    def __init__(self, name: str, ident: str, dtype: Any) -> None:
        self.name = name
        self.ident = ident
        self.dtype = dtype
        self.kind = _kind(dtype)
        self.digits = 0
        self.dated = False
        self.width = 0

    @property
    def is_number(self) -> bool:
        """Whether it can move up and down."""
        return self.kind in ("float", "int")

    def learn(self, values: pd.Series) -> None:
        """See how the values have to be written."""
        if self.kind == "float":
            self.digits = max(self.digits, _digits(values.to_numpy(np.float64, na_value=np.nan)))
        elif self.kind == "time" and not self.dated:
            today = pd.Timestamp(dt.datetime.now(dt.UTC).date(), tz="UTC")
            first, last = values.min(), values.max()
            self.dated = bool(first < today or last >= today + pd.Timedelta(days=1))

    def texts(self, values: pd.Series, moved: Moves | None = None) -> list[str]:
        """Return values as they are shown, a number that moved with a mark before it."""
        writers: dict[str, Callable[[Any], str]] = {
            "float": self._float,
            "int": _int,
            "time": self._time,
            "bool": _bool,
            "text": _text,
        }
        write = writers[self.kind]
        shown = [MISSING if pd.isna(value) else write(value) for value in values]
        if moved is None or not moved.any():
            return shown
        marks = {1: f"{UP} ", -1: f"{DOWN} "}
        return [marks.get(move, "") + each for each, move in zip(shown, moved.tolist(), strict=True)]

    def fit(self, texts: Iterable[str]) -> bool:
        """Make the column wide enough for some texts; return whether it had to grow. In characters."""
        width = max(map(_width, texts), default=0)
        grown = width > self.width
        self.width = max(width, self.width)
        return grown

    def _float(self, value: float) -> str:
        size = abs(value)
        if math.isinf(value):
            return "∞" if value > 0 else "-∞"
        if size >= 1e15 or (0 < size < 0.5 * 10**-self.digits):
            return f"{value:.{_SIGNIFICANT}g}"
        return f"{value:,.{self.digits}f}"

    def _time(self, value: pd.Timestamp) -> str:
        form = "%Y-%m-%d %H:%M:%S" if self.dated else "%H:%M:%S"
        return f"{value.strftime(form)}.{value.microsecond // 1000:03d}Z"


def _kind(dtype: Any) -> str:
    if pd.api.types.is_bool_dtype(dtype):
        return "bool"
    if pd.api.types.is_integer_dtype(dtype):
        return "int"
    if pd.api.types.is_float_dtype(dtype):
        return "float"
    return "time" if pd.api.types.is_datetime64_any_dtype(dtype) else "text"


def _digits(values: npt.NDArray[np.float64]) -> int:
    """Decimals that write all values, or six significant digits of a usual one."""
    values = values[np.isfinite(values) & (np.abs(values) < 1e15)]
    if not len(values):
        return 0
    exact = np.maximum(np.abs(values), 1.0) * 1e-11
    for digits in range(DIGITS + 1):
        if (np.abs(np.round(values, digits) - values) <= exact).all():
            return digits
    sizes = np.abs(values[values != 0])
    return min(max(_SIGNIFICANT - 1 - math.floor(math.log10(np.median(sizes))), 0), DIGITS)


def _int(value: int) -> str:
    return f"{int(value):,d}"


def _bool(value: object) -> str:
    return "true" if value else "false"


def _text(value: object) -> str:
    """Return a value as one line. It is painted on a canvas, where nothing is markup."""
    line = str(value)[: _LONGEST + 1]
    line = "".join(each if each.isprintable() else " " for each in line)
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def _width(line: str) -> int:
    if line.isascii():
        return len(line)
    return sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in line)


# Up and down


def moves(values: npt.NDArray[Any], codes: npt.NDArray[np.intp]) -> Moves:
    """Compare each value with the one before it of the same key.

    Parameters
    ----------
    values
        Numbers in the order they came, shape (rows,).
    codes
        The keys as numbers, likewise.

    Returns
    -------
    int8 array, likewise: 1 is up, -1 is down, 0 is neither or not known.
    """
    order = np.argsort(codes, kind="stable")
    sorted_values, sorted_codes = values[order], codes[order]
    now, before = sorted_values[1:], sorted_values[:-1]
    step = (now > before).astype(np.int8) - (now < before).astype(np.int8)  # not a difference: int64 wraps
    moved = np.zeros(len(values), np.int8)
    moved[order[1:]] = np.where(sorted_codes[1:] == sorted_codes[:-1], step, 0)
    return moved


class Latest:
    """Which way the numbers of each key went when its last row came.

    Parameters
    ----------
    frame
        Its key is not None.
    """

    def __init__(self, frame: LiveFrame) -> None:
        self._frame = frame
        self._cursor = 0
        self._before: pd.DataFrame | None = None
        self._moved: pd.DataFrame | None = None

    def moves(self, names: Sequence[str], keys: pd.Index[Any]) -> dict[str, Moves]:
        """Read on in the frame, and return the moves of columns for keys.

        Parameters
        ----------
        names
            Columns of numbers.
        keys
            The keys, in the order that the moves are wanted in.
        """
        key = self._frame.key
        assert key is not None
        batch, self._cursor = self._frame.since(self._cursor)
        batch = batch[list(dict.fromkeys([key, *names]))].dropna(subset=[key])  # a key may be a number
        if len(batch) or self._before is None:
            batch[key] = plain(batch[key])
            self._read(batch, key, names)
        assert self._moved is not None
        moved = self._moved.reindex(index=keys, columns=list(names)).fillna(0)
        return {name: moved[name].to_numpy(np.int8) for name in names}

    def _read(self, batch: pd.DataFrame, key: str, names: Sequence[str]) -> None:
        known = 0 if self._before is None else len(self._before)
        rows = pd.concat([self._before, batch], ignore_index=True) if known else batch
        codes, keys = pd.factorize(rows[key])
        last = np.zeros(len(keys), np.intp)
        last[codes] = np.arange(len(rows))
        fresh = {name: moves(rows[name].to_numpy(), codes)[last] for name in names if name in rows}
        moved = pd.DataFrame(fresh, index=pd.Index(keys))
        if self._moved is not None:
            quiet = moved.index[last < known]
            moved.loc[quiet] = (
                self._moved.reindex(index=quiet, columns=moved.columns).fillna(0).astype(np.int8)
            )
        self._moved = moved
        self._before = rows.iloc[last]


def plain(values: pd.Series) -> pd.Series:
    """Return a column of categories as what the categories are: they would sort by their age."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return values.astype(values.dtype.categories.dtype)
    return values


# Sorting and filtering


def arrange(
    rows: pd.DataFrame, transforms: Iterable[Mapping[str, Any]], columns: Mapping[str, Column]
) -> npt.NDArray[np.intp]:
    """Return the positions of the rows that filters leave, sorted.

    Parameters
    ----------
    rows
        The rows, with typed columns.
    transforms
        As ipydatagrid has them: ``{"type": "sort", "column", "desc"}`` and ``{"type": "filter", "column",
        "operator", "value"}``. Those of columns that there are not are left out.
    columns
        The columns by their names in the transforms.
    """
    stays = np.ones(len(rows), np.bool_)
    order: npt.NDArray[np.intp] = np.arange(len(rows))
    sort = None
    for each in transforms:
        column = columns.get(str(each.get("column")))
        if column is None:
            continue
        if each.get("type") == "filter":
            stays &= _fulfils(rows[column.name], column, str(each.get("operator")), each.get("value"))
        elif each.get("type") == "sort":
            sort = column, bool(each.get("desc", False))
    if sort is not None:
        column, down = sort
        values = rows[column.name].reset_index(drop=True)
        try:
            values = values.sort_values(ascending=not down, kind="stable")
        except TypeError:  # values that do not compare, such as numbers beside texts
            values = values.map(str).sort_values(ascending=not down, kind="stable")
        order = values.index.to_numpy(np.intp)
    return order[stays[order]]


_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
    "=": operator.eq,
    "!=": operator.ne,
}
_SEARCH: dict[str, Callable[[str, str], bool]] = {
    "startswith": str.startswith,
    "endswith": str.endswith,
    "contains": operator.contains,
    "stringContains": operator.contains,
    "!contains": lambda line, part: part not in line,
}


def _fulfils(values: pd.Series, column: Column, condition: str, operand: Any) -> npt.NDArray[np.bool_]:
    """Which values fulfil a condition. An operand that cannot be compared with them is fulfilled by none."""
    missing = values.isna().to_numpy(np.bool_)
    if condition in ("empty", "notempty"):
        return missing if condition == "empty" else ~missing
    try:
        if condition == "in":
            chosen = {str(each) for each in operand}
            return np.array([each in chosen for each in column.texts(values)], np.bool_)
        if condition in _SEARCH:
            found = [_SEARCH[condition](str(each), str(operand)) for each in values]
            return np.array(found, np.bool_) & ~missing
        if condition == "between":
            low, high = (_like(each, column) for each in operand)
            return _true((values >= low) & (values <= high), missing)
        if condition == "isOnSameDay":
            return _true(values.dt.floor("D") == _like(operand, column).floor("D"), missing)
        return _true(_COMPARE[condition](values, _like(operand, column)), missing)
    except (AttributeError, KeyError, TypeError, ValueError):
        return np.zeros(len(values), np.bool_)


def _true(found: pd.Series, missing: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    return found.to_numpy(np.bool_, na_value=False) & ~missing


def _like(operand: Any, column: Column) -> Any:
    """Return what the browser sent as a value of the column's type."""
    if column.kind == "time":
        return pd.to_datetime(operand, utc=True)
    if column.kind == "bool":
        return str(operand).lower() in ("true", "1", "yes")
    if column.is_number:
        number = float(operand)
        return int(operand) if column.kind == "int" and number.is_integer() else number
    return str(operand)
