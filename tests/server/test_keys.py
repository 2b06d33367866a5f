import asyncio
import contextlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from rtwidgets.errors import Refused, UsageError
from rtwidgets.loop import take_errors
from rtwidgets.server import keys
from rtwidgets.server.tokens import Tokens
from tests.talking import eventually

pytestmark = pytest.mark.usefixtures("tidy")

ONE, TWO = (rsa.generate_private_key(public_exponent=65_537, key_size=2_048) for _ in range(2))
SHORT = rsa.generate_private_key(public_exponent=65_537, key_size=1_024)
CURVE = ec.generate_private_key(ec.SECP256R1())


def pem(key):
    """The public half as text."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def private_pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def jwk(key, kid=None, **more):
    named = {} if kid is None else {"kid": kid}
    return json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())) | named | more


def signed(key, kid=None, subject="ada"):
    headers = None if kid is None else {"kid": kid}
    if key is SHORT:
        with pytest.warns(jwt.InsecureKeyLengthWarning):
            return jwt.encode({"sub": subject}, key, algorithm="RS256", headers=headers)
    return jwt.encode({"sub": subject, "exp": time.time() + 60}, key, algorithm="RS256", headers=headers)


@contextlib.contextmanager
def provider(answer):
    """An identity provider: `answer` is what it says, or a function of the path; counts how often it did."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            server.asked += 1
            status, headers, body = server.answer
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked = 0
    server.answer = answer
    server.url = f"http://127.0.0.1:{server.server_port}/keys?secret=s3cr3t"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def a_set(*given):
    return 200, {}, json.dumps({"keys": given}).encode()


async def code_of(checking):
    try:
        return (await checking).subject
    except Refused as refusal:
        return refusal.code


# A key, a set


def test_a_public_key_as_text_and_as_a_file(tmp_path):
    """It checks what the private one signed, whatever `kid` the token names."""
    file = tmp_path / "key.pem"
    file.write_text(pem(ONE))
    for given in (pem(ONE), str(file)):
        tokens = Tokens(public_key=given)
        assert tokens.verify(signed(ONE, "any")).subject == "ada"
        with pytest.raises(Refused):
            tokens.verify(signed(TWO, "any"))


@pytest.mark.parametrize("given", [pem(SHORT), pem(CURVE), private_pem(ONE), "-----BEGIN PUBLIC KEY-----"])
def test_what_is_no_public_key(given):
    """A short one, another kind and a private one are errors, and the key is not in their words."""
    with pytest.raises(UsageError, match="no RSA public key of 2048 bits or more in PEM form") as caught:
        Tokens(public_key=given)
    assert given.splitlines()[-1] not in str(caught.value) or len(given.splitlines()) == 1


def test_a_key_set_as_a_dict_and_as_a_file(tmp_path):
    """The token's `kid` chooses the key; keys for other purposes are left out."""
    others = [
        {"kty": "EC", "kid": "curve"},
        {"kty": "oct", "kid": "shared", "k": "c2VjcmV0"},
        jwk(TWO, "encrypts", use="enc"),
        jwk(TWO, "other algorithm", alg="RS512"),
        jwk(SHORT, "short"),
        {"kty": "RSA", "kid": "broken", "n": "!", "e": "AQAB"},
        {"kty": "RSA", "kid": "none"},
        "no key",
    ]
    both = {"keys": [*others, jwk(ONE, "one", use="sig", alg="RS256"), jwk(TWO, "two")]}
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps(both))
    for given in (both, str(file)):
        tokens = Tokens(jwks=given)
        assert tokens.verify(signed(ONE, "one")).subject == "ada"
        assert tokens.verify(signed(TWO, "two")).subject == "ada"
        with pytest.raises(Refused, match="Signature verification failed"):
            tokens.verify(signed(ONE, "two"))
        left_out = [(TWO, "encrypts"), (TWO, "other algorithm"), (SHORT, "short"), (ONE, "broken")]
        for key, kid in [*left_out, (ONE, "three"), (ONE, None)]:
            with pytest.raises(Refused, match="signed with a key that this server does not know"):
                tokens.verify(signed(key, kid))


def test_a_token_that_names_no_key():
    """Is checked with the only key of a set."""
    assert Tokens(jwks={"keys": [jwk(ONE, "one")]}).verify(signed(ONE)).subject == "ada"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"keys": []}, "has no RSA key"),
        ({}, "has no RSA key"),
        ({"keys": "one"}, "has no RSA key"),
        ({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}, "has no RSA key"),
        ("/no/such/file.json", "'/no/such/file.json' cannot be read: No such file"),
        ("http://example.org/keys?secret=s3cr3t", "give an https URL, or download the set"),
        ("file:///etc/passwd", "give an https URL"),
        ("https://[", "give an https URL"),
    ],
)
def test_what_is_no_key_set(given, sentence):
    """It is an error that says what to do; a URL's query is not shown."""
    with pytest.raises(UsageError) as caught:
        Tokens(jwks=given)
    assert sentence in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


