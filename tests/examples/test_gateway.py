"""The gateway in Go: one connection to the price server, however many clients."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import threading

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.sync.server import serve as serve_websockets

from tests.examples.conftest import EXAMPLES

pytestmark = pytest.mark.timeout(300)  # Go builds its own library first


class Gateway:
    """A gateway that runs, and what it logs."""

    def __init__(self, popen: subprocess.Popen):
        self._popen = popen
        self.url = popen.stdout.readline().split()[-1]
        self.port = int(self.url.rpartition(":")[2])

    def dial(self, path: str = "/prices", **options):
        """Connect as a client."""
        return connect(self.url + path, proxy=None, compression=None, **options)

    def logs(self, pattern: str) -> re.Match[str]:
        """Wait for a line that matches."""
        while (found := re.search(pattern, line := self._popen.stderr.readline())) is None:
            assert line, f"the gateway ended without {pattern!r}"
        return found

    def end(self) -> int:
        """Ask it to end, and return its exit code."""
        self._popen.send_signal(signal.SIGTERM)
        return self._popen.wait()


@pytest.fixture
def gateway(go_folder, start):
    """Start a gateway in front of a server."""

    def gateway(upstream: str, token: str = "") -> Gateway:
        arguments = ["-listen", "127.0.0.1:0", "-upstream", upstream]
        environment = os.environ | {"RTWIDGETS_TOKEN": token}
        return Gateway(start(go_folder / "gateway", *arguments, env=environment, stderr=subprocess.PIPE))

    return gateway


class Upstream:
    """A price server that sends what it is told to."""

    def __init__(self):
        self.clients = []
        self._came = threading.Semaphore(0)
        self._server = serve_websockets(self._talk, "127.0.0.1", 0, compression=None)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}"

    def _talk(self, client):
        self.clients.append(client)
        self._came.release()
        with contextlib.suppress(ConnectionClosed):  # however it goes
            for _ in client:
                pass

    def wait(self):
        """Wait for the next client."""
        self._came.acquire()

    def send(self, text: str):
        """Send a message to the newest client."""
        self.clients[-1].send(text)

    def close(self):
        self._server.shutdown()
        for client in self.clients:
            client.close()
        self._thread.join()


@pytest.fixture
def upstream():
    server = Upstream()
    yield server
    server.close()


@contextlib.contextmanager
def stalled(gateway):
    """A client that reads nothing after the handshake, and has little room for what it does not read."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.connect(("127.0.0.1", gateway.port))
        client.sendall(
            b"GET /prices HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        assert client.recv(12) == b"HTTP/1.1 101"
        yield client


def test_many_clients_and_one_connection(up, gateway):
    """All clients are sent the same boards, and the Python server has one client."""
    server = up(services=["prices", "echo"])
    front = gateway(server.url, server.token)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(front.dial()) for _ in range(20)]
        board = clients[-1].recv()
        assert set(json.loads(board)) == {"AAPL", "GOOGL", "MSFT"}
        for client in clients[:-1]:
            while client.recv() != board:
                pass
        after = {client.recv() for client in clients}
        assert len(after) == 1
        assert server.server.statistics().connections == 1
    assert front.end() == 0


def test_who_comes_late_is_sent_the_newest_board(upstream, gateway):
    """At once, not when there is another one; text stays text, byte by byte."""
    front = gateway(upstream.url)
    upstream.wait()
    with front.dial() as early:
        for board in ('{"AAPL": 150.0}', '{"AAPL":150.5, "ÄÖÜ": 1}'):
            upstream.send(board)
            assert early.recv() == board
        with front.dial() as late:
            assert late.recv() == board
    assert len(upstream.clients) == 1


def test_a_client_that_does_not_read_is_dropped(upstream, gateway):
    """The others miss nothing."""
    front = gateway(upstream.url)
    upstream.wait()
    with front.dial(max_size=None) as good, stalled(front) as bad:
        told = threading.Event()
        watch = threading.Thread(target=lambda: (front.logs("dropped 127.0.0.1:.*does not read"), told.set()))
        watch.start()
        sent = 0
        while not told.is_set():
            board = f"{sent}" + "x" * 100_000
            upstream.send(board)
            assert good.recv(timeout=60) == board  # so this one is never behind
            sent += 1
            assert sent < 5_000
        watch.join()
        bad.settimeout(60)
        with contextlib.suppress(ConnectionResetError):
            while bad.recv(65_536):  # what had been on its way, and then the end
                pass
        upstream.send("still here")
        assert good.recv() == "still here"


