"""G13: documents converge, and no insert is lost that nobody has deleted, whatever dialect it came in."""

from __future__ import annotations

import asyncio
import contextlib
from itertools import count

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from rtwidgets.client import Multiplex
from rtwidgets.client import link as link_
from rtwidgets.client.backoff import Backoff
from rtwidgets.client.document import DocumentSource
from rtwidgets.loop import peek_errors
from rtwidgets.server import Server
from rtwidgets.services import choose, library
from rtwidgets.services.library import document_of
from rtwidgets.testing import FaultProxy
from rtwidgets.yjs.edits import Edit
from rtwidgets.yjs.replica import Replica
from tests.editors import NodeEditor, TextArea, YjsEditor, come_about
from tests.interop.conftest import peers
from tests.talking import eventually

__all__ = ["peers"]

pytestmark = pytest.mark.usefixtures("tidy")

SERVICES = choose(["documents"])
SPACE = [
    "é",
    "😀",
    "👩\u200d👩\u200d👧",
    "e\u0301",
    "\u200d",
    "\r\n",
    "\r",
    "\n",
    "a",
    "𝒳",
    "\u0000",
    "\u2028",
    "שָׁ",
    "🏳️\u200d🌈",
    "",
]
PLAIN, GUESSED, OURS, YJS = range(4)
"""Peers: a text area that says which version it was made from, one that does not and only inserts, our own
client, and a Yjs one."""


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """Waits of a few milliseconds; and nobody is thought to have read what a slow machine has not shown."""
    monkeypatch.setattr(link_, "Backoff", lambda: Backoff(0.005, 0.02, 0.0))
    monkeypatch.setattr(library, "IN_FLIGHT", 600.0)


class World:
    """Peers of one document, each behind a proxy of its own, and what became of each insert."""

    def __init__(self, server, name):
        self.server = server
        self.name = name
        self.proxies = []
        self.peers = []
        self.inserted, self.deleted = "", set()
        self.tampered = False  # whether anything was deleted or undone: then an insert may be made twice
        self._fresh = map(chr, count(0x4E00))

    async def set_up(self, stack):
        for _ in range(4):
            proxy = FaultProxy("127.0.0.1", self.server.port)
            self.proxies.append(await stack.enter_async_context(proxy))
        urls = [proxy.url for proxy in self.proxies]
        token = self.server.token
        for number in (PLAIN, GUESSED):
            self.peers.append(TextArea(f"{urls[number]}/documents/{self.name}", token, echo=number == PLAIN))
        self.peers.append(DocumentSource(Multiplex(urls[OURS], token), self.name, "ada"))
        self.peers.append(YjsEditor(f"{urls[YJS]}/yjs/{self.name}", token))
        for peer in self.peers:
            stack.push_async_callback(peer.close)
        await self.peers[OURS].start()
        await eventually(lambda: all(peer.version is not None for peer in self.peers[:2]))
        await eventually(lambda: self.peers[YJS].answers)

    # What a peer does

    async def edit(self, number, start, stop, text):
        """Replace characters: something is inserted that is there once only, with any Unicode around it."""
        peer = self.peers[number]
        size = len(peer.text)
        start = round(start * size)
        stop = start if stop is None or number == GUESSED else min(size, start + stop)
        if text is not None and number == GUESSED:
            text = "", ""  # what it saves is told from what others write by its characters alone
        if text is None:
            new = ""
        else:
            mark = next(self._fresh)
            new = text[0] + mark + text[1]
            self.inserted += mark
        self.deleted |= set(peer.text[start:stop])
        self.tampered = self.tampered or stop > start
        if number == OURS:
            change = (Edit(start, stop, new),)
            if new or stop > start:
                peer._edited(peer.replica.edit(change), change)
        elif number == YJS:
            await peer.edit(start, stop, new)
        else:
            peer.edit(start, stop, new)

    async def undo(self, number, *, redo):
        if number not in {OURS, YJS}:
            return
        peer = self.peers[number]
        before, self.tampered = peer.text, True
        if number == YJS:
            await peer.undo(redo=redo)
        else:
            done = peer.replica.redo() if redo else peer.replica.undo()
            if done is not None:
                peer._edited(done[1], done[0])
        self.deleted |= set(before) - set(peer.text)

    async def sync(self, number):
        """Save what a text area has, and show it what came."""
        if number in {PLAIN, GUESSED}:
            await self.peers[number].save()
            self.peers[number].show()

    async def part(self, number):
        """Take the link down: by a black hole, or by a cut where the peer connects again."""
        proxy = self.proxies[number]
        if number in {OURS, YJS}:
            proxy.refuse = True
            proxy.cut()
        else:
            proxy.black_hole()

    async def heal(self, number):
        self.proxies[number].heal()

    async def settle(self):
        """Lift all faults, send all that is left, and wait until everybody has the same text."""
        for proxy in self.proxies:
            proxy.heal()
        areas, ours, yjs = self.peers[:2], self.peers[OURS], self.peers[YJS]
        await eventually(lambda: yjs.connection is not None and ours.link.opened is not None)
        for area in areas:
            await area.save()
            await asyncio.wait_for(area.barrier(), 20)
        await eventually(lambda: not ours.unsent)
        await asyncio.wait_for(self._yjs_is_in_step(), 20)
        document = await document_of(self.server.hub, self.name)

        def same():
            for area in areas:
                area.show()
            return {peer.text for peer in self.peers} == {document.versions.text}

        await eventually(same)
        return document

    async def _yjs_is_in_step(self):
        """A barrier that is lost with its connection is set again on the next one."""
        yjs = self.peers[YJS]
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(yjs.barrier(), 0.5)
                return

    async def check(self):
        document = await self.settle()
        text = document.versions.text
        kept = set(self.inserted) - self.deleted
        assert kept <= set(text), kept - set(text)
        if not self.tampered:
            assert sorted(mark for mark in text if mark in self.inserted) == sorted(self.inserted)
        assert Replica([document.lacking(b"\x00")]).text == text
        assert not [
            error
            for area in self.peers[:2]
            for error in area.errors
            if "JSON" not in error and "send" not in error
        ]