def test_a_file_that_is_no_json(tmp_path):
    """Says so."""
    file = tmp_path / "jwks.json"
    file.write_text("keys")
    with pytest.raises(UsageError, match="is not JSON"):
        Tokens(jwks=str(file))


# A URL


async def test_a_key_set_from_a_url_is_fetched_once():
    """With the first token that needs it, and then it is known."""
    with provider(a_set(jwk(ONE, "one"))) as server:
        tokens = Tokens(jwks=server.url)
        assert server.asked == 0
        tokens.issue("bob", lifetime=60)
        checks = [code_of(tokens.check(signed(ONE, "one"))) for _ in range(20)]
        assert await asyncio.gather(*checks) == ["ada"] * 20
        assert server.asked == 1


async def test_an_unknown_key_is_asked_for(monkeypatch):
    """A token with a new key is good as soon as the provider has it, and made-up names do not flood it."""
    with provider(a_set(jwk(ONE, "one"))) as server:
        tokens = Tokens(jwks=server.url)
        assert await code_of(tokens.check(signed(ONE, "one"))) == "ada"
        server.answer = a_set(jwk(ONE, "one"), jwk(TWO, "two"))
        for n in range(50):
            assert await code_of(tokens.check(signed(TWO, f"made up {n}"))) == "unauthorized"
        assert server.asked == 1
        monkeypatch.setattr(keys, "REFRESH_EVERY", 0.0)
        assert await code_of(tokens.check(signed(TWO, "two"))) == "ada"
        assert server.asked == 2
        assert await code_of(tokens.check(signed(TWO, "three"))) == "unauthorized"
        assert server.asked == 3


async def test_a_withdrawn_key(monkeypatch):
    """Is taken until the set is fetched again, which happens when it is old."""
    with provider(a_set(jwk(ONE, "one"), jwk(TWO, "two"))) as server:
        tokens = Tokens(jwks=server.url)
        assert await code_of(tokens.check(signed(TWO, "two"))) == "ada"
        server.answer = a_set(jwk(ONE, "one"))
        assert await code_of(tokens.check(signed(TWO, "two"))) == "ada"
        monkeypatch.setattr(keys, "REFRESH_AFTER", 0.0)
        monkeypatch.setattr(keys, "REFRESH_EVERY", 0.0)
        assert await code_of(tokens.check(signed(TWO, "two"))) == "unauthorized"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((500, {}, b""), "it answered 500"),
        ((302, {"Location": "http://127.0.0.1:1/"}, b""), "it answered 302"),
        ((200, {}, b"no json"), "Expecting value"),
        (a_set(), "has no RSA key"),
        ((200, {}, b" " * (keys.MAX_JWKS + 2)), "it is larger than"),
    ],
)
async def test_a_provider_that_fails(monkeypatch, answer, why):
    """Nobody can tell then, which is no refusal; it is reported, and known keys stay good."""
    monkeypatch.setattr(keys, "REFRESH_EVERY", 0.0)
    monkeypatch.setattr(keys, "REFRESH_AFTER", 0.0)
    with provider(answer) as server:
        tokens = Tokens(jwks=server.url)
        assert await code_of(tokens.check(signed(ONE, "one"))) == "unavailable"
        server.answer = a_set(jwk(ONE, "one"))
        assert await code_of(tokens.check(signed(ONE, "one"))) == "ada"
        server.answer = answer
        assert await code_of(tokens.check(signed(ONE, "one"))) == "ada"
        assert await code_of(tokens.check(signed(TWO, "two"))) == "unavailable"
    errors = take_errors()
    assert errors
    for where, error in errors:
        assert where == "the keys of tokens"
        assert why in str(error)
        assert "s3cr3t" not in str(error)


async def test_a_provider_that_nobody_reaches():
    """Likewise."""
    with provider(a_set()) as server:
        url = server.url
    tokens = Tokens(jwks=url)
    assert await code_of(tokens.check(signed(ONE, "one"))) == "unavailable"
    assert [where for where, _ in take_errors()] == ["the keys of tokens"]


async def test_the_loop_goes_on_while_a_key_set_is_fetched():
    """It is fetched on another thread."""
    gate = threading.Event()

    class Slow(tuple):
        def __iter__(self):
            gate.wait(20)
            return iter(a_set(jwk(ONE, "one")))

    with provider(Slow()) as server:
        tokens = Tokens(jwks=server.url)
        checking = asyncio.ensure_future(code_of(tokens.check(signed(ONE, "one"))))
        await eventually(lambda: server.asked)
        assert not checking.done()
        gate.set()
        assert await checking == "ada"
