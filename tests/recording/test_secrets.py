"""What may be secret does not get into a recording."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtwidgets.recording import hidden, hidden_message


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("wss://feed.example/ws", "wss://feed.example/ws"),
        ("wss://ada:pw@feed.example:9443/ws?depth=5", "wss://feed.example:9443/ws?depth=5"),
        ("wss://x/ws?token=abc&depth=5", "wss://x/ws?token=***&depth=5"),
        ("wss://x/ws?apiKey=a&api_key=b&API-KEY=c&apikey=d", "wss://x/ws?apiKey=***&api_key=***&API-KEY=***&apikey=***"),
        ("wss://x/ws?listenKey=a;access%5Ftoken=b", "wss://x/ws?listenKey=***;access%5Ftoken=***"),
        ("wss://x/?signature=s%3D&sig=t&password=p&auth=q&client_secret=r", "wss://x/?signature=***&sig=***&password=***&auth=***&client_secret=***"),
        ("wss://x/ws?streams=btc@trade/eth@trade&author=ada&keys=7", "wss://x/ws?streams=btc@trade/eth@trade&author=ada&keys=7"),
        ("wss://x/a%20b?q=%C3%A4+b&flag", "wss://x/a%20b?q=%C3%A4+b&flag"),
        ("wss://x/ws#access_token=abc", "wss://x/ws"),
        ("wss://x/a@b", "wss://x/a@b"),
        ("wss://x/ws?token=", "wss://x/ws?token=***"),
        ("ws://[::1]:8765/feed?key=abc", "ws://[::1]:8765/feed?key=***"),
        ("no url", "no url"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_url_is_shown_without_secrets(url, shown):
    """What is not secret stays as it was written; hiding twice changes nothing."""
    assert hidden(url) == shown
    assert hidden(shown) == shown


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ({"op": "auth", "key": "abc"}, {"op": "auth", "key": "***"}),
        ({"apiKey": "abc", "symbols": ["A"]}, {"apiKey": "***", "symbols": ["A"]}),
        ({"a": [{"passphrase": "x", "sign": 2}, 3]}, {"a": [{"passphrase": "***", "sign": "***"}, 3]}),
        ({"auth": {"user": "ada", "id": 1}, "n": None}, {"auth": "***", "n": None}),
        ({"a": {"b": [[{"clientSecret": 5}]]}}, {"a": {"b": [[{"clientSecret": "***"}]]}}),
        ([{"token": "t"}, "ä"], [{"token": "***"}, "ä"]),
        ({"op": "auth", "args": ["mine", 166, "5f2a"]}, {"op": "auth", "args": ["***", 166, "***"]}),
        ({"op": "authKeyExpires", "args": ["mine", 1]}, {"op": "authKeyExpires", "args": ["***", 1]}),
        ({"cmd": "LOGIN", "p": {"a": ["mine"], "n": "7"}}, {"cmd": "LOGIN", "p": {"a": ["***"], "n": "7"}}),
    ],
)  # fmt: skip
def test_a_message_is_kept_without_secrets(message, shown):
    """Fields are found in depth by their names, and what stands in the list of a login has none."""
    made = hidden_message(json.dumps(message).encode())
    assert json.loads(made) == shown
    assert b" " not in made
    assert hidden_message(made) == made


@pytest.mark.parametrize(
    "message",
    [
        b'{"op": "subscribe",  "args": ["trades.BTC"], "author": "ada", "monkey": 1, "price": 1.10}',
        b'{"op":"subscribe","channel":"auth","event":["login"]}',
        b'"token"',
        b"SUBSCRIBE token=abc",
        b"",
        b"\xff\x00",
        b'{"a": NaN, "a": 2}',
    ],
)
def test_a_message_without_secrets_is_kept_to_the_byte(message):
    """Spaces, the order of fields and the digits of numbers are as they were; so is what is no JSON."""
    assert hidden_message(message) == message


def test_a_message_that_cannot_be_looked_through_is_hidden():
    """It may be nested deeper than Python goes."""
    assert hidden_message(b"[" * 200_000) == b"***"


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text()


@settings(deadline=None)
@given(st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20))
def test_no_message_breaks_it(value):
    """Whatever JSON can hold goes through, and what comes out goes through unchanged."""
    made = hidden_message(json.dumps({"token": "geheim", "rest": value}).encode())
    assert b"geheim" not in made or "geheim" in json.dumps(value)
    assert hidden_message(made) == made
