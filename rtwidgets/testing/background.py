"""What listens, on the background loop: for cells and plain tests, which have no event loop to run it on."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from rtwidgets.loop import lease

__all__ = ["Background"]


class Served(Protocol):
    """What can be run there."""

    @property
    def url(self) -> str:
        """Where it listens."""

    async def __aenter__(self) -> Any:
        """Listen."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Listen no more."""


L = TypeVar("L", bound=Served)


class Background(Generic[L]):
    """A server on the background loop, from now until `stop`. Usable in a ``with`` statement.

    Attributes
    ----------
    url
        Where it listens, such as ``"ws://127.0.0.1:40123"``.
    """

    def __init__(self, served: L) -> None:
        self._served = served
        self._lease = lease()
        try:
            self._lease.run(served.__aenter__())
        except BaseException:
            self._lease.release()
            raise
        self.url = served.url

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'running' if self._lease.held else 'stopped'})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Close every connection and listen no more; stopping twice is harmless."""
        if self._lease.held:
            try:
                self._lease.run(self._served.__aexit__(None, None, None))
            finally:
                self._lease.release()
