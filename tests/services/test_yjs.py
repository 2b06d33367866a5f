"""Yjs clients at /yjs/{name}: what they may send, and what each of them is sent."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket

import pycrdt
import pytest
from websockets.exceptions import ConnectionClosedError

from rtwidgets.client import Multiplex
from rtwidgets.client.document import DocumentSource
from rtwidgets.messages import TOKEN_EXPIRED
from rtwidgets.server import Server, outbox
from rtwidgets.services import choose
from rtwidgets.services.library import MAX_UPDATE, document_of
from rtwidgets.yjs.edits import Edit
from rtwidgets.yjs.protocol import AskAwareness, Awareness, State, Step1, Update, decode, encode
from rtwidgets.yjs.replica import Replica
from tests.editors import YjsEditor
from tests.talking import dial, eventually, upgrade

pytestmark = pytest.mark.usefixtures("tidy")

SERVICES = choose(["documents"])


@contextlib.asynccontextmanager
async def editor(server, token=None):
    editor = YjsEditor(server.url + "/yjs/notes", token or server.token)
    try:
        await eventually(lambda: editor.answers)
        yield editor
    finally:
        await editor.close()


async def text_of(server):
    return (await document_of(server.hub, "notes")).versions.text


def present(client, name, clock=1):
    return Awareness([State(client, clock, json.dumps({"user": {"name": name}}).encode())])


async def until_closed(connection):
    """Read to the end, and return the code."""
    with contextlib.suppress(ConnectionClosedError):
        async with asyncio.timeout(20):
            async for message in connection:
                assert isinstance(message, bytes)
    return connection.close_code


async def test_two_editors():
    """Each has what the other one writes and what was there before, whatever the characters."""
    async with Server(SERVICES) as server:
        await (await document_of(server.hub, "notes")).edit((Edit(0, 0, "héllo 😀\r\n"),), "ada")
        async with editor(server) as one, editor(server) as two:
            assert one.text == "héllo 😀\r\n"
            await one.edit(6, 7, "👩‍👩‍👧")
            await eventually(lambda: two.text == "héllo 👩‍👩‍👧\r\n")
            await two.edit(0, 0, "Grüße ")
            await eventually(lambda: one.text == "Grüße héllo 👩‍👩‍👧\r\n")
            await two.undo()
            await eventually(lambda: one.text == "héllo 👩‍👩‍👧\r\n")
        assert await text_of(server) == "héllo 👩‍👩‍👧\r\n"


async def test_what_was_written_without_a_connection():
    """It comes with the answer to the server's step 1, once, as does what the others wrote meanwhile."""
    async with Server(SERVICES) as server, editor(server) as one, editor(server) as two:
        await one.edit(0, 0, "both ")
        await eventually(lambda: two.text == "both ")
        one.connection.transport.abort()
        await eventually(lambda: one.connection is None)
        await one.edit(5, 5, "offline ")
        await two.edit(0, 0, "online ")
        await eventually(lambda: one.text == two.text == "online both offline ")
        assert one.connects == 2
        assert await text_of(server) == one.text


FIRST = Replica()
FIRST.edit((Edit(0, 0, "Grüße"),))
STATE = FIRST.state()
EMBED = pycrdt.Doc({"content": pycrdt.Text("abc")})
EMBED["content"].insert_embed(1, {"image": "x"})


@pytest.mark.parametrize(
    "said",
    [
        "text",
        json.dumps({"type": "edit", "content": "x"}),
        b"",
        b"\x00",
        b"\x07\x00",
        b"\x00\x02",
        b"\x00\x02\x05ab",
        b"\x00\x02" + b"\xff" * 10,
        b"\x00\x00" + b"\x80" * 9 + b"\x01",
        b"\x00\x00\x03\xff\xff\xff",
        b"\x01\x04\x01\x01\x01\xff",
        b"\x01" + b"\xff\xff\xff\xff\x0f" + b"x",
        b"\x02\x00",
        encode(AskAwareness()) + b"\x00",
        encode(Update(STATE))[:-2],
        encode(Update(STATE[:-3])),
        encode(Update(b"")),
        encode(Update(b"\xff" * 40)),
        encode(Update(EMBED.get_update())),
        encode(Update(pycrdt.Doc({"content": pycrdt.Array(["a"])}).get_update())),
        encode(Update(b"x" * (MAX_UPDATE + 1))),
    ],
)
async def test_a_hostile_client_is_closed_alone(said):
    """With code 1008 and a reason; others go on, and the document is as it was."""
    async with Server(SERVICES) as server, editor(server) as other:
        await other.edit(0, 0, "as it was")
        async with dial(server, "/yjs/notes") as hostile:
            await hostile.send(said)
            assert await until_closed(hostile) == 1008
            assert hostile.close_reason
        await other.edit(0, 0, "still ")
        await other.barrier()
        assert other.connects == 1
        assert other.text == await text_of(server) == "still as it was"


async def test_an_update_on_unknown_edits():
    """The client is asked for what is missing, and nothing is lost."""
    async with Server(SERVICES) as server, dial(server, "/yjs/notes") as client:
        doc = pycrdt.Doc({"content": pycrdt.Text("first")})
        before = doc.get_state()
        doc["content"].insert(5, " second")
        assert isinstance(decode(await client.recv()), Step1)
        await client.send(encode(Update(doc.get_update(before))))
        step = decode(await asyncio.wait_for(client.recv(), 20))
        assert isinstance(step, Step1)
        await client.send(encode(Update(doc.get_update(step.state), answer=True)))
        assert isinstance(decode(await asyncio.wait_for(client.recv(), 20)), Update)
        assert await text_of(server) == "first second"


