"""From messages of any shape to rows of a frame. Pure: JSON in, rows out.

`where` keeps some messages, `records` says where in a message the rows are. A message that is one flat
object, which is the common case, goes to the frame as bytes and is decoded there straight into columns.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from rtwidgets.errors import UsageError
from rtwidgets.frames import LiveFrame

__all__ = ["Intake", "Records"]

_SCALARS = (str, int, float, bool, type(None))


class Records:
    """Where the rows of a message are.

    Parameters
    ----------
    path
        Names (or list indices) from the message to its rows, with dots between: ``"data.items"``. With
        ``items()`` at the end, an object's entries are the rows: ``"items()"`` for a message that is such
        an object. None for a message that is a row, or a list of rows.
    columns
        Names of the elements of rows that are lists; ``"0"``, ``"1"`` and so on when None.
    key
        The column that takes an entry's name; ``"key"`` when None. A bare value of an entry goes to
        ``"value"``.

    Raises
    ------
    UsageError
        When `path` is not such a path.
    """

    def __init__(
        self, path: str | None, *, columns: Sequence[str] | None = None, key: str | None = None
    ) -> None:
        steps = [] if path is None else path.split(".")
        self.path = path
        self.entries = bool(steps) and steps[-1] == "items()"
        self._steps = steps[:-1] if self.entries else steps
        self._columns = None if columns is None else list(columns)
        self._key = key or "key"
        if path is not None and not all(step and "()" not in step for step in self._steps):
            raise UsageError(
                f"records={path!r} is not a path: write 'data.items', 'items()' or 'data.items()'"
            )

    def rows(self, message: Any) -> Iterator[dict[str, Any]]:
        """Yield the rows of a decoded message. What stands beside the path is repeated in each.

        Raises
        ------
        UsageError
            When the message has nothing at the path, or no rows there.
        """
        beside: dict[str, Any] = {}
        here = message
        for step in self._steps:
            if isinstance(here, dict):
                beside.update((name, value) for name, value in here.items() if isinstance(value, _SCALARS))
                beside.pop(step, None)
            here = self._step(here, step)
        if self.entries:
            if not isinstance(here, dict):
                raise UsageError(f"records={self.path!r} needs an object there, not {_kind(here)}")
            for name, value in here.items():
                fields = value if isinstance(value, dict) else {"value": value}
                yield beside | {self._key: name} | fields
            return
        for row in here if isinstance(here, list) and self._is_table(here) else [here]:
            if isinstance(row, dict):
                yield beside | row if beside else row
            elif isinstance(row, list):
                yield beside | dict(zip(self._columns or map(str, range(len(row))), row, strict=False))
            else:
                raise UsageError(
                    f"a row is an object or a list, not {_kind(row)}: say where the rows are with records="
                )

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


class Intake:
    """Feeds a frame with what a socket brings.

    Parameters
    ----------
    frame
        Where the rows go.
    where
        Fields and the values they must have for a message to be taken; None takes all.
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
        self._where = dict(where or {})
        fields = [
            (f"f{n}", Any, msgspec.field(default=None, name=name)) for n, name in enumerate(self._where)
        ]
        probe = msgspec.defstruct("Probe", fields)
        self._probe = msgspec.json.Decoder(probe)
        self._probes = msgspec.json.Decoder(list[probe])  # type: ignore[valid-type]
        self._wanted = probe(**{f"f{n}": value for n, value in enumerate(self._where.values())})

    def run(
        self, raw: msgspec.Raw, offsets: npt.NDArray[np.int64], times: float | list[float], known: int = 0
    ) -> None:
        """Take messages of a channel: a JSON list, of which the first `known` are known already.

        `offsets` has one element each; `times` are Unix milliseconds, one for all or one each.
        """
        received: Any = (np.asarray(times, dtype=np.float64) * 1e6).round().astype(np.int64)
        if not known and not self._where and self._records.path is None:
            self.frame.extend_json(raw, offsets=offsets, received=received)
            return
        received = np.broadcast_to(received, offsets.shape)
        try:
            pieces = [bytes(piece) for piece in msgspec.json.decode(raw, type=list[msgspec.Raw])]
        except (ValueError, RecursionError) as error:
            self.frame.reject(bytes(raw), _why(error))
            return
        self._take(pieces[known:], received[known:], offsets[known:])

    def messages(self, messages: list[bytes]) -> None:
        """Take a batch of messages that have just arrived on a plain connection."""
        self._take(messages, np.full(len(messages), time.time_ns(), dtype=np.int64), None)

    def _take(
        self, messages: list[bytes], received: npt.NDArray[np.int64], offsets: npt.NDArray[np.int64] | None
    ) -> None:
        if self._where:
            chosen = self._choose(messages)
            self.skipped += len(messages) - len(chosen)
            messages, received = [messages[n] for n in chosen], received[chosen]
            offsets = None if offsets is None else offsets[chosen]
        if not messages:
            return
        if self._records.path is None and all(message.startswith(b"{") for message in messages):
            self.frame.extend_json_messages(messages, offsets=offsets, received=received)
            return
        rows: list[dict[str, Any]] = []
        index: list[int] = []
        for n, message in enumerate(messages):
            try:
                found = list(self._records.rows(_decode(message)))
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
        try:
            probes = self._probes.decode(b"[" + b",".join(messages) + b"]")
            if len(probes) == len(messages):
                return [n for n, probe in enumerate(probes) if probe == self._wanted]
        except (ValueError, RecursionError):
            pass  # one of them is to blame: look at each
        return [n for n, message in enumerate(messages) if self._wants(message)]

    def _wants(self, message: bytes) -> bool:
        try:
            return bool(self._probe.decode(message) == self._wanted)
        except msgspec.ValidationError:
            return False  # JSON, but no object: it has none of the fields
        except (ValueError, RecursionError):
            try:
                value = json.loads(message)
            except (ValueError, RecursionError):
                return True  # the frame will reject it and say why
            return isinstance(value, dict) and all(value.get(k) == v for k, v in self._where.items())


def _decode(message: bytes) -> Any:
    try:
        return msgspec.json.decode(message)
    except msgspec.DecodeError:
        return json.loads(message)  # takes the NaN and Infinity that Python writes


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, UsageError) else f"not JSON: {error}"