def test_old_prices_are_not_shown_as_new(upstream, gateway):
    """While there is no price server a new client waits, and when it is back all go on."""
    front = gateway(upstream.url)
    upstream.wait()
    upstream.send("old")
    with front.dial() as early:
        assert early.recv() == "old"
        upstream.clients[-1].close(1012, "back soon")
        front.logs("no prices: .*back soon; again in")
        with front.dial() as late:
            upstream.wait()
            upstream.send("new")
            assert late.recv() == early.recv() == "new"
    assert len(upstream.clients) == 2


def test_the_python_server_restarts(up, gateway):
    """Clients of the gateway keep their connection."""
    server = up(services=["prices"])
    front = gateway(server.url, server.token)
    with front.dial() as client:
        client.recv()
        server.stop()
        front.logs("no prices: .*the server stops; again in")
        up(services=["prices"], port=int(server.url.rpartition(":")[2]), token=server.token)
        boards = [json.loads(client.recv()) for _ in range(5)]  # more than can have been on their way
    assert all(set(board) == {"AAPL", "GOOGL", "MSFT"} for board in boards)


def test_echo_is_passed_through(up, gateway):
    """Each client has a connection of its own to the service, and it ends when the client's does."""
    server = up(services=["echo"])
    front = gateway(server.url, server.token)
    front.logs("no prices: .*bad handshake; again in")  # the server has none
    with front.dial("/echo") as one, front.dial("/echo") as other:
        for text in ("hello", "", "Grüße, 世界 🌍", "x" * 200_000):
            one.send(text)
            other.send(f"2 {text}")
            assert one.recv() == f"Echo: {text}"
            assert other.recv() == f"Echo: 2 {text}"
        assert server.server.statistics().connections == 2
        one.close()
        other.send("and on")
        assert other.recv() == "Echo: and on"
        while server.server.statistics().connections > 1:
            other.send("still")  # a moment
            other.recv()
        server.stop()
        with pytest.raises(ConnectionClosed, match=r"1012 .*the server stops"):
            other.recv()
    with front.dial("/echo") as late, pytest.raises(ConnectionClosed, match=r"1013 .*cannot be reached"):
        late.recv()


def test_it_ends_when_it_is_told_to(up, gateway):
    """SIGTERM: clients are told with 1012, and one that does not read does not hold it up."""
    server = up(services=["prices", "echo"])
    front = gateway(server.url, server.token)
    with front.dial() as prices, front.dial("/echo") as echo, stalled(front):
        prices.recv()
        echo.send("a")
        echo.recv()
        assert front.end() == 0
        for client in (prices, echo):
            with pytest.raises(ConnectionClosed, match=r"1012 .*the gateway stops"):
                while True:
                    client.recv()
        with pytest.raises(ConnectionRefusedError):
            front.dial()


@pytest.mark.parametrize(
    ("origin", "welcome"),
    [
        ("null", True),
        ("file://", True),
        ("http://localhost:8000", True),
        ("http://[::1]:8000", True),
        ("https://evil.example", False),
        ("http://localhost.evil.example", False),
        ("http://10.0.0.1", False),
    ],
)
def test_pages_of_others_are_refused(upstream, gateway, origin, welcome):
    """A page has to come from a file or from this machine, as for the Python server."""
    front = gateway(upstream.url)
    if welcome:
        with front.dial(origin=origin):
            pass
    else:
        with pytest.raises(InvalidStatus, match="403"):
            front.dial(origin=origin)


def test_there_is_nothing_else(upstream, gateway):
    """Another path is answered with 404, and with what there is."""
    with pytest.raises(InvalidStatus, match="404") as refused:
        gateway(upstream.url).dial("/chat/lobby")
    assert refused.value.response.body == b"Nothing is served here; there is: /prices, /echo\n"


def test_it_is_for_this_machine_only(go_folder):
    """It asks for no token, so it does not listen on other addresses."""
    command = [go_folder / "gateway", "-listen", "0.0.0.0:0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "clients show no token, so give an address of this machine" in done.stderr


def test_the_code_is_tidy(go):
    """gofmt has nothing to change, and go vet nothing to say."""
    go("vet", "./...")
    done = subprocess.run(["gofmt", "-l", EXAMPLES / "go"], capture_output=True, text=True, check=True)
    assert done.stdout == ""
