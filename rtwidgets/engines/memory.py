"""`memory://`: logs that live as long as this process."""

from __future__ import annotations

from collections import OrderedDict

from rtwidgets.engines.log import Log
from rtwidgets.engines.retention import Retention

__all__ = ["MemoryEngine"]

_KEYS_KEPT = 10_000


class MemoryEngine:
    """The default engine. Nothing survives the process; offsets begin anew with a new epoch.

    Parameters
    ----------
    max_messages, max_bytes, max_age
        How much of each channel is kept: messages, bytes of encoded data, seconds. Who comes back later than
        that is told of a gap. A compacted channel keeps all.

    Raises
    ------
    UsageError
        When a number is not above 0.
    """

    def __init__(
        self, *, max_messages: int = 10_000, max_bytes: int = 64 * 2**20, max_age: float = 300.0
    ) -> None:
        self._retention = Retention(max_messages, max_bytes, max_age)
        self._retention.check()
        self._logs: dict[str, Log] = {}
        self._landed: OrderedDict[tuple[str, str], int] = OrderedDict()

    async def open(self, channel: str, *, compacted: bool = False) -> Log:
        """Return the log of a channel, making it, compacted or not, if there is none."""
        return self._log(channel, compacted=compacted)

    async def publish(self, channel: str, pieces: list[bytes], *, idempotency: str | None = None) -> int:
        """Append encoded messages, but none for an `idempotency` key among the last 10 000."""
        if idempotency is None:
            return self._log(channel).append(pieces)
        key = (channel, idempotency)
        offset = self._landed.get(key)
        if offset is None:
            offset = self._landed[key] = self._log(channel).append(pieces)
            if len(self._landed) > _KEYS_KEPT:
                self._landed.popitem(last=False)
        return offset

    async def compact(self, channel: str, upto: int, piece: bytes) -> None:
        """Put one message in place of all up to an offset; raises what `Log.compact` does."""
        self._log(channel).compact(upto, piece)

    async def ping(self) -> None:
        """Do nothing: it is always there."""

    async def close(self) -> None:
        """Forget everything."""
        self._logs.clear()
        self._landed.clear()

    def _log(self, channel: str, *, compacted: bool = False) -> Log:
        log = self._logs.get(channel)
        if log is None:
            log = self._logs[channel] = self._retention.log(compacted=compacted)
        return log
