import asyncio
import contextlib
import json
import logging
import sqlite3
import threading
import time
import unicodedata

import msgspec
import pytest
from argon2 import PasswordHasher, profiles
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK, InvalidStatus

from rtwidgets.errors import Refused, UsageError
from rtwidgets.loop import take_errors
from rtwidgets.messages import Error, Presence, Publish, Published, Subscribed
from rtwidgets.server import Server
from rtwidgets.services import Accounts, Chat, Echo, Prices, accounts
from rtwidgets.services.accounts import name_key, normal_name
from tests.talking import dial, dial_v1, eventually

pytestmark = pytest.mark.usefixtures("tidy", "unhurried")

PASSWORD = "correct horse battery staple"
quiet = logging.getLogger("a client of the tests")
quiet.setLevel(logging.CRITICAL)
WRONG = {
    "type": "error",
    "code": "wrong_password",
    "message": "there is no user of this name with this password",
}


class Quick(Accounts):
    """Accounts that hash in no time, and whose clock stands still until it is told to go on."""

    hasher = PasswordHasher.from_parameters(profiles.CHEAPEST)
    time = 0.0

    def clock(self):
        return self.time


@pytest.fixture
def unhurried(monkeypatch):
    """One client may ask as often as a test wants."""
    monkeypatch.setattr(accounts, "REQUEST_BURST", 100_000.0)


def serve(kind=Quick, *others, **options):
    return Server([kind, *others], options={"accounts": options})


def quick(server):
    """Return the service of a server."""
    service, _ = server.find("/accounts")
    return service


class Teller:
    """A plain client of accounts."""

    def __init__(self, client):
        self.client = client

    async def ask(self, message):
        await self.client.send(message if isinstance(message, str | bytes) else json.dumps(message))
        return json.loads(await asyncio.wait_for(self.client.recv(), 60))

    async def register(self, user="ada", password=PASSWORD):
        return await self.ask({"type": "register", "user": user, "password": password})

    async def login(self, user="ada", password=PASSWORD):
        return await self.ask({"type": "login", "user": user, "password": password})

    async def refresh(self, token):
        return await self.ask({"type": "refresh", "refresh": token})

    async def logout(self, token):
        return await self.ask({"type": "logout", "refresh": token})


@contextlib.asynccontextmanager
async def teller(server, **options):
    async with dial(server, "/accounts", **options) as client:
        yield Teller(client)


# What is asked and answered


async def test_who_registers_gets_a_token():
    """In the user's name, as long as said, with the scopes that the server gives; and so who logs in."""
    scopes = ["subscribe:prices", "publish:chat/*"]
    async with serve(lifetime=60, scopes=scopes) as server, teller(server) as client:
        for answer in (await client.register("Ada"), await client.login("ADA")):
            assert set(answer) == {"type", "user", "token", "expires", "lifetime", "refresh"}
            assert (answer["type"], answer["user"], answer["lifetime"]) == ("token", "Ada", 60)
            grant = server.hub.tokens.verify(answer["token"])
            assert (grant.subject, list(grant.scopes)) == ("Ada", scopes)
            assert grant.expires * 1000 == answer["expires"]
            assert 0 < grant.expires - time.time() <= 61


async def test_a_client_without_a_token_can_log_in():
    """This is where it gets one."""
    async with serve() as server:
        async with teller(server) as client:
            await client.register()
        async with teller(server, token=None) as client:
            assert (await client.login())["type"] == "token"
            assert await client.login(password="wrong password") == WRONG


async def test_refresh_tokens_rotate():
    """Each works once; one that was used ends the session, and the newest one with it."""
    async with serve() as server, teller(server, token=None) as client:
        async with teller(server) as registrar:
            await registrar.register()
        first, other = await client.login(), await client.login()
        second = await client.refresh(first["refresh"])
        third = await client.refresh(second["refresh"])
        assert [each["type"] for each in (second, third)] == ["token", "token"]
        assert len({each["refresh"] for each in (first, second, third, other)}) == 4
        assert server.hub.tokens.verify(third["token"]).subject == "ada"
        for used in (first, third, second):
            answer = await client.refresh(used["refresh"])
            assert (answer["type"], answer["code"]) == ("error", "bad_refresh")
        assert (await client.refresh(other["refresh"]))["type"] == "token"


