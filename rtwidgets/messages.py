"""What crosses a socket in the `rtwidgets.v1` dialect, and its codec. Floor 2: imports errors only.

JSON text, one tagged object a frame. A message of a channel is encoded once, when it enters the log;
a frame for subscribers joins pieces that are encoded already.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Annotated

import msgspec

from rtwidgets.errors import ChannelNameError, UsageError

__all__ = [
    "MAX_DEPTH",
    "MAX_MESSAGE",
    "MAX_USER",
    "SUBPROTOCOL",
    "TOKEN_EXPIRED",
    "Auth",
    "ClientMessage",
    "Conflated",
    "Cursor",
    "Error",
    "Gap",
    "Joined",
    "Latest",
    "Left",
    "Messages",
    "Ping",
    "Pong",
    "Presence",
    "Present",
    "Publish",
    "Published",
    "ServerMessage",
    "Subscribe",
    "Subscribed",
    "Unsubscribe",
    "check_channel",
    "clock",
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

MAX_DEPTH = 100
"""Lists and objects in one another in one message, at the most: a reader of ours could not take many more."""

MAX_USER = 100
"""Characters of a user's name, at the most."""

TOKEN_EXPIRED = 4401
"""The code with which a connection is closed whose token has expired; RFC 6455 leaves 4000 to 4999 to us."""

_CHANNEL = re.compile(r"[A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


_Id = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]  # so that every language has it as it is


class _Message(msgspec.Struct, tag_field="type", tag=str.lower, frozen=True):
    pass


class Cursor(msgspec.Struct, frozen=True):
    """A place in a channel's log: what comes after `offset` has not been read yet."""

    epoch: str
    offset: int


# To the server


class Auth(_Message, frozen=True):
    """The token, for a client that gave none in the handshake; or the next one, before it expires."""

    token: str

    def __repr__(self) -> str:
        return "Auth()"  # it may get into a log


class Subscribe(_Message, frozen=True):
    """Follow a channel. `after` is None for what is published from now on."""

    id: _Id
    channel: str
    after: Cursor | None = None


class Unsubscribe(_Message, frozen=True):
    """Follow a channel no longer."""

    channel: str


class Publish(_Message, frozen=True):
    """Append `data` to a channel's log. The same `idempotency` key (of 200 characters at the
    most) lands once.
    """

    id: _Id
    channel: str
    data: msgspec.Raw
    idempotency: Annotated[str, msgspec.Meta(max_length=200)] | None = None


class Presence(_Message, frozen=True):
    """Be seen in a channel under a name, until the connection ends."""

    channel: str
    user: str


# In both directions


class Ping(_Message, frozen=True):
    """Ask for a `Pong`: a sign that not only the connection lives, but the program behind it too."""


class Pong(_Message, frozen=True):
    """Answer to `Ping`."""


# To the client


class Latest(msgspec.Struct, frozen=True):
    """The last message of each key among messages that are not sent themselves.

    A list each, in the order of their offsets: these, when each message entered the log in Unix
    milliseconds, and its data.
    """

    offsets: list[int]
    time: list[float]
    data: msgspec.Raw


class Present(msgspec.Struct, frozen=True):
    """Somebody who is present in a channel.

    `since` is when that name became present there, in Unix milliseconds of the server's clock, and `server`
    the id of the server where it is. A server that does not tell leaves them out.
    """

    user: str
    since: float | None = None
    server: str = ""


class Subscribed(_Message, frozen=True):
    """Answer to `Subscribe`: messages come after (`epoch`, `offset`).

    `recovered` says whether they go on exactly where `after` pointed; `lost` is the number of messages
    known to be missing in between (0 when the epoch changed: nobody can count them). `key` and `time`
    name the fields of the channel's rows that hold their key and their time, where it has such. `latest`
    has the last message of each key among those that are missing, where the channel has keys. `last` is the
    offset of the channel's newest message: who has read up to there has caught up. `writable` says whether
    the client's token allows to publish to the channel. `present` is who is there, oldest first; None where
    that is nobody, or the token does not allow to know.
    """

    id: int
    channel: str
    epoch: str
    offset: int
    recovered: bool = True
    lost: int = 0
    key: str | None = None
    time: str | None = None
    latest: Latest | None = None
    last: int = 0
    writable: bool = True
    present: list[Present] | None = None


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
    """Somebody is present in a channel; `since` and `server` are as in `Present`."""

    channel: str
    user: str
    since: float | None = None
    server: str = ""


class Left(_Message, frozen=True):
    """Somebody is present in a channel no longer.

    `time` is when the server noticed, in Unix milliseconds of its clock.
    """

    channel: str
    user: str
    time: float | None = None
    server: str = ""


class Gap(_Message, frozen=True):
    """Messages `first` to `last` left the log before this subscriber could read them.

    `latest` is as in `Subscribed`.
    """

    channel: str
    epoch: str
    first: int = msgspec.field(name="from")
    last: int = msgspec.field(name="to")
    latest: Latest | None = None


class Conflated(_Message, frozen=True):
    """Messages `first` to `last`, of which a slow subscriber is sent only the last one of each key."""

    channel: str
    epoch: str
    first: int = msgspec.field(name="from")
    last: int = msgspec.field(name="to")
    latest: Latest


class Error(_Message, frozen=True):
    """Something was refused; `id` is that of the request, if it had one."""

    code: str
    message: str
    id: int | None = None


ClientMessage = Auth | Subscribe | Unsubscribe | Publish | Presence | Ping | Pong
ServerMessage = Subscribed | Messages | Published | Joined | Left | Gap | Conflated | Error | Ping | Pong

_encoder = msgspec.json.Encoder()
_client_decoder: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)
_server_decoder: msgspec.json.Decoder[ServerMessage] = msgspec.json.Decoder(ServerMessage)


def clock() -> float:
    """Return the time now as messages have it: Unix milliseconds, to a thousandth of one."""
    return round(time.time() * 1000.0, 3)


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
    except (UnicodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from error


def decode_server(frame: bytes | str) -> ServerMessage:
    """Decode what a server sent; raises as `decode_client` does."""
    try:
        return _server_decoder.decode(frame)
    except (UnicodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from error


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
        When it cannot be written as JSON, is larger than `MAX_MESSAGE` bytes of it, or nested deeper than
        `MAX_DEPTH`.
    """
    piece = encode_data(data)
    if len(piece) > MAX_MESSAGE:
        raise UsageError(
            f"a message of {len(piece)} bytes is too large: publish at most {MAX_MESSAGE} bytes at a time"
        )
    if piece.count(b"[") + piece.count(b"{") > MAX_DEPTH and _is_deep(piece):
        raise UsageError(
            f"a message with more than {MAX_DEPTH} lists and objects in one another: publish flatter ones"
        )
    return piece


def _is_deep(piece: bytes) -> bool:
    """Whether JSON has more than `MAX_DEPTH` lists and objects in one another."""
    outside_text = b"".join(piece.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    depth = 0
    for bracket in outside_text.translate(None, _NO_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            return True
    return False


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
