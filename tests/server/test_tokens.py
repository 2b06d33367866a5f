import base64
import hashlib
import hmac
import math
import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from rtwidgets.errors import Refused, UsageError
from rtwidgets.server.tokens import FULL, NOTHING, Grant, Tokens, check_scope

SECRET = "a secret of more than thirty-two bytes"
KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
PEM = (
    KEY.public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)


def signed(key=SECRET, algorithm="HS256", headers=None, without=(), **claims):
    claims = {"sub": "ada", "exp": time.time() + 1e6, "scope": "subscribe:prices"} | claims
    claims = {name: value for name, value in claims.items() if name not in without}
    return jwt.encode(claims, key, algorithm=algorithm, headers=headers)


def refused(tokens, token):
    with pytest.raises(Refused) as caught:
        tokens.verify(token)
    return caught.value.code, str(caught.value)


# Grants


@pytest.mark.parametrize(
    ("scope", "action", "channel", "allowed"),
    [
        ("subscribe:prices", "subscribe", "prices", True),
        ("subscribe:prices", "publish", "prices", False),
        ("subscribe:prices", "subscribe", "prices2", False),
        ("subscribe:chat/*", "subscribe", "chat/lobby", True),
        ("subscribe:chat/*", "subscribe", "chat", False),
        ("subscribe:chat*", "subscribe", "chatter", True),
        ("subscribe:*", "subscribe", "a/b", True),
        ("*:chat/*", "presence", "chat/a", True),
        ("*:chat/*", "presence", "prices", False),
        ("*:*", "publish", "x", True),
        ("subscribe", "subscribe", "subscribe", False),
        ("*", "subscribe", "prices", False),
        ("openid", "subscribe", "prices", False),
        ("subscribe:", "subscribe", "prices", False),
        ("subscribe:*/a", "subscribe", "b/a", False),
        ("SUBSCRIBE:prices", "subscribe", "prices", False),
        ("publish:a subscribe:b", "subscribe", "b", True),
        ("", "subscribe", "prices", False),
    ],
)
def test_what_a_scope_allows(scope, action, channel, allowed):
    """An action on a channel, or on those that begin alike; what is no such scope allows nothing."""
    assert Grant("ada", tuple(scope.split())).allows(action, channel) is allowed


def test_the_two_extremes():
    """The server's own token allows everything, and no token nothing."""
    for action in ("subscribe", "publish", "presence"):
        assert FULL.allows(action, "chat/a")
        assert not NOTHING.allows(action, "chat/a")


@pytest.mark.parametrize("scope", ["subscribe:prices", "*:*", "publish:chat/*", "presence:a.b_c~d-e/*"])
def test_scopes(scope):
    """Those that can be issued are taken as they are."""
    assert check_scope(scope) == scope


@pytest.mark.parametrize(
    "scope", ["", "subscribe", "read:prices", "subscribe:", "subscribe:a b", "subscribe:*a"]
)
def test_what_is_no_scope(scope):
    """A wrong one is an error that says how one looks."""
    with pytest.raises(UsageError, match="write ACTION:CHANNEL, as in 'subscribe:prices'"):
        check_scope(scope)


# Issuing


@given(st.text(min_size=1, max_size=100).filter(lambda text: text.isprintable()), st.floats(1, 1e6))
def test_what_is_issued_is_verified(subject, lifetime):
    """The grant has the subject and the scopes, and ends with the lifetime, in whole seconds."""
    tokens = Tokens()
    before = time.time()
    grant = tokens.verify(tokens.issue(subject, scopes=["*:*"], lifetime=lifetime))
    assert (grant.subject, grant.scopes) == (subject, ("*:*",))
    assert before + lifetime <= grant.expires <= math.ceil(time.time() + lifetime)


@pytest.mark.parametrize(
    ("subject", "scopes", "lifetime", "sentence"),
    [
        ("", [], 60, "1 to 100 characters, not 0"),
        ("a" * 101, [], 60, "1 to 100 characters, not 101"),
        ("ada", ["read"], 60, "'read' is not a scope"),
        ("ada", [], 0, "lives for some seconds, not 0"),
        ("ada", [], math.inf, "not inf"),
        ("ada", [], math.nan, "not nan"),
    ],
)
def test_what_cannot_be_issued(subject, scopes, lifetime, sentence):
    """A token that the server would not take is an error where it is made."""
    with pytest.raises(UsageError, match=sentence):
        Tokens().issue(subject, scopes=scopes, lifetime=lifetime)


def test_each_secret_is_its_own():
    """What one server signs another one does not take, unless both have the same secret."""
    token = Tokens(secret=SECRET).issue("ada", lifetime=60)
    assert Tokens(secret=SECRET).verify(token).subject == "ada"
    assert refused(Tokens(), token)[0] == "unauthorized"


# Verifying


