"""How long to wait before connecting again. Pure: it is told the time.

Full jitter, as in "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015), over a floor: clients of
a server that fell over come back spread out, already at their first attempt. The bound grows by 1.6, as in
gRPC's connection backoff protocol: if it doubled, those who lost a server first, while it said good-bye to
the others, would stay away for long after it is back. The wait starts over only after a connection has
proved stable; a server that accepts and closes at once is not hammered.
"""

from __future__ import annotations

import random

__all__ = ["Backoff"]


_WIDTH, _GROWTH = 5.0, 1.6  # of the first wait's bound, in least waits, and of one bound to the next


class Backoff:
    """Waits of `first` to `longest` seconds.

    No wait is shorter than an eighth of its bound, so that not even by bad luck a server sees more than ten
    attempts of one client in ten seconds.

    Parameters
    ----------
    first, longest
        Seconds: the least wait, and the bound of the longest one. The first wait's is five times the least.
    stable
        Seconds that a connection has to last for the waits to start over.
    draw
        Where chance comes from.
    """

    def __init__(
        self,
        first: float = 0.2,
        longest: float = 20.0,
        stable: float = 10.0,
        draw: random.Random | None = None,
    ) -> None:
        self.first = first
        self.longest = longest
        self.stable = stable
        self.failures = 0
        self._draw = draw or random.Random()  # noqa: S311 (spreads load, keeps no secret)
        self._opened: float | None = None

    def opened(self, now: float) -> None:
        """Note that a connection was opened, at `now` seconds of any steady clock."""
        self._opened = now

    def lost(self, now: float) -> float:
        """Note that it was lost, or could not be opened, and return the seconds to wait."""
        if self._opened is not None and now - self._opened >= self.stable:
            self.failures = 0
        self._opened = None
        bound = min(self.longest, self.first * _WIDTH * _GROWTH ** min(self.failures, 32))
        self.failures += 1
        return self._draw.uniform(max(self.first, bound / 8.0), bound)
