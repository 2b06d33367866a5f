"""From messages of any shape to rows of a frame. Pure: JSON in, rows out.

`where` keeps some messages, `records` says where in a message the rows are, and `beside` what else of the
message goes into each. A message that is one flat object, which is the common case, goes to the frame as
bytes and is decoded there straight into columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from rtwidgets.client.paths import UNREADABLE, Probe, at, read, steps
from rtwidgets.errors import UsageError
from rtwidgets.frames import LiveFrame

__all__ = ["Intake", "Records", "Taking"]

_SCALARS = (str, int, float, bool, type(None))


class Records:
    """Where the rows of a message are.

    Parameters
    ----------
    path
        Names, or places in lists, from the message to its rows, with dots between: ``"data.items"``, ``"1"``,
        ``"-2.rows"``. With ``items()`` at the end, an object's entries are the rows: ``"items()"`` for a
        message that is such an object. None for a message that is a row, or a list of rows.
    columns
        Names of the elements of rows that are lists; ``"0"``, ``"1"`` and so on when None.
    key
        The column that takes an entry's name; ``"key"`` when None. A bare value of an entry goes to
        ``"value"``.
    beside
        Further columns, of values elsewhere in the message, by their paths from the message:
        ``{"pair": "-1"}``. They go into each row, in place of a field of that name, and are null where the
        message has nothing there.

    Raises
    ------
    UsageError
        When `path`, or one of `beside`, is not such a path.
    """

    def __init__(
        self,
        path: str | None,
        *,
        columns: Sequence[str] | None = None,
        key: str | None = None,
        beside: Mapping[str, str] | None = None,
    ) -> None:
        split = [] if path is None else path.split(".")
        self.path = path
        self.entries = bool(split) and split[-1] == "items()"
        self._steps = split[:-1] if self.entries else split
        self._columns = None if columns is None else list(columns)
        self._key = key or "key"
        if path is not None and not all(step and "()" not in step for step in self._steps):
            raise UsageError(
                f"records={path!r} is not a path: write 'data.items', 'items()' or 'data.items()'"
            )
        if beside is not None and not isinstance(beside, Mapping):
            raise UsageError(f'beside={beside!r}: write columns and paths, as in {{"pair": "-1"}}')
        self._named = [
            (name, steps(place, f"beside={{{name!r}: {place!r}}}")) for name, place in (beside or {}).items()
        ]

    @property
    def plain(self) -> bool:
        """Whether a message is a row, or a list of rows, with nothing beside."""
        return self.path is None and not self._named

    def rows(self, message: Any) -> Iterator[dict[str, Any]]:
        """Yield the rows of a decoded message. What stands beside the path, and is no object or list, is
        repeated in each.

        Raises
        ------
        UsageError
            When the message has nothing at the path, or no rows there.
        """
        beside: dict[str, Any] = {}
        here = message
        named = {name: at(message, split) for name, split in self._named}
        for step in self._steps:
            if isinstance(here, dict):
                beside.update((name, value) for name, value in here.items() if isinstance(value, _SCALARS))
                beside.pop(step, None)
            here = self._step(here, step)
        beside |= named  # first in the order of columns
        if self.entries:
            if not isinstance(here, dict):
                raise UsageError(f"records={self.path!r} needs an object there, not {_kind(here)}")
            for name, value in here.items():
                fields = value if isinstance(value, dict) else {"value": value}
                yield beside | {self._key: name} | fields | named
            return
        for row in here if isinstance(here, list) and self._is_table(here) else [here]:
            if isinstance(row, dict):
                fields = beside | row if beside else row
            elif isinstance(row, list):
                columns = self._columns or map(str, range(len(row)))
                fields = beside | dict(zip(columns, row, strict=False))
            else:
                raise UsageError(
                    f"a row is an object or a list, not {_kind(row)}: say where the rows are with records="
                )
            yield fields | named if named else fields

    def _step(self, here: Any, step: str) -> Any:
        try:
            return here[int(step)] if isinstance(here, list) else here[step]
        except (KeyError, IndexError, ValueError, TypeError):
            raise UsageError(f"records={self.path!r}: there is no {step!r} in {_kind(here)}") from None

    def _is_table(self, here: list[Any]) -> bool:
        """Whether a list holds rows, rather than being one."""
        return not here or isinstance(here[0], dict | list)


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return f"an object with {', '.join(list(value)[:8]) or 'no fields'}"
    return {list: "a list", str: "text", bool: "true or false", type(None): "null"}.get(
        type(value), "a number"
    )


class Taking(Protocol):
    """What takes the messages of a plain connection."""

    @property
    def skipped(self) -> int:
        """Messages that are not wanted."""

    @property
    def frame(self) -> LiveFrame:
        """The rows that it makes of them."""

    def messages(self, messages: list[bytes], received: int | npt.NDArray[np.int64]) -> None:
        """Take a batch of messages.

        Parameters
        ----------
        messages
            In the order they came.
        received
            When they came, in Unix nanoseconds: one time for all, or an int64 array with one for each.
        """

    def broke(self) -> None:
        """Learn that there was a break: what was sent meanwhile is missing."""


class Intake:
    """Feeds a frame with what a socket brings.

    Parameters
    ----------
    frame
        Where the rows go.
    where
        Fields, or paths to them, and the values they must have for a message to be taken; None takes all.
    records
        Where the rows of a message are.
    """

    def __init__(
        self, frame: LiveFrame, *, where: Mapping[str, Any] | None = None, records: Records | None = None
    ) -> None:
        self.frame = frame
        self.skipped = 0
        """Messages that `where` did not take."""
        self._records = records or Records(None)
        self._wanted = list((where or {}).values())
        self._probe = Probe([steps(path, f"where={{{path!r}: …}}") for path in where or {}])

    def run(
        self, raw: msgspec.Raw, offsets: npt.NDArray[np.int64], times: float | list[float], known: int = 0
    ) -> None:
        """Take messages of a channel: a JSON list, of which the first `known` are known already.

        `offsets` has one element each; `times` are Unix milliseconds, one for all or one each.
        """
        received: Any = (np.asarray(times, dtype=np.float64) * 1e6).round().astype(np.int64)
        if not known and not self._wanted and self._records.plain:
            self.frame.extend_json(raw, offsets=offsets, received=received)
            return
        received = np.broadcast_to(received, offsets.shape)
        try:
            pieces = [bytes(piece) for piece in msgspec.json.decode(raw, type=list[msgspec.Raw])]
        except (ValueError, RecursionError) as error:
            self.frame.reject(bytes(raw), _why(error))
            return
        self._take(pieces[known:], received[known:], offsets[known:])

    def messages(self, messages: list[bytes], received: int | npt.NDArray[np.int64]) -> None:
        """Take a batch of messages of a plain connection."""
        moments = np.asarray(received, dtype=np.int64)
        self._take(messages, np.broadcast_to(moments, (len(messages),)), None)

    def broke(self) -> None:
        """Mark that there was a break: what was sent meanwhile is missing."""
        self.frame.mark_gap(self.frame.total)

    def _take(
        self, messages: list[bytes], received: npt.NDArray[np.int64], offsets: npt.NDArray[np.int64] | None
    ) -> None:
        if self._wanted:
            chosen = self._choose(messages)
            self.skipped += len(messages) - len(chosen)
            messages, received = [messages[n] for n in chosen], received[chosen]
            offsets = None if offsets is None else offsets[chosen]
        if not messages:
            return
        if self._records.plain and all(message.startswith(b"{") for message in messages):
            self.frame.extend_json_messages(messages, offsets=offsets, received=received)
            return
        rows: list[dict[str, Any]] = []
        index: list[int] = []
        for n, message in enumerate(messages):
            try:
                found = list(self._records.rows(read(message)))
            except (ValueError, RecursionError, UsageError) as error:
                self.frame.reject(message, _why(error))
                continue
            rows += found
            index += [n] * len(found)
        if rows:
            self.frame.extend(
                rows, offsets=None if offsets is None else offsets[index], received=received[index]
            )

    def _choose(self, messages: list[bytes]) -> list[int]:
        """Return the places of the messages to take, those among them that cannot be read."""
        chosen = list(range(len(messages)))
        for wanted, values in zip(self._wanted, self._probe.values(messages), strict=True):
            chosen = [n for n in chosen if values[n] == wanted or values[n] is UNREADABLE]
        return chosen


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, UsageError) else f"not JSON: {error}"
