"""A client connection that finds whole messages in what the socket brings, many at a time.

`websockets` takes each frame through several generators, a queue and a coroutine, which for small messages
costs more than all that is done with them. Here its parser is left with the handshake, control frames,
fragments and faults; a frame that is a whole message is cut out directly.
"""

from __future__ import annotations

import asyncio
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State

__all__ = ["MAX_SIZE", "Binary", "Inbox"]

MAX_SIZE = 16 * 2**20
"""Bytes of the largest message that is taken."""

_WHOLE_TEXT, _WHOLE_BINARY = 0x80 | Opcode.TEXT, 0x80 | Opcode.BINARY
_DATA = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)


class Binary(bytes):
    """A message that came as a binary one; text comes as plain bytes."""


class Inbox(ClientConnection):
    """A connection to be read with `messages`. Compression has to be off.

    `silent` goes back to 0 with each byte of a message; control frames, which a library sends, leave it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.silent = 0
        self._messages: list[bytes] = []
        self._fragments: list[bytes] = []
        self._fragmented = bytes  # what their message will be
        self._held: list[bytes] = []  # the beginning of a frame
        self._missing = 0  # bytes to its end, at the least
        self._response_end = b""  # the last bytes of the handshake so far
        self._waiter: asyncio.Future[None] | None = None
        self._lost = False

    async def messages(self) -> list[bytes]:
        """Wait for messages and return all that have come, at least one; the binary ones are `Binary`.

        Raises
        ------
        ConnectionClosed
            When there are none and none will come.
        """
        while not self._messages:
            if self._lost:
                await self.recv()  # raises what tells why
            self._waiter = self.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        taken, self._messages = self._messages, []
        return taken

    def post(self, text: bytes) -> bool:
        """Send a text message without waiting; return False where that is not possible now."""
        if self.state is not State.OPEN or self.paused:
            return False
        self.protocol.send_text(text)
        self.send_data()
        return True

    def give_up(self, why: str) -> None:
        """Cut the connection; it is the cause of the `ConnectionClosed` that `messages` then raises."""
        self.set_connection_exc(TimeoutError(why))
        self.transport.abort()

    # What the transport calls

    def data_received(self, data: bytes) -> None:
        """Take whole messages out of the data, and leave the rest to the library."""
        if self.state is State.CONNECTING:
            data = self._shake_hands(data)
        if self._held:
            self._held.append(data)
            self._missing -= len(data)
            if self._missing > 0 and self.state is State.OPEN:
                self._wake()
                return
            data = b"".join(self._held)
            self._held.clear()
        taken = self._cut(data)
        if taken < len(data):
            if self.state is State.OPEN:
                self._held.append(data[taken:] if taken else data)
            else:
                super().data_received(data[taken:])
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let `messages` end."""
        super().connection_lost(exc)
        self._lost = True
        self._wake()

    def process_event(self, event: Frame | Response) -> None:  # type: ignore[override, unused-ignore]
        """Put fragments together."""
        if not isinstance(event, Frame) or event.opcode not in _DATA:
            super().process_event(event)
            return
        self.silent = 0
        if event.opcode is not Opcode.CONT:
            self._fragmented = Binary if event.opcode is Opcode.BINARY else bytes
        self._fragments.append(bytes(event.data))
        if event.fin:
            self._messages.append(self._fragmented(b"".join(self._fragments)))
            self._fragments.clear()

    def _wake(self) -> None:
        if self._messages or (self._held and self._held[0][0] & 0x0F < Opcode.CLOSE):
            self.silent = 0
        if self._waiter is not None and not self._waiter.done() and (self._messages or self._lost):
            self._waiter.set_result(None)

    def _shake_hands(self, data: bytes) -> bytes:
        """Give the library no more than what ends the handshake; return what comes after it."""
        seen = self._response_end + data
        end = seen.find(b"\r\n\r\n")
        cut = len(data) if end < 0 else end + 4 - len(self._response_end)
        self._response_end = seen[-3:]
        super().data_received(data[:cut])
        return data[cut:]

    def _cut(self, data: bytes) -> int:
        """Take the frames in the data, while the connection is open; return how far that went."""
        # Section 5.2 of RFC 6455. A server's frames are not masked.
        at, end = 0, len(data)
        append = self._messages.append
        going = self.state is State.OPEN
        while going:
            start = at + 2
            if start > end:
                self._missing = start - end
                break
            length = data[at + 1]
            if length > 125:
                if length > 127:  # masked: the library will say what is wrong with that
                    super().data_received(data[at:])
                    return end
                start += 2 if length == 126 else 8
                if start > end:
                    self._missing = start - end
                    break
                length = int.from_bytes(data[at + 2 : start])
                if length > MAX_SIZE:  # likewise
                    super().data_received(data[at:])
                    return end
            stop = start + length
            if stop > end:
                self._missing = stop - end
                break
            if data[at] == _WHOLE_TEXT and not self._fragments:
                append(data[start:stop])
            elif data[at] == _WHOLE_BINARY and not self._fragments:
                append(Binary(data[start:stop]))
            else:
                super().data_received(data[at:stop])
                going = self.state is State.OPEN
            at = stop
        return at
