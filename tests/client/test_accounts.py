import contextlib
import json
import logging
import threading
import types

import pytest
from argon2 import PasswordHasher, profiles
from websockets.asyncio.server import serve
from websockets.sync.client import connect

from rtwidgets.client import accounts
from rtwidgets.client.accounts import Login
from rtwidgets.errors import Closed, ConnectError, NotFound, Refused, Unreachable, UsageError
from rtwidgets.loop import lease
from rtwidgets.server import Server
from rtwidgets.services import Accounts, Echo

pytestmark = pytest.mark.usefixtures("tidy")

PASSWORD = "correct horse battery staple"


class Quick(Accounts):
    hasher = PasswordHasher.from_parameters(profiles.CHEAPEST)


@contextlib.contextmanager
def running(*services, **options):
    """Serve in the background."""
    background = lease()
    server = Server(services, options={"accounts": options} if options else None)
    try:
        background.run(server.start())
        yield server
    finally:
        background.run(server.stop())
        background.release()


@pytest.fixture
def server():
    """A server with one user, and tokens that live for 100 s."""
    with running(Quick, lifetime=100) as server:
        with connect(f"{server.url}/accounts?token={server.token}") as socket:
            socket.send(json.dumps({"type": "register", "user": "Ada", "password": PASSWORD}))
            assert json.loads(socket.recv())["type"] == "token"
        yield server


@pytest.fixture
def clock(monkeypatch):
    """What the client takes for the time, in seconds."""
    clock = types.SimpleNamespace(now=1e9)
    monkeypatch.setattr(accounts, "time", types.SimpleNamespace(time=lambda: clock.now))
    return clock


def test_a_login_is_a_source_of_tokens(server):
    """Called or asked, it gives one that the server takes."""
    login = Login(server.url, "ada", PASSWORD)
    for token in (login(), login.token()):
        assert server.hub.tokens.verify(token).subject == "Ada"


def test_a_token_is_renewed_after_four_fifths_of_its_life(server, clock):
    """And not before; each time with the refresh token that the last time brought."""
    login = Login(server.url, "ada", PASSWORD)
    for _ in range(4):
        kept = login._token.refresh
        for passing in (0.0, 79.0):
            clock.now += passing
            login()
            assert login._token.refresh == kept
        clock.now += 2.0
        assert server.hub.tokens.verify(login()).subject == "Ada"
        assert login._token.refresh != kept


def test_a_clock_that_is_set_back_does_not_keep_a_token(server, clock):
    """Nobody knows then how old it is."""
    login = Login(server.url, "ada", PASSWORD)
    kept = login._token.refresh
    clock.now -= 3_600.0
    login()
    assert login._token.refresh != kept


def test_threads_that_ask_at_once_do_not_use_a_refresh_token_twice(server, clock):
    """One of them renews, and all get what it got; the session goes on."""
    login = Login(server.url, "ada", PASSWORD)
    clock.now += 90.0
    asking, tokens = threading.Barrier(8), []

    def ask():
        asking.wait()
        tokens.append(login())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tokens) == 8
    assert len(set(tokens)) == 1
    clock.now += 90.0
    login()


def test_a_server_that_is_away_is_asked_again_as_long_as_the_token_is_good(server, clock):
    """After that there is nothing to give."""
    login = Login(server.url, "ada", PASSWORD)
    token = login()
    lent = lease()
    lent.run(server.stop())
    lent.release()
    clock.now += 99.0
    assert login() == token
    clock.now += 2.0
    with pytest.raises(Unreachable, match="nothing listens there"):
        login()


def test_a_session_that_is_over_is_told(server, clock):
    """As the server says it: somebody else has used the refresh token."""
    login = Login(server.url, "ada", PASSWORD)
    with connect(f"{server.url}/accounts") as socket:
        socket.send(json.dumps({"type": "refresh", "refresh": login._token.refresh}))
        assert json.loads(socket.recv())["type"] == "token"
    clock.now += 90.0
    with pytest.raises(Refused, match="log in"):
        login()


