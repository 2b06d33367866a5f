"""G10: loopback by default; token always; unknown Origin refused; sizes, rates and time to log in bounded."""

import asyncio
import contextlib
import gc
import ipaddress
import json
import logging
import time
import traceback

import jwt
import msgspec
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from rtwidgets.errors import ConnectError, Refused, ServeError
from rtwidgets.loop import take_errors
from rtwidgets.messages import (
    MAX_MESSAGE,
    TOKEN_EXPIRED,
    Auth,
    Ping,
    Pong,
    Publish,
    Published,
    encode,
    encode_data,
)
from rtwidgets.server import Server, limits, listener, session
from rtwidgets.services import BUILT_IN, Chat, Echo, service
from tests.talking import dial, dial_v1, raw, upgrade

pytestmark = pytest.mark.usefixtures("tidy")
SECRET = "a secret of more than thirty-two bytes"
CUT = "cut"
"""What a request gets that is no HTTP: the connection is closed without an answer."""
STAYS = "stays"
"""The connection goes on, after an answer that says what was wrong."""


@service("/notes", writable=True)
async def notes(channel):
    """A channel that anybody may write to."""


def frame(opcode, payload=b"", *, fin=True, reserved=0, masked=True):
    """The bytes of one frame as a client sends it, or as it must not (section 5.2 of RFC 6455)."""
    head, size, bit = bytes([fin << 7 | reserved << 4 | opcode]), len(payload), masked << 7
    if size < 126:
        head += bytes([bit | size])
    elif size < 65_536:
        head += bytes([bit | 126]) + size.to_bytes(2)
    else:
        head += bytes([bit | 127]) + size.to_bytes(8)
    return head + (bytes(4) if masked else b"") + payload  # a mask of zeros leaves the payload as it is


def text(payload):
    return frame(1, payload if isinstance(payload, bytes) else payload.encode())


def signed(*, secret=SECRET, algorithm="HS256", **claims):
    claims = {"sub": "ada", "exp": time.time() + 1e6, "aud": "here", "scope": "*:*"} | claims
    return jwt.encode(claims, secret, algorithm=algorithm)


READER = signed(scope="subscribe:*")
"""A token that allows to read."""
V1 = "Sec-WebSocket-Protocol: rtwidgets.v1"


def bearer(token):
    return f"Authorization: Bearer {token}"


def without(line):
    """A handshake that lacks a line."""
    return upgrade("/", V1).replace(line + b"\r\n", b"")


def subscribe(id, channel="prices"):
    return text(
        f'{{"type":"subscribe","id":{id},"channel":{channel if channel[0] == "[" else json.dumps(channel)}}}'
    )


HANDSHAKES = [
    ("not HTTP at all", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20 + b"\r\n\r\n", CUT),
    ("a request line of one word", b"hello\r\n\r\n", CUT),
    ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", CUT),
    ("a header without a colon", upgrade("/", "nonsense"), CUT),
    ("a body", upgrade("/", "Content-Length: 5"), CUT),
    ("chunks", upgrade("/", "Transfer-Encoding: chunked"), CUT),
    ("HTTP/1.0", upgrade("/", V1).replace(b"HTTP/1.1", b"HTTP/1.0"), 505),
    ("POST", upgrade("/", V1).replace(b"GET", b"POST"), 405),
    ("no upgrade", b"GET / HTTP/1.1\r\nHost: test\r\n\r\n", 426),
    ("no Connection: Upgrade", without(b"Connection: Upgrade"), 426),
    ("no key", without(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), 400),
    ("a key that is too short", upgrade("/", V1).replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"c2hvcnQ="), 400),
    ("no version", without(b"Sec-WebSocket-Version: 13"), 400),
    ("another version", upgrade("/", V1).replace(b"Version: 13", b"Version: 8"), 400),
    ("a path that is too long", upgrade("/" + "a" * 9_000), 414),
    ("a header that is too long", upgrade("/", "X: " + "a" * 9_000), 431),
    ("too many headers", upgrade("/", *[f"X-{n}: a" for n in range(200)]), 431),
    ("an unknown path", upgrade("/etc/passwd"), 404),
    ("a room that is no channel name", upgrade("/chat/a%20b"), 400),
    ("an Origin from elsewhere", upgrade("/", V1, "Origin: https://evil.example"), 403),
    ("an Origin that looks like loopback", upgrade("/", V1, "Origin: http://localhost.evil.example"), 403),
    ("a wrong token", upgrade("/", V1, bearer("wrong")), 401),
    ("a wrong token in the query", upgrade("/?token=wrong", V1), 401),
    ("an expired token", upgrade("/", V1, bearer(signed(exp=1))), 401),
    ("a token without an end", upgrade("/", V1, bearer(jwt.encode({"sub": "ada"}, SECRET))), 401),
    ("a token for another audience", upgrade("/", V1, bearer(signed(aud="there"))), 401),
    ("a token that is not signed", upgrade("/", V1, bearer(signed(secret=None, algorithm="none"))), 401),
    ("a token of another secret", upgrade("/", V1, bearer(signed(secret="x" * 32))), 401),
    ("a path that the token does not allow", upgrade("/chat/a", bearer(signed(scope="subscribe:b"))), 403),
]

