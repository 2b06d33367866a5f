"""A document is what is in its log: across restarts, compactions and failures."""

from __future__ import annotations

import asyncio
import contextlib
import random

import pycrdt
import pytest

from rtwidgets.client import Multiplex
from rtwidgets.client.document import DocumentSource
from rtwidgets.errors import Refused
from rtwidgets.server import Server
from rtwidgets.services import choose, library
from rtwidgets.services.library import document_of
from rtwidgets.yjs.edits import Edit
from rtwidgets.yjs.record import Record
from rtwidgets.yjs.replica import Replica
from tests.talking import eventually

pytestmark = pytest.mark.usefixtures("tidy")

SERVICES = choose(["documents"])


@contextlib.asynccontextmanager
async def reading(server, user="ada"):
    """Open the document in our own dialect."""
    source = DocumentSource(Multiplex(server.url, server.token), "notes", user)
    await source.start()
    try:
        yield source
    finally:
        await source.close()


def logged(document):
    """Return the text that the document's log has."""
    return Replica([record.content for record in records(document)]).text


def records(document):
    return [Record.read(piece) for _, piece in library._messages(document.channel.log, 0)]


async def write(document, text, user="ada"):
    """Write at the end."""
    end = len(document.versions.text)
    return await document.edit((Edit(end, end, text),), user)


def end_of(text):
    return lambda now: (Edit(len(now), len(now), text),)


# Restarts


@pytest.fixture
def engine(tmp_path):
    return f"sqlite:///{tmp_path / 'documents.db'}"


async def test_a_restart_brings_the_document_back(engine):
    """Its text, its versions, who made each edit, and the same state of Yjs."""
    async with Server(SERVICES, engine=engine) as server:
        document = await document_of(server.hub, "notes")
        await write(document, "Grüße 😀\r\n")
        await write(document, "from bob", "bob")
        await document.edit((Edit(0, 1, "g"),), "ada")
        text, state, known = document.versions.text, document._replica.state(), records(document)
    async with Server(SERVICES, engine=engine) as server:
        document = await document_of(server.hub, "notes")
        assert document.versions.text == text == "grüße 😀\r\nfrom bob"
        assert document.versions.version == 3
        assert pycrdt.get_update(state, document.vector)[0] == 0  # all of it is there
        assert records(document) == known
        assert [record.user for record in known] == ["ada", "bob", "ada"]


@pytest.mark.parametrize("compacted", [False, True])
async def test_a_copy_that_was_kept_merges_after_a_restart(engine, compacted):
    """Nothing is doubled: the state of Yjs comes back, it is not made anew from the text."""
    doc = pycrdt.Doc({"content": pycrdt.Text()})
    content = doc["content"]
    async with Server(SERVICES, engine=engine) as server:
        document = await document_of(server.hub, "notes")
        await write(document, "kept by a client ")
        doc.apply_update(document.lacking(doc.get_state()))
        if compacted:
            await document._compact()
            await write(document, "and by another ")
    content.insert(0, "offline ")
    async with Server(SERVICES, engine=engine) as server:
        document = await document_of(server.hub, "notes")
        doc.apply_update(document.lacking(doc.get_state()))
        await document.update(doc.get_update(), "ada")
        expected = "offline kept by a client " + "and by another " * compacted
        assert document.versions.text == str(content) == logged(document) == expected


async def test_acknowledged_edits_survive_the_end_of_the_server_once(engine):
    """A client that goes on through the restart has each of its edits in the text one time."""
    async with Server(SERVICES, engine=engine) as server, reading(server) as source:
        port, token = server.port, server.token
        for number in range(20):
            await source.edit(end_of(f"<{number}>"))
        await server.stop()
        for number in range(20, 40):
            source._edited(source.replica.edit(end_of(f"<{number}>")(source.text)), ())
        async with Server(SERVICES, engine=engine, port=port, token=token) as again:
            await eventually(lambda: not source.unsent)
            document = await document_of(again.hub, "notes")
            expected = "".join(f"<{number}>" for number in range(40))
            assert document.versions.text == source.text == logged(document) == expected


# Compaction


@pytest.fixture
def small(monkeypatch):
    """Logs are compacted at a size that a test reaches."""
    monkeypatch.setattr(library, "COMPACT_ABOVE", 4_096)


async def test_the_log_stays_in_bounds(small):
    """However many edits there are, it has some times the bytes of the document's state at the most."""
    async with Server(SERVICES) as server, reading(server) as follower:
        document = await document_of(server.hub, "notes")
        draw, largest, sizes = random.Random(7), 0.0, 0
        for _ in range(2_000):
            size = len(document.versions.text)
            at = draw.randrange(size + 1)
            await document.edit((Edit(at, min(size, at + draw.choice([0, 0, 12])), "12345"),), "ada")
            sizes += document.channel.log.size
            bound = max(library.COMPACT_ABOVE, library.GROWTH * len(document._replica.state()) * 4 / 3)
            largest = max(largest, document.channel.log.size / bound)
        assert document.channel.log.compactions >= 3
        assert largest < 1.3  # one that is on its way comes late
        await eventually(lambda: follower.text == document.versions.text)
        assert logged(document) == document.versions.text
        async with reading(server, "bob") as new:
            assert new.text == document.versions.text
            assert new.replica.vector == follower.replica.vector


