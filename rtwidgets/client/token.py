"""What a client shows a server: a token, or a function that is asked for one whenever one is needed."""

from __future__ import annotations

import asyncio
import base64
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from rtwidgets.errors import UsageError
from rtwidgets.loop import aside

__all__ = ["AskForToken", "Token"]

AskForToken = Callable[[], str | Awaitable[str]]
"""Returns a token that is good now. It may block: it is called on a thread of its own."""

ASK_TIMEOUT = 30.0
"""Seconds that a function has to return a token."""
RENEW_AT = 0.8
"""The part of its life after which a token is replaced."""
RENEW_EVERY = 1.0
"""Seconds between two attempts at that, at the least."""


class _Claims(msgspec.Struct):
    exp: float | None = None
    iat: float | None = None


class Token:
    """A token, or where one comes from.

    Parameters
    ----------
    given
        A token as text, or a function that returns one, plain or async.

    Raises
    ------
    UsageError
        When it is neither.
    """

    def __init__(self, given: str | AskForToken) -> None:
        if not isinstance(given, str) and not callable(given):
            raise UsageError(f"token= is text or a function that returns it, not {type(given).__name__}")
        self._given = given
        self._left: float | None = None  # seconds of its life when it was got
        self._got = 0.0  # by the steady clock

    def __repr__(self) -> str:
        return "Token(a function)" if self.renewable else "Token()"

    @property
    def renewable(self) -> bool:
        """Whether it can be asked for again."""
        return not isinstance(self._given, str)

    @property
    def renew_in(self) -> float | None:
        """Seconds until it should be renewed: four fifths of what is left of its life; None for never.

        That is what the token says of itself. Nothing of it is checked: that is for the server.
        """
        if self._left is None:
            return None
        return max(RENEW_EVERY, RENEW_AT * (self._left - (time.monotonic() - self._got)))

    async def get(self) -> str:
        """Return a token that is good now, as far as its source knows.

        Raises
        ------
        UsageError
            When the function returns something else, or what cannot be in a header.
        TimeoutError
            When it takes longer than `ASK_TIMEOUT`; what else it raises comes through.
        """
        token: Any = self._given
        if callable(token):
            async with asyncio.timeout(ASK_TIMEOUT):
                token = await aside(token, "asking for a token")
                if inspect.isawaitable(token):
                    token = await token
            if not isinstance(token, str):
                raise UsageError(f"the function given as token= returned {type(token).__name__} and no text")
            self._left, self._got = _left(token, time.time()), time.monotonic()
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise UsageError("a token is made of letters, digits and signs, with no space in it")
        return str(token)


def _left(token: str, now: float) -> float | None:
    try:
        payload = token.split(".")[1]
        claims = msgspec.json.decode(
            base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), type=_Claims
        )
    except (IndexError, ValueError, RecursionError):
        return None  # it is no JWT
    if claims.exp is None:
        return None
    left = claims.exp - now
    if claims.iat is not None and not 0 < left <= claims.exp - claims.iat:
        left = claims.exp - claims.iat  # this machine's clock differs from that of who issued it
    return left
