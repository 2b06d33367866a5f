import json

import pytest
from websockets.sync.client import connect

import rtwidgets
from rtwidgets.client import State
from rtwidgets.client.trust import pinned
from rtwidgets.errors import ConnectError, NotRunning, Refused
from rtwidgets.notebook.running import Running
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("tidy")

PASSWORD = "correct horse battery staple"


@pytest.fixture
def rt(tidy):
    """What runs in a kernel of its own."""
    running = Running()
    yield running
    running.stop()


def serve(rt, *, tls=False, **options):
    """Start a server with one user."""
    server = rt.servers.serve(services=["accounts", "prices"], options={"accounts": options}, tls=tls)
    trust = pinned(server.certificate) if tls else None
    with connect(f"{server.url}/accounts?token={server.token}", ssl=trust) as socket:
        socket.send(json.dumps({"type": "register", "user": "ada", "password": PASSWORD}))
        assert json.loads(socket.recv())["type"] == "token"
    return server


def test_a_stream_of_who_is_logged_in_outlives_its_tokens(rt):
    """It gets new ones of the login, and misses nothing."""
    server = serve(rt, lifetime=2)
    login = rt.streams.login(user="ada", password=PASSWORD)
    seen = []

    def token():
        seen.append(login())
        return seen[-1]

    prices = rt.streams.connect("prices", server=server.url, token=token)
    until(lambda: len(set(seen)) >= 4)
    rows = len(prices)
    until(lambda: len(prices) > rows)
    assert prices.state is State.OPEN
    assert prices.gaps.empty


def test_a_login_is_given_as_a_token(rt):
    """And allows what the server's accounts allow, and nothing else."""
    server = serve(rt, scopes=["subscribe:chat/*"])
    login = rt.streams.login(user="ada", password=PASSWORD, server=server)
    with pytest.raises(Refused) as caught:
        rt.streams.connect("prices", server=server.url, token=login)
    assert caught.value.code == "forbidden"
    assert PASSWORD not in repr(login)


def test_a_password_goes_over_an_encrypted_connection(rt):
    """This kernel trusts the certificate of its own server; another one has to be told of it."""
    server = serve(rt, tls=True)
    assert server.url.startswith("wss://")
    login = rt.streams.login(user="ada", password=PASSWORD)
    assert rt.streams.connect("prices", token=login).wait(rows=1) is not None
    elsewhere = Running()
    with pytest.raises(ConnectError, match="certificate is not to be trusted"):
        elsewhere.streams.login(user="ada", password=PASSWORD, server=server.url)
    login = elsewhere.streams.login(user="ada", password=PASSWORD, server=server.url, ca=server.certificate)
    assert login()


def test_nothing_runs(rt):
    """Then a server has to be named."""
    with pytest.raises(NotRunning, match="no server runs in this kernel"):
        rt.streams.login(user="ada", password=PASSWORD)


def test_it_is_a_verb_of_the_package():
    """With keywords, so that a password is never taken for a name."""
    assert rtwidgets.login.__doc__.startswith("Log in at the accounts of a server")
    with pytest.raises(TypeError):
        rtwidgets.login("ada", PASSWORD)
