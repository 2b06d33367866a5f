"""What is known of a feed before anybody connects to it: its address, its kinds of messages, what to send."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import numpy.typing as npt

from rtwidgets.checks import is_positive
from rtwidgets.client.books import BookIntake
from rtwidgets.client.feeds.templates import asks, filled, filled_url
from rtwidgets.client.kinds import OTHER, Kinds
from rtwidgets.client.levels import LEVELS
from rtwidgets.client.paths import Probe, steps
from rtwidgets.client.records import Intake, Records, Taking
from rtwidgets.client.sequence import NumberedIntake
from rtwidgets.errors import Refused, UsageError
from rtwidgets.frames import LiveFrame
from rtwidgets.loop import report

__all__ = ["MessageKind", "Preset"]

KEPT_OTHER = 1_000
"""Rows that are kept of messages of no kind."""


@dataclass(frozen=True, kw_only=True)
class MessageKind:
    """One kind of the messages of a feed, and what rows it makes.

    Attributes
    ----------
    about
        What the rows are, in a few words.
    values
        What such a message has at `Preset.by`; ``*`` stands for anything.
    subscribe
        What to send for it: a template, see `rtwidgets.client.feeds.templates`.
    records, columns, beside, key, time, schema
        As for `rtwidgets.connect`.
    sequence
        The column in which the feed numbers the messages of each key, without leaving any number out.
    book
        For an order book: the name of what reads its messages, one of `rtwidgets.client.levels.LEVELS`.

    Raises
    ------
    SchemaError, UsageError
        For what does not hold together.
    """

    about: str = ""
    values: tuple[str, ...]
    subscribe: Any = None
    records: str | None = None
    columns: Sequence[str] | None = None
    beside: Mapping[str, str] | None = None
    key: str | None = None
    time: str | None = None
    schema: Mapping[str, Any] | None = None
    sequence: str | None = None
    book: str | None = None

    def __post_init__(self) -> None:
        values: Any = self.values
        if isinstance(values, str) or not all(isinstance(value, str) for value in values):
            raise UsageError(f'values={values!r}: give a list of texts, such as ("match", "last_match")')
        if self.book is not None and self.book not in LEVELS:
            raise UsageError(f"book={self.book!r}: choose one of {', '.join(LEVELS)}")

    def intake(self, max_rows: int | None, max_age: float | None) -> Taking:
        """Return a new intake, with a new frame that keeps so many rows, for so many seconds."""
        if self.book is not None:
            return BookIntake(LEVELS[self.book], max_rows=max_rows, max_age=max_age)
        records = Records(self.records, columns=self.columns, key=self.key, beside=self.beside)
        key = self.key or ("key" if records.entries else None)
        frame = LiveFrame(max_rows, max_age, key=key, time=self.time, schema=self.schema)
        if self.sequence is None:
            return Intake(frame, records=records)
        if self.schema is not None and self.sequence not in self.schema:
            raise UsageError(f"sequence={self.sequence!r} is not in the schema: add it")
        return NumberedIntake(frame, self.sequence, records=records)


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A feed that is known by name.

    Attributes
    ----------
    name
        What it is called, such as ``"coinbase"``.
    title
        The name it has in the world.
    url
        Its address; ``{symbol}`` in a parameter repeats that for each symbol.
    kinds
        Its kinds of messages, by name.
    by
        The path to what tells them apart in a message.
    subscribe
        What to send on connecting, beside what each kind says: a template, or a function that is given the
        symbols and the kinds' names and returns a list of messages.
    keepalive
        A message to send again and again, and the seconds between two of them.
    refusal
        Paths to texts that only messages have in which the feed refuses something.
    symbol
        A regular expression for its symbols.
    example
        A symbol.
    docs
        The URL of its documentation.

    Raises
    ------
    UsageError
        For what does not hold together.
    """

    name: str
    title: str = ""
    url: str
    kinds: Mapping[str, MessageKind]
    by: str
    subscribe: Any = field(default=None, repr=False)
    keepalive: tuple[Any, float] | None = None
    refusal: tuple[str, ...] = ()
    symbol: str = ".+"
    example: str = "BTC-USD"
    docs: str = ""

    def __post_init__(self) -> None:
        names: tuple[Any, ...] = (self.name, *self.kinds)
        for name in names:
            if not isinstance(name, str) or not name.isidentifier() or name.startswith("_"):
                raise UsageError(
                    f"{name!r} cannot be the name of a feed or a kind: use letters, digits and _"
                )
        if not self.kinds or OTHER in self.kinds:
            raise UsageError(f"feed {self.name}: give it kinds of messages, and none called {OTHER!r}")
        url: Any = self.url
        if not isinstance(url, str) or not url.startswith(("ws://", "wss://")):
            raise UsageError(f"url={url!r}: give the address of the feed, 'wss://host/path'")
        try:
            re.compile(self.symbol)
        except re.error as error:
            raise UsageError(f"symbol={self.symbol!r} is no regular expression: {error}") from error
        keepalive: Any = self.keepalive
        if keepalive is not None and not (
            isinstance(keepalive, tuple) and len(keepalive) == 2 and is_positive(keepalive[1])
        ):
            raise UsageError(f'keepalive={keepalive!r}: give a message and seconds, such as ("ping", 30)')
        self.sorter(tuple(self.kinds), 1)  # so that what does not hold together is an error here

    @property
    def takes_symbols(self) -> bool:
        """Whether there is anything to fill symbols in."""
        templates = [self.url, self.subscribe, *(kind.subscribe for kind in self.kinds.values())]
        return callable(self.subscribe) or any(map(asks, templates))

    def check_symbols(self, symbols: Sequence[object]) -> tuple[str, ...]:
        """Return symbols that the feed may have, each once; none where it takes none.

        Raises
        ------
        UsageError
            When there are none, or one is not written as the feed's symbols are.
        """
        if not self.takes_symbols:
            if symbols:
                raise UsageError(f"{self.name} has no symbols: leave out {symbols[0]!r}")
            return ()
        if not symbols:
            raise UsageError(f"name at least one symbol of {self.name}, such as {self.example!r}")
        for symbol in symbols:
            if not isinstance(symbol, str) or re.fullmatch(self.symbol, symbol) is None:
                raise UsageError(f"{symbol!r} is no symbol of {self.name}: write it like {self.example!r}")
        return tuple(dict.fromkeys(map(str, symbols)))

    def check_kinds(self, kinds: Sequence[str] | None) -> tuple[str, ...]:
        """Return names of kinds, each once; all of them when None.

        Raises
        ------
        UsageError
            When there is no such kind.
        """
        if kinds is None:
            return tuple(self.kinds)
        if isinstance(kinds, str) or not kinds or not all(kind in self.kinds for kind in kinds):
            raise UsageError(f"kinds={kinds!r}: give a list of kinds of {self.name}: {', '.join(self.kinds)}")
        return tuple(dict.fromkeys(kinds))

    def address(self, symbols: Sequence[str]) -> str:
        """Return where to connect for symbols.

        Raises
        ------
        UsageError
            When the feed has an address for each symbol and there are several.
        """
        return filled_url(self.url, symbols)

    def messages(self, symbols: Sequence[str], kinds: Sequence[str]) -> list[Any]:
        """Return what to send on connecting, for symbols and kinds."""
        common = self.subscribe
        if callable(common):
            sent = list(common(list(symbols), list(kinds)))
        else:
            sent = [] if common is None else filled(common, symbols)
        for kind in kinds:
            if (template := self.kinds[kind].subscribe) is not None:
                sent += filled(template, symbols)
        return sent

    def sorter(
        self, kinds: Sequence[str], max_rows: int | None = 100_000, max_age: float | None = None
    ) -> Kinds:
        """Return what takes the messages: each kind in an intake of its own, and what is of no kind of this
        feed in one more, of kind `OTHER`. Kinds that are not named are not wanted.

        Parameters
        ----------
        kinds
            Names of kinds.
        max_rows, max_age
            How many rows of each kind to keep, and for how many seconds of their time.
        """

        def make(kind: str) -> Taking:
            if kind == OTHER:
                few = KEPT_OTHER if max_rows is None else min(KEPT_OTHER, max_rows)
                return _Others(LiveFrame(few, max_age), self.name, self.refusal)
            if kind not in kinds:
                raise UsageError(
                    f"there is no {kind!r} here: choose from {', '.join((*kinds, OTHER))}, "
                    f"or open {self.name} with others of its kinds: {', '.join(self.kinds)}"
                )
            return self.kinds[kind].intake(max_rows, max_age)

        return Kinds(self.by, make, self._kind_of(kinds), (*kinds, OTHER))

    def _kind_of(self, wanted: Sequence[str]) -> Callable[[str], str | None]:
        def kind_of(value: str) -> str | None:
            for name, kind in self.kinds.items():
                if any(fnmatchcase(value, pattern) for pattern in kind.values):
                    return name if name in wanted else None
            return OTHER

        return kind_of


class _Others(Intake):
    """Takes what is of no kind, and reports what the feed refuses."""

    def __init__(self, frame: LiveFrame, name: str, refusal: Sequence[str]) -> None:
        super().__init__(frame)
        self._name = name
        self._refusals = Probe([steps(path, f"refusal={path!r}") for path in refusal])

    def messages(self, messages: list[bytes], received: int | npt.NDArray[np.int64]) -> None:
        """Take a batch of messages."""
        super().messages(messages, received)
        for texts in zip(*self._refusals.values(messages), strict=True):
            if words := ": ".join(text for text in texts if isinstance(text, str)):
                report(f"feed {self._name}", Refused("refused", f"{self._name} says: {words}"))
