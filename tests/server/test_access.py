import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.datastructures import Headers

from rtwidgets.errors import Refused
from rtwidgets.server.access import Access
from rtwidgets.server.loopback import is_loopback
from rtwidgets.server.tokens import FULL

access = Access("s3cret", origins=["https://hub.example.org"])


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),
        ("http://localhost", True),
        ("http://localhost:8888", True),
        ("https://127.0.0.1:8888", True),
        ("http://[::1]:8888", True),
        ("http://lab.localhost", True),
        ("null", True),
        ("file://", True),
        ("https://hub.example.org", True),
        ("https://hub.example.org:8443", False),
        ("http://hub.example.org", False),
        ("https://evil.example", False),
        ("http://localhost.evil.example", False),
        ("http://127.0.0.1.evil.example", False),
        ("http://localhost@evil.example", False),
        ("http://evil.example#localhost", False),
        ("http://10.0.0.1", False),
        ("http://[", False),
        ("", False),
        ("localhost", False),
    ],
)
def test_origins(origin, allowed):
    """Pages from loopback, from files and those named may connect; what sends no Origin is no page."""
    headers = Headers() if origin is None else Headers(Origin=origin)
    assert access.origin_allowed(headers) is allowed


def test_every_origin_of_several_has_to_be_allowed():
    """A second header helps nobody in."""
    headers = Headers([("Origin", "http://localhost"), ("Origin", "https://evil.example")])
    assert not access.origin_allowed(headers)


@pytest.mark.parametrize(
    ("path", "authorization", "token"),
    [
        ("/prices?token=abc", None, "abc"),
        ("/prices?user=ada&token=a%2Bb", None, "a+b"),
        ("/prices", "Bearer abc", "abc"),
        ("/prices", "bearer  abc ", "abc"),
        ("/prices?token=one", "Bearer two", "one"),
        ("/prices", "Basic abc", None),
        ("/prices", "Bearer", ""),
        ("/prices?token=", None, None),
        ("/prices", None, None),
        ("//[?token=abc", None, "abc"),
    ],
)
def test_where_a_token_is_found(path, authorization, token):
    """In the query, or else in the Authorization header."""
    headers = Headers() if authorization is None else Headers(Authorization=authorization)
    assert access.token_in(path, headers) == token


def test_two_authorization_headers_are_no_fault():
    """The first bearer counts."""
    headers = Headers([("Authorization", "Basic x"), ("Authorization", "Bearer y")])
    assert access.token_in("/", headers) == "y"


@given(st.text(st.characters()))
def test_only_the_token_is_accepted(token):
    """Whatever else is shown, surrogates included."""
    assert access.accepts(token) is (token == "s3cret")
    assert Access(None).accepts(token)


def test_the_token_is_not_shown():
    """Not in the repr."""
    assert repr(access) == "Access(origins=['https://hub.example.org'], tokens=Tokens())"


def test_tokens_are_compared_in_constant_time(monkeypatch):
    """By the comparison that is made for it, as bytes, also when the lengths differ."""
    seen = []
    monkeypatch.setattr(hmac, "compare_digest", lambda *pair: seen.append(pair) or False)
    for token in ("s3cret", "", "s", "s3cret and more"):
        assert not access.accepts(token)
    assert seen == [
        (b"s3cret", b"s3cret"), (b"", b"s3cret"), (b"s", b"s3cret"), (b"s3cret and more", b"s3cret")
    ]  # fmt: skip


async def test_what_a_token_allows():
    """The server's own everything, a signed one what it says, any other one nothing."""
    assert await access.grant("s3cret") is FULL
    signed = access.tokens.issue("ada", scopes=["subscribe:prices"], lifetime=60)
    assert (await access.grant(signed)).subject == "ada"
    assert await Access(None).grant("anything") is FULL
    for wrong in ("", "S3cret", "s3cret ", "a.b.c", signed[:-2]):
        with pytest.raises(Refused) as caught:
            await access.grant(wrong)
        assert caught.value.code == "unauthorized"


@pytest.mark.parametrize(
    ("host", "own"),
    [("localhost", True), ("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), ("[::1]", True),
     ("0.0.0.0", False), ("::", False), ("", False), ("example.org", False), ("10.0.0.1", False)],
)  # fmt: skip
def test_loopback_hosts(host, own):
    """This machine's own names and addresses, and not those that mean every interface."""
    assert is_loopback(host) is own
