"""Who may talk to a server: the token, and the pages that a browser may come from."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from websockets.datastructures import Headers

from rtwidgets.errors import Refused
from rtwidgets.server.loopback import is_loopback
from rtwidgets.server.tokens import FULL, Grant, Tokens

__all__ = ["Access"]


@dataclass(frozen=True)
class Access:
    """The rules of one server.

    Parameters
    ----------
    token
        What every client has to show, or None when the server is open.
    origins
        Origins of web pages that may connect, such as ``"https://hub.example.org"``, beside pages from
        loopback hosts and from files.
    tokens
        Checks signed tokens, which are as good as the server's own for what they allow.
    """

    token: str | None = field(repr=False)
    origins: Sequence[str] = ()
    tokens: Tokens = field(default_factory=Tokens)

    def accepts(self, token: str) -> bool:
        """Whether a token is the right one; takes as long for every wrong one."""
        if self.token is None:
            return True
        return hmac.compare_digest(token.encode(errors="surrogatepass"), self.token.encode())

    async def grant(self, token: str) -> Grant:
        """Return what a token allows: the server's own all, a signed one what it says.

        Raises
        ------
        Refused
            With the code ``unauthorized``, ``token_expired``, or ``unavailable`` when nobody can tell now.
        """
        if self.accepts(token):
            return FULL
        if token.count(".") != 2:
            raise Refused("unauthorized", "the token is not the one of this server")
        return await self.tokens.check(token)

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