@pytest.mark.parametrize(
    ("token", "code", "sentence"),
    [
        (signed(exp=time.time() - 1), "token_expired", "has expired: get a new one"),
        (signed(exp=1), "token_expired", "has expired"),
        (signed(without=["exp"]), "unauthorized", '"exp"'),
        (signed(exp="soon"), "unauthorized", "none of this server"),
        (signed(exp=math.inf), "unauthorized", "none of this server"),
        (signed(nbf=time.time() + 1e5), "unauthorized", "not yet valid"),
        (signed(without=["sub"]), "unauthorized", '"sub"'),
        (signed(sub=""), "unauthorized", "1 to 100 characters"),
        (signed(sub="a" * 101), "unauthorized", "1 to 100 characters"),
        (signed(sub=7), "unauthorized", "Subject must be a string"),
        (signed(scope=["subscribe:prices"]), "unauthorized", "scope has to be text"),
        (signed(aud="elsewhere"), "unauthorized", "for another audience"),
        (signed("another secret of thirty-two bytes"), "unauthorized", "Signature verification failed"),
        (signed(algorithm="HS512", key=SECRET * 2), "unauthorized", "not signed in a way that this server"),
        (signed(None, "none"), "unauthorized", "not signed in a way that this server takes"),
        (signed(KEY, "RS256"), "unauthorized", "not signed in a way that this server takes"),
        (signed()[:-2], "unauthorized", "none of this server"),
        (signed(pad="a" * 8_192), "unauthorized", "none of this server"),
        ("..", "unauthorized", "none of this server"),
        ("a.b.c", "unauthorized", "none of this server"),
        ("ä.ö.ü", "unauthorized", "none of this server"),
        ("\ud800.a.b", "unauthorized", "none of this server"),
        ("W10.e30.", "unauthorized", "none of this server"),  # a header that is a list
    ],
)
def test_what_is_refused(token, code, sentence):
    """Each wrong token has a code and a sentence."""
    given_code, said = refused(Tokens(secret=SECRET), token)
    assert given_code == code
    assert sentence in said


def test_a_clock_that_is_ahead():
    """A token that begins in a moment is taken, one that ended a moment ago is not."""
    tokens = Tokens(secret=SECRET)
    now = time.time()
    assert tokens.verify(signed(iat=now + 3, nbf=now + 3)).subject == "ada"
    assert refused(tokens, signed(exp=now - 1))[0] == "token_expired"


@pytest.mark.parametrize(
    ("aud", "good"), [("here", True), (["x", "here"], True), ("there", False), (None, False)]
)
def test_an_audience(aud, good):
    """Where one is configured the token has to be for it."""
    tokens = Tokens(secret=SECRET, audience="here")
    token = signed(aud=aud, without=[] if aud else ["aud"])
    if good:
        assert tokens.verify(token).subject == "ada"
    else:
        assert refused(tokens, token)[0] == "unauthorized"
    assert tokens.verify(tokens.issue("bob", lifetime=60)).subject == "bob"


def test_no_scope_allows_nothing():
    """A token without the claim says who somebody is, and no more."""
    assert Tokens(secret=SECRET).verify(signed(without=["scope"])).scopes == ()


def test_each_algorithm_has_keys_of_its_own():
    """A token signed with HS256 and the public key as the secret is refused: nobody keeps that one secret."""
    tokens = Tokens(public_key=PEM)
    assert tokens.verify(signed(KEY, "RS256")).subject == "ada"
    header, payload, _ = signed().split(".")
    signature = hmac.digest(PEM.encode(), f"{header}.{payload}".encode(), hashlib.sha256)
    text = base64.urlsafe_b64encode(signature).rstrip(b"=").decode()
    assert refused(tokens, f"{header}.{payload}.{text}")[0] == "unauthorized"


def test_the_server_s_secret_is_good_beside_a_public_key():
    """What the server itself issues is taken where foreign tokens are."""
    tokens = Tokens(public_key=PEM)
    assert tokens.verify(tokens.issue("ada", lifetime=60)).subject == "ada"


# Configuration


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"secret": "short"}, "the secret is too short: take 32 random bytes or more"),
        ({"secret": 7}, "options of jwt: Expected `str | null`"),
        ({"sekret": SECRET}, "unknown field `sekret`. It has: secret, public_key, jwks, audience"),
        ({"jwks": {"keys": []}, "public_key": PEM}, "leave one out"),
        ("secret", "options of jwt"),
    ],
)
def test_a_wrong_configuration(config, sentence):
    """It says what to do, and shows no secret."""
    with pytest.raises(UsageError) as caught:
        Tokens.from_config(config)
    assert sentence in str(caught.value)
    assert SECRET not in str(caught.value)


def test_no_configuration():
    """Then the secret is random."""
    one, two = Tokens.from_config(None), Tokens.from_config({})
    assert refused(one, two.issue("ada", lifetime=60))[0] == "unauthorized"


def test_nothing_secret_is_shown():
    """Not in the repr, nor in that of a wrong token's error."""
    tokens = Tokens(secret=SECRET, audience="here")
    token = signed()
    with pytest.raises(Refused) as caught:
        tokens.verify(token)
    for text in (repr(tokens), repr(caught.value), repr(Tokens())):
        assert SECRET not in text
        assert token not in text
