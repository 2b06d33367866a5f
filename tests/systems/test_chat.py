"""Chat rooms, to people of both dialects in one room."""

import asyncio
import json

import msgspec
import pytest

from rtwidgets.messages import Cursor, Joined, Presence, Publish, Published
from rtwidgets.server import Server
from rtwidgets.services import Chat
from tests.talking import dial, dial_v1

pytestmark = pytest.mark.usefixtures("tidy")


async def heard(client, kind):
    """Return the next message of a type."""
    while (message := json.loads(await asyncio.wait_for(client.recv(), 20)))["type"] != kind:
        pass
    return message


async def test_people_of_both_dialects_hear_each_other():
    """With the name that each goes by, and the server's time; who comes is told, and who goes."""
    async with Server([Chat]) as server, dial(server, "/chat/lobby?user=ada") as ada:
        assert await heard(ada, "history") == {"type": "history", "messages": []}
        async with dial_v1(server) as bob:
            await bob.say(Presence("chat/lobby", "bob"))
            await bob.subscribe("chat/lobby", Cursor("", 0))
            while (await heard(ada, "joined"))["user"] != "bob":
                pass
            await ada.send(json.dumps({"type": "message", "text": "hello <b>bob</b>", "user": "eve"}))
            ((_, row),) = await bob.rows(1)
            assert (row["user"], row["text"]) == ("ada", "hello <b>bob</b>")
            await bob.say(Publish(7, "chat/lobby", msgspec.Raw(b'{"type":"message","text":"hi"}')))
            assert (await bob.hear(Published)).id == 7
            said = [await heard(ada, "message") for _ in range(2)]
            assert [(each["user"], each["text"]) for each in said] == [("ada", row["text"]), ("bob", "hi")]
            assert said[0]["time"] <= said[1]["time"]
        assert (await heard(ada, "left"))["user"] == "bob"
        async with dial(server, "/chat/lobby?user=late") as late, dial_v1(server) as later:
            assert (await heard(late, "history"))["messages"] == said
            await later.subscribe("chat/lobby", Cursor("", 0))
            assert [row for _, row in await later.rows(2)] == said
            await later.say(Presence("chat/lobby", "later"))
            assert (await later.hear(Joined)).user == "ada"


async def test_rooms_are_apart():
    """What is said in one is not heard in another."""
    async with (
        Server([Chat]) as server,
        dial(server, "/chat/one?user=ada") as one,
        dial(server, "/chat/two?user=bob") as two,
    ):
        await one.send(json.dumps({"type": "message", "text": "in one"}))
        await two.send(json.dumps({"type": "message", "text": "in two"}))
        assert (await heard(one, "message"))["text"] == "in one"
        assert (await heard(two, "message"))["text"] == "in two"
