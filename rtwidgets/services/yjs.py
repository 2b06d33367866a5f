"""Documents for Yjs editors: y-protocols over a WebSocket, as y-websocket speaks it."""

from __future__ import annotations

import asyncio

import msgspec
from websockets.frames import CloseCode, Frame, Opcode

from rtwidgets.engines import Run
from rtwidgets.errors import BadUpdate, ProtocolError, Refused
from rtwidgets.server import Channel, Peer, Service
from rtwidgets.services.awareness import tell
from rtwidgets.services.library import SharedDocument, awareness_of, document_of, presence_of
from rtwidgets.yjs.protocol import AskAwareness, Awareness, Step1, Update, decode
from rtwidgets.yjs.protocol import encode as encode_y
from rtwidgets.yjs.record import AwarenessRow, Record

__all__ = ["Yjs"]


class Yjs(Service):
    """The documents of ``/documents/{name}`` at ``/yjs/{name}``, for y-websocket's provider.

    The text is ``ydoc.getText("content")``. A client whose token does not allow to publish reads only: its
    edits are dropped. One that sends what is no y-protocols message is closed (code 1008).
    """

    name = "yjs"
    path = "/yjs/{name}"
    has_channels = False
    binary = True

    async def talk(self, peer: Peer) -> None:
        """Let a Yjs client take part in a document."""
        try:
            await self._talk(peer)
        except Refused as refusal:  # the library that these clients use knows binary messages only
            again = refusal.code in {"too_many_channels", "not_stored", "full"}
            code = CloseCode.TRY_AGAIN_LATER if again else CloseCode.POLICY_VIOLATION
            await peer.close(code, refusal.message)
        except (ProtocolError, BadUpdate) as error:
            await peer.close(CloseCode.POLICY_VIOLATION, str(error))

    async def _talk(self, peer: Peer) -> None:
        name = peer.params["name"]
        peer.require("subscribe", f"documents/{name}")
        document = await document_of(self.hub, name)
        channel = document.channel
        awareness = await awareness_of(self.hub, name)
        presence = presence_of(self.hub, awareness)
        await peer.send(encode_y(Step1(document.vector)))
        peer.follow(channel, after=document.versions.version, encoder=_encode)
        peer.follow(awareness, encoder=_encode)
        if presence.states:
            await peer.send(encode_y(Awareness(list(presence.states.values()))))
        peer.join(channel)
        loop = asyncio.get_running_loop()
        announced: set[int] = set()
        try:
            async for message in peer.paced():
                if isinstance(message, str):
                    raise ProtocolError("it is text, and these messages are binary")
                match decode(message):
                    case Step1(vector):
                        await peer.send(encode_y(Update(document.lacking(vector), answer=True)))
                    case Update(update):
                        await self._update(document, update, peer)
                    case Awareness(states) if peer.allows("presence", channel):
                        # Who is gone is for the server to say, but for those of this connection.
                        own = [each for each in states if each.state is not None or each.client in announced]
                        changed = presence.hear(own, loop.time())
                        announced |= {state.client for state in changed}
                        await tell(awareness, changed)
                    case AskAwareness():
                        await peer.send(encode_y(Awareness(list(presence.states.values()))))
        finally:
            await tell(awareness, presence.remove(announced, loop.time()))

    async def _update(self, document: SharedDocument, update: bytes, peer: Peer) -> None:
        if not peer.allows("publish", document.channel):
            return
        try:
            await document.update(update, peer.user)
        except Refused as refusal:
            if refusal.code != "out_of_order":
                raise
            # It will answer with all that is not here.
            await peer.send(encode_y(Step1(document.vector)))


def _encode(channel: Channel, run: Run) -> bytes:
    if channel.name.endswith("/awareness"):
        rows = [msgspec.json.decode(piece, type=AwarenessRow) for piece in run.pieces]
        return _frame(encode_y(Awareness([row.entry for row in rows])))
    return b"".join(_frame(encode_y(Update(Record.read(piece).content))) for piece in run.pieces)


def _frame(message: bytes) -> bytes:
    return Frame(Opcode.BINARY, message).serialize(mask=False)
