"""Spans of time as users write them."""

from __future__ import annotations

import datetime as dt
import re

import pandas as pd

from rtwidgets.errors import UsageError

__all__ = ["span"]

_WRITTEN = re.compile(r"[0-9]+(\.[0-9]+)?\s*[A-Za-z]+")


def span(value: str | dt.timedelta, name: str, *, least: int = 1) -> int:
    """Read a span of time that a user gave.

    Parameters
    ----------
    value
        Text such as ``"500ms"``, ``"1s"`` or ``"1min"``, or a `datetime.timedelta`.
    name
        What the argument is called.
    least
        Nanoseconds that it has to have.

    Returns
    -------
    int
        Nanoseconds.

    Raises
    ------
    UsageError
        When it is none, or too short.
    """
    try:
        if not isinstance(value, dt.timedelta) and not _WRITTEN.fullmatch(value):
            raise ValueError(value)
        width = int(pd.Timedelta(value).as_unit("ns").value)
    except (ValueError, TypeError, OverflowError) as error:
        raise UsageError(
            f'{name}={value!r} is no span of time: write one such as "500ms", "1s", "1min" or "1h"'
        ) from error
    if width < least:
        raise UsageError(f"{name}={value!r} is too short: give more than nothing")
    return width
