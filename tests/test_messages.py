import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtwidgets import messages
from rtwidgets.errors import ChannelNameError, UsageError
from rtwidgets.messages import (
    MAX_MESSAGE,
    Auth,
    Cursor,
    Error,
    Gap,
    Joined,
    Left,
    Messages,
    Ping,
    Pong,
    Presence,
    Present,
    Publish,
    Published,
    Subscribe,
    Subscribed,
    Unsubscribe,
    check_channel,
    decode_client,
    decode_server,
    encode,
    encode_data,
    encode_message,
    encode_run,
)

text = st.text(st.characters(exclude_categories=["Cs"]))
whole = st.integers(min_value=0, max_value=2**53 - 1)
part = st.text("abcXYZ019._~-", min_size=1, max_size=20)
channels = st.lists(part, min_size=1, max_size=4).map("/".join)
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text
)
data = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(text, inner), max_leaves=10)
raws = data.map(lambda value: msgspec.Raw(encode_data(value)))
cursors = st.builds(Cursor, text, whole)
members = st.builds(Present, text, st.none() | st.floats(0, 1e13), text)


def same(one, other):
    """Compare messages; a Raw has no equality of its own."""
    one, other = msgspec.structs.asdict(one), msgspec.structs.asdict(other)
    return {k: bytes(v) if isinstance(v, msgspec.Raw) else v for k, v in one.items()} == {
        k: bytes(v) if isinstance(v, msgspec.Raw) else v for k, v in other.items()
    }


@given(
    st.one_of(
        st.builds(Auth, text),
        st.builds(Subscribe, whole, channels, st.none() | cursors),
        st.builds(Unsubscribe, channels),
        st.builds(Publish, whole, channels, raws, st.none() | st.text("abc", max_size=200)),
        st.builds(Presence, channels, text),
        st.builds(Ping),
    )
)
def test_client_messages_come_back_as_they_were(message):
    """Each message to the server survives the wire, as bytes and as text."""
    for frame in (encode(message), encode(message).decode()):
        decoded = decode_client(frame)
        assert type(decoded) is type(message)
        assert same(decoded, message)


@given(
    st.one_of(
        st.builds(
            Subscribed, whole, channels, text, whole, st.booleans(), whole, st.none() | text, st.none() | text
        ),
        st.builds(
            Messages, channels, text, whole, whole, st.floats(0, 1e13) | st.lists(st.floats(0, 1e13)), raws
        ),
        st.builds(Published, whole, whole),
        st.builds(Subscribed, whole, channels, text, whole, present=st.none() | st.lists(members)),
        st.builds(Joined, channels, text, st.none() | st.floats(0, 1e13), text),
        st.builds(Left, channels, text, st.none() | st.floats(0, 1e13), text),
        st.builds(Gap, channels, text, whole, whole),
        st.builds(Error, text, text, st.none() | whole),
        st.builds(Pong),
    )
)
def test_server_messages_come_back_as_they_were(message):
    """Each message to the client survives the wire."""
    decoded = decode_server(encode(message))
    assert type(decoded) is type(message)
    assert same(decoded, message)


def test_presence_as_an_older_server_tells_it():
    """Who, but neither since when nor where."""
    assert decode_server(b'{"type":"joined","channel":"c","user":"ada"}') == Joined("c", "ada", None, "")
    assert decode_server(b'{"type":"left","channel":"c","user":"ada"}') == Left("c", "ada", None, "")
    answer = decode_server(b'{"type":"subscribed","id":1,"channel":"c","epoch":"e","offset":0}')
    assert answer.present is None


@given(channels, whole, st.lists(st.tuples(data, st.floats(0, 1e13)), min_size=1, max_size=20))
def test_a_run_joined_as_bytes_decodes_to_the_same(channel, offset, rows):
    """The frame that is put together from encoded pieces means what an encoded struct would mean."""
    values = [value for value, _ in rows]
    times = sorted(time for _, time in rows)
    run = decode_server(encode_run(channel, "0af3", offset, times, [encode_data(value) for value in values]))
    assert isinstance(run, Messages)
    assert (run.channel, run.epoch, run.offset, run.count) == (channel, "0af3", offset, len(values))
    assert run.time == (times[0] if times[0] == times[-1] else times)
    assert msgspec.json.decode(run.data) == values


