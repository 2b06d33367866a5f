"""Whatever comes from a socket is a message of the dialect, or is refused in one way."""

import json
import math

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rtwidgets.errors import UsageError
from rtwidgets.messages import (
    MAX_DEPTH,
    ClientMessage,
    Conflated,
    Cursor,
    Gap,
    Joined,
    Latest,
    Left,
    Messages,
    Ping,
    Pong,
    Presence,
    Present,
    Publish,
    Published,
    ServerMessage,
    Subscribe,
    Subscribed,
    Unsubscribe,
    decode_client,
    decode_server,
    encode,
    encode_data,
    encode_message,
    encode_run,
)

DIRECTIONS = [(decode_client, ClientMessage), (decode_server, ServerMessage)]
REASONABLE = MAX_DEPTH // 2  # levels, far from any limit of the interpreter

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)  # what UTF-8 can hold
whole = st.integers(0, 2**53 - 1)
signed = st.integers(-(2**63), 2**63 - 1)
times = st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | signed | times | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=8,
)
raws = json_values.map(lambda value: msgspec.Raw(encode_data(value)))
latest = st.builds(Latest, st.lists(signed), st.lists(times), raws)
cursors = st.builds(Cursor, text, signed)
optional = st.none() | text
moments = st.none() | times
members = st.none() | st.lists(st.builds(Present, text, moments, text), max_size=3)

asked = (
    st.builds(Subscribe, whole, text, st.none() | cursors)
    | st.builds(Unsubscribe, text)
    | st.builds(Publish, whole, text, raws, st.none() | st.text("k\u20ac\n", max_size=200))
    | st.builds(Presence, text, text)
    | st.builds(Ping)
    | st.builds(Pong)
)
told = (
    st.builds(
        Subscribed, signed, text, text, signed, st.booleans(), signed, optional, optional, st.none() | latest
    )
    | st.builds(Messages, text, text, signed, signed, times | st.lists(times), raws)
    | st.builds(Published, signed, signed)
    | st.builds(Subscribed, signed, text, text, signed, present=members)
    | st.builds(Joined, text, text, moments, text)
    | st.builds(Left, text, text, moments, text)
    | st.builds(Gap, text, text, signed, signed, st.none() | latest)
    | st.builds(Conflated, text, text, signed, signed, latest)
    | st.builds(Ping)
    | st.builds(Pong)
)

anything = st.text(max_size=20)  # lone surrogates too
huge = st.sampled_from(["1e308", "1e309", "-1e309", "9" * 400, "-" + "9" * 400, "0." + "0" * 400 + "1", "-0"])
names = ["type", "id", "channel", "after", "epoch", "offset", "data", "idempotency", "user", "token", "count"]
names += ["time", "from", "to", "latest", "offsets", "code", "message", "recovered", "lost", "key"]
names += ["present", "since", "server"]
types = [each.__name__.lower() for each in (*ClientMessage.__args__, *ServerMessage.__args__)]

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | anything | st.sampled_from(types),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(names) | anything, inner),
    max_leaves=8,
)
objects = st.builds(
    lambda kind, fields: {"type": kind} | fields,
    st.sampled_from(types),
    st.dictionaries(st.sampled_from(names), values),
)
written = st.builds(lambda value, pure: json.dumps(value, ensure_ascii=pure), objects | values, st.booleans())


def in_utf8(frame):
    return frame.encode(errors="surrogatepass")


@st.composite
def spoilt(draw):
    """Return a frame that was a message, with parts replaced, doubled or left out."""
    raw = bytearray(draw(asked.map(encode) | told.map(encode) | written.map(in_utf8)))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(raw)))
        end = draw(st.integers(start, min(len(raw), start + 8)))
        other = draw(
            st.binary(max_size=6)
            | st.sampled_from(
                [b'"', b"\\", b"\\ud800", b"\xed\xa0\x80", b"\xc0\x80", b"\xff", b"\x00", b"NaN"]
            )
            | st.sampled_from([b"{", b"}", b"[", b"]", b",", b"[" * 2_000, b'{"a":' * 2_000])
            | huge.map(str.encode)
            | st.just(bytes(raw[start:end]) * 2)
        )
        raw[start:end] = other
    return bytes(raw)


@settings(max_examples=1_000, deadline=None)
@given(spoilt() | st.binary() | anything | written)
@example("\ud800")
@example('{"type":"ping","mood":"\ud800"}')
@example(b'{"type":"ping","mood":' + b"[" * 100_000)
@example(
    b'{"type":"messages","channel":"a","epoch":"e","offset":1,"count":1,"time":1,"data":' + b"[" * 100_000
)
@example(b'{"type":"joined\xff","channel":"a"}')
@example(b'{"type":"publish","id":1,"channel":"a","data":' + b"[" * 900 + b"]" * 900 + b"}")
@example(b'{"type":"published","id":1,"offset":' + b"9" * 400 + b"}")
@example(b'{"type":"joined","channel":"\xed\xa0\x80","user":"a"}')
def test_a_frame_is_a_message_or_a_decode_error(frame):
    """Any bytes and any text, in either direction; what is taken can be written and read again."""
    for decode, kinds in DIRECTIONS:
        try:
            message = decode(frame)
        except msgspec.DecodeError as error:
            str(error).encode()  # it is told to the peer
            continue
        assert isinstance(message, kinds)
        assert same(decode(encode(message)), message)


