"""One WebSocket that is kept open: connected, lost, waited for, connected again."""

from __future__ import annotations

import asyncio
import enum
import logging
import ssl
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

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

from rtwidgets.checks import is_local, without_secrets
from rtwidgets.client.backoff import Backoff
from rtwidgets.client.inbox import MAX_SIZE, Inbox
from rtwidgets.client.token import Token
from rtwidgets.errors import ConnectError, Forbidden, NotFound, RtError, Unauthorized, Unreachable
from rtwidgets.loop import report
from rtwidgets.messages import TOKEN_EXPIRED

__all__ = ["WANTED_AS_ARGUMENT", "WANTED_IN_URL", "Change", "Link", "State", "explain", "explain_close"]

_logger = logging.getLogger("rtwidgets.client")
# At level DEBUG websockets shows each header and frame, and there are tokens and passwords in them.
_logger.addFilter(lambda record: record.levelno > logging.DEBUG)

OPEN_TIMEOUT = 10.0
"""Seconds that a handshake may take."""

CHANGES_KEPT = 200
"""Changes of its state that a link remembers."""

PING_INTERVAL = 5.0
PING_TIMEOUT = 8.0
"""Seconds between two pings, and for the answer to one: together, until a dead link is noticed."""


WANTED_IN_URL = "Put the token into the URL as ?token=…, or into headers="
WANTED_AS_ARGUMENT = "Pass token=… with the token that the server printed"
RENEW = (
    "the token has expired: connect again with a new one as token=…, or with a function that returns one, "
    "which is called again in time"
)


class State(enum.Enum):
    """What a link is doing."""

    CONNECTING = "connecting"
    OPEN = "open"
    WAITING = "waiting"
    CLOSED = "closed"


class Change(NamedTuple):
    """What a link began to do.

    Attributes
    ----------
    time
        When, in nanoseconds of Unix time.
    state
        What.
    reason
        Why it waits or is closed, in words.
    """

    time: int
    state: State
    reason: str


def explain_close(error: ConnectionClosed) -> str:
    """Return in words why a connection ended."""
    if error.rcvd is None:
        cause = error.__cause__
        why = str(error) if error.sent is not None else ""
        if isinstance(cause, OSError) and not why:
            why = cause.strerror or str(cause)
        return "the connection broke off" + (f": {why}" if why else "")
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
        return _explain_answer(url, error, token)
    if isinstance(error, ssl.SSLError) or (
        isinstance(error, ConnectionResetError) and url.startswith("wss:")
    ):
        return _explain_tls(url, error)
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


def _explain_answer(url: str, error: InvalidStatus, token: str) -> ConnectError:
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