def test_logging_out_ends_it(server):
    """Here and at the server; twice is harmless."""
    login = Login(server.url, "ada", PASSWORD)
    kept = login._token.refresh
    login.logout()
    login.logout()
    with pytest.raises(Closed, match=r"'ada' was logged out: log in again with rt\.login"):
        login()
    with connect(f"{server.url}/accounts") as socket:
        socket.send(json.dumps({"type": "refresh", "refresh": kept}))
        assert json.loads(socket.recv())["code"] == "bad_refresh"


@pytest.mark.parametrize(("user", "password"), [("ada", "wrong password"), ("nobody", PASSWORD)])
def test_who_may_not_in_is_told(server, user, password):
    """In the server's words."""
    with pytest.raises(Refused, match="no user of this name with this password") as caught:
        Login(server.url, user, password)
    assert caught.value.code == "wrong_password"


def test_a_server_that_is_none_of_these():
    """Nobody there, no accounts there, something else there, and what is no URL."""
    with running(Echo) as server:
        with pytest.raises(NotFound, match=r"Nothing is served at /accounts"):
            Login(server.url, "ada", PASSWORD)
        with pytest.raises(ConnectError, match="does not speak as a server's accounts do"):
            Login(server.url + "/echo?token=" + server.token + "&path=", "ada", PASSWORD)
    with pytest.raises(Unreachable, match="nothing listens there"):
        Login(server.url, "ada", PASSWORD)
    with pytest.raises(ConnectError, match="not a WebSocket URL"):
        Login("http://x", "ada", PASSWORD)
    with pytest.raises(UsageError, match="a name or password is text"):
        Login(server.url, "ada", "\ud800")


def test_a_server_that_goes_or_does_not_answer(monkeypatch):
    """It is not waited for in vain."""
    monkeypatch.setattr(accounts, "TIMEOUT", 0.2)

    async def talk(socket):
        message = json.loads(await socket.recv())
        if message["user"] != "patient":
            await socket.close(1011, "ill")
        await socket.wait_closed()

    async def start():
        return await serve(talk, "127.0.0.1", 0)

    async def stop(server):
        server.close()
        await server.wait_closed()

    background = lease()
    server = background.run(start())
    url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    with pytest.raises(Unreachable, match=r"code 1011: ill"):
        Login(url, "ada", PASSWORD)
    with pytest.raises(Unreachable, match=r"no answer in 0\.2 s"):
        Login(url, "patient", PASSWORD)
    background.run(stop(server))
    background.release()


def test_a_coroutine_of_the_loop_may_not_wait_for_it(server):
    """It is an error at once, and not a wait for ever."""
    login = Login(server.url, "ada", PASSWORD)

    async def ask():
        login._since -= 90.0
        return login()

    background = lease()
    with pytest.raises(UsageError, match="would wait for itself"):
        background.run(ask(), timeout=20)
    background.release()


def test_nothing_of_it_is_told(server, clock, caplog):
    """Its repr has the user and the server; no log at any level and no error has a password or a token."""
    for name in (None, "rtwidgets", "rtwidgets.server", "rtwidgets.client"):
        caplog.set_level(logging.DEBUG, logger=name)
    url = server.url.replace("//", "//ada:s3cret@")
    login = Login(url, "ada", PASSWORD)
    secrets = [PASSWORD, "s3cret", login(), login._token.refresh]
    clock.now += 90.0
    secrets += [login(), login._token.refresh]
    with pytest.raises(Refused) as caught:
        Login(url, "ada", "wrong password")
    assert repr(login) == f"Login('ada', {server.url!r})"
    shown = caplog.text + repr(login) + repr(vars(login)["_token"]) + repr(caught.value) + str(caught.value)
    login.logout()
    assert not [secret for secret in [*secrets, "wrong password"] if secret in shown + caplog.text]


def texts(thing):
    """Return every text in an object of data."""
    if isinstance(thing, str):
        return [thing]
    values = thing.values() if isinstance(thing, dict) else getattr(thing, "__struct_fields__", ())
    if not isinstance(thing, dict):
        values = [getattr(thing, name) for name in values]
    return [text for value in values for text in texts(value)]


def test_the_password_is_not_kept(server):
    """Not in the object, nor in its token."""
    login = Login(server.url, "ada", PASSWORD)
    assert login() in texts(vars(login))
    assert PASSWORD not in texts(vars(login))
