r"""Captures: the text lines that cryptofeed writes of raw data, and which are published with it.

::

    wss://feed.example/ws <-> 1767364200.0
    wss://feed.example/ws <- 1767364200.01: {"op": "subscribe"}
    1767364200.02: {"price": 150.1}

That is a connection that was opened, a message that was sent and one that came, with their times in Unix
seconds. A binary message is written as Python writes bytes: ``b'\x00\x01'``. There is no line for the end
of a connection. (github.com/bmoscon/cryptofeed, ``cryptofeed/raw_data_collection.py``)
"""

from __future__ import annotations

import ast
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

from rtwidgets.errors import UsageError
from rtwidgets.recording.batch import Batch, Kind, Reader
from rtwidgets.recording.files import replacing
from rtwidgets.recording.lines import Line, Lines
from rtwidgets.recording.secrets import hidden, hidden_message

__all__ = ["Capture", "is_capture", "write_capture"]

_SECONDS = rb"(-?\d+(?:\.\d*)?)"
_OPENED = re.compile(rb"(\S+) <-> " + _SECONDS)
_MESSAGE = re.compile(rb"(?:(\S+) (<-|->) )?" + _SECONDS + rb": (.*)", re.DOTALL)
_HEADER = b"configuration: "  # of the program that wrote it
_BYTES = (b"b'", b'b"')


class Capture(Lines):
    """Reads a capture. A `Reader`.

    What may be secret in URLs and in messages that were sent is left out, as it is from what is recorded
    here.
    """

    what = "no line of a capture"

    @property
    def about(self) -> dict[str, Any]:
        """The first URL, and what was sent before anything came."""
        about: dict[str, Any] = {}
        for line in self.lines():
            if line.kind is Kind.OPENED and not about:
                about = {"url": _url(line.message), "subscribe": []}
            elif line.kind is Kind.SENT_TEXT and about:
                about["subscribe"].append(line.message.decode(errors="replace"))
            else:
                break
        return about

    def _parse(self, text: bytes) -> Line | None:
        if not text.strip() or text.startswith(_HEADER):
            return None
        if found := _OPENED.fullmatch(text):
            url, seconds = found.groups()
            opened = {"url": hidden(url.decode(errors="replace"))}
            return Line(_nanoseconds(seconds), Kind.OPENED, json.dumps(opened).encode())
        if not (found := _MESSAGE.fullmatch(text)):
            raise ValueError("write 'URL <-> SECONDS', 'URL <- SECONDS: MESSAGE' or 'SECONDS: MESSAGE'")
        _, arrow, seconds, message = found.groups()
        if arrow == b"->":  # the answer to a request by HTTP
            return None
        kind = Kind.TEXT if arrow is None else Kind.SENT_TEXT
        if message.startswith(_BYTES):
            kind = Kind.BINARY if arrow is None else Kind.SENT_BINARY
            message = _literal(message)
        return Line(_nanoseconds(seconds), kind, message if arrow is None else hidden_message(message))


def is_capture(head: bytes) -> bool:
    """Whether a file that begins so is a capture."""
    line = head.lstrip().partition(b"\n")[0]
    return line.startswith(_HEADER) or bool(_OPENED.fullmatch(line) or _MESSAGE.match(line))


def write_capture(recording: Reader, path: str | Path) -> None:
    """Write all of a recording as a capture; a file that is there is replaced.

    What a recording says of itself is left out, and so are the ends of connections: a capture has no room
    for them.

    Parameters
    ----------
    recording
        What to write.
    path
        Of the file.

    Raises
    ------
    UsageError
        When the recording has a message that no line can hold: text of several lines, or text that looks
        like a binary message in a capture.
    RtError
        When the recording is damaged, or the file cannot be written.
    """
    url = _spaceless(str(recording.about.get("url", "unknown:")))
    with replacing(Path(path)) as beside, beside.open("wb") as file:
        for batch in recording.batches():
            seconds = _seconds(batch.time)
            if batch.kind is Kind.OPENED:
                for message in batch.messages:
                    url = _spaceless(_url(message))
                    file.write(f"{url} <-> {seconds}\n".encode())
            elif batch.kind is not Kind.CLOSED:
                sent = batch.kind in (Kind.SENT_TEXT, Kind.SENT_BINARY)
                begin = f"{url} <- {seconds}: ".encode() if sent else f"{seconds}: ".encode()
                file.writelines(begin + _shown(batch, message) + b"\n" for message in batch.messages)


def _shown(batch: Batch, message: bytes) -> bytes:
    if batch.kind in (Kind.BINARY, Kind.SENT_BINARY):
        return repr(bytes(message)).encode()
    if b"\n" in message or message.startswith(_BYTES):
        raise UsageError(
            f"the message at {batch.time} ns cannot be a line of a capture: {message[:60]!r}; "
            "write JSON lines (.jsonl) instead"
        )
    return message


def _literal(text: bytes) -> bytes:
    """Return the bytes that Python writes in this way."""
    try:
        value = ast.literal_eval(text.decode())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = None
    if not isinstance(value, bytes):
        raise ValueError("the binary message is not as Python writes bytes")  # noqa: TRY004 - for the caller
    return value


def _url(message: bytes) -> str:
    """Return the URL of an opened connection."""
    try:
        return str(json.loads(message)["url"])
    except (ValueError, KeyError, TypeError):
        return "unknown:"


def _spaceless(url: str) -> str:
    return re.sub(r"\s", "%20", url) or "unknown:"


def _nanoseconds(seconds: bytes) -> int:
    return int(Decimal(seconds.decode()).scaleb(9))


def _seconds(nanoseconds: int) -> str:
    """Return seconds with as many digits as there are, at least one, as Python writes a float."""
    sign = "-" if nanoseconds < 0 else ""
    whole, part = divmod(abs(nanoseconds), 10**9)
    return f"{sign}{whole}.{f'{part:09d}'.rstrip('0') or '0'}"