FRAMES = [
    ("text that is not UTF-8", frame(1, b"\xff\xfe"), 1007),
    ("a frame that is not masked", frame(1, b"{}", masked=False), 1002),
    ("a reserved bit", frame(1, b"{}", reserved=4), 1002),
    ("an unknown opcode", frame(3, b"{}"), 1002),
    ("a control frame in fragments", frame(9, b"a", fin=False), 1002),
    ("a control frame that is too long", frame(9, b"a" * 126), 1002),
    ("a continuation of nothing", frame(0, b"a"), 1002),
    ("a message inside of another", frame(1, b"a", fin=False) + frame(1, b"b"), 1002),
    ("a close frame of one byte", frame(8, b"a"), 1002),
    ("a close frame with a forbidden code", frame(8, (1005).to_bytes(2)), 1002),
    ("a message that is too large", text(b'"' + b"a" * (MAX_MESSAGE + 4_096) + b'"'), 1009),
    ("a length of a tebibyte", b"\x81\xff" + (2**40).to_bytes(8) + bytes(4), 1009),
    ("fragments without end", frame(1, b"", fin=False) + frame(0, b"a" * 65_536, fin=False) * 9, 1009),
    ("empty fragments without end", frame(1, b"", fin=False) + frame(0, b"", fin=False) * 20_000, 1009),
    ("what is no JSON", text("hello"), 1008),
    ("JSON that is no object", text("[]"), 1008),
    ("an unknown type", text('{"type":"drop"}'), 1008),
    ("a field that is missing", text('{"type":"subscribe","id":1}'), 1008),
    ("deep JSON", text("[" * 100_000 + "]" * 100_000), 1008),
    (
        "deep JSON as data",
        text('{"type":"publish","id":1,"channel":"notes","data":' + "[" * 9_999 + "]" * 9_999 + "}"),
        1008,
    ),
    ("an id that is no whole number", subscribe(1.5), 1008),
    ("an id that is text", subscribe('"1"'), 1008),
    ("a negative id", subscribe(-1), 1008),
    ("an id that is too large", subscribe(2**53), 1008),
    ("an id of 10 000 digits", subscribe("9" * 10_000), 1008),
    ("a channel that is no text", subscribe(1, "[1]"), 1008),
    ("a binary frame that is no JSON", frame(2, b"\x00\x01\x02"), 1008),
    ("a channel name with spaces", subscribe(1, "a b"), (STAYS, "bad_channel")),
    ("a channel name with a null", subscribe(1, "a\0b"), (STAYS, "bad_channel")),
    ("a channel name that is too long", subscribe(1, "a" * 201), (STAYS, "bad_channel")),
    ("an unknown channel", subscribe(1, "etc/passwd"), (STAYS, "unknown_channel")),
    (
        "publishing without the right to",
        text('{"type":"publish","id":1,"channel":"notes","data":1}'),
        (STAYS, "forbidden"),
    ),
    (
        "being present without the right to",
        text('{"type":"presence","channel":"notes","user":"ada"}'),
        (STAYS, "forbidden"),
    ),
    ("a new token of somebody else", text(encode(Auth(signed(sub="bob")))), (STAYS, "forbidden")),
    ("a new token that is wrong", text(encode(Auth("wrong"))), 1008),
]

FIRST = [
    ("no token", text('{"type":"ping"}'), 1008),
    ("a wrong token", text(encode(Auth("wrong"))), 1008),
    ("an expired token", text(encode(Auth(signed(exp=1)))), TOKEN_EXPIRED),
    ("a token for another audience", text(encode(Auth(signed(aud="there")))), 1008),
    ("a token of a mebibyte", text(encode(Auth("a" * (MAX_MESSAGE - 100)))), 1008),
    ("what is no JSON", frame(2, b"\xff" * 100), 1008),
]  # fmt: skip


