"""A document's copy at a client: edits without the server, and what becomes of them."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from rtwidgets.client import Multiplex
from rtwidgets.client import link as link_
from rtwidgets.client.backoff import Backoff
from rtwidgets.client.document import DocumentSource
from rtwidgets.client.stats import StatsSource
from rtwidgets.errors import Closed, DocumentLost, Refused, Unauthorized
from rtwidgets.loop import take_errors
from rtwidgets.server import Server
from rtwidgets.services import choose
from rtwidgets.services.library import MAX_UPDATE, document_of
from rtwidgets.testing import FaultProxy
from rtwidgets.yjs.edits import Edit
from rtwidgets.yjs.protocol import Awareness, State, Update, decode, encode
from rtwidgets.yjs.replica import Replica
from tests.talking import eventually

pytestmark = pytest.mark.usefixtures("tidy")

SERVICES = choose(["documents"])


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """Waits of a few milliseconds."""
    monkeypatch.setattr(link_, "Backoff", lambda: Backoff(0.005, 0.02, 0.0))


@contextlib.asynccontextmanager
async def reading(server, user="ada", *, url=None, token=None):
    source = DocumentSource(Multiplex(url or server.url, token or server.token), "notes", user)
    await source.start()
    try:
        yield source
    finally:
        await source.close()


@contextlib.asynccontextmanager
async def proxied():
    """A server, and a proxy before it."""
    async with Server(SERVICES) as server, FaultProxy("127.0.0.1", server.port) as proxy:
        yield server, proxy


def end_of(text):
    return lambda now: (Edit(len(now), len(now), text),)


def front_of(text):
    return lambda now: (Edit(0, 0, text),)


def type_in(source, make):
    """Make an edit without waiting for the server, as an editor on the screen does."""
    change = make(source.text)
    source._edited(source.replica.edit(change), change)


async def down(source, proxy):
    """Take the link down, for as long as it is not healed."""
    proxy.refuse = True
    proxy.cut()
    await eventually(lambda: source._multiplex._connection is None)


async def text_of(server):
    return (await document_of(server.hub, "notes")).versions.text


# Edits without the server


async def test_edits_while_the_link_is_down():
    """They are in the text at once, and sent when it is back, once; nobody waits for that."""
    async with proxied() as (server, proxy), reading(server, "bob") as bob:  # noqa: SIM117
        async with reading(server, url=proxy.url) as ada:
            await ada.edit(end_of("both "))
            await eventually(lambda: bob.text == "both ")
            await down(ada, proxy)
            for number in range(3):
                await asyncio.wait_for(ada.edit(end_of(f"offline{number} ")), 20)
            assert ada.text == "both offline0 offline1 offline2 "
            assert ada.unsent == 3
            await bob.edit(front_of("online "))
            assert await text_of(server) == "online both "
            proxy.heal()
            await eventually(lambda: ada.text == bob.text == "online both offline0 offline1 offline2 ")
            await eventually(lambda: ada.unsent == 0)
            assert await text_of(server) == ada.text


async def test_nobody_waits_for_a_link_that_breaks():
    """An edit that was on its way then is sent again later; who waits for it goes on."""
    async with proxied() as (server, proxy), reading(server, url=proxy.url) as ada:
        proxy.black_hole()
        edit = asyncio.ensure_future(ada.edit(end_of("x")))
        await eventually(lambda: ada.unsent)
        assert not edit.done()
        proxy.refuse = True
        proxy.cut()
        await asyncio.wait_for(edit, 20)
        proxy.heal()
        await eventually(lambda: not ada.unsent)
        assert await text_of(server) == ada.text == "x"


@pytest.mark.parametrize("step", [1, 7, 33])
async def test_edits_survive_cuts_at_any_time(step):
    """In the middle of a frame, before and after the server has taken them: each is there once, in order."""
    async with proxied() as (server, proxy), reading(server, url=proxy.url) as ada:
        count = 150
        for number in range(count):
            type_in(ada, end_of(f"<{number}>"))
            if number % 10 == 0:
                proxy.cut_after(number * step % 331)
            await asyncio.sleep(0.001)
        await eventually(lambda: not ada.unsent)
        assert proxy.statistics().cuts >= 5
        expected = "".join(f"<{number}>" for number in range(count))
        assert await text_of(server) == ada.text == expected
        async with reading(server, "bob") as bob:
            assert bob.text == expected


async def test_a_burst_of_more_than_65_536_edits():
    """All of them arrive, at one who is there and at one who comes."""
    async with Server(SERVICES) as server, reading(server) as ada, reading(server, "bob") as bob:
        count = 65_537
        for number in range(count):
            type_in(ada, lambda now, number=number: (Edit(len(now), len(now), chr(33 + number % 90)),))
        assert ada.unsent == count
        async with asyncio.timeout(60):
            await ada.settled()
        expected = "".join(chr(33 + number % 90) for number in range(count))
        await eventually(lambda: len(bob.text) == count)
        assert bob.text == ada.text == await text_of(server) == expected
        async with reading(server, "eve") as eve:
            assert eve.text == expected


# Edits that are refused


@pytest.mark.parametrize("watched", [False, True])
async def test_an_edit_that_is_refused_is_taken_back(watched):
    """It raises, or is reported where nobody waits; the text is as before, and the next edit is taken."""
    async with Server(SERVICES) as server, reading(server) as ada:
        await ada.edit(end_of("before "))
        large = end_of("x" * (MAX_UPDATE + 1))
        if watched:
            with pytest.raises(Refused, match="too large"):
                await ada.edit(large)
        else:
            type_in(ada, large)
            await eventually(lambda: not ada.unsent)
            assert [type(error) for _, error in take_errors()] == [Refused]
        assert ada.text == "before "
        await ada.edit(end_of("after"))
        assert ada.text == await text_of(server) == "before after"


async def test_an_edit_larger_than_a_message_is_refused_too():
    """Not even the codec gets in the way of taking it back."""
    async with Server(SERVICES) as server, reading(server) as ada:
        with pytest.raises(Refused, match="too large"):
            await asyncio.wait_for(ada.edit(end_of("x" * 2_000_000)), 20)
        await asyncio.wait_for(ada.edit(end_of("after")), 20)
        assert ada.text == await text_of(server) == "after"


async def test_who_may_only_read():
    """Its edits are refused before they are made; it sees those of others."""
    async with Server(SERVICES) as server, reading(server, "bob") as bob:
        token = server.hub.tokens.issue(
            "ada", scopes=["subscribe:documents/*", "presence:documents/*"], lifetime=60
        )
        async with reading(server, token=token) as ada:
            assert not ada.writable
            for call in (ada.edit(end_of("x")), ada.undo(), ada.undo(redo=True)):
                with pytest.raises(Refused, match="does not allow to edit 'notes'"):
                    await call
            heard = []
            editing = ada.join(heard.append)
            editing.say(encode(Update(Replica().edit((Edit(0, 0, "x"),)))))
            assert heard == [b""]  # throw it away, and sync again
            editing.leave()
            await bob.edit(end_of("from bob"))
            await eventually(lambda: ada.text == "from bob")
            assert await text_of(server) == "from bob"


# Another document


async def test_a_server_that_has_lost_the_document():
    """The stale copy is thrown away and kept aside, not merged: what was begun anew is not doubled."""
    server = Server(SERVICES)
    await server.start()
    try:
        async with reading(server, "ada") as ada:
            await ada.edit(end_of("written before"))
            port, token = server.port, server.token
            heard = []
            editing = ada.join(heard.append)
            await server.stop()
            await eventually(lambda: ada._multiplex._connection is None)
            type_in(ada, end_of(" and offline"))
            server = Server(SERVICES, port=port, token=token)
            other = await document_of(server.hub, "notes")
            await other.edit((Edit(0, 0, "written before"),), "bob")  # somebody has pasted it
            await server.start()
            await eventually(lambda: ada.discarded is not None and ada.caught_up)
            assert ada.text == await text_of(server) == "written before"
            assert ada.discarded == "written before and offline"
            assert ada.unsent == 0
            assert b"" in heard
            errors = [error for _, error in take_errors()]
            assert [type(error) for error in errors] == [DocumentLost]
            await ada.edit(end_of("!"))
            assert ada.text == await text_of(server) == "written before!"
            editing.leave()
    finally:
        await server.stop()


# Undo


async def test_only_own_edits_are_undone():
    """In the order they were made; what the other one has written stays, and redo brings them back."""
    async with Server(SERVICES) as server, reading(server) as ada, reading(server, "bob") as bob:
        await ada.edit(end_of("a1 "))
        await eventually(lambda: bob.text == "a1 ")
        await bob.edit(end_of("b1 "))
        await eventually(lambda: ada.text == "a1 b1 ")
        await ada.edit(end_of("a2 "))
        texts = []
        while await ada.undo():
            texts.append(ada.text)
        assert texts == ["a1 b1 ", "b1 "]
        assert await ada.undo(redo=True)
        assert await ada.undo(redo=True)
        assert not await ada.undo(redo=True)
        assert ada.text == await text_of(server) == "a1 b1 a2 "
        await eventually(lambda: bob.text == ada.text)
        await bob.undo()
        await eventually(lambda: ada.text == "a1 a2 ")


# Others


async def test_awareness_between_two_clients():
    """The cursor of an editor of one is heard by the editors of the other, until it leaves."""
    async with Server(SERVICES) as server, reading(server) as ada, reading(server, "bob") as bob:
        heard = []
        at_ada, at_bob = ada.join(lambda message: None), bob.join(heard.append)
        state = '{"user":{"name":"Zoë 😀"},"cursor":null}'.encode()
        at_ada.say(encode(Awareness([State(7, 1, state)])))
        await eventually(lambda: bob.awareness.users == {7: "Zoë 😀"})
        assert decode(heard[-1]) == Awareness([State(7, 1, state)])
        assert ada.awareness.users == {7: "Zoë 😀"}
        at_ada.leave()
        await eventually(lambda: bob.awareness.users == {})
        assert decode(heard[-1]).states[0].state is None
        at_bob.leave()


async def test_who_is_present():
    """Both see both; who goes is gone, and a break does not double anybody."""
    async with proxied() as (server, proxy), reading(server, url=proxy.url) as ada:
        async with reading(server, "bob") as bob:
            await eventually(lambda: sorted(ada.present) == sorted(bob.present) == ["ada", "bob"])
            proxy.cut()
            await eventually(lambda: proxy.statistics().accepted == 2)
            await eventually(lambda: sorted(ada.present) == ["ada", "bob"])
        await eventually(lambda: ada.present == ["ada"])


async def test_saves_of_whole_texts():
    """A text area at one client and the edits of another are merged; what is watched is the newest text."""
    async with Server(SERVICES) as server, reading(server) as ada, reading(server, "bob") as bob:
        shown = []
        end = ada.watch(lambda text, version: shown.append((text, version)))
        ada.save("one two", shown[-1][1])
        await ada.settled()
        version = shown[-1][1]
        await eventually(lambda: bob.text == "one two")
        await bob.edit(front_of("zero "))
        await eventually(lambda: ada.text == "zero one two")
        ada.save("one two three", version)  # had not seen that yet
        assert shown[-1][0] == ada.text == "zero one two three"
        ada.save("one two three \ud800", version)
        assert [type(error) for _, error in take_errors()] == [UnicodeEncodeError]
        ada.save("one two three four", version)
        assert ada.text == "zero one two three four"
        await ada.settled()
        assert await text_of(server) == ada.text
        end()
        before = len(shown)
        await ada.edit(end_of("!"))
        assert len(shown) == before


async def test_rows_about_what_goes_on(monkeypatch):
    """Characters, edits of the last minute, who is there and when: a row now, and one each second."""
    monkeypatch.setattr("rtwidgets.client.stats.EVERY", 0.01)
    async with Server(SERVICES) as server, reading(server) as ada, reading(server, "bob") as bob:
        await bob.edit(end_of("😀 four"))
        await eventually(lambda: len(ada.text) == 6)
        stats = await StatsSource.open(ada, lambda: len(ada.present))
        await eventually(lambda: len(stats.frame) > 2)
        await ada.edit(end_of("!"))
        await eventually(lambda: stats.frame.view().columns["characters"][-1] == 7)
        await eventually(lambda: stats.frame.view().columns["edits_per_minute"][-1] == 2)
        columns = {name: values.tolist() for name, values in stats.frame.view().columns.items()}
        assert (columns["characters"][0], columns["edits_per_minute"][0]) == (6, 1)
        assert set(columns["editors"]) == {2}
        assert columns["time"] == sorted(columns["time"])
        await stats.close()


async def test_who_may_read_the_document_alone_sees_nobody_in_it():
    """The text comes all the same."""
    async with Server(SERVICES) as server, reading(server) as ada:
        await ada.edit(end_of("words"))
        token = server.hub.tokens.issue(
            "bob", scopes=["subscribe:documents/notes", "presence:documents/notes"], lifetime=60
        )
        async with reading(server, "bob", token=token) as bob:
            assert bob.text == "words"
            assert not bob.writable
            await eventually(lambda: ada.present == ["ada", "bob"])
    assert take_errors() == []


async def test_a_connection_that_is_lost_for_good():
    """Who waits is told why, who edits afterwards too, and it is reported."""
    async with proxied() as (server, proxy):
        token = server.hub.tokens.issue("ada", scopes=["*:documents/*"], lifetime=60)
        async with reading(server, url=proxy.url, token=token) as ada:
            proxy.latency = 0.5  # the answer is on its way for long
            edit = asyncio.ensure_future(ada.edit(end_of("x")))
            await eventually(lambda: ada.unsent == 1)
            ada._multiplex.link._end(Unauthorized(proxy.url, "the token is wrong"), "the token is wrong")
            with pytest.raises(Unauthorized):
                await asyncio.wait_for(edit, 20)
            with pytest.raises(Unauthorized):
                await ada.edit(end_of("y"))
            assert not ada.writable
            assert any(isinstance(error, Unauthorized) for _, error in take_errors())
    assert [type(error) for _, error in take_errors()] == [Closed]  # the edit that nobody has


async def test_stopping_on_a_silent_link():
    """Whoever waits is told, and what the server does not have is reported; the connection ends."""
    async with proxied() as (server, proxy):
        ada = DocumentSource(Multiplex(proxy.url, server.token), "notes", "ada")
        await ada.start()
        seat = ada.join(lambda message: None)
        seat.say(encode(Awareness([State(5, 1, b"{}")])))
        proxy.black_hole()
        edit = asyncio.ensure_future(ada.edit(end_of("x")))
        await eventually(lambda: ada.unsent == 1)
        await asyncio.wait_for(ada.close(), 20)
        with pytest.raises(Closed, match="was stopped"):
            await edit
        assert ada.link.ended.done()
        assert "1 edits that the server does not have" in str(take_errors()[0][1])
