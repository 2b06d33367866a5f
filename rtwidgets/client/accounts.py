"""Logging in at the accounts of a server, for a token that is renewed when it is asked for late."""

from __future__ import annotations

import asyncio
import logging
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from rtwidgets.checks import is_local, without_secrets
from rtwidgets.client.link import explain, explain_close
from rtwidgets.client.token import RENEW_AT
from rtwidgets.errors import Closed, ConnectError, Refused, Unreachable, UsageError
from rtwidgets.loop import lease

__all__ = ["Login"]

_logger = logging.getLogger("rtwidgets.client")

TIMEOUT = 30.0
"""Seconds that a request may take: a server where many log in hashes a few passwords at a time."""


class _Token(msgspec.Struct, tag_field="type", tag="token"):
    token: str
    lifetime: float
    refresh: str

    def __repr__(self) -> str:
        return "_Token(…)"


class _LoggedOut(msgspec.Struct, tag_field="type", tag="logged_out"):
    pass


class _Error(msgspec.Struct, tag_field="type", tag="error"):
    code: str
    message: str


_decoder: msgspec.json.Decoder[_Token | _LoggedOut | _Error] = msgspec.json.Decoder(
    _Token | _LoggedOut | _Error
)


class Login:
    """Somebody who is logged in: call it for a token that is good now.

    Made by `rtwidgets.login`. The password is not kept, and no token is shown. All of it blocks, and may be
    called from any thread but that of the background loop.

    Parameters
    ----------
    url
        The server's, such as ``ws://127.0.0.1:8765``.
    user, password
        As they were registered.
    trust
        Finds what the certificate of a ``wss://`` server is checked with; None for what the machine trusts.

    Raises
    ------
    ConnectError
        When the server cannot be reached, or has no accounts.
    Refused
        When it does not let this user in; the sentence says why.
    """

    def __init__(
        self,
        url: str,
        user: str,
        password: str,
        *,
        trust: Callable[[], ssl.SSLContext | None] = lambda: None,
    ) -> None:
        self.user = user
        self._url = url.rstrip("/") + "/accounts"
        self._shown = without_secrets(self._url)
        self._trust = trust
        self._lock = threading.Lock()
        self._token: _Token | None = None
        self._since = 0.0
        self._ask({"type": "login", "user": user, "password": password})

    def __repr__(self) -> str:
        return f"Login({self.user!r}, {self._shown.removesuffix('/accounts')!r})"

    def __call__(self) -> str:
        """Return a token, as `token` does: so that a login can be given as ``token=``."""
        return self.token()

    def token(self) -> str:
        """Return a token that is good now, a new one where four fifths of the last one's life are over.

        Raises
        ------
        Refused
            When the session is over: after 30 days without use, for example, or when its refresh token was
            used by somebody else.
        ConnectError
            When the token's life is over and the server cannot be reached for another one.
        Closed
            After `logout`.
        """
        with self._lock:
            if self._token is None:
                raise Closed(f"{self.user!r} was logged out: log in again with rt.login(…)")
            # Not the steady clock: it may stand still while the machine sleeps.
            age = time.time() - self._since
            if not 0 <= age < self._token.lifetime * RENEW_AT:
                try:
                    self._ask({"type": "refresh", "refresh": self._token.refresh})
                except Unreachable:
                    if not 0 <= age < self._token.lifetime:
                        raise
            return self._token.token

    def logout(self) -> None:
        """End the session: no new tokens come of it. Logging out twice is harmless.

        A token that was given out stays good until its end, in some minutes. Raises a ConnectError when the
        server could not be told.
        """
        with self._lock:
            if self._token is not None:
                self._ask({"type": "logout", "refresh": self._token.refresh})
                self._token = None

    def _ask(self, request: dict[str, str]) -> None:
        """Ask the server, and keep the token that it answers with."""
        since, background = time.time(), lease()
        try:
            answer = background.run(_exchange(self._url, self._shown, request, self._trust()))
        finally:
            background.release()
        if isinstance(answer, _Error):
            raise Refused(answer.code, answer.message)
        if isinstance(answer, _Token):
            self._token, self._since = answer, since


async def _exchange(
    url: str, shown: str, request: dict[str, str], trust: ssl.SSLContext | None
) -> _Token | _LoggedOut | _Error:
    tls: dict[str, Any] = {} if trust is None else {"ssl": trust}
    try:
        asked = msgspec.json.encode(request)
    except UnicodeEncodeError:
        raise UsageError("a name or password is text, with no half of a surrogate pair in it") from None
    try:
        async with (
            asyncio.timeout(TIMEOUT),
            connect(
                url,
                compression=None,
                max_size=65_536,
                open_timeout=None,
                close_timeout=1.0,
                logger=_logger,
                proxy=None if is_local(url) else True,
                **tls,
            ) as connection,
        ):
            await connection.send(asked, text=True)
            said = await connection.recv(decode=False)
    except TimeoutError as error:
        raise Unreachable(shown, f"no answer in {TIMEOUT:g} s") from error
    except ConnectionClosed as error:
        raise Unreachable(shown, explain_close(error)) from error
    except (OSError, InvalidHandshake, InvalidURI, ValueError) as error:
        # The cause would show the URL with all that is in it.
        explained = explain(shown, error)
        raise explained from (None if isinstance(error, InvalidURI | ValueError) else error)
    try:
        return _decoder.decode(said)
    except ValueError:
        # The cause would show what was said.
        raise ConnectError(shown, "what answers there does not speak as a server's accounts do") from None
