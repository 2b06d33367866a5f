"""Single values: numbers, text and moments as they come in rows.

What JSON can say is taken as it is; what Python callers add to it (numpy scalars, timestamps, decimals) is
brought back to those few types by `plain`, so that the kinds of a schema have a short list of cases.
"""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

__all__ = [
    "Misfit",
    "epoch_ns",
    "epoch_unit",
    "exact_float",
    "is_null",
    "iso_ns",
    "json_text",
    "looks_like_number",
    "parse_number",
    "plain",
]

EXACT = 2**53
"""Integers below this magnitude have a float64 of their own."""

NS_PER = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
US_PER = {"s": 1e6, "ms": 1e3, "us": 1.0}

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_LONGEST_INTEGER = 400
_ISO = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ]((?:[01][0-9]|2[0-3]):[0-9]{2}(?::[0-9]{2})?)(?:(?<=:[0-9]{2}:[0-9]{2})\.([0-9]{1,9}))?"
    r"(?:Z|z|([+-])([0-9]{2}):?([0-9]{2}))?)?"
)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
FIRST_YEAR, LAST_YEAR = "1678", "2261"
"""Whole years that datetime64[ns] can hold."""


class Misfit(Exception):
    """A value that its column cannot hold. Ends the row, never the stream.

    Attributes
    ----------
    reason
        What is wrong, to be read after the column and the value.
    column, value
        Filled in by whoever knows them.
    """

    def __init__(self, reason: str, column: str = "", value: object = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.column = column
        self.value = value


def is_null(value: object) -> bool:
    """Whether a plain value stands for nothing: None or a float NaN."""
    return value is None or (type(value) is float and math.isnan(value))


def plain(value: object) -> Any:
    """Bring a Python value to None, bool, int, float, str, list, dict or a UTC `pandas.Timestamp`.

    Raises
    ------
    Misfit
        If the value has no place in a column.
    """
    if isinstance(value, pd.Timestamp | dt.datetime | dt.date | np.datetime64):
        return _moment(value)
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, bool):
        return value
    for base in (int, float, str):
        if isinstance(value, base):
            return base(value)
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, list | tuple | set | frozenset | np.ndarray):
        return list(value)
    raise Misfit(f"a Python {type(value).__name__} has no place in a column")


def _moment(value: dt.date | np.datetime64) -> pd.Timestamp | None:
    try:
        moment: Any = pd.Timestamp(value).as_unit("ns")
    except (ValueError, OverflowError) as error:
        raise Misfit("a time outside the years 1678 to 2261") from error
    if moment is pd.NaT:
        return None
    utc: pd.Timestamp = moment.tz_localize("UTC") if moment.tzinfo is None else moment.tz_convert("UTC")
    return utc


def exact_float(value: int) -> float:
    """Return an integer as a float64 that equals it, or raise `Misfit`."""
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if number != value:
        raise Misfit('an integer that float64 cannot hold exactly: declare the column "str" to keep it')
    return number


def parse_number(text: str) -> int | float:
    """Read a decimal number in ASCII text, such as ``"0.00001305"``, ``"-3"`` or ``"1e-7"``.

    Returns
    -------
    int or float
        An int when the text has neither a point nor an exponent.

    Raises
    ------
    Misfit
        If the text is anything else, or a number beyond float64.
    """
    if not _NUMBER.fullmatch(text):
        raise Misfit("text where the column has numbers")
    number = float(text)
    if math.isinf(number):
        raise Misfit("a number beyond float64")
    return int(text) if len(text) <= _LONGEST_INTEGER and _INTEGER.fullmatch(text) else number


def looks_like_number(text: str) -> bool:
    """Whether text was a number before someone put quotes around it: not an identifier such as ``"007"``."""
    digits = text.removeprefix("-")
    if not _NUMBER.fullmatch(text) or text.startswith("+"):
        return False
    if digits.isdigit() and len(digits) > 15:
        return False
    return not (len(digits) > 1 and digits[0] == "0" and digits[1].isdigit())


def epoch_unit(value: float) -> str:
    """Tell the unit of a number since 1970 by its magnitude: ``"s"``, ``"ms"``, ``"us"`` or ``"ns"``."""
    size = abs(value)
    return "s" if size < 1e11 else "ms" if size < 1e14 else "us" if size < 1e17 else "ns"


def epoch_ns(value: float, unit: str) -> int:
    """Turn a number since 1970 into nanoseconds; a fractional number is rounded to the microsecond.

    Parameters
    ----------
    value
        An int or float, not NaN.
    unit
        ``"s"``, ``"ms"``, ``"us"`` or ``"ns"``.

    Raises
    ------
    Misfit
        If datetime64[ns] has no such moment.
    """
    if isinstance(value, int):
        ns = value * NS_PER[unit]
    elif math.isinf(value):
        raise Misfit("an infinite time")
    elif abs(value) >= 2**63:
        raise Misfit("a time outside the years 1678 to 2261")  # and the product below may be infinite
    else:
        ns = round(value) if unit == "ns" else round(value * US_PER[unit]) * 1_000
    if not -(2**63) < ns < 2**63:
        raise Misfit("a time outside the years 1678 to 2261")
    return ns


def iso_ns(text: str) -> int:
    """Read an ISO 8601 date or moment as nanoseconds since 1970. Without an offset it is UTC.

    Raises
    ------
    Misfit
        If the text is no such moment or datetime64[ns] cannot hold it.
    """
    match = _ISO.fullmatch(text)
    if match is None:
        raise Misfit("text that is not an ISO 8601 time")
    date, time, fraction, sign, hours, minutes = match.groups()
    if not FIRST_YEAR <= date[:4] <= LAST_YEAR:
        raise Misfit("a time outside the years 1678 to 2261")
    try:
        since = dt.datetime.fromisoformat(f"{date}T{time}Z" if time else f"{date}T00:00Z") - _EPOCH
    except ValueError as error:
        raise Misfit("text that is not an ISO 8601 time") from error
    ns = (since.days * 86_400 + since.seconds) * 1_000_000_000
    if fraction is not None:
        ns += int(fraction.ljust(9, "0"))
    if sign is None:
        return ns
    offset = (int(hours) * 60 + int(minutes)) * 60_000_000_000
    return ns - offset if sign == "+" else ns + offset


def json_text(value: object) -> str:
    """Write a nested value as compact JSON. What JSON does not know is written as its `str`.

    Raises
    ------
    Misfit
        If the value holds itself or is nested too deeply.
    """
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)
    except (ValueError, TypeError, RecursionError) as error:
        raise Misfit("a nested value that JSON cannot write") from error
