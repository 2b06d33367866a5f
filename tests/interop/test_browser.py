"""A browser's own `WebSocket`, in pages of a few lines, and our server."""

from __future__ import annotations

import functools
import json
import socket
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import sync_playwright

from rtwidgets.testing.lab import _FLAGS, _find_browser

pytestmark = pytest.mark.browser

PLAIN = """<!doctype html>
<title>Prices</title>
<p id="state">connecting</p>
<ul id="prices"></ul>
<script>
  const socket = new WebSocket("URL");
  window.shown = [];
  socket.onmessage = (event) => {
    const board = JSON.parse(event.data);
    document.getElementById("prices").innerHTML = Object.entries(board)
      .map(([symbol, price]) => `<li>${symbol} ${price.toFixed(2)}</li>`).join("");
    document.getElementById("state").textContent = "open";
    window.shown.push(document.getElementById("prices").innerText);
  };
  socket.onclose = (event) => {
    document.getElementById("state").textContent = `closed ${event.code}`;
  };
</script>
"""

ECHO = """<!doctype html>
<title>Echo</title>
<pre id="said"></pre>
<script>
  const socket = new WebSocket("URL");
  socket.onopen = () => socket.send("Hello, Server!");
  socket.onmessage = (event) => {
    document.getElementById("said").textContent = event.data;
  };
</script>
"""

CHANNEL = """<!doctype html>
<title>A channel</title>
<p id="state">connecting</p>
<script>
  const socket = new WebSocket("URL", "rtwidgets.v1");
  const say = (message) => socket.send(JSON.stringify(message));
  const state = (text) => { document.getElementById("state").textContent = text; };
  window.rows = [];
  socket.onopen = () => {
    window.protocol = socket.protocol;
    say({ type: "auth", token: "TOKEN" });
    say({ type: "subscribe", id: 1, channel: "prices", after: { epoch: "", offset: 0 } });
  };
  socket.onmessage = (event) => {
    const message = JSON.parse(event.data);
    if (message.type === "error") state(`error ${message.code}`);
    if (message.type !== "messages") return;
    message.data.forEach((row, index) => window.rows.push({ ...row, offset: message.offset + index }));
    state(`${window.rows.length} rows`);
  };
  socket.onclose = (event) => { window.code = event.code; };
</script>
"""


class Pages:
    """A browser, and the ways in which it can be given a page."""

    def __init__(self, browser, folder, port: int):
        self._browser = browser
        self._folder = folder
        self._opened = 0
        self.port = port

    def open(self, html: str, origin: str = "file"):
        """Open a page from a file, or from a host by name."""
        self._opened += 1
        path = self._folder / f"{self._opened}.html"  # a name used before could come from the browser's cache
        path.write_text(html)
        page = self._browser.new_page()
        page.goto(path.as_uri() if origin == "file" else f"http://{origin}:{self.port}/{path.name}")
        return page


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Chromium, for which evil.example is a host, and a web server on this machine for its pages."""
    folder = tmp_path_factory.mktemp("pages")
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=_find_browser(None, playwright),
            args=[*_FLAGS, "--host-resolver-rules=MAP evil.example 127.0.0.1"],
        )
        yield Pages(browser.new_context(), folder, server.server_address[1])
        browser.close()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("origin", ["file", "localhost", "127.0.0.1"])
def test_prices_in_a_page(serve, pages, free_port, origin):
    """A page with nothing but ``new WebSocket(url)`` shows prices, from a file and from localhost."""
    serve("prices", "--port", str(free_port), "--open")
    page = pages.open(PLAIN.replace("URL", f"ws://localhost:{free_port}"), origin)
    page.wait_for_function("window.shown.length >= 3")
    boards = page.evaluate("window.shown")
    for board in boards:
        assert [line.split()[0] for line in board.splitlines()] == ["AAPL", "GOOGL", "MSFT"]
    assert len(set(boards)) == len(boards)


def test_echo_in_a_page(serve, pages, free_port):
    """The tutorial's page hears what it said."""
    serve("echo", "--port", str(free_port), "--open")
    page = pages.open(ECHO.replace("URL", f"ws://localhost:{free_port}"))
    page.get_by_text("Echo: Hello, Server!", exact=True).wait_for()


def test_another_host_is_refused(serve, pages, free_port):
    """A page of another host is refused, and shows no price, though the server asks for no token."""
    serve("prices", "--port", str(free_port), "--open")
    page = pages.open(PLAIN.replace("URL", f"ws://localhost:{free_port}"), "evil.example")
    page.get_by_text("closed 1006").wait_for()
    assert page.inner_text("#prices") == ""


def test_another_host_may_be_let_in(serve, pages, free_port):
    """The same page shows prices when the server was started with its ``--origin``."""
    serve("prices", "--port", str(free_port), "--open", "--origin", f"http://evil.example:{pages.port}")
    page = pages.open(PLAIN.replace("URL", f"ws://localhost:{free_port}"), "evil.example")
    page.get_by_text("AAPL").wait_for()


def test_a_channel_in_a_page(serve, pages):
    """A page that speaks rtwidgets.v1 shows its token first and reads the channel without a hole."""
    ready = serve("prices", "--rate", "100")
    page = pages.open(CHANNEL.replace("URL", ready["url"]).replace("TOKEN", ready["token"]))
    page.wait_for_function("window.rows.length >= 50")
    assert page.evaluate("window.protocol") == "rtwidgets.v1"
    rows = page.evaluate("window.rows")
    assert [row["offset"] for row in rows] == list(range(1, len(rows) + 1))
    assert set(rows[0]) == {"symbol", "price", "size", "time", "offset"}


def test_a_page_with_a_wrong_token(serve, pages):
    """A wrong token in the first message is told of and ends the connection with 1008."""
    ready = serve("prices")
    page = pages.open(CHANNEL.replace("URL", ready["url"]).replace("TOKEN", "wrong"))
    page.get_by_text("error unauthorized").wait_for()
    page.wait_for_function("window.code === 1008")
    assert json.loads(page.evaluate("JSON.stringify(window.rows)")) == []
