import asyncio
import json
import time

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from websockets.exceptions import ConnectionClosed, InvalidStatus

from rtwidgets.loop import take_errors
from rtwidgets.messages import (
    TOKEN_EXPIRED,
    Auth,
    Error,
    Joined,
    Left,
    Messages,
    Ping,
    Pong,
    Presence,
    Publish,
    Published,
    Subscribed,
    encode,
    encode_data,
)
from rtwidgets.server import Server, Service
from rtwidgets.server.health import METRICS
from rtwidgets.services import Chat, Echo, service
from tests.talking import dial, dial_v1, eventually, raw, upgrade, whom

pytestmark = pytest.mark.usefixtures("tidy")
SECRET = "a secret of more than thirty-two bytes"


@service("/notes", writable=True)
async def notes(channel):
    """A channel that anybody may write to."""


class Door(Service):
    """What may be used without a token."""

    name, path, has_channels, public = "door", "/door", False, True

    async def talk(self, peer):
        async for _ in peer:
            await peer.send({"user": peer.user})


@pytest.fixture
def server():
    return Server([notes, Chat, Echo, Door], jwt={"secret": SECRET})


def a_token(server, *scopes, subject="ada", lifetime=60.0):
    return server.hub.tokens.issue(subject, scopes=scopes, lifetime=lifetime)


def expiring(server, *scopes):
    """A token with two or three seconds to live: they end with whole seconds."""
    return a_token(server, *scopes, lifetime=2.0)


def said(text):
    return Publish(7, "chat/lobby", msgspec.Raw(encode_data({"type": "message", "text": text})))


async def closed(connection):
    with pytest.raises(ConnectionClosed) as caught:
        while True:
            await connection.recv()
    return caught.value.rcvd.code, caught.value.rcvd.reason


# Where a token is shown


@pytest.mark.parametrize("where", ["header", "query", "first message"])
@pytest.mark.parametrize("dialect", ["plain", "v1"])
async def test_a_signed_token_lets_in(server, where, dialect):
    """In either dialect, wherever it is shown."""
    async with server:
        token = a_token(server, "subscribe:notes", "publish:notes")
        path = "/notes" if dialect == "plain" else "/"
        given = {"token": token if where == "header" else None}
        protocols = {} if dialect == "plain" else {"subprotocols": ["rtwidgets.v1"]}
        query = f"?token={token}" if where == "query" else ""
        async with dial(server, path + query, **given, **protocols) as client:
            if where == "first message":
                await client.send(encode(Auth(token)).decode())
            if dialect == "plain":
                await client.send('{"n":1}')
                assert json.loads(await client.recv()) == {"n": 1}
            else:
                await client.send(encode(Ping()).decode())
                assert await client.recv() == '{"type":"pong"}'


@pytest.mark.parametrize(
    ("claims", "sentence"),
    [
        ({"lifetime": 0.01}, "The token has expired: get a new one"),
        (
            {"subject": "ada", "lifetime": 60},
            "The token is none of this server: Signature verification failed",
        ),
    ],
)
async def test_a_signed_token_that_is_wrong(server, claims, sentence):
    """401, with a sentence and the header that RFC 6750 asks for."""
    async with server:
        if claims["lifetime"] == 0.01:
            token = server.hub.tokens.issue("ada", **{"lifetime": 0.01} | claims)
            await asyncio.sleep(1.1)  # it ends with a whole second
        else:
            token = a_token(Server([]), **claims)
        with pytest.raises(InvalidStatus) as caught:
            await dial(server, "/echo", token=token)
        response = caught.value.response
        assert response.status_code == 401
        assert response.body.decode().strip() == sentence
        assert response.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


