"""Documents that many edit at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from rtwidgets.errors import Refused
from rtwidgets.server import Channel, Peer, Service
from rtwidgets.services.awareness import Awareness
from rtwidgets.services.library import FIELDS, SharedDocument, channel_of, document_of
from rtwidgets.services.yjs import Yjs
from rtwidgets.yjs.shadow import Shadow

__all__ = ["Documents"]


class _Update(msgspec.Struct):
    """What a client of our own dialect publishes."""

    update: bytes  # base64
    epoch: str | None = None


class _Edit(msgspec.Struct):
    """What a plain client sends: its whole text, and the version that it was made from, if it knows."""

    content: str
    version: int | None = None
    type: Literal["edit"] = "edit"


class Documents(Service):
    """Documents at ``/documents/{name}``.

    A plain client is sent ``{"type": "init", "content": TEXT, "version": N}`` and the same with ``"update"``
    after each change; it sends its whole text, ``{"type": "edit", "content": TEXT}``, with the ``version`` it
    was made from if it likes, and nothing that others have written meanwhile is lost by it. The channel has
    Yjs updates; see `rtwidgets.yjs.record.Record`.
    """

    name = "documents"
    path = "/documents/{name}"
    fields = FIELDS
    compacted = True
    companions = (Awareness, Yjs)

    async def channel(self, params: Mapping[str, str]) -> Channel:
        """Return the channel of a document's name."""
        return await channel_of(self.hub, params["name"])

    async def publish(
        self, channel: Channel, data: msgspec.Raw, user: str, idempotency: str | None = None
    ) -> int:
        """Merge a Yjs update, ``{"update": BASE64, "epoch": EPOCH}``.

        Merging it twice is the same as once, so there is no need for an `idempotency` key. The epoch is that
        of the copy which it was made from.

        Raises
        ------
        Refused
            When it is no such thing, or of another epoch; or as `SharedDocument.update`.
        """
        try:
            message = msgspec.json.decode(data, type=_Update)
        except (ValueError, RecursionError) as error:
            raise Refused("bad_message", f'send {{"update": BASE64}}: {error}') from error
        document = await self._document(channel.name.partition("/")[2])
        if message.epoch not in {None, channel.log.epoch}:
            raise Refused(
                "stale_epoch",
                "this document was begun anew: what you have is of another one; subscribe again",
            )
        return await document.update(message.update, user)

    async def talk(self, peer: Peer) -> None:
        """Let a plain client take part in a document."""
        document = await self._document(peer.params["name"])
        channel, versions = document.channel, document.versions
        began = versions.version
        await peer.send({"type": "init", "content": versions.text, "version": began})
        peer.follow(channel, after=began, encoder=document.plain)
        peer.join(channel)
        shadow = Shadow()
        async for message in peer.paced():
            try:
                peer.require("publish", channel)
                await self._save(document, shadow, message, peer)
            except Refused as refusal:
                await peer.send({"type": "error", "message": str(refusal)})

    async def _save(self, document: SharedDocument, shadow: Shadow, message: str | bytes, peer: Peer) -> None:
        try:
            edit = msgspec.json.decode(message, type=_Edit)
        except (ValueError, RecursionError) as error:
            raise Refused("bad_message", f'send {{"type": "edit", "content": TEXT}}: {error}') from error
        try:
            change = shadow.rebase(document.versions, edit.content, edit.version, since=document.seen)
        except LookupError as error:
            raise Refused(
                "unknown_version", f"{error}: send your text again with the version of the newest update"
            ) from error
        try:
            shadow.landed(await document.edit(change, peer.user))
        except Refused:
            shadow.refused()
            raise

    async def _document(self, name: str) -> SharedDocument:
        return await document_of(self.hub, name)
