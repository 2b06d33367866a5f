"""The handle on a chat room: what is said, who types, and what is worked out of it."""

import asyncio
import time
from types import SimpleNamespace

import pandas as pd
import pytest
from ipywidgets.widgets.widget import _instances

from rtwidgets.client import Intake, Multiplex, State
from rtwidgets.client import activity as activity_
from rtwidgets.client import room as room_
from rtwidgets.errors import Closed, Refused, UsageError
from rtwidgets.frames import LiveFrame
from rtwidgets.loop import lease
from rtwidgets.rooms import Chat
from rtwidgets.server import Server
from rtwidgets.services import Chat as ChatService
from rtwidgets.widgets import ChatBox
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("tidy")

SCHEMA = {"user": "category", "text": "str", "time": "datetime64[ms]"}


class Kernel:
    """A server, and people in its rooms, on the background loop."""

    def __init__(self):
        self.lease = lease()
        self.server = Server([ChatService], jwt={"secret": "s" * 32})
        self.lease.run(self.server.start())
        self.chats = []

    def chat(self, user, token=None):
        async def make():
            multiplex = Multiplex(self.server.url, token or self.server.token)
            source = room_.RoomSource(
                multiplex,
                "chat/lobby",
                user,
                lambda answer: Intake(LiveFrame(key="user", time="time", schema=SCHEMA)),
            )
            await source.start()
            return source

        chat = Chat(f"chat/lobby as {user}", self.lease.run(make()))
        self.chats.append(chat)
        return chat

    def published(self, channel):
        """Count the messages of a channel."""

        async def count():
            return (await self.server.hub.channel(channel)).log.last

        return self.lease.run(count())

    def stop(self):
        for chat in self.chats:
            chat.stop()
        self.lease.run(self.server.stop())
        self.lease.release()


@pytest.fixture
def kernel():
    before = set(_instances)
    kernel = Kernel()
    yield kernel
    kernel.stop()
    for chat in kernel.chats:
        if chat._widget is not None:
            chat._widget.close()
    assert set(_instances) == before


def test_what_one_says_is_here_at_once(kernel):
    """`send` returns when the message is in the frame."""
    ada = kernel.chat("ada")
    assert (ada.room, ada.user, ada.writable, repr(ada)) == (
        "lobby",
        "ada",
        True,
        "Chat('chat/lobby as ada')",
    )
    for number in range(20):
        ada.send(f"message {number}")
        assert ada.df["text"].iloc[-1] == f"message {number}"
    with pytest.raises(Refused, match="1 to 4000 characters"):
        ada.send("")


def test_the_same_key_lands_once(kernel):
    """What may have landed before the connection broke can be said again."""
    ada, answers = kernel.chat("ada"), []
    for _ in range(2):
        ada.say("hi", "key", answers.append)
    until(lambda: answers == ["", ""])
    assert list(ada.df["text"]) == ["hi"]
    ada.say("", "other", answers.append)
    until(lambda: answers[2:])
    assert "1 to 4000 characters" in answers[2]
    ada.stop()
    ada.say("late", "late", answers.append)
    assert "stopped" in answers[3]


def test_who_types_is_seen_by_the_others(kernel, monkeypatch):
    """Until they have sent it, or left; not by themselves."""
    monkeypatch.setattr(room_, "SHOWN", 600.0)
    ada, bob = kernel.chat("ada"), kernel.chat("bob")
    for over in (lambda: bob.set_typing(False), lambda: bob.send("done"), bob.stop):
        bob.set_typing(True)
        until(lambda: ada.typing == ["bob"])
        assert bob.typing == []
        over()
        until(lambda: ada.typing == [])


def test_who_says_nothing_more_types_no_longer(kernel, monkeypatch):
    """A few seconds after the last word, when nobody has said that it is over."""
    ada, bob = kernel.chat("ada"), kernel.chat("bob")
    now = time.monotonic()
    monkeypatch.setattr(room_, "time", SimpleNamespace(monotonic=lambda: now))
    bob.set_typing(True)
    until(lambda: ada.typing == ["bob"])
    now += 5.9
    assert ada.typing == ["bob"]
    now += 0.2
    assert ada.typing == []


def test_typing_is_told_every_few_seconds_at_the_most(kernel, monkeypatch):
    """However many keys are pressed; and that it is over once."""
    bob = kernel.chat("bob")
    now = time.monotonic()
    monkeypatch.setattr(room_, "time", SimpleNamespace(monotonic=lambda: now))

    def told():
        bob.send("all before this was told")
        return kernel.published("chat/lobby/typing")

    def types(*words):
        for typing in words:
            bob.set_typing(typing)
        kernel.lease.run(asyncio.sleep(0))  # heard

    types(False, True, True, True)
    assert told() == 2  # that it began, and with the message that it is over
    types(True)
    now += 2.9
    types(True)
    now += 0.2
    types(True, False, False)
    assert told() == 5


