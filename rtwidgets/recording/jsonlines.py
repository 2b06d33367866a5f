r"""Recordings as JSON lines: for people, and for programs that know nothing else.

::

    {"about": {"url": "wss://feed.example/ws", "subscribe": ['{"op": "subscribe"}']}}
    {"time": 1767364200000000000, "kind": "opened", "data": '{"url": "wss://feed.example/ws"}'}
    {"time": 1767364200010000000, "kind": "text", "data": '{"price": 150.1}'}
    {"time": 1767364200020000000, "kind": "binary", "data": "AAEC"}
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from rtwidgets.recording.batch import Kind, Reader
from rtwidgets.recording.files import replacing
from rtwidgets.recording.lines import Line, Lines

__all__ = ["JsonLines", "write_jsonl"]

_KINDS = {kind.name.lower(): kind for kind in Kind}
_BINARY = (Kind.BINARY, Kind.SENT_BINARY)


class JsonLines(Lines):
    """Reads JSON lines. A `Reader`."""

    what = "no line of a recording"

    @property
    def about(self) -> dict[str, Any]:
        """What the first line says of the recording."""
        with self._path.open("rb") as file:
            line = file.readline()
        if not line.strip() or not line.endswith(b"\n"):
            return {}
        about = json.loads(line).get("about")
        return about if isinstance(about, dict) else {}

    def _parse(self, text: bytes) -> Line | None:
        if not text.strip():
            return None
        try:
            record = json.loads(text)
        except RecursionError:
            raise ValueError("it is nested too deep") from None
        if not isinstance(record, dict):
            raise ValueError("it is not an object")  # noqa: TRY004 - what the caller expects
        if "about" in record:
            return None
        time, kind, data = (record.get(name) for name in ("time", "kind", "data"))
        known = _KINDS.get(kind) if isinstance(kind, str) else None
        if not isinstance(time, int) or not isinstance(data, str) or known is None:
            raise ValueError(
                f'write {{"time": Unix nanoseconds, "kind": one of {", ".join(_KINDS)}, "data": text}}'
            )
        if known in _BINARY:
            try:
                return Line(time, known, base64.b64decode(data, validate=True))
            except ValueError:
                raise ValueError("the data of a binary message is to be base64") from None
        return Line(time, known, data.encode("utf-8", "surrogateescape"))


def write_jsonl(recording: Reader, path: str | Path) -> None:
    r"""Write all of a recording as JSON lines; a file that is there is replaced.

    Parameters
    ----------
    recording
        What to write.
    path
        Of the file. Its first line is ``{"about": …}``, where the recording says something of itself. Then
        each message is a line ``{"time": …, "kind": …, "data": …}``: Unix nanoseconds, the name of a `Kind`
        in lower case, and the message, in base64 where it is binary. Text that is not UTF-8
        has ``\udcXX`` for each byte XX that does not belong.

    Raises
    ------
    RtError
        When the recording is damaged, or the file cannot be written.
    """
    with replacing(Path(path)) as beside, beside.open("wb") as file:
        if recording.about:
            file.write(_line({"about": recording.about}))
        for time, kind, messages in recording.batches():
            name = kind.name.lower()
            for message in messages:
                if kind in _BINARY:
                    data = base64.b64encode(message).decode()
                else:
                    data = message.decode("utf-8", "surrogateescape")
                file.write(_line({"time": time, "kind": name, "data": data}))


def _line(record: dict[str, Any]) -> bytes:
    try:
        return json.dumps(record, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(record).encode() + b"\n"
