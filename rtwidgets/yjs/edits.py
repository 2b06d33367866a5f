"""Edits of text by character, and how one is carried over another that was made at the same time.

Carrying over is operational transformation of inserts and deletes (Ellis and Gibbs, "Concurrency control in
groupware systems", 1989), in the form that the deltas of Quill and Yjs have.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

__all__ = ["Change", "Edit", "apply", "carry", "counts", "from_delta", "inverse"]


class Edit(NamedTuple):
    """Characters `start` to `stop` of a text are replaced by `text`."""

    start: int
    stop: int
    text: str


Change = tuple[Edit, ...]
"""Edits of one and the same text, in order and not overlapping: all places are in the text before it."""


def apply(text: str, change: Change) -> str:
    """Return a text with a change made.

    Raises
    ------
    ValueError
        When its places are not in the text, or not in order.
    """
    parts, at = [], 0
    for start, stop, new in change:
        if not at <= start <= stop <= len(text):
            raise ValueError(f"there are no characters {start} to {stop} in a text of {len(text)}")
        parts += [text[at:start], new]
        at = stop
    return "".join([*parts, text[at:]])


def inverse(text: str, change: Change) -> Change:
    """Return what takes a change of a text back."""
    back, shift = [], 0
    for start, stop, new in change:
        back.append(Edit(start + shift, start + shift + len(new), text[start:stop]))
        shift += len(new) - (stop - start)
    return tuple(back)


def counts(change: Change) -> tuple[int, int]:
    """Return how many characters a change inserts and deletes."""
    return sum(len(edit.text) for edit in change), sum(edit.stop - edit.start for edit in change)


def carry(change: Change, over: Change, *, first: bool = False) -> Change:
    """Return what a change becomes when another one of the same text was made before it.

    What `change` inserts stays where it was meant, and what `over` has inserted stays in any case, in the
    middle of what `change` deletes too. Of that only what `over` has left is deleted. With
    ``b1 = carry(b, a)`` and ``a1 = carry(a, b, first=True)``, `b1` after `a` and `a1` after `b` come to the
    same text.

    Parameters
    ----------
    change, over
        Of one and the same text.
    first
        Whether what `change` inserts goes before what `over` inserted at the very same place; else after.
    """
    if not over:
        return change
    places = _Places(over)
    carried: list[Edit] = []
    for edit in change:
        for start, stop, text in places.carry(edit, first=first):
            last = carried[-1] if carried else None
            if last is not None and last.stop == start and not text:
                carried[-1] = Edit(last.start, stop, last.text)
            else:
                carried.append(Edit(start, stop, text))
    return tuple(carried)


class _Places:
    """Where the characters of a text are after a change."""

    def __init__(self, over: Change) -> None:
        self._over = over
        self._starts = [edit.start for edit in over]
        grown = (len(edit.text) - (edit.stop - edit.start) for edit in over)
        self._shifts = [0, *accumulate(grown)]

    def place(self, index: int, *, after: bool) -> int:
        """Return where a place between two characters is, after or before what was inserted just there."""
        count = (bisect_right if after else bisect_left)(self._starts, index)
        shift = self._shifts[count]
        if count and self._over[count - 1].stop > index:  # it was in the middle of what was deleted
            shift += self._over[count - 1].stop - index
        return index + shift

    def carry(self, edit: Edit, *, first: bool) -> Iterator[Edit]:
        start, stop, text = edit
        if text:
            place = self.place(start, after=not first)
            yield Edit(place, place, text)
        number = max(0, bisect_right(self._starts, start) - 1)
        while start < stop and number < len(self._over) and self._over[number].start < stop:
            gone = self._over[number]
            if gone.start > start:
                yield self._deletion(start, gone.start)
            start = max(start, gone.start, gone.stop)
            number += 1
        if start < stop:
            yield self._deletion(start, stop)

    def _deletion(self, start: int, stop: int) -> Edit:
        place = self.place(start, after=True)  # what was inserted before a character stays
        return Edit(place, place + stop - start, "")


def from_delta(delta: Sequence[Mapping[str, Any]], before: str) -> Change:
    """Return the change that a Yjs event tells of, as pycrdt gives its delta.

    Parameters
    ----------
    delta
        ``retain`` and ``delete``, which count bytes of UTF-8, and ``insert`` with text. What is inserted and
        is no text is left out.
    before
        The text before it.
    """
    edits: list[Edit] = []
    encoded = None if before.isascii() else before.encode()
    at = byte = 0
    for operation in delta:
        text, length = operation.get("insert"), operation.get("retain", operation.get("delete", 0))
        end = at + length if encoded is None else at + len(encoded[byte : byte + length].decode())
        byte += length
        if isinstance(text, str):
            edits.append(Edit(at, at, text))
        elif "delete" in operation:
            if edits and edits[-1].stop == at:
                edits[-1] = Edit(edits[-1].start, end, edits[-1].text)
            else:
                edits.append(Edit(at, end, ""))
        at = end
    return tuple(edits)