async def test_the_newest_edits_are_still_known_one_by_one(small):
    """A reader who comes after a compaction has them for its history, and the texts after each."""
    async with Server(SERVICES) as server:
        document = await document_of(server.hub, "notes")
        while not document.channel.log.compactions:
            await write(document, "word ", "bob")
            await asyncio.sleep(0)
        for _ in range(3):
            await write(document, "more ", "eve")
        async with reading(server) as source:
            first, *rest = records(document)
            assert first.state is not None
            assert len(source.history.entries) == len(rest) > 3
            assert source.history.oldest == document.channel.log.first
            newest = source.history.version
            assert newest == document.versions.version
            assert [entry.user for entry in source.history.entries[-4:]] == ["bob", "eve", "eve", "eve"]
            assert source.history.at(newest) == document.versions.text
            assert source.history.at(newest - 3) == document.versions.text.removesuffix("more " * 3)
            assert source.history.at(source.history.oldest) == Replica([first.state]).text


async def test_it_goes_on_while_the_log_is_compacted(small, engine):
    """Edits that are made meanwhile are neither lost nor doubled, in a file too."""
    async with Server(SERVICES, engine=engine) as server:
        document = await document_of(server.hub, "notes")
        for burst in range(6):
            await asyncio.gather(*(write(document, f"<{burst}.{number}>") for number in range(60)))
        log = document.channel.log
        await eventually(lambda: log.compactions > 0 and not document._compacting)
        text = document.versions.text
        expected = sorted(f"{burst}.{number}" for burst in range(6) for number in range(60))
        assert sorted(text.strip("<>").split("><")) == expected
        assert logged(document) == text
    async with Server(SERVICES, engine=engine) as server:
        assert (await document_of(server.hub, "notes")).versions.text == text


async def test_a_document_that_has_become_too_large(monkeypatch):
    """It takes no more edits, and says what to do."""
    monkeypatch.setattr(library, "MAX_STATE", 10_000)
    monkeypatch.setattr(library, "COMPACT_ABOVE", 1_000)
    async with Server(SERVICES) as server:
        document = await document_of(server.hub, "notes")
        with pytest.raises(Refused, match="begin another one") as caught:
            for _ in range(100):
                await write(document, "x" * 1_000)
                await asyncio.sleep(0)
        assert caught.value.code == "full"
        with pytest.raises(Refused, match="begin another one"):
            await document.update(b"\x00\x00", "ada")
        assert document.versions.text == logged(document)


# Failures


class Fragile:
    """An engine whose publishes fail when they are told to, and wait when they are told to."""

    def __init__(self, engine):
        self.engine = engine
        self.failing = []
        self.gate = asyncio.Event()
        self.gate.set()

    def __getattr__(self, name):
        return getattr(self.engine, name)

    async def publish(self, channel, pieces, *, idempotency=None):
        fails = self.failing.pop(0) if self.failing else False
        await self.gate.wait()
        if fails:
            raise Refused("not_stored", "the disk is full")
        return await self.engine.publish(channel, pieces, idempotency=idempotency)


async def fragile(server):
    document = await document_of(server.hub, "notes")
    document.channel._engine = engine = Fragile(document.channel._engine)
    return document, engine


async def test_an_edit_that_could_not_be_stored_is_not_there():
    """Neither in the text nor in what the log goes on with; the next one lands."""
    async with Server(SERVICES) as server, reading(server) as source:
        document, engine = await fragile(server)
        await write(document, "a")
        for failed in ("by edit", "by update"):
            engine.failing.append(True)
            with pytest.raises(Refused, match="disk is full"):
                if failed == "by edit":
                    await write(document, "lost")
                else:
                    await document.update(
                        Replica([document._replica.state()]).edit((Edit(0, 0, "lost"),)), "x"
                    )
            assert document.versions.text == logged(document) == document._replica.text
            await write(document, "b")
        await eventually(lambda: source.text == "abb")
        assert document.versions.text == logged(document) == "abb"


@pytest.mark.parametrize("failing", [[True, False, False], [False, True, False], [True, True, False]])
async def test_of_several_on_their_way_each_lands_or_is_refused(failing):
    """What was acknowledged is in the text of everybody, what was refused is not."""
    async with Server(SERVICES) as server, reading(server) as source:
        document, engine = await fragile(server)
        await write(document, "start ")
        engine.gate.clear()
        engine.failing = list(failing)
        words = ["one ", "two ", "three "]
        edits = [asyncio.ensure_future(write(document, word)) for word in words]
        await asyncio.sleep(0)  # all of them are on their way
        engine.gate.set()
        results = await asyncio.gather(*edits, return_exceptions=True)
        engine.failing.clear()
        await write(document, "end")
        taken = {word for word, result in zip(words, results, strict=True) if isinstance(result, int)}
        await eventually(lambda: source.text.endswith("end"))
        assert set(document.versions.text.split()) == {"start", "end", *(word.strip() for word in taken)}
        assert document.versions.text == logged(document) == source.text


async def test_a_bad_update_disturbs_nobody():
    """What others have on its way lands, and saves of older versions are still understood."""
    async with Server(SERVICES) as server:
        document, engine = await fragile(server)
        await write(document, "one ")
        engine.gate.clear()
        edits = [asyncio.ensure_future(write(document, word)) for word in ("two ", "three ")]
        await asyncio.sleep(0)
        with pytest.raises(Refused):
            await document.update(b"garbage", "eve")
        engine.gate.set()
        assert await asyncio.gather(*edits) == [2, 3]
        assert document.versions.text == logged(document) == document._replica.text
        assert sorted(document.versions.text.split()) == ["one", "three", "two"]
        assert document.versions.at(1) == "one "
