"""The kind of column that holds moments, from epoch numbers or ISO 8601 text."""

# ruff: noqa: D102 -- an override does what its base class says

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from rtwidgets.frames.kinds import NAT, UTC, Array, Becomes, Doubt, Kind, one_by_one, within
from rtwidgets.frames.values import (
    EXACT,
    FIRST_YEAR,
    LAST_YEAR,
    US_PER,
    Misfit,
    epoch_ns,
    epoch_unit,
    is_null,
    iso_ns,
    parse_number,
    plain,
)

__all__ = ["Time"]


@dataclass(frozen=True)
class Time(Kind):
    """Moments as int64 nanoseconds since 1970, shown as datetime64[ns, UTC]; null is NaT.

    Parameters
    ----------
    unit
        Unit of the numbers on the wire; None until one was seen.
    """

    unit: str | None = None

    dtype = "datetime64[ns, UTC]"

    @property
    def wire(self) -> Any:
        if self.unit is None:
            return str | None
        return int | None if self.unit == "ns" else float | None

    def fit(self, value: Any) -> int:
        if type(value) is not float and type(value) is not int:
            value = plain(value)
        if is_null(value):
            return NAT
        if isinstance(value, pd.Timestamp):
            return int(value.value)
        if type(value) is str:
            try:
                return iso_ns(value)
            except Misfit as not_iso:
                try:
                    value = parse_number(value)
                except Misfit:
                    raise not_iso from None
        if type(value) is not float and type(value) is not int:
            raise Misfit("not a time")
        if self.unit is None:
            raise Becomes(replace(self, unit=epoch_unit(value)))
        return epoch_ns(value, self.unit)

    def bulk(self, values: list[Any]) -> list[Any] | Array:
        if self.unit is None:
            return one_by_one(self, values) if (moments := _iso_bulk(values)) is None else moments
        if self.unit == "ns":
            if any(value is not None and not -(2**63) < value < 2**63 for value in values):
                raise Doubt
            return [NAT if value is None else value for value in values]
        micros = np.array(values, np.float64)
        if not within(micros, EXACT / US_PER[self.unit]):
            raise Doubt
        micros *= US_PER[self.unit]
        np.rint(micros, out=micros)
        missing = np.isnan(micros)
        if not missing.any():
            return micros.astype(np.int64) * 1_000
        return np.where(missing, NAT, np.where(missing, 0, micros).astype(np.int64) * 1_000)

    def buffer(self, capacity: int) -> Array:
        return np.full(capacity, NAT, np.int64)

    def wrap(self, data: Array) -> Any:
        return pd.array(data, dtype=UTC, copy=False)


_ISO_SHAPE = "0000-00-00T00:00:00.000000000"


def _iso_bulk(values: list[Any]) -> Array | None:
    """Read UTC times that were all written to one pattern, ``2026-01-31T12:30:00[.fraction]Z``; else None."""
    length = len(values[0]) if values and values[0] else 0
    if length not in (20, *range(22, 31)) or None in values or any(len(text) != length for text in values):
        return None
    joined = "".join(values)
    for position, expected in enumerate(_ISO_SHAPE[: length - 1]):
        column = joined[position::length]
        if not (
            column.isascii() and column.isdigit() if expected == "0" else column == expected * len(values)
        ):
            return None
    if (
        joined[length - 1 :: length] != "Z" * len(values)
        or min(values) < FIRST_YEAR
        or max(values)[:4] > LAST_YEAR
    ):
        return None
    try:
        return np.array([text[:-1] for text in values], "datetime64[ns]").view(np.int64)
    except ValueError:  # no such day or hour
        return None