async def test_logging_out_ends_the_session():
    """Its refresh token is good for nothing; saying it twice, or with a made-up token, is no error."""
    async with serve() as server, teller(server) as client:
        token = (await client.register())["refresh"]
        for each in (token, token, "made up"):
            assert await client.logout(each) == {"type": "logged_out"}
        assert (await client.refresh(token))["code"] == "bad_refresh"


async def test_a_wrong_password_and_an_unknown_user_are_answered_alike():
    """In the same words, and after a hash of the same cost was verified for each."""
    verified = []

    class Watched(Quick):
        def _matches(self, hash, password):
            verified.append(hash.rpartition("$")[0].rpartition("$")[0])
            return super()._matches(hash, password)

    async with serve(Watched) as server, teller(server) as client:
        await client.register()
        assert await client.login(password="wrong password") == WRONG
        assert await client.login("nobody") == WRONG
    assert len(verified) == 2
    assert verified[0] == verified[1] != ""


@pytest.mark.parametrize(
    "message",
    [
        "", "null", "[]", "hello", '{"type":"login"}', '{"type":"login","user":"ada","password":5}',
        '{"type":"s3cret","user":"s3cret","password":"s3cret"}', '{"type":"refresh","refresh":null}',
        '{"type":"login","user":"ada","password":"' + "x" * 20_000 + '"}', b"\xff",
        '{"type":"login","user":"ada","password":"\\ud800"}', '{"a":' + "[" * 5_000,
    ],
)  # fmt: skip
async def test_what_is_no_request_is_answered_with_what_would_be_one(message):
    """Nothing of what was sent is repeated, and the connection goes on."""
    async with serve() as server, teller(server) as client:
        answer = await client.ask(message)
        assert (answer["type"], answer["code"]) == ("error", "bad_message")
        assert "s3cret" not in answer["message"]
        assert (await client.register())["type"] == "token"


@pytest.mark.parametrize("length", [0, 1, 7, 1_001])
async def test_passwords_that_are_refused(length):
    """Those with fewer than 8 characters, or more than 1 000."""
    async with serve() as server, teller(server) as client:
        answer = await client.register(password="x" * length)
        assert answer["code"] == "weak_password"
        assert f"8 to 1000 characters, not {length}" in answer["message"]


@pytest.mark.parametrize("password", ["x" * 8, "x" * 1_000, "😀" * 1_000, "\x00" * 8, " " * 8, "e\u0301" * 8])
async def test_passwords_that_are_taken(password):
    """Eight to a thousand characters of any kind, however a keyboard writes them; another one is wrong."""
    async with serve() as server, teller(server) as client:
        assert (await client.register(password=password))["type"] == "token"
        assert (await client.login(password=unicodedata.normalize("NFC", password)))["type"] == "token"
        assert await client.login(password=password[:-1]) == WRONG
        assert await client.login(password=password + "x") == WRONG


@pytest.mark.parametrize(
    "name", ["", " ", "x" * 101, "a\nb", "a\x00b", "a\u200bb", "\u202eadA", "x" * 10_000]
)
async def test_names_that_are_refused(name):
    """The empty and the long, and those with what nobody sees in them."""
    async with serve() as server, teller(server) as client:
        for answer in (await client.register(name), await client.login(name)):
            assert answer["code"] == "bad_name"


async def test_a_name_is_given_once():
    """Whether it is written in upper or lower case, in wide letters or with more spaces."""
    async with serve() as server, teller(server) as client:
        assert (await client.register("Ada  Straße"))["user"] == "Ada Straße"
        for same in ("ada straße", " ADA STRASSE ", "ａｄａ straße"):
            assert (await client.register(same, "another password"))["code"] == "name_taken"
            assert await client.login(same, "another password") == WRONG
            assert (await client.login(same))["user"] == "Ada Straße"