async def test_a_public_service_asks_for_no_token(server):
    """It talks with anybody in the plain dialect, but with no page of others, and not with a wrong token."""
    async with server:
        async with dial(server, "/door?user=eve", token=None) as client:
            await client.send("hello")
            assert json.loads(await client.recv()) == {"user": "eve"}
        async with dial(server, "/door", token=a_token(server)) as client:
            await client.send("hello")
            assert json.loads(await client.recv()) == {"user": "ada"}
        async with dial(server, "/door", token=None, subprotocols=["rtwidgets.v1"]) as client:
            await client.send(encode(Ping()).decode())
            assert (await closed(client))[0] == 1008
        assert (await raw(server, upgrade("/door", "Origin: https://evil.example")))[0] == 403
        assert (await raw(server, upgrade("/door?token=wrong")))[0] == 401


async def test_metrics_are_for_the_server_s_own_token(server):
    """A user's token is no reason to show them."""
    async with server:
        head = "GET {} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\r\n"
        answers = [
            (await raw(server, head.format(METRICS, token).encode()))[0]
            for token in (server.token, a_token(server, "*:*"), "wrong")
        ]
        assert answers == [200, 403, 401]
        assert (await raw(server, f"GET {METRICS} HTTP/1.1\r\nHost: a\r\n\r\n".encode()))[0] == 401