numbers = st.integers(0, 3)
places = st.floats(0, 1)
spaces = st.tuples(st.sampled_from(SPACE), st.sampled_from(SPACE))
steps = st.one_of(
    st.tuples(st.just("edit"), numbers, places, st.none(), spaces),
    st.tuples(st.just("edit"), numbers, places, st.none(), spaces),
    st.tuples(st.just("edit"), numbers, places, st.integers(1, 6), st.none() | spaces),
    st.tuples(st.sampled_from(["undo", "redo"]), numbers),
    st.tuples(st.just("sync"), numbers),
    st.tuples(st.just("sync"), numbers),
    st.tuples(st.sampled_from(["part", "heal"]), numbers),
    st.tuples(st.just("pass"), st.sampled_from([0.0, 0.003, 0.02])),
)


async def play(server, name, steps):
    async with contextlib.AsyncExitStack() as stack:
        world = World(server, name)
        await world.set_up(stack)
        for kind, *arguments in steps:
            if kind == "pass":  # chance decides what of the rest comes through meanwhile
                await asyncio.sleep(arguments[0])
            elif kind in {"undo", "redo"}:
                await world.undo(*arguments, redo=kind == "redo")
            else:
                await getattr(world, kind)(*arguments)
        await world.check()


def test_peers_of_all_dialects_converge():
    """However their edits and undos cross, and whoever is cut off meanwhile; any Unicode comes through."""
    names = count()
    with asyncio.Runner() as runner:
        server = Server(SERVICES)
        runner.run(server.start())

        @settings(
            max_examples=250,
            derandomize=True,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        @given(st.lists(steps, min_size=5, max_size=40))
        def converge(steps):
            runner.run(play(server, f"document{next(names)}", steps))
            assert not peek_errors()

        try:
            converge()
        finally:
            runner.run(server.stop())


async def test_yjs_in_node_converges_with_all_others(peers):
    """Two of its providers, our client, text areas and a Yjs client in Python, while links break."""
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(Server(SERVICES))
        world = World(server, "notes")
        await world.set_up(stack)
        proxy = await stack.enter_async_context(FaultProxy("127.0.0.1", server.port))
        node = [
            await stack.enter_async_context(NodeEditor.start(peers, proxy.url, server.token))
            for _ in range(2)
        ]
        for number in range(25):
            for peer in node:
                mark = next(world._fresh)
                world.inserted += mark
                await peer.say(insert=[0, SPACE[number % len(SPACE)] + mark + "🌍"])
            for other in range(4):
                await world.edit(other, (number * 7 % 11) / 11, None, (SPACE[number % len(SPACE)], "😀"))
                await world.sync(other)
            if number == 8:
                proxy.black_hole()
                await world.part(OURS)
            elif number == 14:
                proxy.heal()
                proxy.cut()
                await world.heal(OURS)
                await world.part(YJS)
        document = await world.settle()
        for peer in node:
            await come_about(peer.say, lambda now: now["text"] == document.versions.text)
        await world.check()
