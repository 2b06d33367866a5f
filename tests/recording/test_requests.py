"""What differs between two requests, as a reader is shown it."""

import json

from rtwidgets.recording.requests import difference, request_of

URL = "wss://feed.example/ws"


def request(*messages):
    return request_of(URL, [json.dumps(message).encode() for message in messages])


def test_a_request_is_its_url_and_its_messages():
    """JSON is read, other text stays as it is, and bytes that are no text can be shown."""
    assert request_of(URL, [b'{"op": "subscribe"}', b"HELLO", b"\xff\x00"]) == {
        "url": URL,
        "subscribe": [{"op": "subscribe"}, "HELLO", "\\xff\x00"],
    }


def test_a_request_holds_no_secret():
    """Neither of the URL nor of a message."""
    made = request_of("wss://ada:pw@feed.example/ws?token=abc", [b'{"op": "auth", "key": "abc"}'])
    assert "abc" not in str(made)
    assert "pw" not in str(made)
    assert made["subscribe"][0]["op"] == "auth"


def test_equal_requests_differ_in_nothing():
    """The order of fields, and how JSON was spaced, are nothing."""
    one = request_of(URL, [b'{"op":"subscribe","of":{"a":1,"b":2}}'])
    other = request_of(URL, [b'{"of": {"b": 2, "a": 1}, "op": "subscribe"}'])
    assert difference(one, other) == ""


def test_a_change_is_shown_as_a_diff():
    """What was recorded with minus, what is asked for with plus."""
    recorded = request({"op": "subscribe", "pairs": ["BTC-USD", "ETH-USD"]})
    asked = request({"op": "subscribe", "pairs": ["BTC-USD", "SOL-USD"]})
    assert difference(recorded, asked).splitlines() == [
        "--- recorded",
        "+++ asked",
        "@@ -4,7 +4,7 @@",
        '       "op": "subscribe",',
        '       "pairs": [',
        '         "BTC-USD",',
        '-        "ETH-USD"',
        '+        "SOL-USD"',
        "       ]",
        "     }",
        "   ],",
    ]


def test_a_message_more_and_another_url_are_changes():
    """And so is the order of messages, and true in place of 1."""
    one, two = {"op": "a"}, {"op": "b"}
    assert '+    {\n+      "op": "b"' in difference(request(one), request(one, two))
    assert difference(request(one, two), request(two, one))
    assert difference(request({"all": 1}), request({"all": True}))
    moved = difference(request(one), request_of("wss://feed.example/v2", [b'{"op": "a"}']))
    assert '-  "url": "wss://feed.example/ws"' in moved
    assert '+  "url": "wss://feed.example/v2"' in moved
