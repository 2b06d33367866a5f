"""Whole messages, out of bytes cut anywhere."""

import asyncio
import random
import struct

import pytest
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri
from websockets.utils import accept_key

from rtwidgets.client.inbox import MAX_SIZE, Inbox


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self):
        super().__init__()
        self.written = b""

    def write(self, data):
        self.written += data

    def set_write_buffer_limits(self, high=None, low=None):
        pass

    def can_write_eof(self):
        return False

    def is_closing(self):
        return False

    def close(self):
        pass


def connected():
    """Return a connection before its handshake, and the server's response to that."""
    connection = Inbox(ClientProtocol(parse_uri("ws://localhost/"), max_size=MAX_SIZE))
    connection.connection_made(Transport())
    request = connection.protocol.connect()
    connection.protocol.send_request(request)
    accept = accept_key(request.headers["Sec-WebSocket-Key"])
    head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    return connection, f"{head}Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()


def frame(opcode, data, *, fin=True):
    return Frame(opcode, data, fin).serialize(mask=False)


MESSAGES = [
    b"",
    b"{}",
    b"x" * 125,
    b"y" * 126,
    b"z" * 65_535,
    b"w" * 65_536,
    b'{"a":1}',
    "grüße".encode(),
    b"end",
]

STREAM = b"".join(
    [
        frame(Opcode.TEXT, MESSAGES[0]),
        frame(Opcode.BINARY, MESSAGES[1]),
        frame(Opcode.PING, b"one"),
        frame(Opcode.TEXT, MESSAGES[2]),
        frame(Opcode.TEXT, MESSAGES[3]),
        frame(Opcode.TEXT, MESSAGES[4]),
        frame(Opcode.TEXT, MESSAGES[5]),
        frame(Opcode.TEXT, MESSAGES[6][:3], fin=False),
        frame(Opcode.PING, b"two"),
        frame(Opcode.CONT, b"", fin=False),
        frame(Opcode.CONT, MESSAGES[6][3:]),
        frame(Opcode.TEXT, MESSAGES[7]),
        frame(Opcode.TEXT, MESSAGES[8]),
    ]
)


@pytest.mark.parametrize("largest", [1, 2, 3, 7, 200, 5_000, 100_000, 1_000_000])
def test_messages_come_whole_whatever_the_pieces(largest):
    """Handshake, frames of every length, fragments and pings may be cut at any byte."""

    async def run():
        connection, response = connected()
        bytes_in, draw = response + STREAM, random.Random(largest)
        at = 0
        while at < len(bytes_in):
            size = 1 if largest == 1 else draw.randint(1, largest)
            connection.data_received(bytes_in[at : at + size])
            at += size
        assert await connection.messages() == MESSAGES
        connection.connection_lost(None)

    asyncio.run(run())


def test_pings_are_answered():
    """What is no message is the library's, also in the midst of fragments."""

    async def run():
        connection, response = connected()
        connection.data_received(response + STREAM)
        transport = connection.transport
        assert connection.response.status_code == 101
        pongs = [byte for byte in transport.written if byte == 0x80 | Opcode.PONG]
        assert len(pongs) >= 2
        connection.connection_lost(None)

    asyncio.run(run())


def test_messages_before_the_end_are_not_lost():
    """A good-bye comes after what was sent before it."""

    async def run():
        connection, response = connected()
        close = frame(Opcode.CLOSE, struct.pack("!H", CloseCode.NORMAL_CLOSURE))
        connection.data_received(response + frame(Opcode.TEXT, b"last") + close)
        assert await connection.messages() == [b"last"]
        waiting = asyncio.ensure_future(connection.messages())
        await asyncio.sleep(0)
        connection.connection_lost(None)
        with pytest.raises(ConnectionClosedOK):
            await waiting

    asyncio.run(run())


def test_a_wait_may_be_given_up():
    """Cancelling loses nothing."""

    async def run():
        connection, response = connected()
        connection.data_received(response)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(connection.messages(), 0.01)
        connection.data_received(frame(Opcode.TEXT, b"late"))
        assert await connection.messages() == [b"late"]
        connection.connection_lost(None)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("bytes_in", "code"),
    [
        (Frame(Opcode.TEXT, b"masked").serialize(mask=True), CloseCode.PROTOCOL_ERROR),
        (b"\x81\x7f" + struct.pack("!Q", MAX_SIZE + 1), CloseCode.MESSAGE_TOO_BIG),
        (b"\xc1\x02{}", CloseCode.PROTOCOL_ERROR),  # compressed, which was not agreed
        (b"\x83\x00", CloseCode.PROTOCOL_ERROR),  # no such kind of frame
        (frame(Opcode.CONT, b"{}"), CloseCode.PROTOCOL_ERROR),  # of no message
        (frame(Opcode.TEXT, b"{", fin=False) + frame(Opcode.TEXT, b"{}"), CloseCode.PROTOCOL_ERROR),
        (frame(Opcode.TEXT, b"x" * 50)[:20], None),  # and then the line is cut
    ],
)
def test_what_is_wrong_breaks_the_connection(bytes_in, code):
    """The library says what is wrong; what came before stays."""

    async def run():
        connection, response = connected()
        connection.data_received(
            response + frame(Opcode.TEXT, b"good") + bytes_in + frame(Opcode.TEXT, b"after")
        )
        assert await connection.messages() == [b"good"]
        assert (connection.state is State.OPEN) is (code is None)
        connection.connection_lost(None)
        with pytest.raises(ConnectionClosedError) as raised:
            await connection.messages()
        assert (raised.value.sent.code if raised.value.sent else None) == code

    asyncio.run(run())


def test_what_speaks_no_websocket_is_known_at_once():
    """An answer that is not HTTP fails without waiting for the end of its headers."""

    async def run():
        connection, _ = connected()
        connection.data_received(b"SSH-2.0-OpenSSH_9.2\r\n")
        assert connection.protocol.handshake_exc is not None
        connection.connection_lost(None)

    asyncio.run(run())
