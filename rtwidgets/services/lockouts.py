"""After how many wrong passwords a name has to wait, and how long. Pure: it is told the time."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

__all__ = ["Lockouts"]

FIRST, LONGEST = 1.0, 900.0
"""Seconds of a name's first lock-out, and of any at the most; each is twice as long as the one before."""
MAX_NAMES = 10_000
"""Names that are remembered at the most, whether or not anybody has them."""


@dataclass(slots=True)
class _Failures:
    count: int
    until: float
    forgotten: float


class Lockouts:
    """Counts wrong passwords by name; too many in a row lock the name, for twice as long each time.

    Every lock-out ends: what is tried in the meantime is not counted. A name without a failure for 15 minutes
    after its last lock-out begins anew. When there are more names than are remembered, the one whose last
    failure is the longest ago is forgotten, so made-up names neither fill the memory nor lock anybody out.

    Parameters
    ----------
    attempts
        Wrong passwords in a row that cost nothing.
    """

    def __init__(self, attempts: int) -> None:
        self._attempts = attempts
        self._names: OrderedDict[str, _Failures] = OrderedDict()

    def __len__(self) -> int:
        return len(self._names)

    def wait(self, name: str, now: float) -> float:
        """Return the seconds until a password of this name is looked at, at `now` of any steady clock."""
        failures = self._names.get(name)
        return 0.0 if failures is None else max(0.0, failures.until - now)

    def failed(self, name: str, now: float) -> None:
        """Count a wrong password."""
        before = self._names.pop(name, None)
        count = 1 if before is None or before.forgotten <= now else before.count + 1
        over = count - self._attempts
        # The power is bounded so that it stays a number however long somebody goes on.
        lock = 0.0 if over < 0 else min(LONGEST, FIRST * 2.0 ** min(over, 20))
        self._names[name] = _Failures(count, now + lock, now + lock + LONGEST)
        if len(self._names) > MAX_NAMES:
            self._names.popitem(last=False)

    def passed(self, name: str) -> None:
        """Forget the failures of a name: its password was right."""
        self._names.pop(name, None)