def _explain_tls(url: str, error: OSError) -> ConnectError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return ConnectError(
            url,
            f"its certificate is not to be trusted ({error.verify_message}). If it is the server that you "
            "mean, pass ca=… with the path of its certificate, or of that of who signed it",
        )
    why = error.reason if isinstance(error, ssl.SSLError) else "it was reset"
    return Unreachable(
        url,
        f"no encrypted connection came about ({why}). If the server has no TLS, its URL begins with ws://",
    )


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
    token
        Shown on each new connection.
    trust
        Returns, for each new connection, what its certificate is checked with; None for the authorities that
        this machine knows.
    pings
        Whether to use the pings of WebSocket itself; the session has to find out about a dead link otherwise.
    """

    def __init__(
        self,
        url: str,
        session: Callable[[Inbox], Awaitable[None]],
        *,
        headers: Mapping[str, str] | None = None,
        subprotocols: Sequence[str] = (),
        token: Token | None = None,
        trust: Callable[[], ssl.SSLContext | None] = lambda: None,
        pings: bool = True,
    ) -> None:
        self.shown = without_secrets(url)
        self.changes: deque[Change] = deque(maxlen=CHANGES_KEPT)
        """What it did so far; the newest is what it does."""
        self.reason = ""
        """Why the last connection ended or failed, in words; empty before that."""
        self.connects = 0
        self.ended: asyncio.Future[ConnectError | None] = asyncio.get_running_loop().create_future()
        """Done when the link will not connect again, with the error if there was one."""
        self._url = url
        self._session = session
        self._headers = dict(headers or {})
        self._subprotocols = [Subprotocol(name) for name in subprotocols]
        self._token = token
        self._trust = trust
        self._rejected = False  # whether the last attempt was, for its token
        self._pings = pings
        self._backoff = Backoff()
        self._due = 0.0  # when to connect again, by the steady clock
        self._connection: Inbox | None = None
        self._enter(State.CONNECTING)
        self._task = asyncio.get_running_loop().create_task(
            self._run(), name=f"rtwidgets: link to {self.shown}"
        )

    def __repr__(self) -> str:
        return f"Link({self.shown!r})"

    @property
    def state(self) -> State:
        """What it is doing."""
        return self.changes[-1].state

    @property
    def attempt(self) -> int:
        """Which attempt to come back this is, or is waited for, since a connection was stable; 0 is none."""
        return self._backoff.failures

    @property
    def due(self) -> float:
        """Seconds until it tries to connect again; 0.0 when it does not wait for that."""
        return max(0.0, self._due - time.monotonic()) if self.state is State.WAITING else 0.0

    @property
    def latency(self) -> float | None:
        """Seconds that the last answer to a ping of this connection took; None before the first one."""
        connection = self._connection
        return (connection.latency or None) if connection is not None else None

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
        if self.state is not State.CLOSED:
            self._enter(State.CLOSED, "stopped")  # from now on nobody should begin to use it
        self._task.cancel()
        await asyncio.wait([self._task])
        self._end(None, "stopped")

    async def _run(self) -> None:
        try:
            while True:
                wait = await self._once()
                self._due = time.monotonic() + wait
                self._enter(State.WAITING, self.reason)
                await asyncio.sleep(wait)
                self._enter(State.CONNECTING)
        except asyncio.CancelledError:
            self._end(None, "stopped")
            raise
        except ConnectError as error:
            self._end(error, error.reason)
        except Exception as error:  # noqa: BLE001 - reported
            report(f"the link to {self.shown}", error)
            self._end(ConnectError(self.shown, f"a fault in the client: {error!r}"), repr(error))

    def _enter(self, state: State, reason: str = "") -> None:
        self.changes.append(Change(time.time_ns(), state, reason))

    def _end(self, error: ConnectError | None, reason: str) -> None:
        if self.state is not State.CLOSED:
            self._enter(State.CLOSED, reason)
        if not self.ended.done():
            self.reason = reason
            self.ended.set_result(error)

    async def _connect(self) -> None:
        """Connect and run the session."""
        headers = dict(self._headers)
        if self._token is not None:
            headers["Authorization"] = f"Bearer {await self.ask_for_token(self._token)}"
        trust = self._trust()
        tls: dict[str, Any] = {} if trust is None else {"ssl": trust}
        async with connect(
            self._url,
            create_connection=Inbox,
            additional_headers=headers,
            subprotocols=self._subprotocols or None,
            compression=None,
            max_size=MAX_SIZE,
            max_queue=None,  # read and decoded within one turn of the loop, so none can pile up
            open_timeout=OPEN_TIMEOUT,
            close_timeout=1.0,
            ping_interval=PING_INTERVAL if self._pings else None,
            ping_timeout=PING_TIMEOUT,
            logger=_logger,
            proxy=None if is_local(self._url) else True,
            **tls,
        ) as connection:
            assert isinstance(connection, Inbox)
            self._backoff.opened(time.monotonic())
            self._connection = connection
            self._enter(State.OPEN)
            self.connects += 1
            self._rejected = False
            try:
                await self._session(connection)
            except asyncio.CancelledError:
                await connection.close()  # or websockets would tell the peer of an internal error
                raise
            finally:
                self._connection = None

    def _may_go_on(self, error: ConnectError) -> bool:
        """Whether there is sense in another attempt after a handshake that failed."""
        if isinstance(error, Unauthorized) and self._token is not None and self._token.renewable:
            before, self._rejected = self._rejected, True
            return not before  # the token may have expired on its way, but not twice
        return isinstance(error, Unreachable)

    async def ask_for_token(self, token: Token) -> str:
        """Return a token that is good now.

        Raises
        ------
        Unreachable
            When there is none now.
        Unauthorized
            When there will be none.
        """
        try:
            return await token.get()
        except ConnectError as error:
            raise Unreachable(self.shown, f"there is no token: {error}") from error
        except RtError as error:
            raise Unauthorized(self.shown, f"there is no token: {error}") from error
        except Exception as error:  # the user's own function; its words may have secrets in them
            reason = f"the function given as token= raised {type(error).__name__}"
            raise Unreachable(self.shown, reason) from error

    async def _once(self) -> float:
        """Connect and run the session until it breaks; return the seconds to wait before the next time.

        Raises
        ------
        ConnectError
            When there is no sense in a next time, or when the very first one failed.
        """
        try:
            await self._connect()
            self.reason = "the server ended the stream"
        except Unreachable as error:
            if self.connects == 0:
                raise
            self.reason = error.reason
        except ConnectionClosed as error:
            self.reason = explain_close(error)
            code = None if error.rcvd is None else error.rcvd.code
            if code == TOKEN_EXPIRED and self._token is not None and not self._token.renewable:
                raise Unauthorized(self.shown, RENEW) from error
            if code == CloseCode.POLICY_VIOLATION:
                raise ConnectError(self.shown, f"{self.reason}. It would do so again") from error
        except (OSError, InvalidHandshake, InvalidURI, ValueError) as error:
            if isinstance(error, ValueError) and self.state is State.OPEN:
                raise  # not about the address
            token = WANTED_AS_ARGUMENT if self._subprotocols else WANTED_IN_URL
            explained = explain(self.shown, error, token=token)
            if self.connects == 0 or not self._may_go_on(explained):
                # The cause would show the URL with all that is in it.
                raise explained from (None if isinstance(error, InvalidURI | ValueError) else error)
            self.reason = explained.reason
        return self._backoff.lost(time.monotonic())
