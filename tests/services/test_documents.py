"""Documents of a server: what a client may send, what it is told, and what is in the log then."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from urllib.parse import quote

import pycrdt
import pytest
from websockets.exceptions import InvalidStatus

from rtwidgets.messages import MAX_MESSAGE, Cursor, Error, Messages, Publish, Published, Subscribed
from rtwidgets.server import Server
from rtwidgets.services import Documents
from rtwidgets.services.library import document_of
from rtwidgets.yjs.record import Record
from rtwidgets.yjs.replica import EMPTY
from tests.talking import dial, dial_v1

pytestmark = pytest.mark.usefixtures("tidy")


class Writer:
    """A plain client."""

    def __init__(self, connection):
        self.connection = connection
        self.joined = []

    async def hear(self):
        """Return the next message that is not about who is there."""
        while True:
            message = json.loads(await asyncio.wait_for(self.connection.recv(), 20))
            if message["type"] not in {"joined", "left"}:
                return message
            self.joined.append(message)

    async def save(self, content, **fields):
        await self.connection.send(json.dumps({"type": "edit", "content": content, **fields}))

    async def error(self):
        """Return the sentence of the error that comes next."""
        message = await self.hear()
        assert message["type"] == "error", message
        return message["message"]


@contextlib.asynccontextmanager
async def plain(server, name="notes", **options):
    """Connect as a plain client; return it and the first message."""
    async with dial(server, f"/documents/{name}", **options) as connection:
        writer = Writer(connection)
        yield writer, await writer.hear()


def update(text, at=0, base=b""):
    """Return a Yjs update that inserts a text."""
    doc = pycrdt.Doc({"content": pycrdt.Text()})
    if base:
        doc.apply_update(base)
    before = doc.get_state()
    doc["content"].insert(at, text)
    return doc.get_update(before)


def as_published(raw, **fields):
    return {"update": base64.b64encode(raw).decode(), **fields}


async def publish(client, data, number=99):
    """Publish to the document in our own dialect; return the answer."""
    await client.say(Publish(number, "documents/notes", data))
    return await client.hear((Published, Error))


async def log_of(server, name="notes"):
    return (await document_of(server.hub, name)).channel.log


# The plain dialect


async def test_a_document_from_the_first_word():
    """Who comes is sent the text; after each save all are sent the new one, its version counting up."""
    async with Server([Documents]) as server, plain(server) as (ada, init):
        assert init == {"type": "init", "content": "", "version": 0}
        await ada.save("Grüße 😀\r\n")
        async with plain(server) as (bob, _):
            assert await ada.hear() == {"type": "update", "content": "Grüße 😀\r\n", "version": 1}
            await bob.save("Grüße 😀\r\nbob", version=1)
            expected = {"type": "update", "content": "Grüße 😀\r\nbob", "version": 2}
            assert await ada.hear() == expected
            assert await bob.hear() == expected
        async with plain(server) as (_, now):
            assert now == {"type": "init", "content": "Grüße 😀\r\nbob", "version": 2}
        async with plain(server, "another") as (_, other):
            assert other["content"] == ""


async def test_who_is_there():
    """By the name in the query, as in a chat."""
    async with Server([Documents]) as server, plain(server, "notes?user=ada") as (ada, _):
        async with plain(server, "notes?user=bob") as (bob, _):
            await bob.save("x")
            await bob.hear()
        await ada.hear()
        await ada.save("xy")
        await ada.hear()
        assert {"type": "joined", "user": "bob"} in ada.joined


@pytest.mark.parametrize("echo", [True, False])
async def test_a_save_that_crosses_that_of_another(echo):
    """What each has written is there, and what each has deleted is gone, with versions or without."""
    async with Server([Documents]) as server:
        async with plain(server) as (ada, _):
            await ada.save("one two three")
            await ada.hear()
            async with plain(server) as (bob, init):
                version = {"version": init["version"]} if echo else {}
                await ada.save("one 1 two three", **version)
                await ada.hear()
                await bob.save("one two threefour", **version)  # has not heard of that yet
                await bob.hear()
                assert (await bob.hear())["content"] == "one 1 two threefour"
                await bob.save("one two threefour!", **version)  # still made from its own text
                assert (await bob.hear())["content"] == "one 1 two threefour!"
        text = (await document_of(server.hub, "notes")).versions.text
        assert text == "one 1 two threefour!"


async def test_a_version_that_is_not_there():
    """It is refused with a reason, and the connection goes on."""
    async with Server([Documents]) as server, plain(server) as (ada, _):
        await ada.save("x", version=7)
        assert "no version 7 yet" in await ada.error()
        await ada.save("x", version=-1)
        assert "not kept any more" in await ada.error()
        await ada.save("x", version=0)
        assert (await ada.hear())["content"] == "x"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("not JSON", "malformed"),
        ("", "truncated"),
        ("[]", "Expected `object`"),
        ('{"type":"edit"}', "required field `content`"),
        ('{"type":"edit","content":null}', "Expected `str`"),
        ('{"type":"edit","content":"x","version":"1"}', "Expected `int | null`"),
        ('{"type":"save","content":"x"}', "Invalid enum value 'save'"),
        ('{"type":"edit","content":"\\ud800"}', "surrogate|truncated"),
        (b'{"type":"edit","content":"\xff"}', "Invalid UTF-8|utf-8"),
        ('{"a":' + "[" * 100_000, "recursion|truncated|malformed"),
    ],
)
async def test_what_is_no_save(said, reason):
    """It is answered with what is wrong with it, changes nothing, and the connection goes on."""
    async with Server([Documents]) as server, plain(server) as (ada, _):
        await ada.connection.send(said)
        sentence = await ada.error()
        assert any(word in sentence for word in reason.split("|")), sentence
        assert (await log_of(server)).last == 0
        await ada.save("fine")
        assert (await ada.hear())["content"] == "fine"


async def test_a_save_that_is_too_large():
    """More than an update may have is refused; the same in parts is taken."""
    async with Server([Documents]) as server, plain(server) as (ada, _):
        await ada.save("x" * (MAX_MESSAGE * 3 // 4 + 1))
        assert "too large" in await ada.error()
        half = MAX_MESSAGE * 3 // 8
        await ada.save("x" * half)
        await ada.hear()
        await ada.save("x" * 2 * half)
        assert len((await ada.hear())["content"]) == 2 * half


async def test_after_a_save_that_was_refused():
    """The next one is compared with what was taken before it, whatever version it was made from."""
    async with Server([Documents]) as server, plain(server) as (ada, _):
        await ada.save("one ", version=0)
        await ada.save("one " + "x" * (MAX_MESSAGE * 3 // 4), version=0)
        update, error = sorted(
            [await ada.hear(), await ada.hear()], key=lambda answer: answer["type"] == "error"
        )
        assert update["content"] == "one "
        assert "too large" in error["message"]
        await ada.save("one two", version=0)  # has not looked at what came since
        assert (await ada.hear())["content"] == "one two"


async def test_a_save_of_what_is_there_appends_nothing():
    """Nor does one that comes twice."""
    async with Server([Documents]) as server, plain(server) as (ada, _):
        await ada.save("x")
        assert (await ada.hear())["version"] == 1
        await ada.save("x")
        await ada.save("xy")
        assert (await ada.hear())["version"] == 2
        assert (await log_of(server)).last == 2


async def test_who_may_only_read():
    """It hears of all; what it sends is refused in either dialect, and changes nothing."""
    async with Server([Documents]) as server:
        token = server.hub.tokens.issue("ada", scopes=["subscribe:documents/notes"], lifetime=60)
        async with plain(server, token=token) as (ada, _), plain(server) as (bob, _):
            await ada.save("from ada")
            assert "does not allow to publish" in await ada.error()
            await bob.save("from bob")
            assert (await ada.hear())["content"] == "from bob"
        async with dial_v1(server, token=token) as client:
            answer = await client.subscribe("documents/notes", Cursor("", 0))
            assert isinstance(answer, Subscribed)
            assert not answer.writable
            refusal = await publish(client, as_published(update("x")))
            assert (refusal.code, refusal.id) == ("forbidden", 99)
        assert (await log_of(server)).last == 1


async def test_who_may_not_read():
    """It is not let in."""
    async with Server([Documents]) as server:
        token = server.hub.tokens.issue("ada", scopes=["subscribe:documents/other"], lifetime=60)
        with pytest.raises(InvalidStatus, match="403"):
            async with plain(server, token=token):
                pass


# rtwidgets.v1


FIRST = update("first")
SECOND = update(" second", 5, FIRST)


def embedded(value):
    doc = pycrdt.Doc({"content": pycrdt.Text("abc")})
    doc["content"].insert_embed(1, value)
    return doc.get_update()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ({"update": "$$$"}, "bad_message"),
        ({"update": 1}, "bad_message"),
        ({}, "bad_message"),
        ([], "bad_message"),
        ({"update": base64.b64encode(FIRST).decode(), "epoch": 7}, "bad_message"),
        (as_published(FIRST, epoch="another"), "stale_epoch"),
        (as_published(b""), "bad_update"),
        (as_published(b"garbage \xff\xff"), "bad_update"),
        (as_published(FIRST[:-3]), "bad_update"),
        (as_published(b"\xff" * 9 + b"\x01"), "bad_update"),
        (as_published(SECOND), "out_of_order"),
        (as_published(embedded({"image": "x"})), "bad_update"),
        (as_published(embedded(pycrdt.Array([1, 2]))), "bad_update"),
        (as_published(pycrdt.Doc({"content": pycrdt.Array(["a"])}).get_update()), "bad_update"),
        (as_published(b"x" * (MAX_MESSAGE * 3 // 4 - 1_000)), "too_large"),
    ],
)  # fmt: skip
async def test_updates_that_are_refused(data, code):
    """With a code; the document is as before, for those who are there and those who come."""
    async with Server([Documents]) as server, plain(server) as (ada, _), dial_v1(server) as client:
        await ada.save("as it was")
        await ada.hear()
        answer = await publish(client, data)
        assert isinstance(answer, Error), answer
        assert (answer.code, answer.id) == (code, 99)
        assert answer.message
        assert (await log_of(server)).last == 1
        async with plain(server) as (_, init):
            assert init["content"] == "as it was"
        assert isinstance(await publish(client, as_published(FIRST)), Published)
        text = (await ada.hear())["content"]
        assert sorted(text) == sorted("as it was" + "first")


async def test_what_is_in_the_log():
    """Who made each edit, when, how many characters it inserts and deletes, and the update itself."""
    async with Server([Documents]) as server, dial_v1(server) as client:
        answer = await client.subscribe("documents/notes", Cursor("", 0))
        assert (answer.time, answer.key) == ("time", None)
        await publish(client, as_published(FIRST, epoch=answer.epoch))
        async with plain(server, "notes?user=bob") as (bob, init):
            await bob.save("😀rst", version=init["version"])
            await bob.hear()
        rows = [data for _, data in await _rows(client, 2)]
        assert [(row.get("user"), row.get("inserted", 0), row.get("deleted", 0)) for row in rows] == [
            (rows[0]["user"], 5, 0),
            ("bob", 1, 2),
        ]
        assert rows[0]["time"] <= rows[1]["time"]
        assert base64.b64decode(rows[0]["update"]) == FIRST
        doc = pycrdt.Doc({"content": pycrdt.Text()})
        for row in rows:
            doc.apply_update(base64.b64decode(row["update"]))
        assert str(doc["content"]) == "😀rst"


async def _rows(client, count):
    """Return rows that came, those too that came before the answers."""
    rows = []
    runs = [message for message in client.log if isinstance(message, Messages)]
    while sum(run.count for run in runs) < count:
        runs.append(await client.hear(Messages))
    for run in runs:
        rows += zip(range(run.offset, run.offset + run.count), json.loads(bytes(run.data)), strict=True)
    return rows


@pytest.mark.parametrize("again", [FIRST, EMPTY])
async def test_an_update_with_nothing_new_appends_nothing(again):
    """It is answered with the offset that the log has reached, so that sending twice is safe."""
    async with Server([Documents]) as server, dial_v1(server) as client:
        for raw in (FIRST, again):
            assert (await publish(client, as_published(raw))).offset == 1
        log = await log_of(server)
        assert log.last == 1
        assert Record.read(log.read(0).pieces[0]).update == FIRST


@pytest.mark.parametrize("name", ["a/b", "ä", "x" * 250, "%20"])
async def test_names_that_no_document_can_have(name):
    """They are refused, and no channel is made."""
    async with Server([Documents]) as server:
        with pytest.raises(InvalidStatus):
            async with plain(server, quote(name, safe="")):
                pass
        assert not server.hub.channels
