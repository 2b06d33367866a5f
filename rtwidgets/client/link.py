"""One WebSocket that is kept open: connected, lost, waited for, connected again."""

from __future__ import annotations

import asyncio
import enum
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidMessage,
    InvalidStatus,
    InvalidURI,
)
from websockets.frames import CloseCode
from websockets.typing import Subprotocol

from rtwidgets.client.backoff import Backoff
from rtwidgets.client.inbox import MAX_SIZE, Inbox
from rtwidgets.errors import ConnectError, Forbidden, NotFound, Unauthorized, Unreachable
from rtwidgets.loop import report

__all__ = ["WANTED_AS_ARGUMENT", "WANTED_IN_URL", "Link", "State", "explain"]

_logger = logging.getLogger("rtwidgets.client")

OPEN_TIMEOUT = 10.0
"""Seconds that a handshake may take."""

PING_INTERVAL = 5.0
PING_TIMEOUT = 8.0
"""Seconds between two pings, and for the answer to one: together, until a dead link is noticed."""


WANTED_IN_URL = "Put the token into the URL as ?token=…, or into headers="
WANTED_AS_ARGUMENT = "Pass token=… with the token that the server printed"


class State(enum.Enum):
    """What a link is doing."""

    CONNECTING = "connecting"
    OPEN = "open"
    WAITING = "waiting"
    CLOSED = "closed"


def explain_close(error: ConnectionClosed) -> str:
    """Return in words why a connection ended."""
    if error.rcvd is None:
        return f"the connection broke off: {error}" if error.sent is not None else "the connection broke off"
    code, said = error.rcvd.code, error.rcvd.reason
    return f"the server closed the connection (code {code}{f': {said}' if said else ''})"


def explain(url: str, error: Exception, *, token: str = WANTED_IN_URL) -> ConnectError:
    """Return the error to show for a handshake that failed.

    All but `Unreachable` are final: trying again with the same URL and token would get the same answer.

    Parameters
    ----------
    url
        As it is shown.
    error
        What the library raised.
    token
        Where a token has to go.
    """
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
        body = bytes(error.response.body or b"").decode(errors="replace").strip()[:300]
        said = f"the server answered {status}" + (f": {body}" if body else "")
        if status == 401:
            return Unauthorized(url, f"{said}. {token}")
        if status == 403:
            return Forbidden(url, said)
        if status == 404:
            return NotFound(url, said)
        return Unreachable(url, said)
    if isinstance(error, InvalidURI | ValueError):
        return ConnectError(url, "this is not a WebSocket URL: write ws://host:port/path or wss://…")
    if isinstance(error, InvalidMessage) and isinstance(error.__cause__, EOFError | OSError):
        # So does a proxy whose server is down, so it may be another thing next time.
        return Unreachable(url, "it closed the connection without an answer. Does it speak WebSocket?")
    if isinstance(error, InvalidHandshake):
        return NotFound(url, f"what answers there does not speak WebSocket ({error})")
    if isinstance(error, TimeoutError):
        return Unreachable(url, f"no answer in {OPEN_TIMEOUT:g} s")
    if isinstance(error, ConnectionRefusedError) or "Multiple exceptions" in str(error):
        return Unreachable(url, "nothing listens there. Is the server running, and is the port right?")
    return Unreachable(url, str(error) or type(error).__name__)


