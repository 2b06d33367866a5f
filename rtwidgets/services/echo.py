"""Echo, in two tastes: the tutorial's, which says so, and the raw one of a protocol test."""

from __future__ import annotations

from rtwidgets.server import Peer, Service

__all__ = ["Echo", "RawEcho"]


class Echo(Service):
    """Text comes back with ``Echo:`` and a space before it; binary is taken for UTF-8 text."""

    name = "echo"
    path = "/echo"
    has_channels = False

    async def talk(self, peer: Peer) -> None:
        """Answer each message."""
        async for message in peer:
            text = message if isinstance(message, str) else message.decode(errors="replace")
            await peer.send(f"Echo: {text}")


class RawEcho(Service):
    """Every message comes back unchanged, text as text and binary as binary."""

    name = "ws"
    path = "/ws"
    has_channels = False

    async def talk(self, peer: Peer) -> None:
        """Answer each message."""
        async for message in peer:
            await peer.send(message)
