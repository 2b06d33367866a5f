"""Whatever comes from a socket is a message of y-protocols, or is refused in one way."""

import json

import pycrdt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rtwidgets.errors import ProtocolError
from rtwidgets.yjs.protocol import (
    MAX_CLIENT,
    MAX_DEPTH,
    MAX_STATE,
    MAX_STATES,
    AskAwareness,
    Awareness,
    State,
    Step1,
    Update,
    decode,
    encode,
)

numbers = st.integers(0, MAX_CLIENT) | st.integers(0, 300)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)  # what UTF-8 can hold
plain = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | text
objects = st.dictionaries(text, plain | st.lists(plain, max_size=3), max_size=4)
written = st.builds(lambda value, pure: json.dumps(value, ensure_ascii=pure).encode(), objects, st.booleans())
states = st.builds(State, numbers, numbers, st.none() | written)
messages = (
    st.builds(Step1, st.binary(max_size=300))
    | st.builds(Update, st.binary(max_size=300), st.booleans())
    | st.builds(Awareness, st.lists(states, max_size=5))
    | st.just(AskAwareness())
)


@st.composite
def spoilt(draw):
    """Return bytes that were a message, with parts replaced, doubled or left out."""
    raw = bytearray(encode(draw(messages)))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(raw)))
        end = draw(st.integers(start, min(len(raw), start + 8)))
        raw[start:end] = draw(
            st.binary(max_size=6)
            | st.sampled_from(
                [b"\xff" * 7, b"\xff" * 8 + b"\x01", b"\x80", b"\xed\xa0\x80", b"\\ud800", b"[" * 3000]
            )
            | st.just(bytes(raw[start:end]) * 2)
        )
    return bytes(raw)


def awareness(*entries, count=None):
    """Write an awareness message of short entries by hand: client and clock below 128, state."""
    inner = bytes([len(entries) if count is None else count])
    for client, clock, state in entries:
        inner += bytes([client, clock]) + number(len(state)) + state
    return b"\x01" + number(len(inner)) + inner


def number(value):
    return bytes([value]) if value < 128 else bytes([value % 128 | 128]) + number(value // 128)


@settings(max_examples=1_000, deadline=None)
@given(spoilt() | st.binary())
@example(awareness((1, 1, b'{"a":' + b"[" * 4_000)))
@example(awareness((1, 1, b'{"a":1e999}')))
@example(awareness((1, 1, b'{"a":' + b"9" * 4_000 + b"}")))
def test_any_bytes_are_a_message_or_a_protocol_error(raw):
    """What is taken can be written and read again; what is not has a sentence that can be told."""
    try:
        message = decode(raw)
    except ProtocolError as error:
        str(error).encode()
        return
    assert decode(encode(message)) == message


@settings(max_examples=500, deadline=None)
@given(messages)
def test_each_message_survives_the_wire(message):
    """Decoding what was encoded gives the same kind of message with the same content."""
    read = decode(encode(message))
    assert (type(read), read) == (type(message), message)


@settings(max_examples=200, deadline=None)
@given(messages, st.data())
def test_no_part_of_a_message_is_a_message(message, data):
    """A message that was cut short, or has bytes behind it, is refused."""
    raw = encode(message)
    cut = data.draw(st.integers(0, len(raw) - 1))
    for spoiled in (raw[:cut], raw + b"\x00"):
        with pytest.raises(ProtocolError):
            decode(spoiled)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "the kind of message has no end"),
        (b"\x02\x00", "kind 2 is none"),
        (b"\x04", "kind 4 is none"),
        (b"\x00\x03\x00", "sync message 3 is none"),
        (b"\x00\x00\x05ab", "a state vector should have 5 bytes, but 2 are left"),
        (b"\x00\x02\x01ab", "1 bytes follow its end"),
        (b"\x03\x00", "1 bytes follow its end"),
        (b"\x00\x02" + b"\xff" * 7 + b"\x7f", "the length of an update is above 9007199254740991"),
        (b"\x00\x02" + b"\x80" * 8 + b"\x00", "the length of an update has more than 8 bytes"),
        (awareness(count=1), "a client has no end"),
        (awareness((1, 1, b"null")) + b"\x00", "1 bytes follow its end"),
        (awareness((1, 1, b"null"), count=0), "7 bytes follow its end"),
        (b"\x01\x03" + number(MAX_STATES + 1) + b"\x00", f"awareness of {MAX_STATES + 1} clients"),
        (awareness((7, 1, b'"' + b"x" * MAX_STATE + b'"')), f"client 7 has {MAX_STATE + 2} bytes"),
        (awareness((7, 1, b"")), "client 7 is no JSON object"),
        (awareness((7, 1, b"[]")), "client 7 is no JSON object"),
        (awareness((7, 1, b'{"a":"\xff"}')), "client 7 is no JSON object"),
        (awareness((7, 1, b'{"a":NaN}')), "client 7 is no JSON object"),
        (awareness((7, 1, b'{"a":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}")), "client 7 has over 50"),
    ],
)
def test_a_refusal_says_what_was_wrong(raw, reason):
    """Each rule of the protocol and each limit has its own reason."""
    with pytest.raises(ProtocolError) as refused:
        decode(raw)
    assert reason in str(refused.value)


def test_what_is_just_within_the_limits_is_read():
    """The largest number, count, state and depth are taken."""
    deep = b'{"a":' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}"
    large = b'{"a":"' + b"x" * (MAX_STATE - 8) + b'"}'
    assert len(large) == MAX_STATE
    entries = [State(MAX_CLIENT, MAX_CLIENT, large), State(0, 0, deep)]
    entries += [State(client, 1, None) for client in range(MAX_STATES - 2)]
    assert decode(encode(Awareness(entries))) == Awareness(entries)


@pytest.mark.parametrize(
    "entries",
    [
        [State(MAX_CLIENT + 1, 1, None)],
        [State(1, -1, None)],
        [State(1, 1, b" " * (MAX_STATE + 1))],
        [State(1, 1, None)] * (MAX_STATES + 1),
    ],
)
def test_what_nobody_would_read_is_not_written(entries):
    """Numbers and sizes beyond the limits are refused by the writer too."""
    with pytest.raises(ProtocolError):
        encode(Awareness(entries))


def test_sync_messages_are_those_of_pycrdt():
    """Byte for byte, for a document whose update is longer than 127 bytes."""
    doc = pycrdt.Doc()
    doc["content"] = content = pycrdt.Text()
    content += "Grüße, 世界 🌍 " * 20
    update = doc.get_update()
    pairs = [
        (Step1(doc.get_state()), pycrdt.create_sync_message(doc)),
        (Update(update), pycrdt.create_update_message(update)),
        (Update(update, answer=True), pycrdt.handle_sync_message(b"\x00\x01\x00", doc)),
    ]
    for message, raw in pairs:
        assert encode(message) == raw
        assert decode(raw) == message


def test_awareness_messages_are_those_of_pycrdt():
    """Byte for byte, there and gone; in ASCII, as pycrdt counts the length of other text wrongly."""
    shared = pycrdt.Awareness(pycrdt.Doc())
    shared.set_local_state({"user": {"name": "ada"}})
    client = shared.client_id
    raw = pycrdt.create_awareness_message(shared.encode_awareness_update([client]))
    message = Awareness([State(client, 1, b'{"user":{"name":"ada"}}')])
    assert encode(message) == raw
    assert decode(raw) == message
    shared.set_local_state(None)
    raw = pycrdt.create_awareness_message(shared.encode_awareness_update([client]))
    message = Awareness([State(client, 2, None)])
    assert encode(message) == raw
    assert decode(raw) == message
