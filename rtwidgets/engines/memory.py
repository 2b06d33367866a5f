"""`memory://`: logs that live as long as this process."""

from __future__ import annotations

from collections import OrderedDict

from rtwidgets.engines.log import Log

__all__ = ["MemoryEngine"]

_KEYS_KEPT = 10_000


class MemoryEngine:
    """The default engine. Nothing survives the process; offsets begin anew with a new epoch."""

    def __init__(self) -> None:
        self._logs: dict[str, Log] = {}
        self._landed: OrderedDict[tuple[str, str], int] = OrderedDict()

    async def open(self, channel: str) -> Log:
        """Return the log of a channel, making it if there is none."""
        return self._log(channel)

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

    async def ping(self) -> None:
        """Do nothing: it is always there."""

    async def close(self) -> None:
        """Forget everything."""
        self._logs.clear()
        self._landed.clear()

    def _log(self, channel: str) -> Log:
        log = self._logs.get(channel)
        if log is None:
            log = self._logs[channel] = Log()
        return log
