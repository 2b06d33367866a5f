"""The servers that a kernel starts: in the background of its process, or in a child process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from rtwidgets.errors import NotRunning, UsageError
from rtwidgets.loop import Lease, lease
from rtwidgets.notebook.child import Child
from rtwidgets.server import Server
from rtwidgets.services import BUILT_IN, UserService, choose
from rtwidgets.services import service as make_service
from rtwidgets.services.user import Body
from rtwidgets.widgets import Line

__all__ = ["RunningServer", "Servers"]


class RunningServer:
    """A server that this kernel started: in the background, or in a process of its own.

    Made by `rtwidgets.serve`. Usable in a ``with`` statement, which stops it.

    Attributes
    ----------
    url, token
        Where it is, and what every client has to show.
    certificate
        The path of its certificate, for clients elsewhere that are to trust it; None without TLS.
    """

    def __init__(self, services: list[str] | None, process: bool, config: Mapping[str, Any]) -> None:
        self._lease: Lease | None = None
        self._server: Server | None = None
        self._child: Child | None = None
        if process:
            chosen = choose(services)
            self._child = Child([service.name for service in chosen], config)
            self.url, self.token = self._child.url, self._child.token
            self.certificate: str | None = self._child.certificate
            return
        server = Server(choose(services), **config)
        self._lease = lease()
        try:
            self._lease.run(server.start())
        except BaseException:
            try:
                self._lease.run(server.stop())  # it may have begun to listen before Ctrl-C came
            finally:
                self._lease.release()
            raise
        self._server = server
        assert server.token is not None  # only the command line serves openly
        self.url, self.token, self.certificate = server.url, server.token, server.certificate

    def __repr__(self) -> str:
        return "Server(" + ("running" if self.running else "stopped") + ")"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def running(self) -> bool:
        """Whether it serves."""
        return self._server is not None or (self._child is not None and self._child.running)

    @property
    def in_process(self) -> bool:
        """Whether it is a child process."""
        return self._child is not None

    @property
    def server(self) -> Server | None:
        """The server itself, when it runs in this process."""
        return self._server

    def describe(self) -> Line:
        """Return what to show of it."""
        if self._server is None:
            return Line("server", "a process of its own", "running" if self.running else "stopped", self.url)
        counts = self._server.statistics()
        detail = f"{self.url} · connections: {counts.connections} · messages: {counts.messages:,}"
        if counts.dropped:
            detail += f" · dropped: {counts.dropped}"
        failed = ", ".join(path.strip("/") for path in self._server.failed)
        state = f"running, but failed: {failed}" if failed else "running"
        # Without the parts that clients name: those of one service come to the same then.
        names = dict.fromkeys(path.partition("/{")[0].strip("/") for path in self._server.paths)
        return Line("server", ", ".join(names), state, detail)

    def add(self, service: type[UserService]) -> None:
        """Offer a service of the user's own as well."""
        if self._server is None or self._lease is None:
            raise UsageError(
                "a service written in this notebook runs in this kernel: "
                "start the server without process=True"
            )
        self._lease.run(self._server.add(service))

    def stop(self) -> None:
        """Stop serving; stopping twice is harmless."""
        server, self._server = self._server, None
        child, self._child = self._child, None
        if child is not None:
            child.stop()
        if server is not None and self._lease is not None:
            try:
                self._lease.run(server.stop())
            finally:
                self._lease.release()


