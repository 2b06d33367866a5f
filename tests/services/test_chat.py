import asyncio
import json

import msgspec
import pytest

from rtwidgets.engines import MemoryEngine
from rtwidgets.errors import Refused
from rtwidgets.messages import Cursor, Error, Presence, Publish, Published
from rtwidgets.server import Hub, Server
from rtwidgets.services import Chat
from rtwidgets.services.chat import Typing
from tests.talking import dial, dial_v1

chat = Chat(Hub(MemoryEngine()))
typing = Typing(Hub(MemoryEngine()))


def test_what_is_said_is_signed_and_dated():
    """By the server, whatever the client claims."""
    said = chat.accept(msgspec.Raw(b'{"text":"hi","user":"eve","time":1}'), "ada")
    assert (said.user, said.text) == ("ada", "hi")
    assert said.time > 1e12


@pytest.mark.parametrize("length", [1, 4_000])
def test_lengths_that_are_taken(length):
    """One to four thousand characters, whatever bytes those are."""
    assert chat.accept(msgspec.Raw(msgspec.json.encode({"text": "😀" * length})), "ada").text == "😀" * length


@pytest.mark.parametrize(
    "data", [b"", b"null", b"[]", b'{"text":""}', b'{"text":null}', b'{"text":"\xff"}', b'{"text":"\\ud800"}',
             b'{"text":"x","type":"edit"}', b'{"text":"' + b"x" * 4_001 + b'"}', b'{"a":' + b"[" * 100_000]
)  # fmt: skip
def test_what_is_refused(data):
    """Anything else, with a reason."""
    with pytest.raises(Refused) as caught:
        chat.accept(msgspec.Raw(data), "ada")
    assert caught.value.code == "bad_message"


def test_that_somebody_types_is_signed_and_dated():
    """By the server too."""
    row = typing.accept(msgspec.Raw(b'{"typing":true,"user":"eve","time":1}'), "ada")
    assert (row.user, row.typing) == ("ada", True)
    assert row.time > 1e12


@pytest.mark.parametrize("data", [b"", b"null", b"{}", b'{"typing":1}', b'{"typing":null}', b"[" * 100_000])
def test_nobody_types_in_another_way(data):
    """What is neither true nor false is refused, with a reason."""
    with pytest.raises(Refused) as caught:
        typing.accept(msgspec.Raw(data), "ada")
    assert caught.value.code == "bad_message"


async def test_who_types_is_told_in_a_channel_beside_the_room(tidy, tmp_path):
    """To those who follow it; a plain client of the room hears of messages alone."""
    engine = f"sqlite:///{tmp_path}/log.db"
    async with (
        Server([Chat], engine=engine) as server,
        dial_v1(server) as ada,
        dial_v1(server) as bob,
        dial(server, "/chat/lobby?user=cy") as cy,
    ):
        assert server.channels == ["chat/{room}", "chat/{room}/typing"]
        await ada.say(Presence("chat/lobby", "ada"))
        answer = await bob.subscribe("chat/lobby/typing")
        assert (answer.key, answer.time) == ("user", "time")
        await ada.say(Publish(1, "chat/lobby/typing", msgspec.Raw(b'{"typing":true}')))
        await ada.say(Publish(2, "chat/lobby/typing", msgspec.Raw(b'{"typing":"yes"}')))
        await ada.say(Publish(3, "chat/lobby", msgspec.Raw(b'{"text":"hi"}')))
        assert (await ada.hear(Error)).code == "bad_message"
        await ada.hear(Published)
        ((_, row),) = await bob.rows(1)
        assert row == {"user": "ada", "typing": True, "time": row["time"]}
        heard = []
        while "message" not in heard:
            heard.append(json.loads(await asyncio.wait_for(cy.recv(), 20))["type"])
        assert "typing" not in heard
    async with Server([Chat], engine=engine) as server, dial_v1(server) as bob:  # it was never on the disk
        assert (await bob.subscribe("chat/lobby/typing", Cursor("", 0))).last == 0
        assert (await bob.subscribe("chat/lobby", Cursor("", 0))).last == 1
