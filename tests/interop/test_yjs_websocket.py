"""y-websocket's own provider in Node beside our client and a plain one, in one document."""

from __future__ import annotations

import contextlib

import pytest

from rtwidgets.client import Multiplex
from rtwidgets.client.document import DocumentSource
from rtwidgets.server import Server
from rtwidgets.services import choose
from rtwidgets.services.library import document_of
from rtwidgets.testing import FaultProxy
from rtwidgets.yjs.edits import Edit
from tests.editors import NodeEditor, TextArea, come_about
from tests.talking import eventually

pytestmark = pytest.mark.usefixtures("tidy")

SERVICES = choose(["documents"])
WORLD = "Grüße, 世界 🌍 👩‍👩‍👧 e\u0301\r\n"


@contextlib.asynccontextmanager
async def editors(server, peers, *, count=2, url=None):
    """Some editors in Node, one of ours, and a plain one, all of them in the document."""
    async with contextlib.AsyncExitStack() as stack:
        node = [
            await stack.enter_async_context(NodeEditor.start(peers, url or server.url, server.token))
            for _ in range(count)
        ]
        source = DocumentSource(Multiplex(server.url, server.token), "notes", "ada")
        await source.start()
        stack.push_async_callback(source.close)
        area = TextArea(server.url + "/documents/notes", server.token, echo=True)
        stack.push_async_callback(area.close)
        await eventually(lambda: area.version is not None)
        yield node, source, area


async def same(node, source, area, expected=None):
    """Wait until all have the same text, and return it."""

    async def texts():
        area.show()
        return {source.text, area.text, *[(await peer.say())["text"] for peer in node]}

    await come_about(texts, lambda now: len(now) == 1 and expected in {None, *now})
    return source.text


async def test_each_hears_the_others(peers):
    """What is written in one dialect arrives in the others, to the character."""
    async with Server(SERVICES) as server, editors(server, peers) as ((one, two), source, area):
        await one.say(insert=[0, WORLD])
        await same([one, two], source, area, WORLD)
        await source.edit(lambda now: (Edit(now.index("🌍"), now.index("🌍") + 1, "🪐"),))
        text = await same([one, two], source, area, WORLD.replace("🌍", "🪐"))
        area.edit(len(text), len(text), "from a text area 😀")
        await area.save()
        text = await same([one, two], source, area, text + "from a text area 😀")
        await two.say(delete=[0, len("Grüße, ")])
        await same([one, two], source, area, text.removeprefix("Grüße, "))
        await one.say(undo=1)  # what others have written into it stays
        await same([one, two], source, area, "🪐from a text area 😀")


async def test_edits_at_the_same_time(peers):
    """Nothing is lost and nothing is doubled while all of them write, and a link breaks."""
    async with Server(SERVICES) as server, FaultProxy("127.0.0.1", server.port) as proxy:  # noqa: SIM117
        async with editors(server, peers, url=proxy.url) as ((one, two), source, area):
            words = []
            for number in range(30):
                for name, peer in (("one", one), ("two", two)):
                    words.append(f"<{name}{number}😀>")
                    await peer.say(insert=[0, words[-1]])
                words += [f"<v1{number}é>", f"<area{number}界>"]
                await source.edit(lambda now, text=words[-2]: (Edit(len(now), len(now), text),))
                area.edit(len(area.text), len(area.text), words[-1])
                await area.save()
                area.show()
                if number in {10, 20}:
                    proxy.cut()
            await area.barrier()
            await eventually(lambda: sum(map(source.text.count, words)) == len(words))
            text = await same([one, two], source, area)
            assert sorted(text) == sorted("".join(words))
            assert proxy.statistics().cuts >= 2
            assert text == (await document_of(server.hub, "notes")).versions.text


async def test_who_is_there(peers):
    """Awareness goes from provider to provider and to our client, and ends with the connection."""
    async with Server(SERVICES) as server, editors(server, peers) as ((one, two), source, _):
        number = str((await one.say(awareness={"user": {"name": "Zoë 😀"}}))["client"])
        state = {"user": {"name": "Zoë 😀"}}
        await come_about(two.say, lambda now: now["states"].get(number) == state)
        await eventually(lambda: source.awareness.users == {int(number): "Zoë 😀"})
        await one.say(disconnect=1)
        await come_about(two.say, lambda now: number not in now["states"])
        await eventually(lambda: source.awareness.users == {})


async def test_what_was_written_without_a_connection(peers):
    """The provider brings it along when it connects again, after a restart of the server too."""
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(Server(SERVICES))
        one = await stack.enter_async_context(NodeEditor.start(peers, server.url, server.token))
        await one.say(insert=[0, "both "])
        document = await document_of(server.hub, "notes")
        await eventually(lambda: document.versions.text == "both ")
        await one.say(disconnect=1)
        await one.say(insert=[5, "offline 😀"])
        await document.edit((Edit(0, 0, "online "),), "ada")
        await one.say(connect=1)
        await eventually(lambda: document.versions.text == "online both offline 😀")
        await server.stop()
        again = Server(SERVICES, port=server.port, token=server.token)
        await stack.enter_async_context(again)
        document = await document_of(again.hub, "notes")
        await eventually(lambda: document.versions.text == "online both offline 😀")
        assert (await one.say())["text"] == document.versions.text
