"""The messages of y-protocols as y-websocket sends them: bytes to tuples and back, nothing else.

One binary message of a WebSocket is one message. Its first number is its kind::

    0 sync            0 step 1: a state vector, which asks for what it lacks
                      1 step 2: the answer, an update
                      2 an update
    1 awareness       who is there: client, clock and state as JSON, of each
    2 auth            from servers only, to say no; not read here
    3 queryAwareness  asks who is there

Numbers are unsigned, 7 bits a byte, least significant first (lib0's ``varUint``). Source:
https://github.com/yjs/y-protocols/blob/master/PROTOCOL.md, and for 2 and 3
https://github.com/yjs/y-websocket/blob/master/src/y-websocket.js.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import msgspec

from rtwidgets.errors import ProtocolError

__all__ = [
    "MAX_CLIENT",
    "MAX_DEPTH",
    "MAX_STATE",
    "MAX_STATES",
    "AskAwareness",
    "Awareness",
    "Message",
    "State",
    "Step1",
    "Update",
    "decode",
    "encode",
]

MAX_CLIENT = 2**53 - 1
"""The largest number on the wire, client ids and clocks too: JavaScript's largest safe integer."""

MAX_STATES = 1_000
"""Clients in one awareness message, at the most."""

MAX_STATE = 4_096
"""Bytes of JSON in one client's awareness state, at the most."""

MAX_DEPTH = 50
"""Lists and objects in one another in an awareness state, at the most: others have to read it too."""

_SYNC, _AWARENESS, _ASK_AWARENESS = 0, 1, 3
_STEP_1, _STEP_2, _UPDATE = 0, 1, 2

_GONE = b"null"
_json: msgspec.json.Decoder[dict[str, Any] | None] = msgspec.json.Decoder(dict | None)


class Step1(NamedTuple):
    """A state vector: asks for what it lacks."""

    state: bytes


class Update(NamedTuple):
    """Changes of the document, in Yjs's update format (version 1).

    Attributes
    ----------
    update
        Not looked into here.
    answer
        Whether it is the answer to a `Step1` (sync step 2), not a change of just now.
    """

    update: bytes
    answer: bool = False


class State(NamedTuple):
    """One client in the awareness of a document.

    Attributes
    ----------
    client
        The client's id, a random number that it has chosen.
    clock
        Grows with each state of the client.
    state
        A JSON object in UTF-8, or None when the client is gone.
    """

    client: int
    clock: int
    state: bytes | None

    @property
    def user(self) -> str | None:
        """The name that it gives, where y-codemirror.next and others put it; None where it gives none."""
        user = None if self.state is None else msgspec.json.decode(self.state).get("user")
        name = user.get("name") if isinstance(user, dict) else None
        return name if isinstance(name, str) else None


class Awareness(NamedTuple):
    """Who is there, and who has gone."""

    states: list[State]


class AskAwareness(NamedTuple):
    """Asks who is there."""


Message: TypeAlias = Step1 | Update | Awareness | AskAwareness


def decode(message: bytes) -> Message:
    """Decode what came as one binary message, in time linear in its size.

    Raises
    ------
    ProtocolError
        When it is anything but one whole message of a kind that a client sends, or breaks a limit:
        `MAX_CLIENT`, `MAX_STATES`, `MAX_STATE`, `MAX_DEPTH`.
    """
    reader = _Reader(message)
    kind = reader.number("the kind of message")
    decoded: Message
    if kind == _SYNC:
        decoded = _read_sync(reader)
    elif kind == _AWARENESS:
        inner = _Reader(reader.array("an awareness update"))
        reader.end()
        reader, decoded = inner, _read_awareness(inner)
    elif kind == _ASK_AWARENESS:
        decoded = AskAwareness()
    else:
        raise ProtocolError(f"kind {kind} is none of 0 (sync), 1 (awareness), 3 (query awareness)")
    reader.end()
    return decoded


