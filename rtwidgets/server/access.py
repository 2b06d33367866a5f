"""Who may talk to a server: the token, and the pages that a browser may come from."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from websockets.datastructures import Headers

__all__ = ["Access", "is_loopback"]


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, repr=False)
class Access:
    """The rules of one server.

    Parameters
    ----------
    token
        What every client has to show, or None when the server is open.
    origins
        Origins of web pages that may connect, such as ``"https://hub.example.org"``, beside pages from
        loopback hosts and from files.
    """

    token: str | None
    origins: Sequence[str] = ()

    def accepts(self, token: str) -> bool:
        """Whether a token is the right one; takes as long for every wrong one."""
        if self.token is None:
            return True
        return hmac.compare_digest(token.encode(errors="surrogatepass"), self.token.encode())

    def token_in(self, path: str, headers: Headers) -> str | None:
        """Return the token of a handshake, from ``?token=`` or ``Authorization: Bearer``, if it has one."""
        given = parse_qs(path.partition("?")[2]).get("token")
        if given:
            return given[0]
        for authorization in headers.get_all("Authorization"):
            scheme, _, value = authorization.partition(" ")
            if scheme.lower() == "bearer":
                return value.strip()
        return None

    def origin_allowed(self, headers: Headers) -> bool:
        """Whether a handshake comes from a page that may connect, or from no page at all."""
        origins = headers.get_all("Origin")
        return all(self._allowed(origin) for origin in origins)

    def _allowed(self, origin: str) -> bool:
        if (
            origin in {"null", "file://"} or origin in self.origins
        ):  # what browsers send for a page from a file
            return True
        try:
            return is_loopback(urlsplit(origin).hostname or "")
        except ValueError:
            return False
