"""The fault proxy for cells: each call has its effect when it returns."""

import socket

import pytest

from rtwidgets.errors import Closed, UsageError
from rtwidgets.testing import BlockingFaultProxy
from tests.waiting import until


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def link(listener, tidy):
    with BlockingFaultProxy(f"ws://127.0.0.1:{listener.getsockname()[1]}") as link:
        yield link


@pytest.fixture
def ends(listener, link):
    """A client's socket, and the server's end of it."""
    with socket.create_connection(("127.0.0.1", int(link.url.rpartition(":")[2])), timeout=20) as client:
        server, _ = listener.accept()
        server.settimeout(20)
        with server:
            yield client, server


def test_bytes_pass(link, ends):
    """Both ways, and are counted."""
    client, server = ends
    client.sendall(b"there")
    assert server.recv(100) == b"there"
    server.sendall(b"back")
    assert client.recv(100) == b"back"
    assert link.statistics()[:3] == (1, 4, 5)


def test_a_black_hole_lets_nothing_pass_until_it_is_healed(link, ends):
    """What was sent meanwhile comes then."""
    client, server = ends
    link.black_hole()
    client.sendall(b"there")
    server.settimeout(0.2)
    with pytest.raises(TimeoutError):
        server.recv(100)
    link.heal()
    server.settimeout(20)
    assert server.recv(100) == b"there"


def test_a_cut_is_an_end_and_a_reset_is_one(link, ends):
    """As a client sees them."""
    client, _ = ends
    link.cut()
    assert client.recv(100) == b""
    with socket.create_connection(("127.0.0.1", int(link.url.rpartition(":")[2])), timeout=20) as other:
        until(lambda: link.statistics().accepted == 2)
        link.reset()
        with pytest.raises(ConnectionResetError):
            other.recv(100)


def test_a_cut_after_some_bytes(link, ends):
    """The client gets exactly these."""
    client, server = ends
    link.cut_after(2)
    server.sendall(b"back")
    assert client.recv(100) == b"ba"
    assert client.recv(100) == b""


def test_new_connections_are_refused(link, ends):
    """Open ones go on."""
    link.refuse()
    with socket.create_connection(("127.0.0.1", int(link.url.rpartition(":")[2])), timeout=20) as other:
        assert other.recv(100) == b""
    client, server = ends
    client.sendall(b"there")
    assert server.recv(100) == b"there"


def test_slowness(link, ends):
    """Byte by byte, if it is told so; what makes no sense is refused in words."""
    client, server = ends
    link.slow_down(chunk=1, bandwidth=1e6, latency=0.001)
    client.sendall(b"there")
    assert b"".join(server.recv(1) for _ in range(5)) == b"there"
    with pytest.raises(UsageError, match="latency=-1: give seconds"):
        link.slow_down(latency=-1)


def test_its_end(listener):
    """Is the end of its connections; later calls are told, and stopping twice is harmless."""
    link = BlockingFaultProxy(f"ws://127.0.0.1:{listener.getsockname()[1]}")
    assert repr(link) == "BlockingFaultProxy(running)"
    link.stop()
    link.stop()
    assert repr(link) == "BlockingFaultProxy(stopped)"
    with pytest.raises(Closed):
        link.cut()


def test_a_url_without_a_port(tidy):
    """Is no server of ours."""
    with pytest.raises(UsageError, match="no host and port"):
        BlockingFaultProxy("localhost:80")