@settings(max_examples=500, deadline=None)
@given(asked, told)
def test_each_message_survives_the_wire(asked, told):
    """In both directions, as bytes and as text, with any text and any number that it can hold."""
    for decode, message in ((decode_client, asked), (decode_server, told)):
        for frame in (encode(message), encode(message).decode()):
            assert same(decode(frame), message)


def nested(levels, shape):
    inside = "1"
    for level in range(levels):
        inside = (
            f'{{"a":{inside}}}' if shape == "object" or (shape == "mixed" and level % 2) else f"[{inside}]"
        )
    return inside


pieces = (
    raws.map(bytes)
    | huge.map(str.encode)
    | st.builds(nested, st.integers(0, REASONABLE), st.sampled_from(["list", "object", "mixed"])).map(
        str.encode
    )
    | st.sampled_from(
        [b'"1],[2"', b'"]}"', b'"\\u0000\\ud83d\\ude00"', b" 1 ", b"[ ]", b'"\\\\"', b'""', b"{}"]
    )
)


@settings(max_examples=500, deadline=None)
@given(whole, st.lists(st.tuples(pieces, times), min_size=1, max_size=20))
def test_a_run_has_what_its_pieces_have(offset, rows):
    """Joined as bytes, any JSON decodes to the same data, with its offset and its time."""
    told = sorted(time for _, time in rows)
    encoded = encode_run("a/b", "0af3", offset, told, [piece for piece, _ in rows])
    run = decode_server(encoded)
    assert isinstance(run, Messages)
    assert (run.channel, run.epoch, run.offset, run.count) == ("a/b", "0af3", offset, len(rows))
    assert run.time == (told[0] if told[0] == told[-1] else told)
    parts = msgspec.json.decode(run.data, type=list[msgspec.Raw])
    assert [bytes(part).strip() for part in parts] == [piece.strip() for piece, _ in rows]
    for part, (piece, _) in zip(json.loads(bytes(run.data)), rows, strict=True):
        assert part == json.loads(piece)


@settings(max_examples=500, deadline=None)
@given(spoilt() | raws.map(lambda raw: b'{"type":"publish","id":1,"channel":"a","data":' + bytes(raw) + b"}"))
@example(b'{"type":"publish","id":1,"channel":"a","data":"1],[2"}')
@example(b'{"type":"publish","id":1,"channel":"a","data":' + b"[" * 900 + b"]" * 900 + b"}")
def test_what_is_published_harms_no_neighbour(frame):
    """What a client may publish is one message, also between others in a run."""
    try:
        message = decode_client(frame)
        piece = encode_message(message.data) if isinstance(message, Publish) else b"1"
    except (msgspec.DecodeError, UsageError):
        return
    run = decode_server(encode_run("a", "0af3", 1, [0.0], [b'{"n":1}', piece, b'{"n":2}']))
    first, between, last = msgspec.json.decode(run.data, type=list[msgspec.Raw])
    assert (bytes(first), bytes(between), bytes(last)) == (b'{"n":1}', piece.strip(), b'{"n":2}')


@pytest.mark.parametrize("shape", ["list", "object", "mixed"])
def test_a_message_is_not_nested_deeper_than_a_reader_can_take(shape):
    """`MAX_DEPTH` levels are published, one more is not; brackets in text do not count."""
    flat = ["[[{", '"[', "\\", '\\"', "]"] * MAX_DEPTH
    at_most = msgspec.Raw(nested(MAX_DEPTH, shape).encode())
    assert encode_message(at_most) == bytes(at_most)
    assert encode_message([flat, {}, [[]]] * 60)
    with pytest.raises(UsageError, match="publish flatter ones"):
        encode_message(msgspec.Raw(nested(MAX_DEPTH + 1, shape).encode()))
    with pytest.raises(UsageError, match="publish flatter ones"):
        encode_message([{"]]": "]" * 500, "\\": '"]'}, msgspec.Raw(nested(MAX_DEPTH, shape).encode())])


@given(st.recursive(st.floats(), lambda inner: st.lists(inner) | st.dictionaries(text, inner), max_leaves=5))
def test_no_number_is_written_that_json_lacks(value):
    """NaN and infinity become null, wherever they are."""

    def lacking(value):
        if isinstance(value, list):
            return list(map(lacking, value))
        if isinstance(value, dict):
            return {name: lacking(inner) for name, inner in value.items()}
        return value if math.isfinite(value) else None

    assert json.loads(encode_message(value), parse_constant=pytest.fail) == lacking(value)


def same(one, other):
    """Whether messages are equal; a Raw has no equality of its own."""
    return type(one) is type(other) and plain(one) == plain(other)


def plain(value):
    if isinstance(value, msgspec.Struct):
        return {name: plain(inner) for name, inner in msgspec.structs.asdict(value).items()}
    return bytes(value) if isinstance(value, msgspec.Raw) else value
