"""Paths to places in messages: names, and numbers of places in lists, with dots between.

``"data.symbol"`` is the field ``symbol`` of the field ``data``; ``"-1"`` is the last element of a list.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from rtwidgets.errors import UsageError

__all__ = ["UNREADABLE", "Probe", "at", "read", "steps"]

UNREADABLE: Any = object()
"""What a message that is no JSON has everywhere."""

Pick = Callable[[Any], Any]


def steps(path: object, said: str) -> list[str]:
    """Split a path.

    Parameters
    ----------
    path
        As a user gave it.
    said
        How the user wrote it, for the error.

    Raises
    ------
    UsageError
        When it is not such a path.
    """
    split = path.split(".") if isinstance(path, str) else []
    if not split or not all(step and "()" not in step for step in split):
        raise UsageError(
            f"{said} is not a path: write names, or places in a list, with dots between, "
            "such as 'data.symbol' or '-1'"
        )
    return split


def at(value: Any, split: Sequence[str]) -> Any:
    """Return what is at a place of a decoded message; None where nothing is there."""
    for step in split:
        try:
            value = value[int(step)] if isinstance(value, list) else value[step]
        except (KeyError, IndexError, ValueError, TypeError):
            return None
    return value


def read(message: bytes) -> Any:
    """Decode a message.

    Raises
    ------
    ValueError, RecursionError
        When it is no JSON, or too deep.
    """
    try:
        return msgspec.json.decode(message)
    except msgspec.DecodeError:
        return json.loads(message)  # takes the NaN and Infinity that Python writes


class Probe:
    """Looks at some places of many messages at once, without making objects of all the rest.

    Parameters
    ----------
    paths
        The places, split into steps.
    """

    def __init__(self, paths: Sequence[Sequence[str]]) -> None:
        self._paths = [tuple(path) for path in paths]
        shape, self._picks, quick = _compile(self._paths)
        self._quick = [attrgetter(field) if field else None for field in quick]
        self._one = msgspec.json.Decoder(shape)
        self._many = msgspec.json.Decoder(list[shape])  # type: ignore[valid-type]

    def values(self, messages: Sequence[bytes]) -> list[list[Any]]:
        """Return, for each path, what each message has there.

        None stands for nothing, and `UNREADABLE` for what a message has that is no JSON.
        """
        try:
            found = self._many.decode(b"[" + b",".join(messages) + b"]")
            if len(found) == len(messages):
                return [self._pick(found, n) for n in range(len(self._paths))]
        except (ValueError, RecursionError):
            pass  # one of them is to blame: look at each
        rows = [self._look(message) for message in messages]
        return [[row[n] for row in rows] for n in range(len(self._paths))]

    def _pick(self, found: list[Any], n: int) -> list[Any]:
        if (quick := self._quick[n]) is not None:
            with contextlib.suppress(AttributeError):  # one of them has another shape
                return list(map(quick, found))
        return list(map(self._picks[n], found))

    def _look(self, message: bytes) -> list[Any]:
        try:
            found = self._one.decode(message)
            return [pick(found) for pick in self._picks]
        except (ValueError, RecursionError):
            pass
        try:
            value = json.loads(message)
        except (ValueError, RecursionError):
            return [UNREADABLE] * len(self._paths)
        return [at(value, path) for path in self._paths]


def _compile(paths: Sequence[tuple[str, ...]]) -> tuple[Any, list[Pick], list[str]]:
    """Return a type that msgspec decodes only as far as the paths go, what finds each path's place in it, and
    the attributes that lead there where a message has objects all along the path.

    Lists are left as pieces of JSON.
    """
    if not all(paths):  # one of them ends here
        return Any, [_then(path) for path in paths], ["" for _ in paths]
    names = list(dict.fromkeys(path[0] for path in paths))
    inside = {name: _compile([path[1:] for path in paths if path[0] == name]) for name in names}
    fields = [
        (f"f{n}", inside[name][0], msgspec.field(default=None, name=name)) for n, name in enumerate(names)
    ]
    struct = msgspec.defstruct("Probe", fields, gc=False)
    then = {name: zip(*inside[name][1:], strict=True) for name in names}
    picks, quick = [], []
    for path in paths:
        field = f"f{names.index(path[0])}"
        pick, attributes = next(then[path[0]])
        picks.append(_pick(struct, field, pick, path))
        quick.append(f"{field}.{attributes}" if attributes else field if len(path) == 1 else "")
    return struct | list[msgspec.Raw] | str | int | float | bool | None, picks, quick


def _pick(struct: type[msgspec.Struct], field: str, then: Pick, path: tuple[str, ...]) -> Pick:
    def pick(value: Any) -> Any:
        if type(value) is struct:
            return then(getattr(value, field))
        if not isinstance(value, list):
            return None
        try:
            piece = value[int(path[0])]
        except (IndexError, ValueError):
            return None
        return at(msgspec.json.decode(piece), path[1:])

    return pick


def _then(path: tuple[str, ...]) -> Pick:
    return lambda value: at(value, path)