async def test_of_those_who_register_a_name_at_once_one_gets_it():
    """And it is that one's password that is right."""
    async with serve() as server, contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(teller(server)) for _ in range(8)]
        asked = (client.register("ada", f"password of {n}") for n, client in enumerate(clients))
        answers = await asyncio.gather(*asked)
        winners = [n for n, answer in enumerate(answers) if answer["type"] == "token"]
        assert len(winners) == 1
        assert [answer["code"] for answer in answers if answer["type"] == "error"] == ["name_taken"] * 7
        passed = [
            n for n in range(8) if (await clients[0].login("ada", f"password of {n}"))["type"] == "token"
        ]
        assert passed == winners


async def test_to_register_takes_the_servers_own_token():
    """Not none, and not a user's; unless whoever runs the server has opened it."""
    async with serve(scopes=["*:chat/*", "publish:*"]) as server:
        async with teller(server) as client:
            token = (await client.register())["token"]
        for shown in (None, token):
            async with teller(server, token=shown) as client:
                answer = await client.register("eve")
                assert answer["code"] == "forbidden"
                assert "takes the server's own token" in answer["message"]
                assert await client.login("eve") == WRONG
    async with serve(registration="open") as server, teller(server, token=None) as client:
        assert (await client.register("eve"))["type"] == "token"
    async with Server([Quick], open=True) as server, teller(server, token=None) as client:
        assert (await client.register("eve"))["type"] == "token"


# What a token is good for


async def test_a_token_lets_a_client_do_what_its_scopes_say():
    """And nothing else: follow one channel and not another, say something in one room and not in another."""
    scopes = ["subscribe:prices", "subscribe:chat/lobby", "publish:chat/lobby", "presence:chat/lobby"]
    async with serve(Quick, Prices, Chat, scopes=scopes) as server:
        async with teller(server) as client:
            token = (await client.register("Ada"))["token"]
        async with dial_v1(server, token=token) as client:
            assert (await client.subscribe("chat/vault")).code == "forbidden"
            assert isinstance(await client.subscribe("chat/lobby"), Subscribed)
            assert isinstance(await client.subscribe("prices"), Subscribed)  # last: ticks come from now on
            await client.say(Presence("chat/lobby", "Ada"))
            for room, kind in (("chat/lobby", Published), ("chat/vault", Error)):
                await client.say(Publish(7, room, msgspec.Raw(b'{"text":"hello"}'), None))
                answer = await client.hear(kind)
                assert answer.id == 7
            assert answer.code == "forbidden"


async def test_a_token_ends_when_it_says():
    """A connection that it opened is closed then, and a new one is refused."""
    async with serve(Quick, Prices, lifetime=1) as server:
        async with teller(server) as client:
            token = (await client.register())["token"]
        with pytest.raises(ConnectionClosed):
            async with dial(server, "/prices", token=token) as client:
                async for _ in client:
                    pass
                await client.recv()
        with pytest.raises(InvalidStatus):
            await dial(server, "/prices", token=token)


# Guessing


async def test_too_many_wrong_passwords_lock_a_name():
    """Even the right one has to wait then, and the answer says how long; after that it is taken."""
    async with serve(attempts=3) as server, teller(server) as client:
        await client.register()
        for _ in range(3):
            assert await client.login(password="wrong password") == WRONG
        for password in ("wrong password", PASSWORD):
            answer = await client.login(password=password)
            assert (answer["code"], answer["seconds"]) == ("locked", 1)
            assert "try again in 1 s" in answer["message"]
        quick(server).time += 0.5
        assert (await client.login())["code"] == "locked"
        quick(server).time += 0.5
        assert (await client.login())["type"] == "token"
        assert await client.login(password="wrong password") == WRONG


async def test_each_lock_out_is_longer_and_each_ends():
    """Guessing during one does not make it longer."""
    async with serve(attempts=1) as server, teller(server) as client:
        await client.register()
        for n in range(12):
            assert await client.login(password="wrong password") == WRONG
            for _ in range(2):
                answer = await client.login()
                assert (answer["code"], answer["seconds"]) == ("locked", min(2**n, 900))
            quick(server).time += answer["seconds"]
        assert (await client.login())["type"] == "token"