class Servers:
    """The servers of this kernel, and the services that its user has written."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._servers: list[RunningServer] = []
        self._services: dict[str, type[UserService]] = {}

    def serve(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        *,
        # What is served
        seed: int | None = None,
        services: Sequence[str] | None = None,
        options: Mapping[str, Mapping[str, Any]] | None = None,
        engine: str = "memory://",
        # Who may come, and where it runs
        jwt: Mapping[str, Any] | None = None,
        tls: bool | Mapping[str, str] = False,
        origins: Sequence[str] = (),
        process: bool = False,
    ) -> RunningServer:
        """Start a server in the background of this kernel.

        Parameters
        ----------
        host, port
            Where to listen; port 0 takes a free one.
        token
            What clients have to show; a random one when None.
        seed
            Seeds what services make up: the same seed gives the same prices.
        services
            Names of the built-in services to offer; all when None.
        options
            By service name, its options: ``{"prices": {"rate": 100, "symbols": ["AAPL"]}}``.
        engine
            Where the channels' logs live: ``"memory://"``, or ``"sqlite:///file.db"`` to have them again when
            the server is started anew. Prices are in memory all the same, unless their option ``durable`` is
            true. How much of each channel is kept, so that a client that comes back misses nothing, may
            follow: ``"memory://?max_messages=200000&max_bytes=100000000&max_age=3600"`` (seconds). Otherwise
            64 MiB, and 10 000 messages of 5 minutes in memory or 100 000 messages of a week in a file.
        jwt
            How signed tokens (JWT) are checked, which name a user and what that one may do; they are taken
            beside the server's own token. ``{"secret": text}`` of 32 bytes or more for those signed with
            HS256, such as ``rtwidgets token`` makes; ``{"public_key": PEM or path}``, or ``{"jwks": https
            URL or path}``, for those that an identity provider signed with RS256. An ``"audience"`` may be
            added to each: what their ``aud`` has to be.
        tls
            Encrypt connections, the URL is then ``wss://…``: True with a self-signed certificate, which the
            streams of this kernel trust and others are given as ``ca=`` the path in ``.certificate``; or
            ``{"certificate": path, "key": path}``.
        origins
            Origins of web pages that may connect, beside loopback ones and files.
        process
            Run it in a child process, which ends with the kernel: a cell that holds the interpreter
            for long then does not hold up the server.

        Returns
        -------
        RunningServer
            With ``.url``, ``.token`` and ``.stop()``.

        Raises
        ------
        PortInUse, ServeError
            When it cannot listen, or the certificate cannot be used.
        UsageError
            For unknown services or options, an engine's URL that cannot be used, or `jwt` and `tls` that do
            not hold together.
        """
        if host in BUILT_IN:
            raise UsageError(f"{host!r} is a service and not a host: write services=[{host!r}]")
        if isinstance(services, str):
            services = [services]
        config = {
            "host": host,
            "port": port,
            "token": token,
            "seed": seed,
            "options": options,
            "engine": engine,
            "jwt": jwt,
            "tls": tls,
            "origins": origins,
        }
        server = RunningServer(None if services is None else list(services), process, config)
        with self._lock:
            self._servers.append(server)
        if not process:
            for service in self._services.values():
                server.add(service)
        return server

    def service(
        self,
        path: str,
        *,
        key: str | None = None,
        time: str | None = None,
        conflate: bool = False,
        writable: bool = False,
    ) -> Callable[[Body], type[UserService]]:
        """Offer a coroutine as a service, on the servers of this kernel that run and that will.

        Running the cell again replaces the service. See `rtwidgets.services.service` for the parameters.
        """
        make = make_service(path, key=key, time=time, conflate=conflate, writable=writable)

        def decorate(body: Body) -> type[UserService]:
            made = make(body)
            alive = self.alive()
            own = [server for server in alive if not server.in_process]
            if alive and not own:
                raise UsageError(
                    "the only server of this kernel is a process of its own, where a service written in a "
                    "cell cannot run: start another one with rt.serve()"
                )
            with self._lock:
                self._services[path] = made
            for server in own:
                server.add(made)
            return made

        return decorate

    def alive(self) -> list[RunningServer]:
        """Return the servers that run, oldest first."""
        with self._lock:
            self._servers = [server for server in self._servers if server.running]
            return list(self._servers)

    def newest(self) -> RunningServer:
        """Return the newest server that runs in this kernel.

        Raises
        ------
        NotRunning
            When there is none.
        """
        alive = self.alive()
        if not alive:
            raise NotRunning(
                "no server runs in this kernel: start one with rt.serve() or %rt up, "
                "or name one with server='ws://…'"
            )
        return alive[-1]

    def forget(self) -> list[RunningServer]:
        """Forget every server and service, and return the servers, which somebody has to stop."""
        with self._lock:
            servers, self._servers = self._servers, []
            self._services.clear()
        return servers
