"""Servers that a kernel starts: who may use them, and over what."""

import time
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from rtwidgets.client import State
from rtwidgets.errors import ConnectError, Refused, ServeError, Unauthorized, UsageError
from rtwidgets.notebook.running import Running
from rtwidgets.server.tokens import Tokens
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("tidy")
SECRET = "a secret of more than thirty-two bytes"
either = pytest.mark.parametrize("process", [False, True], ids=["here", "in a process"])


@pytest.fixture
def rt(tidy):
    """What runs in a kernel of its own."""
    running = Running()
    yield running
    running.stop()


def a_token(*scopes, lifetime=60.0, **config):
    return Tokens(**{"secret": SECRET} | config).issue("ada", scopes=scopes, lifetime=lifetime)


# Signed tokens


@either
def test_signed_tokens(rt, process):
    """They are taken beside the server's own, in a child process too, for what they allow."""
    server = rt.servers.serve(jwt={"secret": SECRET, "audience": "here"}, process=process)
    token = a_token("subscribe:prices", audience="here")
    rt.streams.connect("prices", server=server.url, token=token).wait(rows=1)
    rt.streams.connect("prices").wait(rows=1)
    with pytest.raises(Refused, match="does not allow to subscribe to 'chat/lobby'"):
        rt.streams.connect("chat/lobby", server=server.url, token=token)
    with pytest.raises(Unauthorized, match="for another audience"):
        rt.streams.connect("prices", server=server.url, token=a_token("*:*", audience="there"))
    assert repr(server) == "Server(running)"


@either
def test_foreign_tokens(rt, process, tmp_path):
    """A public key is given as a path or as text."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    file = tmp_path / "key.pem"
    file.write_bytes(key.public_key().public_bytes(serialization.Encoding.PEM, form))
    token = jwt.encode(
        {"sub": "ada", "exp": time.time() + 60, "scope": "subscribe:*"}, key, algorithm="RS256"
    )
    for given in (str(file), file.read_text()):
        server = rt.servers.serve(jwt={"public_key": given}, process=process)
        rt.streams.connect("prices", server=server, token=token).wait(rows=1)


@either
@pytest.mark.parametrize("config", [{"secret": "short"}, {"sekret": SECRET}])
def test_a_wrong_configuration(rt, process, config):
    """Is an error here, wherever the server would have run, and shows nothing of it."""
    with pytest.raises(UsageError, match=r"too short|unknown field") as caught:
        rt.servers.serve(jwt=config, process=process)
    assert SECRET not in str(caught.value)


def test_a_token_from_a_function(rt):
    """It is asked for in the kernel, and a chat is under the name of its user."""
    server = rt.servers.serve(jwt={"secret": SECRET})
    asked = []

    def ask():
        asked.append(1)
        return a_token("*:chat/*")

    chat = rt.streams.chat("lobby", name="ada", server=server, token=ask)
    chat.send("hello")
    assert list(chat.wait(rows=1)["user"]) == ["ada"]
    assert asked == [1]


def test_another_token_takes_the_place_of_a_stream(rt):
    """The same function is the same stream; there are never two of a name that differ in the token alone."""
    server = rt.servers.serve(jwt={"secret": SECRET})

    def ask():
        return a_token("*:*")

    one = rt.streams.connect("prices", token=ask)
    assert rt.streams.connect("prices", token=ask) is one
    two = rt.streams.connect("prices", token=lambda: a_token("*:*"))
    assert (one.state, two.state) == (State.CLOSED, State.OPEN)
    assert rt.streams.streams == [two]
    assert server.token not in repr(rt._registry._handles)
    assert server.token not in repr(rt.streams._places._shared)


# Encryption


@either
def test_an_encrypted_server(rt, process):
    """Streams of its kernel trust it by themselves, by whatever way they name it; and it leaves nothing."""
    server = rt.servers.serve(tls=True, process=process)
    assert server.url.startswith("wss://127.0.0.1:")
    rt.streams.connect("prices").wait(rows=1)
    rt.streams.connect("chat/lobby", server=server.url, token=server.token)
    feed = rt.streams.connect(f"{server.url}/prices?token={server.token}", records="items()")
    assert len(feed.wait(rows=3)) == 3
    folder = Path(server.certificate).parent
    assert folder.exists()
    server.stop()
    assert not folder.exists()


def test_a_server_elsewhere(rt):
    """Is trusted with `ca`, for a channel and for a foreign URL, and with nothing else."""
    server = rt.servers.serve(tls=True)
    url = server.url.replace("127.0.0.1", "localhost")  # not the name under which this kernel knows it
    feed = f"{url}/prices?token={server.token}"
    for connect in (
        lambda **given: rt.streams.connect("prices", server=url, token=server.token, **given),
        lambda **given: rt.streams.connect(feed, records="items()", **given),
        lambda **given: rt.streams.chat("lobby", name="ada", server=url, token=server.token, **given),
    ):
        with pytest.raises(ConnectError, match="its certificate is not to be trusted"):
            connect()
        assert connect(ca=server.certificate).state is State.OPEN
        assert connect(ca=server.certificate).state is State.OPEN


def test_a_server_that_is_started_again(rt):
    """Has a new certificate, and the streams of its kernel go on with it."""
    server = rt.servers.serve(tls=True, token="t")
    stream = rt.streams.connect("prices")
    stream.wait(rows=1)
    before = server.certificate
    server.stop()
    rows = stream.frame.total
    again = rt.servers.serve(tls=True, token="t", port=int(server.url.rpartition(":")[2]))
    assert again.certificate != before
    until(lambda: stream.frame.total > rows)


@either
@pytest.mark.parametrize(
    ("tls", "error", "sentence"),
    [
        ({"certificate": "/no/such.pem", "key": "/no/such.pem"}, ServeError, "'/no/such.pem' cannot be read"),
        ({"certificate": "/no/such.pem"}, UsageError, "write True for a self-signed certificate"),
        ("yes", UsageError, "write True for a self-signed certificate"),
    ],
)
def test_a_certificate_that_cannot_be_used(rt, process, tls, error, sentence):
    """Is an error that says what to do, wherever the server would have run."""
    with pytest.raises(error, match=sentence):
        rt.servers.serve(tls=tls, process=process)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"server": "ws://127.0.0.1:1", "ca": "a.pem"}, "goes with a URL that begins with wss://"),
        ({"server": "wss://127.0.0.1:1", "ca": "/no/such.pem"}, "cannot be read: No such file"),
        ({"server": "ws://127.0.0.1:1", "token": 7}, "text or a function"),
    ],
)
def test_what_does_not_go_together(rt, given, sentence):
    """Is an error at once."""
    with pytest.raises(UsageError, match=sentence):
        rt.streams.connect("prices", **given)