async def talk(server, handshake, hostile=b"", after=b""):
    """Send bytes to a server; return the HTTP status, the close code or CUT, and the messages that came."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    messages = []
    try:
        writer.write(handshake)
        status = int((await reader.readuntil(b"\r\n\r\n")).split()[1])
        if status != 101:
            return status, messages
        writer.write(hostile + after)
        while True:
            opcode, size = await reader.readexactly(2)
            if size > 125:
                size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8))
            payload = await reader.readexactly(size)
            if opcode & 15 == 8:
                return int.from_bytes(payload[:2]), messages
            messages.append(json.loads(payload))
            if messages[-1]["type"] == "pong":
                return STAYS, messages
    except (asyncio.IncompleteReadError, ConnectionError):
        return CUT, messages
    finally:
        writer.transport.abort()


async def serves(server):
    """Whether a good client is served."""
    async with dial_v1(server) as client:
        await client.say(Ping())
        return await client.hear() == Pong()


@pytest.fixture
def server():
    return Server([*BUILT_IN.values(), notes], jwt={"secret": SECRET, "audience": "here"})


def case(table):
    return pytest.mark.parametrize(
        ("hostile", "outcome"), [each[1:] for each in table], ids=[each[0] for each in table]
    )


# Hostile input


@case(HANDSHAKES)
async def test_hostile_handshakes(server, hostile, outcome):
    """Each has its status, and the server goes on."""
    async with server:
        assert (await asyncio.wait_for(talk(server, hostile), 20))[0] == outcome
        assert await serves(server)


@case(FRAMES)
async def test_hostile_frames(server, hostile, outcome):
    """Each has its close code, or is answered with an error and the connection stays; the server goes on."""
    async with server:
        handshake = upgrade("/", V1, bearer(READER))
        ended, messages = await asyncio.wait_for(talk(server, handshake, hostile, text(encode(Ping()))), 20)
        code = None if isinstance(outcome, int) else outcome[1]
        assert ended == (outcome if code is None else STAYS)
        if code is not None:
            assert messages[0]["code"] == code
        assert await serves(server)


@case(FIRST)
@pytest.mark.parametrize("path", ["/", "/echo"])
async def test_hostile_first_messages(server, path, hostile, outcome):
    """Who shows no right token first is told so, and closed, in either dialect."""
    async with server:
        handshake = upgrade(path, *([V1] if path == "/" else []))
        ended, messages = await asyncio.wait_for(talk(server, handshake, hostile), 20)
        assert ended == outcome
        assert messages[0]["type"] == "error"
        assert await serves(server)


async def test_ten_thousand_subscriptions(server):
    """A connection follows a thousand channels; more are refused, make nothing, and the connection stays."""
    async with server, dial_v1(server, max_queue=None) as client:

        async def ask():
            for n in range(10_000):
                await client.say(f'{{"type":"subscribe","id":{n},"channel":"chat/{n}"}}')
            await client.say(Ping())

        asking = asyncio.ensure_future(ask())
        answers = []
        while not answers or answers[-1] != Pong():
            answers.append(await client.hear())
        await asking
        codes = [getattr(answer, "code", "subscribed") for answer in answers[:-1]]
        assert codes == ["subscribed"] * 1_000 + ["too_many_subscriptions"] * 9_000
        assert sum(channel.name.startswith("chat/") for channel in server.hub.channels) == 1_000
        assert await serves(server)


# Where it listens, and whom it lets in


async def test_loopback_by_default(server):
    """A server that is told nothing listens to this machine only, and an open one to nobody else ever."""
    async with server:
        for socket in server._server.sockets:
            assert ipaddress.ip_address(socket.getsockname()[0]).is_loopback
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.org"):
        with pytest.raises(ServeError, match="an open server answers this machine only"):
            Server([Echo], host=host, open=True)


async def test_a_token_always(server):
    """Each server has one of its own that nobody guesses, and no path in either dialect does without."""
    assert len(server.token) >= 32
    assert Server([]).token != server.token
    async with server:
        for path in ("/echo", "/ws", "/prices", "/chat/lobby", "/notes"):
            for protocols in ([], [V1]):
                said = text('{"type":"publish","id":1,"channel":"notes","data":1}')
                ended, messages = await talk(server, upgrade(path, *protocols), said)
                assert (ended, messages[0]["code"]) == (1008, "unauthorized")
        assert (await server.hub.channel("notes")).log.last == 0


async def test_ten_seconds_to_authenticate(server, monkeypatch):
    """Who shows no token, or does not end the handshake, is gone by then; who has shown one stays."""
    assert (session.AUTH_TIMEOUT, listener.OPEN_TIMEOUT) == (10.0, 10.0)
    monkeypatch.setattr(session, "AUTH_TIMEOUT", 0.2)
    monkeypatch.setattr(listener, "OPEN_TIMEOUT", 0.2)
    async with server, dial_v1(server, token=None) as good:
        await good.say(Auth(server.token))
        async with dial_v1(server, token=None) as silent:
            assert (await silent.hear()).message == "no token came in 0.2 s"
            with pytest.raises(ConnectionClosed) as caught:
                await silent.hear()
            assert caught.value.rcvd.code == 1008
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(upgrade("/")[:-2])
        assert await reader.read() == b""
        writer.close()
        await good.say(Ping())
        assert await good.hear() == Pong()


# How much


async def test_connections_are_bounded(server, monkeypatch):
    """One more than there may be is answered 503."""
    monkeypatch.setattr(limits, "MAX_CONNECTIONS", 2)
    async with server, dial_v1(server), dial_v1(server) as second:
        assert (await raw(server, upgrade("/", V1, bearer(server.token))))[0] == 503
        await second.connection.close()
        assert await serves(server)


async def test_publishing_is_bounded(server, monkeypatch):
    """What comes faster than it may is put off, and nothing of it is lost."""
    monkeypatch.setattr(limits, "PUBLISH_RATE", 100.0)
    monkeypatch.setattr(limits, "PUBLISH_BURST", 10.0)
    async with server, dial_v1(server) as client:
        began = time.monotonic()
        for n in range(60):
            await client.say(Publish(n, "notes", msgspec.Raw(encode_data(n))))
        answers = [await client.hear(Published) for _ in range(60)]
        assert time.monotonic() - began >= 0.45
        assert [answer.offset for answer in answers] == list(range(1, 61))


# What is not told


async def test_secrets_are_in_no_log_and_no_repr(caplog):
    """Tokens, secrets and queries are not to be seen at any level, in any repr, or in what an error says."""
    caplog.set_level(logging.DEBUG)
    for name in ("rtwidgets", "rtwidgets.server", "rtwidgets.client", "websockets"):
        caplog.set_level(logging.DEBUG, logger=name)
    errors, shown = [], []
    peer = {"logger": logging.getLogger("peer")}  # the clients of others may log what they like
    peer["logger"].setLevel(logging.CRITICAL)
    server = Server([Chat, notes], token="t0ken-of-the-server", jwt={"secret": SECRET + "-s3cret"})
    token = server.hub.tokens.issue("ada", scopes=["*:*"], lifetime=60)
    async with server:
        async with dial_v1(server, **peer) as client, dial_v1(server, token=token, **peer) as other:
            await client.subscribe("notes")
            await other.say(Auth(token))
            await other.say(Publish(1, "notes", msgspec.Raw(b'{"password":"passw0rd"}')))
            await other.hear(Published)
        async with dial(server, f"/chat/lobby?token={server.token}", token=None, **peer) as client:
            await client.recv()
        async with dial_v1(server, token=None, **peer) as client:
            await client.say(Auth(token[:-1]))
            shown.append((await client.hear()).message)
        for wrong in ("wr0ng-token", token[:-1]):
            with pytest.raises(InvalidStatus) as refused:
                await dial(server, f"/chat/lobby?token={wrong}", token=None, **peer)
            errors.append(refused.value)
            shown.append(refused.value.response.body.decode())
            with pytest.raises(Refused) as caught:
                await server.access.grant(wrong)
            errors.append(caught.value)
        assert (await talk(server, upgrade(f"/?token={server.token}", "nonsense")))[0] == CUT
        await through_the_client(server, token, errors, shown)
        shown += map(
            repr, (server, server.access, server.hub.tokens, server.hub.tokens.verify(token), Auth(token))
        )
    shown += [repr(each) for each in take_errors()]
    shown += ["".join(traceback.format_exception(error)) for error in errors]
    shown += [caplog.text, *(repr(record.__dict__) for record in caplog.records)]
    secrets = ["t0ken-of-the-server", "s3cret", "passw0rd", "wr0ng-token", token, token[:-1], token[-40:]]
    assert [secret for secret in secrets for text in shown if secret in text] == []
    assert caplog.records


async def through_the_client(server, token, errors, shown):
    """Connect with the package's own client as well, rightly and wrongly."""
    from rtwidgets.client import Foreign, Intake, Multiplex
    from rtwidgets.frames import LiveFrame

    for given in (server.token, token, "wr0ng-token", lambda: token):
        multiplex = Multiplex(server.url, given)
        foreign = Foreign(
            f"{server.url}/chat/lobby?token={given if isinstance(given, str) else token}", Intake(LiveFrame())
        )
        shown += map(repr, (multiplex, multiplex.link, foreign.link))
        for each in (multiplex._wait_open, foreign.opened):
            with contextlib.suppress(ConnectError):
                try:
                    await each()
                except ConnectError as error:
                    errors.append(error)
                    raise
        shown += [str(multiplex.link.changes), repr(multiplex._token)]
        await multiplex.close()
        await foreign.close()
    gc.collect()