def test_the_wire_shape_is_the_documented_one():
    """A gap says `from` and `to`, a message says its type in lower case."""
    assert msgspec.json.decode(encode(Gap("a", "e", 3, 5))) == {
        "type": "gap", "channel": "a", "epoch": "e", "from": 3, "to": 5, "latest": None,
    }  # fmt: skip
    assert msgspec.json.decode(encode(Ping())) == {"type": "ping"}


@pytest.mark.parametrize("name", ["prices", "chat/lobby", "a", "A.b_c~d-e/0", "x" * 200, "a/b/c/d", ".."])
def test_channel_names(name):
    """Letters, digits and `-_.~`, in parts between slashes."""
    assert check_channel(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        "/a",
        "a/",
        "a//b",
        "a b",
        "ä",
        "a\n",
        "a?b",
        "a%20",
        'a"b',
        "x" * 201,
        "{room}",
        "a\\b",
        "a\x00",
    ],
)
def test_what_is_no_channel_name(name):
    """Anything else is refused, with the name in the sentence."""
    with pytest.raises(ChannelNameError) as caught:
        check_channel(name)
    assert repr(name) in str(caught.value)


@given(st.text())
def test_a_channel_name_needs_no_escaping(name):
    """Whatever passes stands in JSON, and in a path, as it is."""
    try:
        check_channel(name)
    except ChannelNameError:
        return
    assert encode_data(name) == b'"' + name.encode() + b'"'


@pytest.mark.parametrize(
    "value",
    [object(), {(1, 2): 3}, {1, object()}, "\ud800", {"\ud800": 1}, [lambda: 0]],
    ids=lambda value: type(value).__name__,
)
def test_what_json_cannot_hold_is_a_usage_error(value):
    """The sentence names the type and what can be published."""
    with pytest.raises(UsageError, match="Publish what JSON can hold"):
        encode_data(value)


def test_nan_and_infinity_become_null():
    """JSON has no such numbers."""
    assert encode_data([math.nan, math.inf, -math.inf]) == b"[null,null,null]"


def test_a_message_has_a_bound():
    """`MAX_MESSAGE` bytes are taken, one more is not."""
    assert len(encode_message("x" * (MAX_MESSAGE - 2))) == MAX_MESSAGE
    with pytest.raises(UsageError, match="too large"):
        encode_message("x" * (MAX_MESSAGE - 1))


def deep(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


def test_data_that_is_too_deep_is_a_usage_error():
    """Not a RecursionError, which would look like a fault of ours."""
    with pytest.raises(UsageError):
        encode_data(deep(100_000))


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"hello",
        b"[]",
        b"null",
        b'{"type":"subscribed"}',
        b'{"type":"no-such"}',
        b'{"type":"subscribe","id":"one","channel":"a"}',
        b'{"type":"subscribe","channel":"a"}',
        b'{"type":"publish","id":1,"channel":"a"}',
        b'{"type":"publish","id":1,"channel":"a","data":01}',
        b'{"type":"publish","id":1,"channel":"a","data":"\xff"}',
        b'{"type":"publish","id":1,"channel":"\xff","data":1}',
        b'{"type":"publish","id":1,"channel":"a","data":1,"idempotency":"' + b"k" * 201 + b'"}',
        b'{"type":"publish","id":1,"channel":"a","data":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"type":"ping","more":' + b"[" * 100_000,
        b"\x00\x01\x02\xff",
    ],
)
def test_what_is_no_message_is_a_decode_error(frame):
    """Whatever a client sends, decoding it gives a message or a DecodeError."""
    with pytest.raises(msgspec.DecodeError):
        decode_client(frame)


@given(st.binary())
def test_garbage_is_a_decode_error(frame):
    """Any bytes at all."""
    with pytest.raises(msgspec.DecodeError):
        decode_client(frame)


def test_unknown_fields_are_of_no_interest():
    """A newer client may say more."""
    assert decode_client(b'{"type":"ping","mood":"fine"}') == Ping()


def test_messages_cannot_be_changed():
    """They are values."""
    for name in ("Ping", "Pong"):
        assert getattr(messages, name).__struct_config__.frozen
