"""The streams of a kernel, by what they follow or by the name they were given."""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from rtwidgets.client import Source, State
from rtwidgets.loop import lease
from rtwidgets.widgets import Line

__all__ = ["Handle", "Registry", "Wanted"]


class Handle(Protocol):
    """What a user holds: a stream, or a feed of several."""

    name: str

    @property
    def state(self) -> State:
        """What its connection is doing."""

    def describe(self) -> Line:
        """Return what to show of it in the status."""

    def stop(self, why: str = "") -> None:
        """Read no more."""


H = TypeVar("H", bound=Handle)


class Wanted(NamedTuple, Generic[H]):
    """A stream that is asked for.

    Attributes
    ----------
    kind
        Makes it, of its name and its source.
    key
        What is followed, or the name that the user gave it: a stream with the same key is replaced.
    name
        What it is called.
    arguments
        What tells it from another one of the same key.
    """

    kind: Callable[[str, Any], H]
    key: object
    name: str
    arguments: tuple[object, ...]

    def __repr__(self) -> str:
        return f"Wanted({self.name!r})"  # tokens and headers may not get into a log


class Registry:
    """Knows what runs, so that a cell that is run again finds what it made before."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._handles: dict[object, tuple[Handle, Callable[..., Any], tuple[object, ...]]] = {}

    @property
    def handles(self) -> list[Handle]:
        """Those that were opened and not forgotten."""
        with self._lock:
            return [handle for handle, _, _ in self._handles.values()]

    def open(self, wanted: Wanted[H], make: Callable[[], Coroutine[Any, Any, Source]]) -> H:
        """Return what runs under a key with the same arguments, or a new one in its place."""
        if (same := self._same(wanted)) is not None:
            return same
        opening = lease()
        try:
            handle = wanted.kind(wanted.name, opening.run(make()))
        finally:
            opening.release()
        gone: list[Handle] = []
        with self._lock:
            same = self._same(wanted)  # another thread may have been faster
            before: Handle | None = handle
            if same is None:
                before, _, _ = self._handles.pop(wanted.key, (None, None, ()))
                gone = self._drop_gone(wanted.name)
                self._handles[wanted.key] = (handle, wanted.kind, wanted.arguments)
        if before is not None:
            before.stop("another one with other arguments took its place: give each a name= to keep both")
        for other in gone:
            other.stop("its server is gone, and another one has its channel")
        return handle if same is None else same  # an empty one is false

    def forget(self) -> list[Handle]:
        """Forget all and return them; somebody has to stop them."""
        with self._lock:
            handles = self.handles
            self._handles.clear()
        return handles

    def _drop_gone(self, name: str) -> list[Handle]:
        """Forget and return those of a name that are not connected, so that the new one is the one."""
        named = [key for key, (handle, _, _) in self._handles.items() if handle.name == name]
        gone = [key for key in named if self._handles[key][0].state is not State.OPEN]
        return [self._handles.pop(key)[0] for key in gone]

    def _same(self, wanted: Wanted[H]) -> H | None:
        with self._lock:
            handle, kind, arguments = self._handles.get(wanted.key, (None, None, ()))
        if (
            handle is None
            or handle.state is State.CLOSED
            or (kind, arguments) != (wanted.kind, wanted.arguments)
        ):
            return None
        found: Any = handle  # the same kind made it
        return found  # type: ignore[no-any-return]
