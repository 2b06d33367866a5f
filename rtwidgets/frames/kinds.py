"""Kinds of columns: what each may hold, how one value and how many values become it, and how it lies in
memory.

Every kind has two ways in. `Kind.fit` takes one value of a row and is the definition. `Kind.bulk` takes the
values of many rows that msgspec has already checked against `Kind.wire`; it gives what `fit` would have given
for each, or raises `Doubt` and the rows go one by one.
"""

# ruff: noqa: D102 -- an override does what its base class says

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from rtwidgets.frames.values import EXACT, Misfit, exact_float, is_null, parse_number, plain

__all__ = ["Becomes", "Bool", "Boolean", "Doubt", "Float", "Int", "Kind", "Null"]

Array = npt.NDArray[Any]

STRING = pd.StringDtype("python", na_value=np.nan)
UTC = pd.DatetimeTZDtype("ns", "UTC")
NAT = np.iinfo(np.int64).min


class Doubt(Exception):
    """The fast way cannot tell; take the rows one by one."""


class Becomes(Exception):
    """A value that the column takes once it is of another kind."""

    def __init__(self, kind: Kind) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass(frozen=True)
class Kind(ABC):
    """What a column holds.

    Parameters
    ----------
    declared
        Given by the user: such a column is never widened.
    """

    declared: bool = False

    dtype: ClassVar[str]
    """Name of the pandas dtype."""
    required: ClassVar[bool] = False
    """Whether the fast way needs the field in every row."""

    @property
    @abstractmethod
    def wire(self) -> Any:
        """Type that msgspec checks for the fast way."""

    @abstractmethod
    def fit(self, value: Any) -> Any:
        """Turn one value of a row into what `write` takes.

        Raises
        ------
        Misfit
            If the column cannot hold the value.
        Becomes
            If it could, as another kind.
        """

    @abstractmethod
    def bulk(self, values: list[Any]) -> Sequence[Any] | Array:
        """Turn values of the type `wire` into what `write` takes, or raise `Doubt`."""

    @abstractmethod
    def buffer(self, capacity: int) -> Array:
        """Allocate room for rows, null where the kind has nulls. The last axis counts rows."""

    def write(self, data: Array, at: int, values: Sequence[Any] | Array) -> None:
        """Store the results of `fit` or `bulk` in a buffer from row `at` on."""
        data[at : at + len(values)] = values

    def wrap(self, data: Array) -> Any:
        """Dress a whole buffer as something that pandas slices without a copy."""
        return data

    def adopt(self, old: Array, rows: int, capacity: int) -> Array:
        """Return a buffer with the first `rows` rows of one that held a narrower kind."""
        data = self.buffer(capacity)
        data[:rows] = old[:rows]
        return data


class Null(Kind):
    """A field that was null in every row so far."""

    dtype = "float64"

    @property
    def wire(self) -> Any:
        return None

    def fit(self, value: Any) -> float:
        if is_null(value) or plain(value) is None:
            return math.nan
        raise Becomes(self)

    def bulk(self, values: list[Any]) -> Array:
        return np.full(len(values), np.nan)

    def buffer(self, capacity: int) -> Array:
        return np.full(capacity, np.nan)


class Bool(Kind):
    """True or False; an inferred one becomes `Boolean` when it meets a null."""

    dtype = "bool"
    required = True

    @property
    def wire(self) -> Any:
        return bool

    def fit(self, value: Any) -> bool:
        if type(value) is bool:
            return value
        value = plain(value)
        if type(value) is bool:
            return value
        if not is_null(value):
            raise Misfit("not true or false")
        if self.declared:
            raise Misfit('null where the column is declared bool: declare it "boolean" to allow null')
        raise Becomes(Boolean())

    def bulk(self, values: list[Any]) -> list[Any]:
        return values

    def buffer(self, capacity: int) -> Array:
        return np.zeros(capacity, np.bool_)


