"""Kinds of columns that hold text: as it is, or as categories."""

# ruff: noqa: D102 -- an override does what its base class says

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from rtwidgets.frames.kinds import STRING, Array, Becomes, Doubt, Int, Kind, one_by_one
from rtwidgets.frames.values import Misfit, is_null, json_text, plain

__all__ = ["Category", "Text"]


@dataclass(frozen=True)
class Text(Kind):
    """Text as pandas `str`; lists and objects are kept as compact JSON.

    Parameters
    ----------
    nested
        Lists and objects were seen: they are expected.
    numbers
        Numbers and true/false are welcome, as their JSON text.
    """

    nested: bool = False
    numbers: bool = False

    dtype = "str"

    @property
    def wire(self) -> Any:
        return Any if self.nested or self.numbers else str | None

    def fit(self, value: Any) -> Any:
        if not self.nested and isinstance(value, Mapping | list):
            raise Becomes(replace(self, nested=True))
        return math.nan if (text := text_or_none(value, numbers=self.numbers)) is None else text

    def bulk(self, values: list[Any]) -> list[Any]:
        if self.nested or self.numbers:
            return one_by_one(self, values)
        return [math.nan if text is None else text for text in values] if None in values else values

    def buffer(self, capacity: int) -> Array:
        return np.full(capacity, np.nan, np.object_)

    def wrap(self, data: Array) -> Any:
        return pd.arrays.StringArray(data, dtype=STRING)  # type: ignore[call-arg]  # the stubs lack it


@dataclass(frozen=True)
class Category(Kind):
    """Few values that repeat: codes in memory, the values once.

    Parameters
    ----------
    integers
        The values are int64, not text.
    numbers
        For text values: numbers and true/false are welcome, as their JSON text.
    """

    integers: bool = False
    numbers: bool = False

    dtype = "category"

    @property
    def wire(self) -> Any:
        if self.integers:
            return int | None
        return Any if self.numbers else str | None

    def fit(self, value: Any) -> Any:
        if not self.integers:
            return text_or_none(value, numbers=self.numbers)
        value = plain(value)
        return None if is_null(value) else Int(declared=True).fit(value)

    def bulk(self, values: list[Any]) -> list[Any]:
        if self.integers:
            if any(value is not None and not -(2**63) <= value < 2**63 for value in values):
                raise Doubt
            return values
        if self.numbers:
            return one_by_one(self, values)
        return values

    def buffer(self, capacity: int) -> Array:
        return np.full(capacity, -1, np.int8)


def text_or_none(value: Any, *, numbers: bool) -> str | None:
    """Fit one value to a column of text; None stands for nothing."""
    if type(value) is not str:
        value = plain(value)
        if is_null(value):
            return None
        if type(value) is dict or type(value) is list or (numbers and type(value) in (bool, int, float)):
            value = json_text(value)
        elif numbers and isinstance(value, pd.Timestamp):
            value = value.isoformat()
        elif type(value) is not str:
            raise Misfit("not text")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Misfit("text that is not Unicode: half a surrogate pair") from None
    return str(value)