async def test_who_may_only_read():
    """It sees the text and who is there, and is seen; what it writes is dropped."""
    async with Server(SERVICES) as server:
        scopes = ["subscribe:documents/notes", "presence:documents/notes"]
        token = server.hub.tokens.issue("ada", scopes=scopes, lifetime=60)
        async with editor(server) as writer, editor(server, token) as reader:
            await reader.edit(0, 0, "from the reader")
            await reader.barrier()
            await writer.edit(0, 0, "from the writer ")
            await eventually(lambda: "from the writer" in reader.text)
            await reader.send(present(7, "ada"))
            await eventually(lambda: writer.states == {7: {"user": {"name": "ada"}}})
            await writer.send(present(8, "bob"))
            await eventually(lambda: 8 in reader.states)
            assert reader.connects == 1
            assert writer.text == await text_of(server) == "from the writer "


async def test_who_may_not_read():
    """It is closed without a word of the document."""
    async with Server(SERVICES) as server:
        token = server.hub.tokens.issue("ada", scopes=["*:documents/other"], lifetime=60)
        async with dial(server, "/yjs/notes", token=token) as client:
            with pytest.raises(Exception, match="1008"):
                await asyncio.wait_for(client.recv(), 20)
        assert server.hub.channels == []  # nor does it make one by asking


async def test_nobody_speaks_for_others():
    """Nobody hears of who may not be present; and no client says of another one that it is gone."""
    async with Server(SERVICES) as server:
        token = server.hub.tokens.issue("eve", scopes=["subscribe:documents/notes"], lifetime=60)
        async with editor(server) as ada, editor(server) as bob, editor(server, token) as eve:
            await ada.send(present(7, "ada"))
            await eventually(lambda: 7 in bob.states and 7 in eve.states)
            await eve.send(present(8, "admin"))
            for other in (eve, bob):
                await other.send(Awareness([State(7, 99, None)]))
                await other.barrier()
            await bob.send(present(9, "bob"))
            await eventually(lambda: 9 in ada.states)
            assert set(bob.states) == {7, 9}


async def test_a_client_is_sent_binary_messages_only():
    """Not even that others come and go, or that its token has expired, is told in another way."""
    async with Server(SERVICES) as server:
        token = server.hub.tokens.issue("ada", scopes=["*:documents/notes"], lifetime=1)
        async with dial(server, "/yjs/notes", token=token) as client:
            async with dial(server, "/documents/notes?user=bob") as plain:
                await plain.recv()
            assert await until_closed(client) == TOKEN_EXPIRED


async def test_awareness_ends_with_the_connection():
    """Who is gone is gone for those who stay, in either dialect, and for those who come; at once."""
    async with Server(SERVICES) as server, editor(server) as stays:
        source = DocumentSource(Multiplex(server.url, server.token), "notes", "eve")
        await source.start()
        async with editor(server) as goes:
            await goes.send(present(7, "ada 😀"))
            await stays.send(present(8, "bob"))
            await eventually(
                lambda: stays.states == {7: {"user": {"name": "ada 😀"}}, 8: {"user": {"name": "bob"}}}
            )
            await eventually(lambda: source.awareness.users == {7: "ada 😀", 8: "bob"})
            async with editor(server) as comes:
                await eventually(lambda: set(comes.states) == {7, 8})
            goes.connection.transport.abort()
            await eventually(lambda: set(stays.states) == {8})
            await eventually(lambda: source.awareness.users == {8: "bob"})
        async with editor(server) as comes:
            await comes.send(AskAwareness())
            await eventually(lambda: set(comes.states) == {8})
        await source.close()


async def test_a_stalled_client_is_cut_off_alone():
    """One that never reads holds a bounded part of the server's memory; the others get everything."""
    async with Server(SERVICES) as server, editor(server) as other:
        document = await document_of(server.hub, "notes")
        others = set(server._server.connections)
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            sock.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(sock, ("127.0.0.1", server.port))
            await loop.sock_sendall(sock, upgrade(f"/yjs/notes?token={server.token}"))
            await eventually(lambda: len(document.channel.followers) == 2)
            [connection] = set(server._server.connections) - others
            largest, on = 0, True
            async with asyncio.timeout(60):
                while not server.statistics().dropped:
                    # The same place over and over: the text stays small, and the log is what grows.
                    change = (Edit(0, 0, "x" * 20_000),) if on else (Edit(0, 20_000, ""),)
                    if connection.transport.get_write_buffer_size() <= outbox.WRITE_HIGH:
                        await document.edit(change, "ada")
                        on = not on
                    largest = max(largest, connection.transport.get_write_buffer_size())
                    await asyncio.sleep(0.002)
            assert outbox.WRITE_HIGH < largest <= outbox.WRITE_MAX
            await eventually(lambda: set(server._server.connections) == others)
        await other.edit(0, 0, "after it was dropped")
        await other.barrier()
        assert other.connects == 1
        assert other.text == await text_of(server)
