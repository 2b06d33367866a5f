"""A text as it is and as it was, so that an edit of an older version can be carried over to the newest."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import takewhile
from typing import NamedTuple

from rtwidgets.yjs.edits import Change, apply, counts, inverse

__all__ = ["Versions"]

EDIT = 100
"""What an edit takes of the memory for characters, beside its own."""


class _Step(NamedTuple):
    """What led to a version, what leads back from it, and how many characters both of them take."""

    version: int
    change: Change
    back: Change
    size: int


class Versions:
    """The newest changes of a text.

    Parameters
    ----------
    text, version
        What there is to begin with, and its number. Numbers rise, not always by one; one in between stands
        for the version before it.
    limit, max_chars
        Changes that are kept at the most, and characters in them.
    """

    def __init__(self, text: str, version: int, *, limit: int = 1_000, max_chars: int = 2_000_000) -> None:
        self.text = text
        self.version = version
        self.oldest = version
        """The oldest version that `at` still knows."""
        self._limit = limit
        self._max_chars = max_chars
        self._steps: deque[_Step] = deque()
        self._chars = 0

    def add(self, change: Change, version: int) -> None:
        """Make a change of the newest version, which leads to another one; forget what is too old."""
        assert version > self.version
        self.version = version
        size = sum(counts(change)) + EDIT * len(change)
        self._steps.append(_Step(version, change, inverse(self.text, change), size))
        self.text = apply(self.text, change)
        self._chars += size
        while len(self._steps) > self._limit or (self._chars > self._max_chars and len(self._steps) > 1):
            gone = self._steps.popleft()
            self._chars -= gone.size
            self.oldest = gone.version

    def steps(self, after: int) -> list[tuple[int, Change]]:
        """Return the versions after one, oldest first, each with the change that led to it."""
        newest = takewhile(lambda step: step.version > after, reversed(self._steps))
        return [(step.version, step.change) for step in newest][::-1]

    def at(self, version: int) -> str:
        """Return the text of a version.

        Raises
        ------
        LookupError
            When it is not kept any more, or not there yet.
        """
        if version > self.version:
            raise LookupError(f"there is no version {version} yet: the newest one is {self.version}")
        if version < self.oldest:
            raise LookupError(f"version {version} is not kept any more: the oldest one is {self.oldest}")
        _, text = deque(self.back_to(version), maxlen=1).pop()
        return text

    def back_to(self, version: int) -> Iterator[tuple[int, str]]:
        """Yield the newest version with its text, the one before it, and so on to a kept one."""
        text = self.text
        for step in takewhile(lambda step: step.version > version, reversed(self._steps)):
            yield step.version, text
            text = apply(text, step.back)
        yield version, text
