"""Several kinds of messages that come over one connection, each taken by an intake of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from rtwidgets.client.paths import Probe, steps
from rtwidgets.client.presence import PresenceMap
from rtwidgets.client.recorder import Tap
from rtwidgets.client.records import Taking
from rtwidgets.client.sequence import NumberedIntake
from rtwidgets.client.source import Connection, Source
from rtwidgets.client.subscription import Missing
from rtwidgets.errors import UsageError
from rtwidgets.frames import LiveFrame
from rtwidgets.loop import report

__all__ = ["MAX_KINDS", "OTHER", "KindSource", "Kinds"]

OTHER = "other"
"""The kind of messages that do not say of which kind they are."""

MAX_KINDS = 256
"""Kinds that one connection may have; what comes of further ones is of kind `OTHER`."""

_REMEMBERED = 4_096  # values whose kind is not worked out again


class Kinds:
    """Sorts messages by the text or number at one place, and hands each kind to an intake of its own.

    The order inside a kind is kept. Messages that have nothing there, or are no JSON, are of kind `OTHER`.
    It may be used on any thread.

    Parameters
    ----------
    by
        The path to that place.
    make
        Makes the intake of a kind when its first message comes, or somebody asks for it.
    kind_of
        Returns the name of the kind of which a value tells, or None for messages that are not wanted. The
        value itself when left out.
    kinds
        Names of kinds whose intakes are made at once.

    Raises
    ------
    UsageError
        When `by` is no path.
    """

    def __init__(
        self,
        by: str,
        make: Callable[[str], Taking],
        kind_of: Callable[[str], str | None] = lambda value: value,
        kinds: Iterable[str] = (),
    ) -> None:
        self.skipped = 0
        """Messages that are not wanted."""
        self._probe = Probe([steps(by, f"by={by!r}")])
        self._by = by
        self._make = make
        self._kind_of = kind_of
        self._lock = threading.RLock()
        self._takings: dict[str, Taking] = {}
        self._counts = dict.fromkeys(kinds, 0)
        self._known: dict[str, str | None] = {}
        self._left: set[str] = set()
        self._full = False
        for kind in self._counts:
            self.taking(kind)

    @property
    def counts(self) -> dict[str, int]:
        """How many messages of each kind came, by name.

        First the kinds that were named, then others in the order of their first messages, then those of which
        none has come.
        """
        with self._lock:
            return dict(self._counts) | {kind: 0 for kind in self._takings if kind not in self._counts}

    @property
    def frame(self) -> LiveFrame:
        """The rows of kind `OTHER`."""
        return self.taking(OTHER).frame

    def taking(self, kind: str) -> Taking:
        """Return the intake of a kind."""
        with self._lock:
            if kind not in self._takings:
                self._takings[kind] = self._make(kind)
            return self._takings[kind]

    def leave(self, kind: str) -> None:
        """Take no more messages of a kind."""
        self._left.add(kind)

    def messages(self, messages: list[bytes], received: int | npt.NDArray[np.int64]) -> None:
        """Hand a batch of messages to the intakes of their kinds."""
        (values,) = self._probe.values(messages)
        places: dict[str | None, list[int]] = {}
        for n, value in enumerate(values):
            places.setdefault(self._kind(value), []).append(n)
        for kind, chosen in places.items():
            if kind is None or kind in self._left:
                self.skipped += len(chosen)
                continue
            taking = self.taking(kind)
            self._counts[kind] = self._counts.get(kind, 0) + len(chosen)
            if len(chosen) == len(messages):
                taking.messages(messages, received)
            else:
                moments = received[chosen] if isinstance(received, np.ndarray) else received
                taking.messages([messages[n] for n in chosen], moments)

    def broke(self) -> None:
        """Tell all intakes that there was a break."""
        with self._lock:
            takings = list(self._takings.values())
        for taking in takings:
            taking.broke()

    def _kind(self, value: Any) -> str | None:
        if type(value) is int:
            value = str(value)
        if type(value) is not str or not value:
            return OTHER
        if value in self._known:
            return self._known[value]
        kind = self._kind_of(value)
        if kind is not None and kind not in self._takings:
            if len(self._takings) >= MAX_KINDS:
                self._tell_full()
                return OTHER
            self.taking(kind)
        if len(self._known) < _REMEMBERED:
            self._known[value] = kind
        return kind

    def _tell_full(self) -> None:
        if not self._full:
            self._full = True
            words = f"by={self._by!r} has more than {MAX_KINDS} values: name the field that tells kinds apart"
            report("kinds of messages", UsageError(words))


class KindSource:
    """One kind of the messages of a connection, as the source of a stream.

    Parameters
    ----------
    shared
        The connection.
    kinds
        What sorts its messages.
    kind
        Which one.
    alone
        Whether the connection is there for this kind only: it is closed with it. Otherwise the others go on.
    """

    conflated = 0

    def __init__(self, shared: Source, kinds: Kinds, kind: str, *, alone: bool = False) -> None:
        self.intake = kinds.taking(kind)
        self.origin = shared.origin
        self.about = shared.about
        self.presence = PresenceMap()
        self._shared = shared
        self._kinds = kinds
        self._kind = kind
        self._alone = alone

    @property
    def tap(self) -> Tap | None:
        """Is told of every message of the connection, of all kinds."""
        return self._shared.tap

    @tap.setter
    def tap(self, tap: Tap | None) -> None:
        self._shared.tap = tap

    @property
    def frame(self) -> LiveFrame:
        """The rows of this kind."""
        return self.intake.frame

    @property
    def link(self) -> Connection:
        """The connection."""
        return self._shared.link

    @property
    def gaps(self) -> list[Missing]:
        """Breaks of the connection, and what the numbers of this kind say is missing."""
        numbered = self.intake.gaps if isinstance(self.intake, NumberedIntake) else []
        return [*self._shared.gaps, *numbered]

    @property
    def skipped(self) -> int:
        """Messages of this kind that are not wanted."""
        return self.intake.skipped

    async def send(self, data: object) -> None:
        """Send a message over the connection."""
        await self._shared.send(data)

    async def close(self) -> None:
        """Take no more messages of this kind."""
        self._kinds.leave(self._kind)
        if self._alone:
            await self._shared.close()

    def advance(self, reached: Callable[[], bool]) -> None:
        """Go on until something is reached, in a replay whose time stands still."""
        self._shared.advance(reached)