async def test_a_lock_out_is_of_one_name():
    """Others log in as before, and a session of the locked name goes on."""
    async with serve(attempts=1) as server, teller(server) as client:
        refresh = (await client.register())["refresh"]
        await client.register("eve")
        await client.login(password="wrong password")
        assert (await client.login())["code"] == "locked"
        assert (await client.login("eve"))["type"] == "token"
        assert (await client.refresh(refresh))["type"] == "token"


async def test_names_that_nobody_has_are_locked_as_well():
    """So that a lock-out does not tell who is registered."""
    async with serve(attempts=1) as server, teller(server, token=None) as client:
        assert await client.login("nobody") == WRONG
        assert (await client.login("NOBODY"))["code"] == "locked"


async def test_guessing_on_many_connections_helps_nobody():
    """Of all the passwords that are tried for a name at once, no more are looked at than one may try."""
    looked = []

    class Watched(Quick):
        def _matches(self, hash, password):
            looked.append(password)
            return super()._matches(hash, password)

    async with serve(Watched, attempts=3) as server, contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(teller(server)) for _ in range(20)]
        await clients[0].register()
        asked = (client.login(password=f"guess number {n}") for n, client in enumerate(clients))
        codes = [answer["code"] for answer in await asyncio.gather(*asked)]
        assert sorted(codes) == ["locked"] * 17 + ["wrong_password"] * 3
        assert len(looked) == 3
        assert len(quick(server)._turns) == 0


# Floods