class Boolean(Kind):
    """True, False or missing; lies in memory as two rows of bool, the values and the mask."""

    dtype = "boolean"

    @property
    def wire(self) -> Any:
        return bool | None

    def fit(self, value: Any) -> bool | None:
        value = plain(value)
        if type(value) is bool:
            return value
        if is_null(value):
            return None
        raise Misfit("not true or false")

    def bulk(self, values: list[Any]) -> list[Any]:
        return values

    def buffer(self, capacity: int) -> Array:
        data = np.zeros((2, capacity), np.bool_)
        data[1] = True
        return data

    def write(self, data: Array, at: int, values: Sequence[Any] | Array) -> None:
        end = at + len(values)
        data[0, at:end] = [value is True for value in values]
        data[1, at:end] = [value is None for value in values]

    def wrap(self, data: Array) -> Any:
        return pd.arrays.BooleanArray(data[0], data[1])

    def adopt(self, old: Array, rows: int, capacity: int) -> Array:
        data = self.buffer(capacity)
        data[0, :rows] = old[:rows]
        data[1, :rows] = False
        return data


class Int(Kind):
    """int64; an inferred one becomes `Float` when it meets a fraction or a null."""

    dtype = "int64"
    required = True

    @property
    def wire(self) -> Any:
        return int

    def fit(self, value: Any) -> int:
        number = plain(value) if type(value) is not int else value
        if type(number) is str and self.declared:
            number = parse_number(number)
        if type(number) is float and number.is_integer() and abs(number) < 2**63:
            number = int(number)
        if type(number) is int:
            if -(2**63) <= number < 2**63:
                return number
            raise Misfit('an integer beyond int64: declare the column "float64" or "str"')
        if not is_null(number) and type(number) is not float:
            raise Misfit("not a number")
        if not self.declared:
            raise Becomes(Float())
        what = "null" if is_null(number) else "a fraction"
        raise Misfit(f'{what} where the column is declared int64: declare it "float64" to allow it')

    def bulk(self, values: list[Any]) -> Array:
        return np.array(values, np.int64)

    def buffer(self, capacity: int) -> Array:
        return np.zeros(capacity, np.int64)


@dataclass(frozen=True)
class Float(Kind):
    """float64, null is NaN.

    Parameters
    ----------
    text
        The numbers come in quotes on the wire, as exchanges send them.
    """

    text: bool = False

    dtype = "float64"

    @property
    def wire(self) -> Any:
        return str | None if self.text else float | None

    def fit(self, value: Any) -> float:
        if type(value) is float:
            return value
        number = plain(value)
        if type(number) is str and (self.text or self.declared):
            number = parse_number(number)
            if not self.text:
                raise Becomes(replace(self, text=True))
        if type(number) is int:
            return exact_float(number)
        if type(number) is float:
            return number
        if number is None:
            return math.nan
        raise Misfit("text where the column has numbers" if type(number) is str else "not a number")

    def bulk(self, values: list[Any]) -> Array:
        if self.text:
            if "".join([text for text in values if text is not None]).strip("0123456789.+-eE"):
                raise Doubt
            values = [None if text is None else float(text) for text in values]
        numbers = np.array(values, np.float64)
        # An integer from here on may have lost its last digits on the way to float64.
        if not within(numbers, EXACT):
            raise Doubt
        return numbers

    def buffer(self, capacity: int) -> Array:
        return np.full(capacity, np.nan)


def one_by_one(kind: Kind, values: list[Any]) -> list[Any]:
    """Fit values that `Kind.bulk` has no faster way for."""
    try:
        return [kind.fit(value) for value in values]
    except (Misfit, Becomes) as error:
        raise Doubt from error


def within(numbers: Array, limit: float) -> bool:
    """Whether all numbers are below a magnitude, NaN aside."""
    return not (numbers.size and (np.fmax.reduce(numbers) >= limit or np.fmin.reduce(numbers) <= -limit))