def encode(message: Message) -> bytes:
    """Encode a message; the JSON of its states is taken as it is.

    Raises
    ------
    ProtocolError
        When it breaks a limit of `decode`'s on numbers or sizes.
    """
    match message:
        case Step1(vector):
            return bytes((_SYNC, _STEP_1)) + _array(vector)
        case Update(update, answer):
            return bytes((_SYNC, _STEP_2 if answer else _UPDATE)) + _array(update)
        case Awareness(states):
            _check_count(len(states))
            pieces = [_number(len(states))]
            for client, clock, state in states:
                _check_size(client, len(state or b""))
                pieces += (_number(client), _number(clock), _array(_GONE if state is None else state))
            return bytes((_AWARENESS,)) + _array(b"".join(pieces))
        case AskAwareness():
            return bytes((_ASK_AWARENESS,))


def _read_sync(reader: _Reader) -> Step1 | Update:
    step = reader.number("the kind of sync message")
    if step == _STEP_1:
        return Step1(reader.array("a state vector"))
    if step in (_STEP_2, _UPDATE):
        return Update(reader.array("an update"), answer=step == _STEP_2)
    raise ProtocolError(f"sync message {step} is none of 0 (step 1), 1 (step 2), 2 (update)")


def _read_awareness(reader: _Reader) -> Awareness:
    count = reader.number("the number of clients")
    _check_count(count)
    states = []
    for _ in range(count):
        client = reader.number("a client")
        clock = reader.number("a clock")
        state = reader.array("a state")
        _check_size(client, len(state))
        states.append(State(client, clock, _checked(client, state)))
    return Awareness(states)


def _checked(client: int, state: bytes) -> bytes | None:
    """Return the state of a client as it is, or None for ``null``."""
    try:
        value = _json.decode(state)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ProtocolError(f"the state of client {client} is no JSON object: {error}") from error
    if value is None:
        return None
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return state
    raise ProtocolError(f"the state of client {client} has over {MAX_DEPTH} lists and objects in one another")


def _check_count(count: int) -> None:
    if count > MAX_STATES:
        raise ProtocolError(f"awareness of {count} clients, where {MAX_STATES} are allowed")


def _check_size(client: int, size: int) -> None:
    if size > MAX_STATE:
        raise ProtocolError(f"the state of client {client} has {size} bytes, where {MAX_STATE} are allowed")


def _array(piece: bytes) -> bytes:
    return _number(len(piece)) + piece


def _number(value: int) -> bytes:
    if not 0 <= value <= MAX_CLIENT:
        raise ProtocolError(f"{value} is not a number from 0 to {MAX_CLIENT}")
    written = bytearray()
    while value > 0x7F:
        written.append(0x80 | value & 0x7F)
        value >>= 7
    written.append(value)
    return bytes(written)


class _Reader:
    """Reads one piece after the other; `what` is the piece's name in the sentence of an error."""

    def __init__(self, message: bytes) -> None:
        self._message = message
        self._at = 0

    def number(self, what: str) -> int:
        value = 0
        for index, byte in enumerate(self._message[self._at : self._at + 8]):  # 53 bits take 8 bytes at most
            value |= (byte & 0x7F) << 7 * index
            if byte < 0x80:
                if value > MAX_CLIENT:
                    raise ProtocolError(f"{what} is above {MAX_CLIENT}")
                self._at += index + 1
                return value
        left = len(self._message) - self._at
        raise ProtocolError(f"{what} has no end" if left < 8 else f"{what} has more than 8 bytes")

    def array(self, what: str) -> bytes:
        size = self.number(f"the length of {what}")
        left = len(self._message) - self._at
        if size > left:
            raise ProtocolError(f"{what} should have {size} bytes, but {left} are left")
        self._at += size
        return self._message[self._at - size : self._at]

    def end(self) -> None:
        if self._at < len(self._message):
            raise ProtocolError(f"{len(self._message) - self._at} bytes follow its end")