async def test_keys_that_cannot_be_had():
    """Are no refusal: 503 in the handshake, and 1013 after the first message; the server's own tokens do."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    token = jwt.encode({"sub": "ada", "exp": time.time() + 60}, key, algorithm="RS256")
    async with Server([Echo], jwt={"jwks": "http://127.0.0.1:9/keys"}) as server:
        async with dial(server, "/echo", token=a_token(server)) as client:
            await client.send("a")
            assert await client.recv() == "Echo: a"
        with pytest.raises(InvalidStatus) as caught:
            await dial(server, "/echo", token=token)
        assert caught.value.response.status_code == 503
        async with dial(server, "/echo", token=None) as client:
            await client.send(encode(Auth(token)).decode())
            assert json.loads(await client.recv())["code"] == "unavailable"
            assert (await closed(client))[0] == 1013
    assert [where for where, _ in take_errors()] == ["the keys of tokens"]


# What it allows


async def test_each_action_is_checked(server):
    """What the token does not allow is refused with `forbidden`, and the connection goes on."""
    async with server, dial_v1(server, token=a_token(server, "subscribe:notes", "publish:chat/*")) as client:
        assert isinstance(await client.subscribe("notes"), Subscribed)
        for request in (Publish(1, "notes", msgspec.Raw(b"1")), Presence("chat/lobby", "ada")):
            await client.say(request)
            assert (await client.hear(Error)).code == "forbidden"
        for channel in ("chat/lobby", "prices", "nothing"):
            assert (await client.subscribe(channel)).code == "forbidden"
        assert [channel.name for channel in server.hub.channels] == ["notes"]  # and none was made
        await client.say(said("hello"))
        assert await client.hear(Published) == Published(7, 1)


async def test_a_plain_client_needs_the_right_to_subscribe(server):
    """403 in the handshake, or 1008 after a token that came as the first message."""
    async with server:
        token = a_token(server, "subscribe:chat/lobby")
        with pytest.raises(InvalidStatus) as caught:
            await dial(server, "/chat/other", token=token)
        assert caught.value.response.status_code == 403
        assert b"does not allow to subscribe to 'chat/other'" in caught.value.response.body
        async with dial(server, "/chat/other", token=None) as client:
            await client.send(encode(Auth(token)).decode())
            assert "does not allow to subscribe" in json.loads(await client.recv())["message"]
            assert await closed(client) == (1008, "forbidden")
        async with dial(server, "/chat/lobby", token=token) as client:
            assert json.loads(await client.recv()) == {"type": "history", "messages": []}
        async with dial(server, "/echo", token=token) as client:  # it has no channel
            await client.send("a")
            assert await client.recv() == "Echo: a"


async def test_a_plain_client_needs_the_right_to_publish(server):
    """Each message that it may not publish is answered with an error, and is in no log."""
    async with server, dial(server, "/chat/lobby", token=a_token(server, "subscribe:*")) as client:
        assert json.loads(await client.recv())["type"] == "history"
        await client.send('{"type":"message","text":"hello"}')
        answer = json.loads(await client.recv())
        assert answer["type"] == "error"
        assert "does not allow to publish to 'chat/lobby'" in answer["message"]
        channel = await server.hub.channel("chat/lobby")
        assert (channel.log.last, channel.members) == (0, [])


# Who it is


async def test_a_name_is_the_subject_s(server):
    """Messages are signed with it, presence is under it, and another name is refused."""
    async with server, dial_v1(server) as watcher:
        await watcher.subscribe("chat/lobby")
        async with dial_v1(server, token=a_token(server, "*:chat/*")) as client:
            await client.say(said("one"))
            await client.say(Presence("chat/lobby", "bob"))
            assert (await client.hear(Error)).message.startswith("your token is for 'ada'")
            await client.say(Presence("chat/lobby", "ada"))
            await client.say(said("two"))
            assert whom(await watcher.hear(Joined)) == (Joined, "chat/lobby", "ada")
            rows = [watcher.log[0], await watcher.hear(Messages)]
            assert [row["user"] for run in rows for row in msgspec.json.decode(run.data)] == ["ada", "ada"]
        async with dial(server, "/chat/lobby?user=bob", token=a_token(server, "*:chat/*")) as client:
            await client.recv()
            assert json.loads(await client.recv()) == {"type": "joined", "user": "ada"}


# Who is there


async def test_who_is_there_is_told_to_those_who_may_be_there(server):
    """Without the right to presence a client hears of nobody, in either dialect."""
    reads, hears = a_token(server, "subscribe:*"), a_token(server, "subscribe:*", "presence:*", subject="bob")
    async with (
        server,
        dial_v1(server) as ada,
        dial_v1(server, token=hears) as watcher,
        dial_v1(server, token=reads) as deaf,
        dial(server, "/chat/lobby", token=reads) as plain,
    ):
        await ada.say(Presence("chat/lobby", "ada"))
        await ada.say(Ping())
        assert await ada.hear() == Pong()
        assert (await deaf.subscribe("chat/lobby")).present is None
        assert [member.user for member in (await watcher.subscribe("chat/lobby")).present] == ["ada"]
        assert json.loads(await plain.recv())["type"] == "history"
        await ada.say(Presence("chat/lobby", "eve"))
        assert [whom(await watcher.hear())[2] for _ in range(2)] == ["ada", "eve"]
        await ada.say(said("hello"))
        assert isinstance(await deaf.hear(), Messages)
        assert json.loads(await plain.recv())["text"] == "hello"


async def test_a_new_token_may_open_and_close_the_ears(server):
    """Who is there is told when the right comes, as joined, and when it goes, as left."""
    async with server, dial_v1(server) as bob, dial_v1(server, token=a_token(server, "subscribe:*")) as ada:
        assert (await ada.subscribe("notes")).present is None
        await bob.subscribe("notes")
        await bob.say(Presence("notes", "bob"))
        assert whom(await bob.hear()) == (Joined, "notes", "bob")
        await ada.say(Auth(a_token(server, "subscribe:*", "presence:notes")))
        assert whom(await ada.hear()) == (Joined, "notes", "bob")
        await ada.say(Presence("notes", "ada"))
        assert whom(await bob.hear()) == (Joined, "notes", "ada")
        assert [whom(await ada.hear())[2] for _ in range(2)] == ["bob", "ada"]
        await ada.say(Auth(a_token(server, "subscribe:*")))
        assert [whom(await ada.hear()) for _ in range(2)] == [(Left, "notes", "bob"), (Left, "notes", "ada")]
        assert whom(await bob.hear()) == (Left, "notes", "ada")
        await bob.say(Presence("notes", "eve"))
        await ada.say(Ping())
        assert (await bob.hear(Left)).user == "bob"
        assert (await bob.hear()).user == "eve"
        assert await ada.hear() == Pong()


# When it ends


async def test_a_connection_ends_with_its_token(server):
    """It is told, gets nothing more, and is closed with a code of its own."""
    async with server, dial_v1(server, token=expiring(server, "*:*")) as client:
        await client.subscribe("notes")
        await client.say(Presence("notes", "ada"))
        error = await client.hear(Error)
        assert error == Error("token_expired", "the token has expired: get a new one")
        channel = await server.hub.channel("notes")
        assert (channel.followers, channel.members) == (set(), [])
        assert await closed(client.connection) == (TOKEN_EXPIRED, "the token has expired: get a new one")


async def test_a_plain_connection_ends_with_its_token(server):
    """Likewise, whatever its service does."""
    async with server:
        for path in ("/notes", "/echo"):
            async with dial(server, path, token=expiring(server, "*:*")) as client:
                answer = json.loads(await client.recv())
                assert answer == {"type": "error", "message": "the token has expired: get a new one"}
                assert (await closed(client))[0] == TOKEN_EXPIRED


async def test_a_new_token_in_time(server):
    """The connection goes on with what that allows, and ends with it."""
    async with server, dial_v1(server, token=expiring(server, "*:*")) as client:
        expires = time.time() + 3.1
        await client.subscribe("notes")
        await client.subscribe("chat/lobby")
        await client.say(Presence("notes", "ada"))
        await client.say(Auth(a_token(server, "subscribe:notes", "publish:chat/*")))
        forbidden = await client.hear(Error)
        assert (forbidden.code, forbidden.id) == ("forbidden", None)
        assert "'chat/lobby' any more" in forbidden.message
        assert whom(await client.hear()) == (Left, "notes", "ada")
        await eventually(lambda: time.time() > expires)
        await client.say(said("still here"))
        assert await client.hear() == Published(7, 1)
        notes_channel = await server.hub.channel("notes")
        await notes_channel.publish(1)
        assert (await client.rows(1)) == [(1, 1)]
        await client.say(Auth(expiring(server, "*:*")))
        assert (await client.hear(Error)).code == "token_expired"


@pytest.mark.parametrize(
    ("token", "code", "close"),
    [("other", "forbidden", None), ("own", "forbidden", None), ("wrong", "unauthorized", 1008)],
)
async def test_a_new_token_that_is_not_taken(server, token, code, close):
    """Somebody else's leaves all as it is; one that is none ends the connection."""
    async with server, dial_v1(server, token=a_token(server, "*:*")) as client:
        tokens = {"other": a_token(server, "*:*", subject="bob"), "own": server.token, "wrong": "x"}
        await client.say(Auth(tokens[token]))
        assert (await client.hear()).code == code
        if close is not None:
            assert (await closed(client.connection))[0] == close
            return
        await client.say(Ping())
        assert await client.hear() == Pong()
        await client.say(Presence("notes", "bob"))
        assert (await client.hear()).code == "forbidden"


async def test_an_idle_connection_has_no_task_for_its_token(server):
    """The end of a token costs one timer, and it is gone with the connection."""
    async with server, dial_v1(server) as first:
        await first.say(Ping())
        await first.hear()
        before = len(asyncio.all_tasks())
        async with dial_v1(server) as other:
            await other.say(Ping())
            await other.hear()
            each = len(asyncio.all_tasks()) - before
        async with dial_v1(server, token=a_token(server, "*:*")) as client:
            await client.say(Ping())
            await client.hear()
            assert len(asyncio.all_tasks()) - before == each
            (rights,) = {c.rights for c in server._connections if c.rights.grant.subject == "ada"}
            assert rights._timer is not None
        await eventually(lambda: rights._timer is None)