class Stuck(Quick):
    """Accounts whose hashing does not come to an end before it is told to."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.go, self.now, self.most, self.all = threading.Event(), 0, 0, 0
        self.lock = threading.Lock()

    def _matches(self, hash, password):
        with self.lock:
            self.now += 1
            self.all += 1
            self.most = max(self.most, self.now)
        assert self.go.wait(60)
        with self.lock:
            self.now -= 1
        return super()._matches(hash, password)


async def test_a_flood_of_logins_is_bounded():
    """So many hashes at a time, and so many that wait; the rest may come again, and nothing else stands."""
    many = accounts.MAX_WAITING + 10
    async with serve(Stuck, Echo) as server, contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(teller(server)) for _ in range(many)]
        refresh = (await clients[0].register())["refresh"]
        asked = [asyncio.ensure_future(client.login(f"user {n}")) for n, client in enumerate(clients)]
        await eventually(lambda: sum(each.done() for each in asked) == 10)
        assert {each.result()["code"] for each in asked if each.done()} == {"busy"}
        await eventually(lambda: quick(server).now == accounts.HASHERS)
        async with dial(server, "/echo") as client:
            await client.send("hello")
            assert await client.recv() == "Echo: hello"
        async with teller(server) as client:
            assert (await client.refresh(refresh))["type"] == "token"
            assert (await client.login())["code"] == "busy"
        quick(server).go.set()
        answers = await asyncio.gather(*asked)
        assert [answer["code"] for answer in answers].count("wrong_password") == accounts.MAX_WAITING
        assert quick(server).most == accounts.HASHERS
        assert (await clients[0].login())["type"] == "token"


async def test_a_server_that_stops_does_not_wait_for_a_flood():
    """What is hashed comes to its end; what waits is told that the server stops."""
    server = serve(Stuck)
    await server.start()
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(teller(server)) for _ in range(10)]
        asked = [asyncio.ensure_future(client.login(f"user {n}")) for n, client in enumerate(clients)]
        await eventually(lambda: quick(server)._waiting == 10 and quick(server).now == accounts.HASHERS)
        stopping = asyncio.ensure_future(server.stop())
        await eventually(lambda: quick(server)._book is None)
        quick(server).go.set()
        await stopping
        answers = await asyncio.gather(*asked, return_exceptions=True)
        codes = [answer["code"] for answer in answers if isinstance(answer, dict)]
        assert set(codes) <= {"unavailable", "wrong_password"}
        assert all(isinstance(answer, dict | ConnectionClosed) for answer in answers)
        assert quick(server).all == accounts.HASHERS


async def test_one_client_may_not_ask_too_often(monkeypatch):
    """Its requests are put off, and answered all the same."""
    monkeypatch.setattr(accounts, "REQUEST_BURST", 3.0)
    monkeypatch.setattr(accounts, "REQUEST_RATE", 20.0)
    async with serve() as server, teller(server) as client:
        began = time.monotonic()
        for _ in range(9):
            assert (await client.ask("x"))["code"] == "bad_message"
        assert time.monotonic() - began >= 6 / 20 - 0.02


async def test_a_client_that_asks_nothing_is_sent_away(monkeypatch):
    """Anybody may connect here, so nobody may stay for nothing."""
    monkeypatch.setattr(accounts, "IDLE", 0.05)
    async with serve() as server, dial(server, "/accounts", token=None) as client:
        with pytest.raises(ConnectionClosedOK):
            await client.recv()


# What is kept


async def test_accounts_survive_a_restart_with_a_file(tmp_path):
    """Passwords and sessions; and they are gone where there is no file."""
    for options, kept in (({"database": str(tmp_path / "accounts.db")}, True), ({}, False)):
        async with serve(**options) as server, teller(server) as client:
            refresh = (await client.register())["refresh"]
        async with serve(**options) as server, teller(server) as client:
            assert ((await client.login())["type"] == "token") is kept
            assert ((await client.refresh(refresh))["type"] == "token") is kept
            assert ((await client.register())["type"] == "error") is kept


async def test_the_file_has_hashes_only(tmp_path):
    """Argon2id with 64 MiB, three passes and four lanes; no password and no token is in it."""
    path = tmp_path / "accounts.db"
    async with serve(Accounts, database=str(path)) as server, teller(server) as client:
        answers = [await client.register("ada"), await client.login("ada")]
        answers.append(await client.refresh(answers[0]["refresh"]))
        with contextlib.closing(sqlite3.connect(path)) as sql:
            (made,) = sql.execute("SELECT hash FROM users").fetchone()
        written = b"".join(each.read_bytes() for each in tmp_path.iterdir())
    assert made.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert made.encode() in written
    for secret in (PASSWORD, *(answer[kind] for answer in answers for kind in ("token", "refresh"))):
        assert secret.encode() not in written


async def test_a_hash_of_other_costs_is_made_anew_at_the_next_login(tmp_path):
    """With the password that was right; one of these costs stays as it is."""
    path = tmp_path / "accounts.db"

    def read():
        with contextlib.closing(sqlite3.connect(path)) as sql:
            return sql.execute("SELECT hash FROM users").fetchone()[0]

    class Dearer(Quick):
        hasher = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1, hash_len=8)

    async with serve(database=str(path)) as server, teller(server) as client:
        await client.register()
    before = read()
    async with serve(Dearer, database=str(path)) as server, teller(server) as client:
        assert await client.login(password="wrong password") == WRONG
        assert read() == before
        assert (await client.login())["type"] == "token"
        assert "m=16,t=2,p=1" in (after := read())
        assert (await client.login())["type"] == "token"
        assert read() == after


async def test_a_disk_that_fails_is_said_and_reported(tmp_path):
    """The client gets a sentence with no path in it, and the connection goes on."""
    path = tmp_path / "accounts.db"
    async with serve(database=str(path)) as server, teller(server) as client:
        await client.register()
        with contextlib.closing(sqlite3.connect(path)) as sql:
            sql.execute("ALTER TABLE sessions RENAME TO lost")
        answer = await client.login()
        assert answer["code"] == "unavailable"
        assert str(tmp_path) not in answer["message"]
        with contextlib.closing(sqlite3.connect(path)) as sql:
            sql.execute("ALTER TABLE lost RENAME TO sessions")
        assert (await client.login())["type"] == "token"
    assert [(where, str(error)) for where, error in take_errors()] == [
        ("service /accounts", "no such table: sessions")
    ]


async def test_a_file_that_cannot_be_opened_fails_the_service_alone(tmp_path):
    """It is reported, clients are told, and the other services go on."""
    path = tmp_path / "diary.txt"
    path.write_text("dear diary, " * 1_000)
    async with serve(Quick, Echo, database=str(path)) as server:
        async with teller(server) as client:
            assert (await client.login())["code"] == "unavailable"
            assert (await client.refresh("x"))["code"] == "unavailable"
        async with dial(server, "/echo") as client:
            await client.send("hello")
            assert await client.recv() == "Echo: hello"
        await eventually(lambda: server.failed == ["/accounts"])
    ((where, error),) = take_errors()
    assert where == "service /accounts"
    assert "is not a database" in str(error)
    assert path.read_text() == "dear diary, " * 1_000


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"database": "/nowhere/at/all.db"}, "the folder /nowhere/at does not exist"),
        ({"scopes": ["fly:*"]}, "'fly:\\*' is not a scope"),
        ({"lifetime": 0}, "lifetime"),
        ({"attempts": 0}, "attempts"),
        ({"registration": "closed"}, "registration"),
        ({"pasword": "x"}, "It has: database, lifetime, scopes, attempts, registration"),
    ],
)
def test_options_that_do_not_hold_together(options, said):
    """An error before anything is served."""
    with pytest.raises(UsageError, match=said):
        serve(**options)


# What is not told


async def test_no_password_and_no_token_is_in_a_log(caplog, tmp_path):
    """At no level, in no error of the background, and in the repr of nothing."""
    caplog.set_level(logging.DEBUG)
    for name in ("rtwidgets", "rtwidgets.server", "rtwidgets.client", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)
    path = tmp_path / "accounts.db"
    secrets = [PASSWORD, "wrong password"]
    async with serve(database=str(path)) as server:
        async with dial(server, f"/accounts?token={server.token}", token=None, logger=quiet) as connection:
            client = Teller(connection)
            answers = [await client.register(), await client.login()]
            answers.append(await client.refresh(answers[0]["refresh"]))
            await client.refresh(answers[0]["refresh"])
            await client.login(password="wrong password")
            await client.ask({"type": PASSWORD, "user": PASSWORD, "password": PASSWORD})
            await client.logout(answers[1]["refresh"])
            with contextlib.closing(sqlite3.connect(path)) as sql:
                sql.execute("DROP TABLE sessions")
            await client.login()
            await client.refresh(answers[2]["refresh"])
        secrets += [server.token, *(answer[kind] for answer in answers for kind in ("token", "refresh"))]
        shown = caplog.text + repr(take_errors()) + repr(vars(quick(server))) + repr(server)
    assert "was used again" in caplog.text
    assert not [secret for secret in secrets if secret in shown]


def test_a_request_is_not_shown():
    """Nor an answer: a debugger or a traceback may print it."""
    for data in (
        {"type": "login", "user": "ada", "password": PASSWORD},
        {"type": "refresh", "refresh": PASSWORD},
    ):
        assert PASSWORD not in repr(accounts._decode(json.dumps(data)))
    assert PASSWORD not in repr(accounts._Token("ada", PASSWORD, 0, 0.0, PASSWORD))


# Names


@given(st.text(st.characters(), max_size=120))
def test_a_normal_name_is_normal(text):
    """It stays as it is, can be seen and is not too long; so is what is refused one of these."""
    try:
        name = normal_name(text)
    except Refused:
        return
    assert normal_name(name) == name
    assert 1 <= len(name) <= 100
    assert name.isprintable()
    assert name == name.strip()


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20))
def test_a_key_is_the_same_however_a_name_is_written(text):
    """In capitals, in pieces, or as another key."""
    name = normal_name(text)
    key = name_key(name)
    assert name_key(key) == key
    assert name_key(normal_name(unicodedata.normalize("NFD", text))) == key


def test_the_key_of_a_key_is_itself():
    """For every character there is."""
    for code in range(0x110000):
        key = name_key(chr(code))
        assert name_key(key) == key, hex(code)