class Link:
    """Runs a session on a WebSocket, again after each break.

    Parameters
    ----------
    url
        Where to connect. Errors and `shown` leave out what may be secret: its query, user and password.
    session
        Called with each new connection; the break is its return or a `ConnectionClosed`.
    headers
        Further request headers.
    subprotocols
        To ask for.
    """

    def __init__(
        self,
        url: str,
        session: Callable[[Inbox], Awaitable[None]],
        *,
        headers: Mapping[str, str] | None = None,
        subprotocols: Sequence[str] = (),
    ) -> None:
        self.shown = _without_secrets(url)
        self.state = State.CONNECTING
        self.reason = ""
        """Why the last connection ended or failed, in words; empty before that."""
        self.connects = 0
        self.ended: asyncio.Future[ConnectError | None] = asyncio.get_running_loop().create_future()
        """Done when the link will not connect again, with the error if there was one."""
        self._url = url
        self._session = session
        self._headers = dict(headers or {})
        self._subprotocols = [Subprotocol(name) for name in subprotocols]
        self._backoff = Backoff()
        self._task = asyncio.get_running_loop().create_task(
            self._run(), name=f"rtwidgets: link to {self.shown}"
        )

    async def opened(self, event: asyncio.Event) -> ConnectError | None:
        """Wait for an event or the end of the link; return the error if it ended with one."""
        waiting: asyncio.Future[Any] = asyncio.ensure_future(event.wait())
        try:
            await asyncio.wait([waiting, self.ended], return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        return self.ended.result() if self.ended.done() else None

    async def close(self) -> None:
        """Say good-bye and connect no more."""
        self.state = State.CLOSED  # from now on nobody should begin to use it
        self._task.cancel()
        await asyncio.wait([self._task])
        self._end(None, "stopped")

    async def _run(self) -> None:
        try:
            while True:
                wait = await self._once()
                self.state = State.WAITING
                await asyncio.sleep(wait)
                self.state = State.CONNECTING
        except asyncio.CancelledError:
            self._end(None, "stopped")
            raise
        except ConnectError as error:
            self._end(error, error.reason)
        except Exception as error:  # noqa: BLE001 - reported
            report(f"the link to {self.shown}", error)
            self._end(ConnectError(self.shown, f"a fault in the client: {error!r}"), repr(error))

    def _end(self, error: ConnectError | None, reason: str) -> None:
        self.state = State.CLOSED
        if not self.ended.done():
            self.reason = reason
            self.ended.set_result(error)

    async def _once(self) -> float:
        """Connect and run the session until it breaks; return the seconds to wait before the next time.

        Raises
        ------
        ConnectError
            When there is no sense in a next time, or when the very first one failed.
        """
        try:
            async with connect(
                self._url,
                create_connection=Inbox,
                additional_headers=self._headers,
                subprotocols=self._subprotocols or None,
                compression=None,
                max_size=MAX_SIZE,
                max_queue=None,  # read and decoded within one turn of the loop, so none can pile up
                open_timeout=OPEN_TIMEOUT,
                close_timeout=1.0,
                ping_interval=PING_INTERVAL,
                ping_timeout=PING_TIMEOUT,
                logger=_logger,
                proxy=None if _is_local(self._url) else True,
            ) as connection:
                assert isinstance(connection, Inbox)
                self._backoff.opened(time.monotonic())
                self.state = State.OPEN
                self.connects += 1
                try:
                    await self._session(connection)
                except asyncio.CancelledError:
                    await connection.close()  # or websockets would tell the peer of an internal error
                    raise
                self.reason = "the server ended the stream"
        except ConnectionClosed as error:
            self.reason = explain_close(error)
            if error.rcvd is not None and error.rcvd.code == CloseCode.POLICY_VIOLATION:
                raise ConnectError(self.shown, f"{self.reason}. It would do so again") from error
        except (OSError, InvalidHandshake, InvalidURI, ValueError) as error:
            if isinstance(error, ValueError) and self.state is State.OPEN:
                raise  # not about the address
            token = WANTED_AS_ARGUMENT if self._subprotocols else WANTED_IN_URL
            explained = explain(self.shown, error, token=token)
            if self.connects == 0 or not isinstance(explained, Unreachable):
                # The cause would show the URL with all that is in it.
                raise explained from (None if isinstance(error, InvalidURI | ValueError) else error)
            self.reason = explained.reason
        return self._backoff.lost(time.monotonic())


def _without_secrets(url: str) -> str:
    head, slashes, rest = url.partition("?")[0].partition("#")[0].partition("//")
    if not slashes:
        return head
    place, slash, path = rest.partition("/")
    return f"{head}//{place.rpartition('@')[2]}{slash}{path}"


def _is_local(url: str) -> bool:
    return urlsplit(url).hostname in {"localhost", "127.0.0.1", "::1"}
