"""How much of each channel an engine keeps, and how its URL says so."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from rtwidgets.engines.log import Log
from rtwidgets.errors import UsageError

__all__ = ["Retention", "split_url"]

_KINDS: dict[str, Any] = {"max_messages": int, "max_bytes": int, "max_age": float}


class Retention(NamedTuple):
    """How much of each channel is kept; what is beyond any of them goes, oldest first.

    Attributes
    ----------
    max_messages
        Messages.
    max_bytes
        Bytes of their encoded data.
    max_age
        Seconds; `math.inf` is for ever.
    """

    max_messages: int
    max_bytes: int
    max_age: float

    def check(self) -> None:
        """Raise a UsageError for a number that is not above 0."""
        for name, value in self._asdict().items():
            if not value > 0:  # nan is not either
                raise UsageError(f"{name} is {value}: give a number above 0")

    def log(self, epoch: str | None = None, *, compacted: bool = False) -> Log:
        """Make an empty log that keeps so much, or a compacted one."""
        return Log(epoch=epoch, compacted=compacted, **self._asdict())


def split_url(url: str) -> tuple[str, dict[str, Any]]:
    """Return what stands before a URL's question mark, and the limits of a `Retention` after it.

    Raises
    ------
    UsageError
        When there is something else after it.
    """
    place, _, query = url.partition("?")
    try:
        given = parse_qsl(query, strict_parsing=True) if query else []
        return place, {name: _KINDS[name](text) for name, text in given}
    except (KeyError, ValueError) as error:
        raise UsageError(
            f"{query!r} at the end of {url!r} is not understood: the options are "
            "max_messages=NUMBER, max_bytes=NUMBER and max_age=SECONDS, with & in between"
        ) from error
