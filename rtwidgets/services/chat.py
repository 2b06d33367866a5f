"""Chat: rooms with a history and people in them, who are seen while they type."""

from __future__ import annotations

from typing import Literal

import msgspec

from rtwidgets.errors import Refused
from rtwidgets.messages import clock
from rtwidgets.server import Fields, Peer, Service

__all__ = ["Chat", "ChatMessage", "Typing", "TypingRow"]

_HISTORY = 100  # messages that a plain client is shown when it comes
_LONGEST = 4_000  # characters of a message


class ChatMessage(msgspec.Struct, tag_field="type", tag="message"):
    """What somebody said: `time` is in Unix milliseconds."""

    user: str
    text: str
    time: float


class _Said(msgspec.Struct):
    """What a client sends; other fields are of no interest."""

    text: str
    type: Literal["message"] = "message"


class TypingRow(msgspec.Struct):
    """That somebody types, or does so no longer: `time` is in Unix milliseconds."""

    user: str
    typing: bool
    time: float


class _Types(msgspec.Struct):
    """What a client sends of itself; other fields are of no interest."""

    typing: bool


class Typing(Service):
    """Channels ``chat/{room}/typing``, in memory: a message when somebody types, every few seconds, or stops.

    Who has said nothing more for 6 seconds types no longer.
    """

    name = "typing"
    path = "/chat/{room}/typing"
    fields = Fields(key="user", time="time", conflate=True)
    durable = False

    def accept(self, data: msgspec.Raw, user: str) -> TypingRow:
        """Sign and date what somebody says of themselves.

        Raises
        ------
        Refused
            When it is not ``{"typing": true}`` or ``{"typing": false}``.
        """
        try:
            types = msgspec.json.decode(data, type=_Types)
        except (ValueError, RecursionError) as error:
            raise Refused("bad_message", f'send {{"typing": true}}, or false: {error}') from error
        return TypingRow(user, types.typing, clock())


class Chat(Service):
    """Rooms at ``/chat/{room}``: a channel of messages, and who is present.

    A plain client names itself with ``?user=`` and is shown the newest hundred messages first.
    """

    name = "chat"
    path = "/chat/{room}"
    fields = Fields(time="time")
    companions = (Typing,)

    async def talk(self, peer: Peer) -> None:
        """Let a plain client take part in a room."""
        channel = await self.channel(peer.params)
        log = channel.log
        # Where these are long, not all fit: the rest follow one by one.
        run = log.read(max(log.last - _HISTORY, 0), limit=_HISTORY)
        await peer.send({"type": "history", "messages": [msgspec.Raw(piece) for piece in run.pieces]})
        peer.follow(channel, after=run.offset + len(run.pieces) - 1)
        peer.join(channel)
        await self.listen(peer, channel)

    def accept(self, data: msgspec.Raw, user: str) -> ChatMessage:
        """Sign and date what somebody says.

        Raises
        ------
        Refused
            When it is not ``{"type": "message", "text": TEXT}`` with 1 to 4 000 characters of text.
        """
        try:
            said = msgspec.json.decode(data, type=_Said)
        except (ValueError, RecursionError) as error:
            raise Refused("bad_message", f'send {{"type": "message", "text": …}}: {error}') from error
        if not 0 < len(said.text) <= _LONGEST:
            raise Refused("bad_message", f"a message has 1 to {_LONGEST} characters, not {len(said.text)}")
        return ChatMessage(user, said.text, clock())
