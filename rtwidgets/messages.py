"""What crosses a socket in the `rtwidgets.v1` dialect, and its codec. Floor 2: imports errors only.

JSON text, one tagged object a frame. A message of a channel is encoded once, when it enters the log;
a frame for subscribers joins pieces that are encoded already.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

import msgspec

from rtwidgets.errors import ChannelNameError, UsageError

__all__ = [
    "MAX_MESSAGE",
    "MAX_USER",
    "SUBPROTOCOL",
    "Auth",
    "ClientMessage",
    "Cursor",
    "Error",
    "Gap",
    "Joined",
    "Left",
    "Messages",
    "Ping",
    "Pong",
    "Presence",
    "Publish",
    "Published",
    "ServerMessage",
    "Subscribe",
    "Subscribed",
    "Unsubscribe",
    "check_channel",
    "decode_client",
    "decode_server",
    "encode",
    "encode_data",
    "encode_message",
    "encode_run",
]

SUBPROTOCOL = "rtwidgets.v1"

MAX_MESSAGE = 512 * 1024
"""Bytes of JSON in one message, at the most."""

MAX_USER = 100
"""Characters of a user's name, at the most."""

_CHANNEL = re.compile(r"[A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*")


class _Message(msgspec.Struct, tag_field="type", tag=str.lower, frozen=True):
    pass


class Cursor(msgspec.Struct, frozen=True):
    """A place in a channel's log: what comes after `offset` has not been read yet."""

    epoch: str
    offset: int


# To the server


class Auth(_Message, frozen=True):
    """The token, for a client that gave none in the handshake."""

    token: str


class Subscribe(_Message, frozen=True):
    """Follow a channel. `after` is None for what is published from now on."""

    id: int
    channel: str
    after: Cursor | None = None


class Unsubscribe(_Message, frozen=True):
    """Follow a channel no longer."""

    channel: str


class Publish(_Message, frozen=True):
    """Append `data` to a channel's log. The same `idempotency` key (of 200 characters at the
    most) lands once.
    """

    id: int
    channel: str
    data: msgspec.Raw
    idempotency: Annotated[str, msgspec.Meta(max_length=200)] | None = None


class Presence(_Message, frozen=True):
    """Be seen in a channel under a name, until the connection ends."""

    channel: str
    user: str


class Ping(_Message, frozen=True):
    """Ask for a `Pong`."""


# To the client


class Subscribed(_Message, frozen=True):
    """Answer to `Subscribe`: messages come after (`epoch`, `offset`).

    `recovered` says whether they go on exactly where `after` pointed; `lost` is the number of messages
    known to be missing in between (0 when the epoch changed: nobody can count them). `key` and `time`
    name the fields of the channel's rows that hold their key and their time, where it has such.
    """

    id: int
    channel: str
    epoch: str
    offset: int
    recovered: bool = True
    lost: int = 0
    key: str | None = None
    time: str | None = None


class Messages(_Message, frozen=True):
    """A run of `count` contiguous messages; `offset` is the first one's.

    `time` is when they entered the log, in Unix milliseconds: one number for all, or one each.
    """

    channel: str
    epoch: str
    offset: int
    count: int
    time: float | list[float]
    data: msgspec.Raw


class Published(_Message, frozen=True):
    """Answer to `Publish`: the message has this offset."""

    id: int
    offset: int


class Joined(_Message, frozen=True):
    """Somebody is present in a channel from now on."""

    channel: str
    user: str


class Left(_Message, frozen=True):
    """Somebody is present in a channel no longer."""

    channel: str
    user: str


class Gap(_Message, frozen=True):
    """Messages `first` to `last` left the log before this subscriber could read them."""

    channel: str
    epoch: str
    first: int = msgspec.field(name="from")
    last: int = msgspec.field(name="to")


class Error(_Message, frozen=True):
    """Something was refused; `id` is that of the request, if it had one."""

    code: str
    message: str
    id: int | None = None


class Pong(_Message, frozen=True):
    """Answer to `Ping`."""


ClientMessage = Auth | Subscribe | Unsubscribe | Publish | Presence | Ping
ServerMessage = Subscribed | Messages | Published | Joined | Left | Gap | Error | Pong

_encoder = msgspec.json.Encoder()
_client_decoder: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)
_server_decoder: msgspec.json.Decoder[ServerMessage] = msgspec.json.Decoder(ServerMessage)


def check_channel(name: str) -> str:
    """Return `name` if it is a channel name.

    Raises
    ------
    ChannelNameError
        Otherwise.
    """
    if len(name) > 200 or not _CHANNEL.fullmatch(name):
        raise ChannelNameError(name)
    return name


def encode(message: ClientMessage | ServerMessage) -> bytes:
    """Encode one message of the dialect."""
    return _encoder.encode(message)


def decode_client(frame: bytes | str) -> ClientMessage:
    """Decode what a client sent.

    Raises
    ------
    msgspec.DecodeError
        When it is not JSON (`msgspec.ValidationError` when it is, but no message of the dialect).
    """
    try:
        if isinstance(frame, bytes):
            frame = frame.decode()  # msgspec takes `data` unseen, and others will be sent it as text
        return _client_decoder.decode(frame)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from error


def decode_server(frame: bytes | str) -> ServerMessage:
    """Decode what a server sent; raises as `decode_client` does."""
    return _server_decoder.decode(frame)


def encode_data(data: object) -> bytes:
    """Encode anything that JSON or msgspec knows. NaN and infinity, which JSON lacks, become null.

    Raises
    ------
    UsageError
        When it cannot be written as JSON.
    """
    try:
        return _encoder.encode(data)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(
            f"{type(data).__name__} cannot be published: {error}. "
            "Publish what JSON can hold: dicts with text keys, lists, numbers, text, booleans, None"
        ) from error


def encode_message(data: object) -> bytes:
    """Encode the data of one message that is to enter a log.

    Raises
    ------
    UsageError
        When it cannot be written as JSON, or is larger than `MAX_MESSAGE` bytes of it.
    """
    piece = encode_data(data)
    if len(piece) > MAX_MESSAGE:
        raise UsageError(
            f"a message of {len(piece)} bytes is too large: publish at most {MAX_MESSAGE} bytes at a time"
        )
    return piece


def encode_run(
    channel: str, epoch: str, offset: int, times: Sequence[float], pieces: Sequence[bytes]
) -> bytes:
    """Encode a `Messages` frame from pieces that are JSON already.

    Parameters
    ----------
    channel, epoch
        Names, which need no escaping: a channel name has passed `check_channel`.
    offset
        Of the first message.
    times
        Unix milliseconds, never falling: one a message, or a single one for all.
    pieces
        The encoded data, one a message.
    """
    time: float | Sequence[float] = times
    if times[0] == times[-1]:  # the log's clock never runs backwards, so all between are equal too
        time = times[0]
    head = b'{"type":"messages","channel":"%b","epoch":"%b","offset":%d,"count":%d,"time":%b,"data":[' % (
        channel.encode(),
        epoch.encode(),
        offset,
        len(pieces),
        _encoder.encode(time),
    )
    return b"".join((head, b",".join(pieces), b"]}"))
