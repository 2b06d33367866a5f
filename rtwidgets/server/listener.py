"""The server: one port, routed by path and subprotocol, guarded by a token and the Origin."""

from __future__ import annotations

import asyncio
import logging
import secrets
import weakref
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs

import websockets.asyncio.server as websockets_server
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.http11 import Request, Response
from websockets.protocol import State

from rtwidgets.engines import MemoryEngine, open_engine
from rtwidgets.errors import ServeError, UsageError
from rtwidgets.loop import aside, report, supervise
from rtwidgets.messages import MAX_MESSAGE, SUBPROTOCOL
from rtwidgets.server import health, limits
from rtwidgets.server.access import Access
from rtwidgets.server.admission import admit, select_subprotocol
from rtwidgets.server.hub import Hub
from rtwidgets.server.loopback import is_loopback
from rtwidgets.server.outbox import WRITE_HIGH, Connection
from rtwidgets.server.pulse import Pulse
from rtwidgets.server.service import Service
from rtwidgets.server.session import authenticate, plain_session, v1_session
from rtwidgets.server.tls import Tls
from rtwidgets.server.tokens import Tokens

__all__ = ["Server"]

_logger = logging.getLogger("rtwidgets.server")
# At level DEBUG websockets shows each header and frame, and there are tokens and passwords in them.
_logger.addFilter(lambda record: record.levelno > logging.DEBUG)

OPEN_TIMEOUT = 10.0
"""Seconds for the handshake."""
CLOSE_TIMEOUT = 1.0
"""Seconds that peers have to say good-bye when the server stops."""
PING_INTERVAL = PING_TIMEOUT = 7.0
"""Seconds between two pings to a plain client, and for the answer: together, until a dead link is noticed."""
DRAIN_EACH, DRAIN_LONGEST = 0.01, 5.0
"""Seconds between two connections that are closed when the server stops, and for all of them at the most."""


