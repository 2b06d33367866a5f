"""A notebook that knows nothing of rtwidgets, and the library that it uses."""

import contextlib
import json
import os
import random
import subprocess
import sys
import threading

import nbformat
import pytest
import websockets.asyncio.client
import websockets.sync.client
from nbformat.v4 import new_code_cell, new_notebook
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

import rtwidgets
from rtwidgets.testing import websockets as ours
from rtwidgets.testing.websockets.instead import instead

pytest_plugins = ["pytester"]

PLUGIN = ["-p", "no:rtwidgets", "-p", "rtwidgets.testing.plugin", "--nbval", "--nbval-current-env"]

# A notebook by how it uses the library: the line that changes, what it becomes, and the next cell.
NOTEBOOKS = {
    "sync": (
        "from websockets.sync.client import connect",
        "from rtwidgets.testing.websockets.sync.client import connect",
        """
with connect(URL) as socket:
    socket.send(json.dumps({"op": "subscribe", "pair": "BTC-USD"}))
    rows = [json.loads(socket.recv()) for _ in range(5)]
""",
    ),
    "asyncio": (
        "from websockets import connect",
        "from rtwidgets.testing.websockets import connect",
        """
async with connect(URL) as socket:
    await socket.send(json.dumps({"op": "subscribe", "pair": "BTC-USD"}))
    rows = [json.loads(await socket.recv()) for _ in range(5)]
""",
    ),
    "module": (
        "import websockets",
        "from rtwidgets.testing import websockets",
        """
rows = []
async for socket in websockets.connect(URL):
    try:
        await socket.send('{"op": "subscribe", "pair": "BTC-USD"}')
        while len(rows) < 5:
            rows.append(json.loads(await socket.recv()))
        break
    except websockets.ConnectionClosed:
        continue
""",
    ),
}


@pytest.fixture
def feed():
    """A feed that says something else to everybody; the URL is that of the notebook."""

    def talk(socket):
        asked = json.loads(socket.recv())
        for n in range(8):
            socket.send(json.dumps({"pair": asked["pair"], "n": n, "price": random.random()}))
        with contextlib.suppress(ConnectionClosed):
            for _ in socket:  # until the client goes
                pass

    server = serve(talk, "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/ws", server.shutdown
    server.shutdown()
    thread.join(20)


def write(path, head, rest, url):
    cells = [f"import json\nimport pandas as pd\n{head}\n\nURL = {url!r}", rest.strip(), "pd.DataFrame(rows)"]
    nbformat.write(new_notebook(cells=[new_code_cell(cell) for cell in cells]), path)


def run(pytester, option):
    return pytester.runpytest_subprocess(*PLUGIN, option, timeout=100)


@pytest.mark.parametrize("how", NOTEBOOKS)
def test_a_notebook_becomes_reproducible_by_one_line(pytester, feed, how):
    """It is recorded once, and shows the same without the feed from then on."""
    url, close = feed
    line, changed, rest = NOTEBOOKS[how]
    assert "\n" not in line + changed
    path = pytester.path / "live.ipynb"
    write(path, changed, rest, url)
    run(pytester, "--rt-record=tapes").assert_outcomes(passed=3)
    assert [each.name for each in (pytester.path / "tapes/live").iterdir()] == ["127.0.0.1-ws.rtlog"]
    close()
    subprocess.run(
        [sys.executable, "-m", "jupyter", "execute", "--inplace", str(path)],
        env={**os.environ, "RTWIDGETS_REPLAY": str(pytester.path / "tapes/live")},
        check=True,
        capture_output=True,
        timeout=100,
    )
    (shown,) = nbformat.read(path, 4).cells[-1].outputs
    assert shown.data["text/plain"].count("BTC-USD") == 5
    run(pytester, "--rt-replay=tapes").assert_outcomes(passed=3)


def test_a_notebook_that_asks_for_something_else(pytester, feed):
    """Is told what differs from what was recorded."""
    url, _ = feed
    _, changed, rest = NOTEBOOKS["sync"]
    write(pytester.path / "live.ipynb", changed, rest, url)
    run(pytester, "--rt-record=tapes").assert_outcomes(passed=3)
    write(pytester.path / "live.ipynb", changed, rest.replace("BTC-USD", "ETH-USD"), url)
    result = run(pytester, "--rt-replay=tapes")
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(['*1008 (policy violation) message 1: pair is "ETH-USD" and was "BTC-USD"*'])


def test_everything_else_is_the_library():
    """Under the same names; only `connect` is another one."""
    assert ours.ConnectionClosed is websockets.exceptions.ConnectionClosed
    assert ours.sync.client.ClientConnection is websockets.sync.client.ClientConnection
    assert ours.asyncio.client.ClientConnection is websockets.asyncio.client.ClientConnection
    assert ours.connect is ours.asyncio.client.connect is not websockets.connect
    assert ours.sync.client.connect is not websockets.sync.client.connect
    with pytest.raises(AttributeError, match="nope"):
        _ = ours.nope


def test_where_nothing_is_recorded_a_connection_is_what_it_was(monkeypatch):
    """Each option goes to the library."""
    monkeypatch.delenv("RTWIDGETS_REPLAY", raising=False)
    monkeypatch.delenv("RTWIDGETS_RECORD", raising=False)
    monkeypatch.setattr(rtwidgets, "recorded", None, raising=False)
    made = ours.connect("wss://feed.example/ws", max_size=5, proxy="http://proxy.example:3128")
    assert isinstance(made, websockets.connect)
    assert (made.uri, made.proxy) == ("wss://feed.example/ws", "http://proxy.example:3128")


@pytest.mark.parametrize("variable", ["RTWIDGETS_REPLAY", "RTWIDGETS_RECORD"])
def test_a_connection_to_a_local_server_leaves_out_what_was_for_the_way(monkeypatch, variable):
    """TLS, proxies and sockets belong to the feed's URL; what is said on the connection stays."""
    monkeypatch.setenv(variable, "tapes")
    monkeypatch.setattr(rtwidgets, "recorded", lambda url: "ws://127.0.0.1:1", raising=False)
    options = {
        "ssl": object(), "ssl_handshake_timeout": 1, "server_hostname": "x", "proxy": True, "proxy_ssl": None,
        "host": "x", "port": 2, "sock": object(), "max_size": 5, "additional_headers": {"x": "y"},
    }  # fmt: skip
    assert instead("wss://feed.example/ws", options) == (
        "ws://127.0.0.1:1",
        {"max_size": 5, "additional_headers": {"x": "y"}, "proxy": None, "close_timeout": 1.0},
    )
