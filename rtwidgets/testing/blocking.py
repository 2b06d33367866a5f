"""A fault proxy for notebook cells and plain tests, which have no event loop to run it on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from rtwidgets.errors import UsageError
from rtwidgets.testing.background import Background
from rtwidgets.testing.faults import FaultProxy, FaultStatistics

__all__ = ["BlockingFaultProxy"]

T = TypeVar("T")


class BlockingFaultProxy(Background[FaultProxy]):
    """A `FaultProxy` on the background loop, from now until `stop`. Usable in a ``with`` statement.

    ::

        link = BlockingFaultProxy(server.url)
        prices = rt.connect("prices", server=link.url, token=server.token)
        link.cut()

    Each call returns when the fault is there.

    Parameters
    ----------
    url
        The server's, such as ``"ws://127.0.0.1:8765"``.

    Raises
    ------
    UsageError
        When `url` has no host and port.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.hostname is None or parts.port is None:
            raise UsageError(f"{url!r} has no host and port: give the URL of a server, 'ws://host:port'")
        super().__init__(FaultProxy(parts.hostname, parts.port))

    def statistics(self) -> FaultStatistics:
        """Return what went through so far."""
        return self._do(self._served.statistics)

    # Faults

    def slow_down(
        self, *, latency: float = 0.0, bandwidth: float | None = None, chunk: int | None = None
    ) -> None:
        """Delay by `latency` seconds, pass `bandwidth` bytes a second, in writes of `chunk` bytes."""

        def change() -> None:
            self._served.latency, self._served.bandwidth, self._served.chunk = latency, bandwidth, chunk

        self._do(change)

    def refuse(self) -> None:
        """Close new connections at once; open ones go on."""
        self._do(lambda: setattr(self._served, "refuse", True))

    def black_hole(self) -> None:
        """Let nothing pass; connections stay open (a half-open link)."""
        self._do(self._served.black_hole)

    def heal(self) -> None:
        """Lift every fault."""
        self._do(self._served.heal)

    def reset(self) -> None:
        """Reset (RST) every open connection."""
        self._do(self._served.reset)

    def cut(self) -> None:
        """Close (FIN) every open connection."""
        self._do(self._served.cut)

    def cut_after(self, count: int) -> None:
        """Pass so many more bytes to the client, then `cut`, once: in the middle of a frame, say."""
        self._do(lambda: self._served.cut_after(count))

    def _do(self, action: Callable[[], T]) -> T:
        async def act() -> Any:
            return action()

        result: T = self._lease.run(act())
        return result
