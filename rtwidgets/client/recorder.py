"""What a connection says and hears, written to a recording."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import groupby
from typing import Protocol

import msgspec

from rtwidgets.client.inbox import Binary
from rtwidgets.recording import Kind, Writer, hidden, hidden_message

__all__ = ["Recorder", "Tap"]


class Tap(Protocol):
    """Is told what goes over a connection, on the loop's thread."""

    def opened(self, url: str) -> None:
        """Learn that a connection stands."""

    def sent(self, message: bytes, binary: bool) -> None:
        """Take a message that was sent."""

    def received(self, time: int, messages: Sequence[bytes]) -> None:
        """Take messages that came at one time, in Unix nanoseconds; the binary ones are `Binary`."""

    def closed(self, reason: str) -> None:
        """Learn that the connection has ended, and why."""


class Recorder:
    """A `Tap` that writes a recording. What may be secret in a URL or a sent message is not written.

    Parameters
    ----------
    writer
        Where to; closed with `close`.
    """

    def __init__(self, writer: Writer) -> None:
        self.writer = writer

    def opened(self, url: str) -> None:
        """Write that a connection stands."""
        self._write(Kind.OPENED, msgspec.json.encode({"url": hidden(url)}))

    def sent(self, message: bytes, binary: bool) -> None:
        """Write a message that was sent."""
        self._write(Kind.SENT_BINARY if binary else Kind.SENT_TEXT, hidden_message(message))

    def received(self, time: int, messages: Sequence[bytes]) -> None:
        """Write messages that came at one time."""
        if Binary not in set(map(type, messages)):
            self.writer.write(time, Kind.TEXT, messages)
            return
        for binary, run in groupby(messages, lambda message: isinstance(message, Binary)):
            self.writer.write(time, Kind.BINARY if binary else Kind.TEXT, list(run))

    def closed(self, reason: str) -> None:
        """Write that the connection has ended."""
        self._write(Kind.CLOSED, reason.encode())

    def close(self) -> None:
        """Write what is left and close the file; twice is harmless."""
        self.writer.close()

    def _write(self, kind: Kind, message: bytes) -> None:
        self.writer.write(time.time_ns(), kind, [message])
