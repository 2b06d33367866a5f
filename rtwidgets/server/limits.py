"""How much one client may ask of a server. Pure: it is told the time."""

from __future__ import annotations

__all__ = ["MAX_CONNECTIONS", "MAX_SUBSCRIPTIONS", "PUBLISH_BURST", "PUBLISH_RATE", "TokenBucket"]

MAX_CONNECTIONS = 10_000
"""Connections of a server at the most."""
MAX_SUBSCRIPTIONS = 1_000
"""Channels that one connection may follow."""
PUBLISH_RATE, PUBLISH_BURST = 2_000.0, 4_000.0
"""Messages a second that one connection may publish, and how many of them at once after a pause."""


class TokenBucket:
    """How long to wait with the next message so that there are no more than `rate` a second.

    The token bucket of traffic shaping (Turner, "New directions in communications", 1986): what is too fast
    is put off, and not refused.

    Parameters
    ----------
    rate
        Tokens that come a second.
    burst
        Tokens that the bucket holds; it is full at first.
    """

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at = 0.0

    def take(self, now: float) -> float:
        """Take one token, at `now` seconds of any steady clock, and return the seconds until it is there."""
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = max(now, self._at)
        self._tokens -= 1.0
        return max(0.0, -self._tokens / self._rate)
