import asyncio
import threading
import time

import jwt
import pytest

from rtwidgets.client import Multiplex, State, Subscription, link, token
from rtwidgets.client.backoff import Backoff
from rtwidgets.client.token import Token
from rtwidgets.errors import Closed, Unauthorized, Unreachable, UsageError
from rtwidgets.loop import take_errors
from rtwidgets.server import Server
from rtwidgets.services import service
from tests.talking import eventually

pytestmark = pytest.mark.usefixtures("tidy")
SECRET = "a secret of more than thirty-two bytes"


@service("/notes", writable=True)
async def notes(channel):
    """A channel that anybody may write to."""


class Notes:
    """A reader that keeps what it is told."""

    def __init__(self):
        self.subscription = Subscription("notes")
        self.seen = []

    def opened(self, answer):
        pass

    def read(self, run, known):
        self.seen += range(run.offset + known, run.offset + run.count)

    def read_latest(self, latest):
        pass

    def event(self, event):
        pass


@pytest.fixture
def quick(monkeypatch):
    """Links come back at once."""
    monkeypatch.setattr(link, "Backoff", lambda: Backoff(0.01, 0.05))


@pytest.fixture
def server():
    return Server([notes], jwt={"secret": SECRET})


def claims(**given):
    return jwt.encode({"sub": "ada"} | given, SECRET, algorithm="HS256")


def issuer(server, lifetime, scopes=("*:*",)):
    """A function that returns a new token, and remembers each of its calls."""

    def issue():
        issue.threads.append(threading.get_ident())
        return server.hub.tokens.issue("ada", scopes=scopes, lifetime=lifetime)

    issue.threads = []
    return issue


async def opened(server, given):
    multiplex, reader = Multiplex(server.url, given), Notes()
    await multiplex.subscribe(reader)
    return multiplex, reader


# Where a token comes from


async def test_text_is_as_it_is():
    """It is never asked for again."""
    given = Token("abc")
    assert (await given.get(), given.renewable, given.renew_in) == ("abc", False, None)


async def test_a_function_is_asked_each_time():
    """A plain one on a thread of its own, where it may block; an async one is awaited."""
    loop_thread, seen = threading.get_ident(), []

    def plain():
        seen.append(threading.get_ident())
        time.sleep(0.01)
        return f"plain{len(seen)}"

    async def slow():
        await asyncio.sleep(0)
        return "slow"

    given = Token(plain)
    assert [await given.get(), await given.get()] == ["plain1", "plain2"]
    assert loop_thread not in seen
    assert await Token(slow).get() == "slow"


@pytest.mark.parametrize("returned", [None, 7, b"bytes", "", "two words", "a\r\nX: b", "ä"])
async def test_what_is_no_token(returned):
    """It is an error, and goes into no header."""
    with pytest.raises(UsageError, match=r"returned .* and no text|a token is made of letters"):
        await Token(lambda: returned).get()


def test_what_is_neither():
    """Text or a function."""
    with pytest.raises(UsageError, match="token= is text or a function that returns it, not int"):
        Token(7)


async def test_a_function_that_takes_too_long(monkeypatch):
    """Is not waited for for ever, and holds up nothing else."""
    monkeypatch.setattr(token, "ASK_TIMEOUT", 0.05)
    gate = threading.Event()
    with pytest.raises(TimeoutError):
        await Token(lambda: str(gate.wait(20))).get()
    gate.set()


@pytest.mark.parametrize(
    ("issued", "expires", "wait"),
    [
        (0, 100, 80),
        (None, 100, 80),
        (-50, 50, 40),  # half of its life is over
        (1_000, 1_100, 80),  # this machine's clock is behind
        (-1_000, -900, 80),  # or ahead
        (None, -5, 1),
        (0, 0.5, 1),
    ],
)
async def test_when_it_is_renewed(issued, expires, wait):
    """After four fifths of what is left of its life, whatever the clocks say."""
    now = time.time()
    life = {"exp": now + expires} | ({} if issued is None else {"iat": now + issued})
    given = Token(lambda: claims(**life))
    assert given.renew_in is None
    await given.get()
    assert given.renew_in == pytest.approx(wait, abs=0.9)


@pytest.mark.parametrize(
    "text", ["abc", "a.b.c", "..", claims(), claims(exp=None), "a." + "W1tb" * 3_000 + ".c"]
)
async def test_what_says_nothing_of_its_life(text):
    """Is never renewed."""
    given = Token(lambda: text)
    await given.get()
    assert given.renew_in is None


def test_it_is_not_shown():
    """Not in the repr."""
    assert (repr(Token("s3cret")), repr(Token(lambda: "s3cret"))) == ("Token()", "Token(a function)")


# How it is used


