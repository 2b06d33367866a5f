"""What one connection may do, as long as its token is good."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from rtwidgets.errors import Refused
from rtwidgets.server.access import Access
from rtwidgets.server.tokens import Grant

__all__ = ["EXPIRED", "Rights"]

EXPIRED = Refused("token_expired", "the token has expired: get a new one")
"""What is told who has shown a token that was good, but is so no more. To be told, not raised."""


class Rights:
    """The rights of a connection, from the token it has shown, until the token expires or another is shown.

    Parameters
    ----------
    access
        The server's rules.
    grant
        What the first token allows.
    """

    __slots__ = ("_access", "_expire", "_timer", "grant")

    def __init__(self, access: Access, grant: Grant) -> None:
        self.grant = grant
        self._access = access
        self._expire: Callable[[], None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, expire: Callable[[], None]) -> None:
        """Have a function called when the token expires, once, unless `close` is called before."""
        self._expire = expire
        self._arm()

    def close(self) -> None:
        """Watch no longer."""
        self._expire = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def allows(self, action: str, channel: str) -> bool:
        """Whether an action on a channel is allowed now."""
        return not self.grant.expired and self.grant.allows(action, channel)

    def require(self, action: str, channel: str) -> None:
        """Check that an action on a channel is allowed now.

        Raises
        ------
        Refused
            With the code ``forbidden`` or ``token_expired`` when it is not.
        """
        if self.grant.expired:
            raise Refused(EXPIRED.code, EXPIRED.message)
        if not self.grant.allows(action, channel):
            raise Refused(
                "forbidden",
                f"your token does not allow to {_WORDS[action]} {channel!r}: "
                f"its scope needs {action}:{channel}, or a pattern that covers it",
            )

    def name(self, wanted: str) -> str:
        """Return the name to go by: the token's subject, or the wanted one where the token has none.

        Raises
        ------
        Refused
            When another one than the subject is wanted.
        """
        subject = self.grant.subject
        if subject is not None and wanted != subject:
            raise Refused("forbidden", f"your token is for {subject!r}: you cannot go by another name")
        return wanted

    async def renew(self, token: str) -> None:
        """Take a new token of the same user in place of the one before.

        Raises
        ------
        Refused
            When it is wrong, or somebody else's; what was allowed stays as it is.
        """
        grant = await self._access.grant(token)
        if grant.subject != self.grant.subject:
            raise Refused("forbidden", "a connection stays its user's: open another one for this token")
        self.grant = grant
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._expire is not None and self.grant.expires is not None:
            wait = max(0.0, self.grant.expires - time.time())
            self._timer = asyncio.get_running_loop().call_later(wait, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if not self.grant.expired:  # the clock was set back
            self._arm()
        elif self._expire is not None:
            expire, self._expire = self._expire, None
            expire()


_WORDS = {"subscribe": "subscribe to", "publish": "publish to", "presence": "be present in"}