def test_a_token_may_allow_the_room_alone(kernel):
    """Then nobody is seen to type, and all else is as it was."""
    scopes = [f"{action}:chat/lobby" for action in ("subscribe", "publish", "presence")]
    token = kernel.server.hub.tokens.issue("eve", scopes=scopes, lifetime=600)
    ada, eve = kernel.chat("ada"), kernel.chat("eve", token)
    eve.set_typing(True)
    ada.set_typing(True)
    eve.send("hi")
    ada.send("ho")
    until(lambda: list(eve.df["text"]) == ["hi", "ho"])
    assert eve.typing == ada.typing == []
    assert kernel.published("chat/lobby/typing") == 2


def test_who_may_only_read_is_told(kernel):
    """The room is not writable for them, nor does anybody see them type."""
    token = kernel.server.hub.tokens.issue(
        "eve", scopes=["subscribe:chat/*", "presence:chat/*"], lifetime=600
    )
    ada, eve = kernel.chat("ada"), kernel.chat("eve", token)
    eve.set_typing(True)
    ada.set_typing(True)
    until(lambda: eve.typing == ["ada"])
    assert (ada.typing, eve.writable) == ([], False)
    with pytest.raises(Refused, match="does not allow to publish"):
        eve.send("hi")


def test_search(kernel):
    """Rows whose text contains the words, whatever their case and whatever is in them."""
    ada = kernel.chat("ada")
    assert ada.search("x").empty
    for text in ("The FEED is up", "feed?", "nothing", "Straße", "a.b"):
        ada.send(text)
    assert list(ada.search("Feed")["text"]) == ["The FEED is up", "feed?"]
    assert list(ada.search("STRASSE").index) == [3]
    assert list(ada.search(".")["text"]) == ["a.b"]
    assert list(ada.search("nowhere").columns) == list(ada.df.columns)
    with pytest.raises(UsageError, match="give the text"):
        ada.search(5)


def test_activity(kernel, monkeypatch):
    """A row a second: how many messages came in the last minute, and who is there."""
    monkeypatch.setattr(activity_, "EVERY", 0.05)
    ada = kernel.chat("ada")
    activity = ada.activity()
    assert ada.activity() is activity
    kernel.chat("bob")
    ada.send("one")
    ada.send("two")
    until(lambda: activity.df.iloc[-1][["messages_per_minute", "present"]].tolist() == [2, 2])
    now = time.time()
    monkeypatch.setattr(activity_, "time", SimpleNamespace(time=lambda: now + 61))
    until(lambda: activity.df["messages_per_minute"].iloc[-1] == 0)
    with pytest.raises(UsageError, match="send to the chat"):
        activity.send("x")
    ada.stop()
    assert activity.state is State.CLOSED


def test_activity_by_user(kernel, monkeypatch):
    """A row for each who has said something, whenever that has changed, so that it makes bars."""
    monkeypatch.setattr(activity_, "EVERY", 0.05)
    ada, bob = kernel.chat("ada"), kernel.chat("bob")
    activity = ada.activity(by_user=True)
    ada.send("one")
    until(lambda: len(activity) == 1)
    bob.send("two")
    bob.send("three")

    def said():
        return activity.latest["messages"].to_dict()

    until(lambda: said() == {"ada": 1, "bob": 2})
    assert activity.latest["messages_per_minute"].to_dict() == {"ada": 1, "bob": 2}
    assert len(activity.df) <= 3  # and not one for each look
    bars = activity.bars("messages")
    assert repr(bars) == "LatestBars('activity of chat/lobby as ada, by user')"
    bars.close()


def test_the_widget_is_one_until_it_is_closed(kernel):
    """And the handle shows as it, with its own text."""
    ada = kernel.chat("ada")
    box = ada.widget()
    assert ada.widget() is box
    bundle = ada._repr_mimebundle_(include=None, exclude=None)
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert data["text/plain"] == "Chat('chat/lobby as ada')"
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == box.model_id
    box.close()
    other = ada.widget()
    assert other is not box
    assert isinstance(other, ChatBox)


def test_a_stopped_chat_still_shows_what_was_said(kernel):
    """Its widget is stopped with it, and one that is made later is so from the start."""
    ada = kernel.chat("ada")
    ada.send("hi")
    box = ada.widget()
    ada.stop("it was enough")
    assert (box.stopped, box.state, box.reason) == (True, "closed", "stopped: it was enough")
    box.close()
    box = ada.widget()
    assert (box.stopped, box.reason) == (True, "stopped: it was enough")
    assert [row[2] for row in box.get_state("past")["past"]["rows"]] == ["hi"]
    with pytest.raises(Closed):
        ada.send("ho")


def test_stopping_inside_the_background_loop_is_refused(kernel):
    """It would wait for itself; the widget goes on."""
    ada = kernel.chat("ada")
    box = ada.widget()

    async def stop():
        ada.stop()

    with pytest.raises(UsageError, match="background loop"):
        kernel.lease.run(stop())
    assert not box.stopped
    assert isinstance(ada.df, pd.DataFrame)
