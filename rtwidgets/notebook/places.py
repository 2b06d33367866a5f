"""Where the channels of this kernel are, and the connections to them that are shared."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

from rtwidgets.client import AskForToken, Multiplex, State, pinned, trusting
from rtwidgets.errors import UsageError
from rtwidgets.messages import check_channel
from rtwidgets.notebook.servers import RunningServer, Servers

__all__ = ["Place", "Places"]


class Place(NamedTuple):
    """A channel, and where it is."""

    channel: str
    url: str
    token: str | AskForToken | None
    ca: str | None

    def __repr__(self) -> str:
        return f"Place({self.channel!r})"  # a token may not get into a log


class Places:
    """Finds channels, and connects to them.

    Parameters
    ----------
    servers
        Where a channel is looked for when no server is named.
    """

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._shared: dict[Place, list[Multiplex]] = {}

    def url(self, server: str | RunningServer | None) -> str:
        """Return the URL of a server: the newest of this kernel for None, or `NotRunning` is raised."""
        return server if isinstance(server, str) else (server or self._servers.newest()).url

    def place(
        self,
        channel: str,
        server: str | RunningServer | None,
        token: str | AskForToken | None,
        ca: str | None,
    ) -> Place:
        """Return where a channel is.

        Raises
        ------
        UsageError
            When its name is none.
        NotRunning
            When no server is named and none runs here.
        """
        if channel.startswith("/") and channel.strip("/"):
            raise UsageError(f"{channel!r} is a path: the channel is {channel.strip('/')!r}")
        check_channel(channel)
        if isinstance(server, str):
            return Place(channel, server, token, ca)
        server = server or self._servers.newest()
        return Place(channel, server.url, token or server.token, ca)

    def trust(self, url: str, ca: str | None) -> Callable[[], ssl.SSLContext | None]:
        """Return what finds, for each new connection to a URL, what its certificate is checked with."""
        if ca is not None and not url.startswith("wss://"):
            raise UsageError(f"ca={ca!r} goes with a URL that begins with wss://")
        given = None if ca is None else trusting(ca)
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

        def trust() -> ssl.SSLContext | None:
            for server in self._servers.alive():  # one that was started anew has a new certificate
                if server.certificate is not None and server.url == origin:
                    return pinned(server.certificate)
            return given

        return trust

    def ours(self, url: str) -> bool:
        """Whether a server of this kernel answers at a URL."""
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        return any(server.url == origin for server in self._servers.alive())

    def multiplex(self, place: Place, *, shared: bool) -> Multiplex:
        """Return a connection on which nobody follows the channel yet; runs on the background loop."""
        kept = self._shared.setdefault(place._replace(channel=""), [])
        kept[:] = [multiplex for multiplex in kept if multiplex.link.state is not State.CLOSED]
        for multiplex in kept if shared else []:
            if place.channel not in multiplex.channels:
                return multiplex
        multiplex = Multiplex(place.url, place.token, trust=self.trust(place.url, place.ca))
        if shared:  # who is present in a room has a connection of its own
            kept.append(multiplex)
        return multiplex

    def forget(self) -> None:
        """Forget the shared connections: who uses them closes them."""
        self._shared.clear()
