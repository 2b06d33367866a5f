"""The user's handle on one chat room. Floor 5."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pandas as pd

from rtwidgets.client.activity import ActivitySource
from rtwidgets.client.room import RoomSource
from rtwidgets.errors import Closed, UsageError
from rtwidgets.member import Member
from rtwidgets.stream import Stream
from rtwidgets.widgets import ChatBox

__all__ = ["Chat"]


class Chat(Member):
    """A chat room: the stream of its messages, and a way to say something.

    Made by `rtwidgets.chat`. In a notebook it shows as its `widget`.
    """

    def __init__(self, name: str, source: RoomSource) -> None:
        super().__init__(name, source)
        self._room = source
        self._activity: dict[bool, Stream] = {}

    def send(self, data: object) -> None:
        """Say something, a text, and wait until it is in `df`. Raises as `Stream.send`."""
        self._lease.run(self._room.say(data))

    # Who is there

    @property
    def room(self) -> str:
        """The room's name."""
        return self._room.subscription.channel.partition("/")[2]

    @property
    def user(self) -> str:
        """By which name one is in the room here."""
        return self._room.user

    @property
    def present(self) -> list[str]:
        """The names of who is in the room, oldest first; `presence` has more of them."""
        return [member.user for member in self._room.presence.members]

    @property
    def typing(self) -> list[str]:
        """The names of the others who type right now. Empty where the token does not allow to know."""
        return self._room.typing.users

    @property
    def writable(self) -> bool:
        """Whether the token allows to say something."""
        return self._room.writable

    # The past

    def search(self, text: str) -> pd.DataFrame:
        """Return the rows of `df` whose text contains this one, whatever the case.

        Raises
        ------
        UsageError
            When it is no text.
        """
        if not isinstance(text, str):
            raise UsageError(f"search({text!r}): give the text to look for")
        frame = self.df
        found = frame["text"].str.casefold().str.contains(text.casefold(), regex=False, na=False)
        return frame[found.astype(bool)]

    def activity(self, *, by_user: bool = False) -> Stream:
        """Return a stream of how lively the room is, a row a second, for frames and charts.

        Columns: `messages_per_minute` (of the last minute), `present` and `time`. By user there is a row for
        each who has said something, whenever it has changed: `user`, which is the key, `messages` (of those
        kept here), `messages_per_minute` and `time`.

        Parameters
        ----------
        by_user
            A row for each user: ``chat.activity(by_user=True).bars("messages")``.
        """
        stream = self._activity.get(by_user)
        if stream is None or stream.stopped:
            source = self._lease.run(ActivitySource.open(self._room, by_user=by_user))
            called = f"activity of {self.name}" + (", by user" if by_user else "")
            stream = self._activity[by_user] = Stream(called, source)
        return stream

    # Widgets

    def _show(self) -> ChatBox:
        return ChatBox(self)

    def stop(self, why: str = "") -> None:
        """Leave the room; see `Stream.stop`."""
        try:
            super().stop(why)
        finally:
            for activity in self._activity.values():
                activity.stop()

    # What the widget asks for

    def say(self, text: str, key: str, done: Callable[[str], None]) -> None:
        """Say something, from any thread; see `rtwidgets.widgets.chatbox.Room`."""
        self._aside(lambda: self._room.say(text, key), "saying something in", done)

    def set_typing(self, typing: bool) -> None:
        """Tell the others that one types here, or does so no longer; from any thread."""
        with contextlib.suppress(Closed):
            self._lease.call(self._room.typing.say, typing)