async def test_a_connection_outlives_its_tokens(server, quick, monkeypatch):
    """A new one is shown in time, by a function that is asked for it, and the connection never breaks."""
    monkeypatch.setattr(token, "RENEW_AT", 0.3)  # so that there is time on a slow machine
    async with server:
        issue = issuer(server, 4.0)
        multiplex, reader = await opened(server, issue)
        ends = time.time() + 5.5
        while time.time() < ends:
            await multiplex.publish("notes", 1)
            await asyncio.sleep(0.05)
        assert multiplex.link.connects == 1
        assert len(issue.threads) >= 3
        await eventually(lambda: reader.seen and reader.seen[-1] == reader.subscription.cursor.offset)
        await multiplex.close()


async def test_after_an_expiry_it_comes_back(server, quick, monkeypatch):
    """With a new token, and it goes on where it was, when the one before could not be renewed in time."""
    monkeypatch.setattr(token, "RENEW_EVERY", 60.0)
    async with server:
        short, long = issuer(server, 2.0), issuer(server, 60.0)
        multiplex, reader = await opened(server, lambda: long() if short.threads else short())
        await multiplex.publish("notes", 1)
        await eventually(lambda: multiplex.link.connects == 2)
        assert "code 4401" in multiplex.link.reason
        channel = await server.hub.channel("notes")
        await channel.publish(2)
        await eventually(lambda: reader.seen == [1, 2])
        assert (len(short.threads), len(long.threads)) == (1, 1)
        await multiplex.close()


async def test_text_that_has_expired_is_the_end(server, quick):
    """The stream ends, and says what to do."""
    async with server:
        multiplex, _ = await opened(server, server.hub.tokens.issue("ada", scopes=["*:*"], lifetime=2.0))
        error = await asyncio.wait_for(asyncio.shield(multiplex.link.ended), 20)
        assert isinstance(error, Unauthorized)
        assert "the token has expired: connect again with a new one as token=…, or with a function" in str(
            error
        )
        assert multiplex.link.state is State.CLOSED


async def test_a_rejected_token_is_asked_for_once_more(server, quick):
    """It may have expired on its way; a second refusal in a row is the end."""
    async with server:
        good, bad = issuer(server, 60.0), []

        def sometimes():
            if len(good.threads) == 1 and len(bad) < 1:
                bad.append(1)
                return claims(exp=1)
            return good()

        multiplex, _ = await opened(server, sometimes)
        for connection in list(server._connections):
            connection.transport.abort()
        await eventually(lambda: multiplex.link.connects == 2)
        assert bad
        multiplex._token._given = lambda: bad.append(1) or claims(exp=1)
        for connection in list(server._connections):
            connection.transport.abort()
        error = await asyncio.wait_for(asyncio.shield(multiplex.link.ended), 20)
        assert isinstance(error, Unauthorized)
        assert len(bad) == 3


async def test_a_function_that_fails_is_asked_again(server, quick):
    """At first it is an error; later the link waits and tries again. What it says is in no reason."""
    async with server:
        failing = [True]
        issue = issuer(server, 60.0)

        def ask():
            if failing:
                raise RuntimeError("s3cret")
            return issue()

        with pytest.raises(Unreachable, match="the function given as token= raised RuntimeError") as caught:
            await opened(server, ask)
        assert isinstance(caught.value.__cause__, RuntimeError)
        failing.clear()
        multiplex, _ = await opened(server, ask)
        failing.append(True)
        for connection in list(server._connections):
            connection.transport.abort()
        await eventually(lambda: multiplex.link.attempt > 2)
        assert "raised RuntimeError" in multiplex.link.reason
        assert "s3cret" not in str(multiplex.link.changes)
        failing.clear()
        await eventually(lambda: multiplex.link.state is State.OPEN)
        await multiplex.close()


async def test_a_function_that_gives_up_is_the_end(server, quick):
    """An error of ours that is no matter of the network says that no token will come."""
    async with server:

        def ask():
            raise Closed("'ada' was logged out: log in again")

        with pytest.raises(Unauthorized, match="there is no token: 'ada' was logged out: log in again"):
            await opened(server, ask)


async def test_a_renewal_that_fails_is_reported(server, quick, monkeypatch):
    """And tried again, while the connection goes on."""
    monkeypatch.setattr(token, "RENEW_EVERY", 0.05)
    async with server:
        issue, failing = issuer(server, 3.0), []
        monkeypatch.setattr(token, "RENEW_AT", 0.01)

        def ask():
            if len(issue.threads) == 1 and len(failing) < 2:
                failing.append(1)
                raise RuntimeError("not now")
            return issue()

        multiplex, _ = await opened(server, ask)
        await eventually(lambda: len(issue.threads) >= 2)
        assert multiplex.link.connects == 1
        await multiplex.close()
    errors = take_errors()
    assert [where for where, _ in errors] == [f"a new token for {server.url}"] * 2
    assert all("raised RuntimeError" in str(error) for _, error in errors)