class Server:
    """A WebSocket server with services. Lives on the loop that `start` runs on.

    Parameters
    ----------
    services
        Classes of the services to offer.
    host, port
        Where to listen; port 0 takes a free one.
    token
        What clients have to show; None makes a random one.
    open
        Ask for no token. On loopback only; a single service then answers at ``/`` as well,
        unless its path has parts.
    jwt
        How signed tokens are checked, which are taken beside `token`: the parameters of `Tokens` by name.
    tls
        Encrypt: True with a self-signed certificate, or as `Tls` has it.
    origins
        Origins of web pages that may connect, beside loopback ones and files.
    seed
        Seeds what services make up, such as the price walk.
    options
        By service name, its options.
    engine
        URL of where the logs live: ``memory://``, or ``sqlite:///file.db`` to outlast the process, with how
        much they keep as `open_engine` reads it. Prices are in memory all the same, unless their option
        `durable` is set.
    id
        The server's name in presence, where clients see who is on which server; None makes a random one.

    Raises
    ------
    UsageError
        For options of a service that is not offered, or options it does not have; for `jwt`, as `Tokens`.
    ServeError
        For `open` on a host that is not this machine's own.
    """

    def __init__(
        self,
        services: Sequence[type[Service]],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        open: bool = False,
        jwt: Mapping[str, Any] | None = None,
        tls: bool | Mapping[str, str] = False,
        origins: Sequence[str] = (),
        seed: int | None = None,
        options: Mapping[str, Mapping[str, Any]] | None = None,
        engine: str = "memory://",
        id: str | None = None,
    ) -> None:
        if open and not is_loopback(host):
            raise ServeError(
                f"an open server answers this machine only: not {host!r}; use 127.0.0.1, or a token"
            )
        if token == "":
            raise UsageError("an empty token keeps nobody out: give one, or None for a random one")
        self.host = host
        self.port = port
        self.token = None if open else token or secrets.token_urlsafe(24)
        self.hub = Hub(MemoryEngine(), Tokens.from_config(jwt), id=id)
        self.hub.token = self.token
        self._engine = engine
        self.access = Access(self.token, origins, self.hub.tokens)
        self._open = open
        self._seed = seed
        self._services: dict[str, Service] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._server: websockets_server.Server | None = None
        self._connections: weakref.WeakSet[Connection] = weakref.WeakSet()
        self._pulse = Pulse()
        self._tls: Tls | None = None
        self._asked_tls = tls
        self.draining = False
        options = dict(options or {})
        offered = [each for service in services for each in (service, *service.companions)]
        for service in offered:
            self._services[service.path] = service(
                self.hub, seed=seed, options=options.pop(service.name, None)
            )
        if options:
            names = ", ".join(sorted(service.name for service in offered))
            raise UsageError(f"options for {', '.join(options)}, but the services are: {names}")

    # Lifetime

    async def start(self) -> None:
        """Listen, and start the services.

        Raises
        ------
        PortInUse
            When another program has the port.
        ServeError
            When the host is not an address of this machine, the port may not be used, or the engine's file
            is in use or cannot be written, or the certificate cannot be used.
        UsageError
            When there is no such engine, or its URL does not say what it needs; for `tls` that is none.
        """
        self.hub.engine = open_engine(self._engine)
        try:
            if self._asked_tls is not False:
                asked, host = self._asked_tls, self.host
                self._tls = await aside(lambda: Tls(asked, host), "reading a certificate")
            await self._listen()
        except BaseException:
            await self.hub.engine.close()
            if self._tls is not None:
                self._tls.close()
            raise
        for service in self._services.values():
            self._launch(service)
        self._pulse.start()

    async def _listen(self) -> None:
        try:
            self._server = await websockets_server.serve(
                self._converse,
                self.host,
                self.port,
                create_connection=self._connection,  # type: ignore[arg-type]  # a maker of them will do
                process_request=self._admit,
                select_subprotocol=select_subprotocol,
                compression=None,
                max_size=MAX_MESSAGE + 4_096,  # with room for what a dialect puts around a message
                write_limit=WRITE_HIGH,
                open_timeout=OPEN_TIMEOUT,
                close_timeout=CLOSE_TIMEOUT,
                ping_interval=PING_INTERVAL,
                ping_timeout=PING_TIMEOUT,
                server_header=None,
                logger=_logger,
                **({} if self._tls is None else self._tls.arguments()),
            )
        except OSError as error:
            raise ServeError.of(self.host, self.port, error) from error
        except OverflowError as error:
            raise ServeError(f"{self.port} is not a port: use 1 to 65535, or 0 for any free one") from error
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Take no more clients, stop the services, and close the connections one after the other.

        Clients are told that the service restarts (close code 1012) a hundredth of a second apart, so that
        they do not all come back in one moment. Those that do not answer are cut off: it takes 10 seconds at
        the most.
        """
        self.draining = True
        self._pulse.stop()
        if self._server is not None:
            self._server.close(close_connections=False)
        await self._cancel(list(self._tasks.values()))
        self._tasks.clear()
        if self._server is not None:
            await self._part()
            done = asyncio.ensure_future(self._server.wait_closed())
            await asyncio.wait([done], timeout=CLOSE_TIMEOUT * 2)
            for connection in list(self._connections):
                connection.abort()
            await done
            self._server = None
        self.hub.close()
        await self.hub.engine.close()
        if self._tls is not None:
            self._tls.close()
            self._tls = None

    def __repr__(self) -> str:
        return f"Server({self.url!r})"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    # What it offers

    @property
    def url(self) -> str:
        """Where it listens, such as ``ws://127.0.0.1:8765``, or ``wss://…`` with TLS."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'ws' if self._asked_tls is False else 'wss'}://{host}:{self.port}"

    @property
    def id(self) -> str:
        """What tells it from other servers in presence."""
        return self.hub.id

    @property
    def certificate(self) -> str | None:
        """The path of its certificate while it runs, for clients that are to trust it; None without TLS."""
        return None if self._tls is None else self._tls.certificate

    @property
    def paths(self) -> list[str]:
        """The paths of its services."""
        return list(self._services)

    @property
    def channels(self) -> list[str]:
        """The channels of its services, with ``{part}`` where a name of the client's choice goes."""
        return [path[1:] for path, service in self._services.items() if service.has_channels]

    @property
    def failed(self) -> list[str]:
        """The paths of services whose background work ended with an error."""
        return [path for path, task in self._tasks.items() if _has_failed(task)]

    @property
    def full(self) -> bool:
        """Whether there are as many connections as there may be."""
        return self._server is not None and len(self._server.connections) >= limits.MAX_CONNECTIONS

    def statistics(self) -> health.Statistics:
        """Return counts of what goes on."""
        channels, counts = self.hub.channels, self.hub.counts
        connections = [] if self._server is None else list(self._server.connections)
        return health.Statistics(
            connections=len(connections),
            channels=len(channels),
            messages=sum(channel.published for channel in channels),
            dropped=counts.dropped,
            deliveries=counts.deliveries,
            gaps=counts.gaps,
            recoveries=counts.recoveries,
            conflated=counts.conflated,
            lag=max((channel.lag for channel in channels), default=0),
            queue_bytes=sum(each.transport.get_write_buffer_size() for each in connections),
        )

    async def add(self, service: type[Service]) -> None:
        """Offer one more service; it takes the place of one with the same path, which is stopped."""
        made = service(self.hub, seed=self._seed)
        while (task := self._tasks.pop(service.path, None)) is not None:
            await self._cancel([task])
        self._services[service.path] = made
        self._launch(made)

    def find(self, path: str) -> tuple[Service, dict[str, str]] | None:
        """Return the service at a path and the path's named parts."""
        for service in self._services.values():
            params = service.route.match(path)
            if params is not None:
                return service, params
        if path == "/" and self._open and len(self._services) == 1:
            only = next(iter(self._services.values()))
            return None if "{" in only.path else (only, {})
        return None

    # Connections

    def _connection(self, *args: Any, **kwargs: Any) -> Connection:
        connection = Connection(*args, **kwargs)
        connection.dropped = self._count_dropped
        self._connections.add(connection)
        return connection

    async def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        assert isinstance(connection, Connection)
        return await admit(self, connection, request)

    async def _converse(self, server_connection: ServerConnection) -> None:
        assert isinstance(server_connection, Connection)
        assert server_connection.request is not None
        connection, request = server_connection, server_connection.request
        path, _, query = request.path.partition("?")
        try:
            rights = connection.rights or await authenticate(connection, self.access)
            if rights is None:
                return
            if connection.subprotocol == SUBPROTOCOL:
                with self._pulse.watching(connection):
                    await v1_session(connection, rights, self)
                return
            found = self.find(path)
            assert found is not None  # _admit refuses the others; services are replaced, never removed
            service, params = found
            asked = {name: values[0] for name, values in parse_qs(query).items()}
            await plain_session(connection, rights, service, asked | params, asked.get("user"))
        except ConnectionClosed:
            pass  # the peer went in the middle of a sentence; there is nobody to answer
        except Exception as error:  # noqa: BLE001 - reported; the other clients go on
            if isinstance(error, ExceptionGroup) and error.split(ConnectionClosed)[1] is None:
                return  # the same, found out by several tasks of a service
            report(f"a client of {path}", error)
            await connection.close(CloseCode.INTERNAL_ERROR, "the service failed")

    async def _part(self) -> None:
        """Close the connections, one after the other."""
        connections = list(self._connections)
        apart = min(DRAIN_EACH, DRAIN_LONGEST / max(1, len(connections)))
        partings = []
        for connection in connections:
            if connection.state is State.CONNECTING:
                connection.abort()  # or else it may stay half-way in its handshake for long
                continue
            parting = connection.close(CloseCode.SERVICE_RESTART, "the server stops")
            partings.append(supervise(parting, "closing a connection"))
            await asyncio.sleep(apart)
        if partings:
            await asyncio.wait(partings, timeout=CLOSE_TIMEOUT)

    def _count_dropped(self) -> None:
        self.hub.counts.dropped += 1

    # Services

    def _launch(self, service: Service) -> None:
        self._tasks[service.path] = supervise(service.run(), f"service {service.path}")

    @staticmethod
    async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        if tasks:
            _, alive = await asyncio.wait(tasks, timeout=CLOSE_TIMEOUT)
            for task in alive:
                report(task.get_name(), RuntimeError("it does not end when it is cancelled"))


def _has_failed(task: asyncio.Task[None]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is not None
