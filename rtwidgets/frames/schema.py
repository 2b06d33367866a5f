"""Which columns a stream has: what the user declares, and what is inferred from the first rows.

Inference looks at up to `SAMPLE` rows. All true/false is ``bool``; all integers ``int64`` (``float64`` if
some are missing); numbers ``float64``; ISO 8601 text or a plausible epoch in a field with a `TIME_NAMES` name
is the time; text that is all decimal numbers (``"0.00001305"``, not ``"007"``) ``float64``; other text, lists
and objects ``str``. Integers beyond int64 are ``float64`` if float64 holds every one exactly, else ``str``.
Where the first rows disagree, the first value decides.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from rtwidgets.errors import SchemaError
from rtwidgets.frames.kinds import NAT, Becomes, Bool, Boolean, Float, Int, Kind, Null
from rtwidgets.frames.texts import Category, Text
from rtwidgets.frames.times import Time
from rtwidgets.frames.values import (
    EXACT,
    NS_PER,
    Misfit,
    epoch_ns,
    epoch_unit,
    is_null,
    iso_ns,
    looks_like_number,
    plain,
)

__all__ = ["MAX_COLUMNS", "SAMPLE", "Schema", "declared_kinds", "infer", "infer_row_kinds"]

SAMPLE = 100
"""Rows that inference looks at."""
MAX_COLUMNS = 256
"""Columns that an inferred schema may grow to."""
TIME_NAMES = ("time", "timestamp", "ts", "datetime", "date")

_PLAUSIBLE = (pd.Timestamp("2000-01-01").value, pd.Timestamp("2100-01-01").value)
_DTYPES: dict[str, Kind] = {
    "float": Float(declared=True),
    "float64": Float(declared=True),
    "int": Int(declared=True),
    "int64": Int(declared=True),
    "bool": Bool(declared=True),
    "boolean": Boolean(declared=True),
    "str": Text(declared=True, numbers=True),
    "string": Text(declared=True, numbers=True),
    "category": Category(declared=True, numbers=True),
    "datetime": Time(declared=True),
    "datetime64[ns, UTC]": Time(declared=True),
    **{f"datetime64[{unit}]": Time(declared=True, unit=unit) for unit in NS_PER},
}
_PYTHON_TYPES: dict[object, str] = {
    float: "float",
    int: "int",
    str: "str",
    bool: "bool",
    dt.datetime: "datetime",
}


class Schema(Mapping[str, str]):
    """Columns of a frame and the names of their pandas dtypes, in order. Read-only.

    Can be given as `schema` to another frame.
    """

    def __init__(self, columns: Mapping[str, str]) -> None:
        self._columns = dict(columns)

    def __getitem__(self, name: str) -> str:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __repr__(self) -> str:
        return f"Schema({self._columns!r})"


def declared_kinds(schema: Any, key: str | None, time: str | None) -> dict[str, Kind]:
    """Read a schema that the user wrote.

    Parameters
    ----------
    schema
        Column name to Python type, dtype or dtype name. ``"datetime64[ms]"`` says that numbers on the wire
        count milliseconds; ``datetime`` leaves the unit to the first number.
    key, time
        Columns that must be in the schema; the key becomes a category whatever it is declared as.

    Raises
    ------
    SchemaError
        If a dtype is unknown, or the key or time is missing or cannot be one.
    """
    if not isinstance(schema, Mapping) or not schema:
        raise SchemaError(
            "a schema is a mapping of column names to dtypes, "
            'such as {"price": "float64", "symbol": "category"}'
        )
    kinds = {}
    for name, dtype in schema.items():
        if not isinstance(name, str):
            raise SchemaError(
                f"column name {name!r} is not text: name columns as the fields of the rows are named"
            )
        kinds[name] = _declared_kind(name, dtype)
    for role, column in (("key", key), ("time", time)):
        if column is not None and column not in kinds:
            raise SchemaError(
                f"{role}={column!r} is not in the schema: add it, or choose one of {', '.join(kinds)}"
            )
    if key is not None:
        kinds[key] = _declared_key(key, kinds[key])
    if time is not None and not isinstance(kinds[time], Time):
        raise SchemaError(
            f"time={time!r} is declared {kinds[time].dtype}: "
            'declare it "datetime", or "datetime64[ms]" and the like'
        )
    return kinds


def _declared_kind(name: str, dtype: object) -> Kind:
    try:
        text = _PYTHON_TYPES.get(dtype) or (dtype if isinstance(dtype, str) else str(np.dtype(dtype)))  # type: ignore[call-overload]
    except TypeError:
        text = str(dtype)
    kind = _DTYPES.get(re.sub(r"\s*,\s*", ", ", text))
    if kind is None:
        choices = "float64, int64, bool, boolean, str, category, datetime or datetime64[s|ms|us|ns]"
        raise SchemaError(f"column {name!r} cannot be {text!r}: choose {choices}")
    return kind


def _declared_key(name: str, kind: Kind) -> Kind:
    if isinstance(kind, Int):
        return Category(declared=True, integers=True)
    if isinstance(kind, Text | Category):
        return Category(declared=True, numbers=True)
    raise SchemaError(f'key={name!r} is declared {kind.dtype}: a key is "category", "str" or "int64"')


def infer_row_kinds(
    rows: Sequence[Mapping[str, Any]], key: str | None, time: str | None
) -> tuple[dict[str, Kind], str | None]:
    """Infer the columns of a stream from its first rows.

    Parameters
    ----------
    rows
        At least one row.
    key, time
        Names given by the user, or None. Both get a column, in the rows or not.

    Returns
    -------
    kinds
        By column name, in order of appearance, at most `MAX_COLUMNS`.
    time
        Name of the time column, given or recognised, or None.
    """
    fields = dict.fromkeys(str(name) for row in rows for name in row)
    values = {name: [_plain_or_misfit(row.get(name)) for row in rows] for name in list(fields)[:MAX_COLUMNS]}
    if time is None:
        time = next(
            (name for name in TIME_NAMES if name in values and name != key and _is_time(values[name])), None
        )
    for name in (key, time):
        if name is not None:
            values.setdefault(name, [None])
    kinds: dict[str, Kind] = {}
    for name, column in values.items():
        kinds[name] = (
            _infer_key(column) if name == key else _infer_time(column) if name == time else infer(column)
        )
    return kinds, time


def infer(values: Sequence[Any], *, nullable: bool = False) -> Kind:
    """Infer the kind of one column; see the top of the module for the rules.

    Parameters
    ----------
    values
        Values of the field, None where a row has none.
    nullable
        The column must have room for null although the values have none.
    """
    present = [value for value in map(_plain_or_misfit, values) if not is_null(value)]
    nullable = nullable or len(present) < len(values)
    if not present:
        return Null()
    types = set(map(type, present))
    first = type(present[0])
    if first is bool:
        return Boolean() if nullable else Bool()
    if types <= {int, float}:
        return _infer_number(present, nullable)
    if first is int or first is float:
        return Float()
    if types == {str} and all(map(looks_like_number, present)):
        return Float(text=True)
    if first is pd.Timestamp:
        return Time()
    return Text(nested=bool(types & {list, dict}))


def _infer_number(present: list[Any], nullable: bool) -> Kind:
    integers = [value for value in present if type(value) is int]
    exact = all(abs(value) <= EXACT or _is_exact(value) for value in integers)
    if any(not -(2**63) <= value < 2**63 for value in integers):
        return Float() if exact else Text(numbers=True)
    if len(integers) < len(present):
        return Float()
    if not nullable:
        return Int()
    return Float() if exact else Text(numbers=True)


def _is_exact(value: int) -> bool:
    try:
        return float(value) == value
    except OverflowError:
        return False


def _infer_key(values: list[Any]) -> Kind:
    present = [value for value in values if not is_null(value)]
    if present and all(type(value) is int and -(2**63) <= value < 2**63 for value in present):
        return Category(integers=True)
    return Category(numbers=any(type(value) is not str for value in present))


def _infer_time(values: list[Any]) -> Kind:
    numbers = [value for value in values if type(value) in (int, float) and not is_null(value)]
    return Time(unit=epoch_unit(numbers[0])) if numbers else Time()


def _is_time(values: list[Any]) -> bool:
    present = [value for value in values if not is_null(value)]
    unit = next((epoch_unit(value) for value in present if type(value) in (int, float)), None)
    try:
        return bool(present) and all(_is_moment(value, unit) for value in present)
    except (Misfit, Becomes):
        return False


def _is_moment(value: Any, unit: str | None) -> bool:
    if isinstance(value, pd.Timestamp):
        return True
    if type(value) is str:
        return iso_ns(value) > NAT
    if unit is None or type(value) not in (int, float):
        return False
    return _PLAUSIBLE[0] <= epoch_ns(value, unit) < _PLAUSIBLE[1]


def _plain_or_misfit(value: object) -> Any:
    """Return the plain value, or an object of no known type that every kind will refuse."""
    try:
        return plain(value)
    except Misfit:
        return object
