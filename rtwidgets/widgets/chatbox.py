"""A chat room, to read and to write in. Its half in the browser is `browser/room.js` and `browser/chat.js`.

Text crosses as text, and becomes text nodes there: nothing that somebody says is ever read as HTML.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import pandas as pd
import traitlets as t

from rtwidgets.frames import LiveFrame
from rtwidgets.widgets.scripts import CHAT, CHAT_STYLE
from rtwidgets.widgets.shown import Looking
from rtwidgets.widgets.theme import COLOURS

__all__ = ["ChatBox", "Room"]

LOOK_EVERY = 0.1
"""Seconds between two looks for what is new."""
MOST = 300
"""Messages that are sent to the page in one go: the newest."""
PACE = 250_000.0
"""Characters a second that are sent to the page: jupyter_server drops messages above 1 MB a second."""
NAMES = 50
"""People whose names are sent to the page; of the others it is said how many they are."""


class Room(Protocol):
    """A chat room, as the widget sees it."""

    @property
    def room(self) -> str:
        """Its name."""

    @property
    def user(self) -> str:
        """By which name one is in it here."""

    @property
    def present(self) -> Sequence[str]:
        """Who is in it, oldest first."""

    @property
    def typing(self) -> Sequence[str]:
        """Who of the others types right now."""

    @property
    def frame(self) -> LiveFrame:
        """The messages: columns `user`, `text` and `time`."""

    @property
    def state(self) -> Any:
        """What the connection is doing; its `value` is a word."""

    @property
    def reason(self) -> str:
        """Why it is not open."""

    @property
    def writable(self) -> bool:
        """Whether something may be said."""

    @property
    def stopped(self) -> bool:
        """Whether it is over."""

    def say(self, text: str, key: str, done: Callable[[str], None]) -> None:
        """Say something, from any thread.

        `key` is its idempotency key. `done` is called once it is in the frame, or with the reason why not.
        """

    def set_typing(self, typing: bool) -> None:
        """Tell the others that one types here, or does so no longer; from any thread."""


class ChatBox(Looking):
    """A chat room: what is said, who is there and who types, and a place to say something.

    A page gets the newest 300 messages when it comes, and then those that are new.

    Parameters
    ----------
    room
        The room.
    """

    _esm = CHAT
    _css = CHAT_STYLE
    colours = t.List(t.Unicode(), list(COLOURS)).tag(sync=True)
    reason = t.Unicode().tag(sync=True)
    present = t.List(t.Unicode()).tag(sync=True)
    people = t.Int().tag(sync=True)
    typing = t.List(t.Unicode()).tag(sync=True)
    # Never set: worked out whenever a page asks for the widget's state, so that it has all there is at once.
    past = t.Any().tag(sync=True, to_json=lambda _, box: box._news(0))  # noqa: SLF001

    def __init__(self, room: Room) -> None:
        self._room = room
        self._told = room.frame.total
        super().__init__(uid=secrets.token_hex(8), name=room.room, user=room.user, **self._looks())
        self._answers: deque[tuple[str, str]] = deque()
        self._asked = False
        self._free_at = 0.0
        self.on_msg(self._hear)
        self._begin(LOOK_EVERY, f"the chat {room.room}", stopped=room.stopped)

    # What the page says, on whichever thread reads the comm

    def _hear(self, _: Any, content: dict[str, Any], buffers: Any) -> None:
        if "say" in content:
            key = str(content["key"])
            self._room.say(str(content["say"]), key, lambda reason: self._answer(key, reason))
        elif "typing" in content:
            self._room.set_typing(bool(content["typing"]))
        elif self.stopped:
            self.send(self._news(0))
        else:
            self._asked = True  # it has lost something on the way

    def _answer(self, key: str, reason: str) -> None:
        self._answers.append((key, reason))
        if self._ticker is not None:
            self._ticker.soon()

    # What the page is told, on the background loop's thread

    def _look(self) -> None:
        with self.hold_sync():
            for name, value in self._looks().items():
                setattr(self, name, value)
        total, now = self._room.frame.total, time.monotonic()
        if now < self._free_at or not (self._answers or self._asked or total > self._told):
            return
        # Taken first: what was said is in the frame when its answer is here.
        answers = [self._answers.popleft() for _ in range(len(self._answers))]
        after, self._asked = 0 if self._asked else self._told, False
        news = self._news(after)
        self._told = news["total"]
        self._free_at = now + sum(len(text) for _, _, text, *_ in news["rows"]) / PACE
        self.send(news | {"answers": answers})

    def _last_look(self) -> None:
        self._free_at = 0.0
        self._look()

    def _looks(self) -> dict[str, Any]:
        """Return what is told whenever it changes."""
        room, state = self._room, self._room.state.value
        present = list(room.present) if state == "open" else []
        return {
            "state": state,
            "reason": "" if state == "open" else room.reason,
            "writable": room.writable,
            "present": present[:NAMES],
            "people": len(present),
            "typing": list(room.typing)[:NAMES] if state == "open" else [],
        }

    def _news(self, after: int) -> dict[str, Any]:
        """Return the newest messages from a number on.

        A message is its number, who says it, the text, Unix milliseconds (None where it has no time) and
        whether messages are missing before it.
        """
        frame = self._room.frame
        rows, total = frame.since(after)
        rows = rows.iloc[-MOST:]
        behind_gaps = {number for _, number in frame.gaps}
        columns = zip(rows.index, rows["user"], rows["text"], rows["time"], strict=True)
        return {
            "after": after,
            "total": total,
            "rows": [
                (number, _text(user), _text(text), _milliseconds(when), number in behind_gaps)
                for number, user, text, when in columns
            ],
        }


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _milliseconds(when: Any) -> float | None:
    return None if pd.isna(when) else round(when.timestamp() * 1000.0)
