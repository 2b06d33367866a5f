"""The command line, in processes of its own."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import jwt
import nbformat
import pytest
from click.testing import CliRunner
from PIL import Image
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect

import rtwidgets
from rtwidgets.cli import main

COMMAND = [sys.executable, "-m", "rtwidgets"]
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("RTWIDGETS_")}


class Process:
    """A command whose output is read as it comes. The test's own time limit bounds every wait."""

    def __init__(self, *arguments: str, command: list[str] = COMMAND, **options):
        self.popen = subprocess.Popen(
            [*command, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **{"env": ENVIRONMENT} | options,
        )
        self.out: list[str] = []
        self.err: list[str] = []
        self._changed = threading.Condition()
        self._open = 2
        self._readers = [
            threading.Thread(target=self._read, args=(self.popen.stdout, self.out)),
            threading.Thread(target=self._read, args=(self.popen.stderr, self.err)),
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream, lines):
        for line in stream:
            with self._changed:
                lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._open -= 1
            self._changed.notify_all()

    def seen(self, pattern: str, lines: list[str], start: int = 0) -> re.Match[str]:
        """Wait for a line that matches, from number `start` on, and return the match."""

        def found():
            return next(filter(None, (re.search(pattern, line) for line in lines[start:])), None)

        with self._changed:
            self._changed.wait_for(lambda: found() or not self._open)
            match = found()
        assert match, f"no line matches {pattern!r}:\n" + "\n".join(self.out + self.err)
        return match

    def ready(self) -> dict:
        """Wait for the line of JSON of ``serve --json``."""
        return json.loads(self.seen(r"^\{.*\}$", self.out)[0])

    def end(self, number: int | None = None) -> int:
        """Signal the process if asked to, wait for its end and return its exit code."""
        if number is not None:
            self.popen.send_signal(number)
        code = self.popen.wait()
        for reader in self._readers:
            reader.join()
        return code

    def close(self):
        if self.popen.poll() is None:
            self.popen.kill()
        self.end()
        self.popen.stdout.close()
        self.popen.stderr.close()


@pytest.fixture
def run(tmp_path):
    """Start a command; it is ended with the test."""
    processes = []

    def start(*arguments: str, **options) -> Process:
        processes.append(Process(*arguments, **{"cwd": tmp_path} | options))
        return processes[-1]

    yield start
    for process in processes:
        process.close()


@pytest.fixture
def prices(run) -> str:
    """The URL of an open server of prices: 50 ticks a second."""
    return run("serve", "prices", "--open", "--seed", "1", "--rate", "50", "--json").ready()["url"]


def in_process(*arguments: str):
    return CliRunner().invoke(main, list(arguments))


# Help


def test_help_names_every_command_with_examples():
    """``--help`` lists the commands, and each command's help has examples."""
    result = in_process("--help")
    assert result.exit_code == 0
    for name, command in main.commands.items():
        assert re.search(rf"^  {name} +\w", result.stdout, re.MULTILINE)
        assert re.search(rf"^  rtwidgets {name}\b", in_process(name, "-h").stdout, re.MULTILINE)
        assert all(option.help for option in command.params if option.param_type_name == "option")


def test_version():
    """``--version`` says the version of the package."""
    assert in_process("--version").stdout == f"rtwidgets, version {rtwidgets.__version__}\n"


def test_help_imports_nothing_heavy():
    """``rtwidgets --help`` is shown without importing pandas, websockets, widgets or rich."""
    code = (
        "import sys; from rtwidgets.cli import main; main(['--help'], standalone_mode=False); "
        "print(sorted({'pandas', 'numpy', 'websockets', 'bqplot', 'ipywidgets', 'rich'} & {*sys.modules}))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


# serve


def test_serve_logs_the_line_to_connect_with(run):
    """The log holds the URL and the token, in a line to paste into a notebook."""
    server = run("serve", "--seed", "1")
    line = r'rt\.connect\("prices", server="(ws://127\.0\.0\.1:\d+)", token="(.+)"\)'
    url, token = server.seen(line, server.err).groups()
    server.seen(
        rf"serving at {url}: /echo, /ws, /prices, /chat/\{{room\}}, .*, /documents/\{{name\}}, .*, "
        r"/games/\{name\}$",
        server.err,
    )
    server.seen(rf"token: {re.escape(token)}$", server.err)
    with connect(f"{url}/echo?token={token}", proxy=None) as client:
        client.send("hello")
        assert client.recv() == "Echo: hello"
    with pytest.raises(InvalidStatus, match="401"):
        connect(f"{url}/echo?token=x", proxy=None)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_ends_by_a_signal(run, number):
    """Ctrl-C and SIGTERM end the server with exit code 0; its clients hear good-bye."""
    server = run("serve", "ws", "--open", "--json")
    with connect(server.ready()["url"] + "/ws", proxy=None) as client:
        assert server.end(number) == 0
        with pytest.raises(ConnectionClosedError, match="1012"):
            client.recv()
    assert "stopped" in server.err[-1]
    assert "Traceback" not in "\n".join(server.err)


def test_serve_keeps_what_was_said(run, tmp_path):
    """With an engine that has a file, what was said is there when the server is started again."""
    for before in ([], ["hello"]):
        server = run("serve", "chat", "--open", "--json", "--engine", f"sqlite:///{tmp_path}/log.db")
        with connect(server.ready()["url"] + "/chat/lobby?user=ada", proxy=None) as client:
            history = json.loads(client.recv())
            assert [message["text"] for message in history["messages"]] == before
            client.send('{"text": "hello"}')
            while '"hello"' not in client.recv():
                pass
        assert server.end(signal.SIGTERM) == 0


def test_serve_json(run):
    """``--json`` prints one line with the URL, the token and the paths, and the log stays off that stream."""
    server = run("serve", "echo", "chat", "--token", "secret", "--json")
    ready = server.ready()
    assert ready["token"] == "secret"
    assert ready["paths"] == ["/echo", "/chat/{room}", "/chat/{room}/typing"]
    assert server.end(signal.SIGTERM) == 0
    assert len(server.out) == 1


def test_serve_takes_the_token_from_the_environment(run):
    """RTWIDGETS_TOKEN gives the token without showing it on the command line."""
    server = run("serve", "echo", "--json", env=ENVIRONMENT | {"RTWIDGETS_TOKEN": "from-outside"})
    assert server.ready()["token"] == "from-outside"


def test_serve_encrypted(run):
    """``--tls`` serves at wss://, and the log has what a client needs to trust it."""
    server = run("serve", "prices", "--tls", "--seed", "1", "--json")
    ready = server.ready()
    assert ready["url"].startswith("wss://")
    server.seen(f'server="{ready["url"]}", token="{ready["token"]}", ca="{ready["certificate"]}"', server.err)
    arguments = ("tail", ready["url"], "--channel", "prices", "--token", ready["token"], "--rows", "2")
    trusting = run(*arguments, "--ca", ready["certificate"])
    assert trusting.end() == 0
    assert len(trusting.out) == 2
    doubting = run(*arguments)
    assert doubting.end() == 1
    assert "its certificate is not to be trusted" in doubting.err[-1]
    assert server.end(signal.SIGTERM) == 0
    assert not Path(ready["certificate"]).exists()


# token


@pytest.mark.parametrize("way", ["file", "environment"])
def test_a_token_and_the_server_it_is_for(run, tmp_path, way):
    """What ``rtwidgets token`` makes is good at a server with the same secret, for what it allows."""
    secret = "a secret of more than thirty-two bytes"
    (tmp_path / "secret.txt").write_text(f"{secret}\n")
    arguments = ("--jwt-secret-file", "secret.txt") if way == "file" else ()
    options = {} if way == "file" else {"env": ENVIRONMENT | {"RTWIDGETS_JWT_SECRET": secret}}
    url = run("serve", "prices", "chat", "--audience", "here", "--json", *arguments, **options).ready()["url"]
    arguments += ("--audience", "here")
    made = run("token", "ada", "--scope", "subscribe:prices", "--lifetime", "5m", *arguments, **options)
    assert made.end() == 0
    (token,) = made.out
    assert run("tail", url, "--channel", "prices", "--token", token, "--rows", "1").end() == 0
    refused = run("tail", url, "--channel", "chat/lobby", "--token", token, "--rows", "1")
    assert refused.end() == 1
    assert "your token does not allow to subscribe to 'chat/lobby'" in refused.err[-1]


def test_a_token_lasts_as_long_as_it_is_told(monkeypatch):
    """``--lifetime`` is in seconds, minutes, hours or days."""
    monkeypatch.setenv("RTWIDGETS_JWT_SECRET", "a secret of more than thirty-two bytes")
    for lifetime, seconds in (("90s", 90), ("1.5m", 90), ("1h", 3_600), ("7d", 604_800)):
        made = in_process("token", "ada", "--lifetime", lifetime).stdout.strip()
        claims = jwt.decode(made, options={"verify_signature": False})
        assert seconds <= claims["exp"] - claims["iat"] <= seconds + 1
        assert (claims["sub"], claims["scope"]) == ("ada", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ada"], "there is no secret to sign with: set RTWIDGETS_JWT_SECRET, or name a file"),
        (["ada", "--jwt-secret-file", "short.txt"], "the secret is too short"),
        (["ada", "--jwt-secret-file", "none.txt"], "'none.txt' cannot be read: No such file"),
        (["ada", "--lifetime", "1 hour"], "--lifetime '1 hour' is no time: write 90s, 15m, 1h or 7d"),
        (["ada", "--lifetime", "0s"], "is no time"),
        (["ada", "--scope", "read:x", "--jwt-secret-file", "good.txt"], "'read:x' is not a scope"),
        (["", "--jwt-secret-file", "good.txt"], "a user's name has 1 to 100 characters, not 0"),
    ],
)
def test_token_refuses_in_one_line(run, tmp_path, arguments, said):
    """What cannot be made is one line of text and exit code 2, and no secret is in it."""
    (tmp_path / "short.txt").write_text("s3cret")
    (tmp_path / "good.txt").write_text("a secret of more than thirty-two bytes")
    made = run("token", *arguments)
    assert made.end() == 2
    assert len(made.err) == 1
    assert said in made.err[0]
    assert "s3cret" not in made.err[0]
    assert made.out == []


def test_serve_one_service_openly(run):
    """``serve echo --open`` answers at / as well as at /echo, and asks for no token."""
    ready = run("serve", "echo", "--open", "--json").ready()
    assert ready["token"] is None
    for path in ("/", "/echo"):
        with connect(ready["url"] + path, proxy=None) as client:
            client.send("hi")
            assert client.recv() == "Echo: hi"


def test_several_services_have_no_root(run):
    """With two services nothing answers at /."""
    url = run("serve", "echo", "prices", "--open", "--json").ready()["url"]
    with pytest.raises(InvalidStatus, match="404"):
        connect(url, proxy=None)


def test_serve_on_a_given_port(run):
    """``--port`` is where it listens; a second server there gets one line that says so, and exit code 1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert run("serve", "echo", "--port", str(port), "--json").ready()["url"] == f"ws://127.0.0.1:{port}"
    second = run("serve", "echo", "--port", str(port))
    assert second.end() == 1
    assert second.err == [
        f"Error: port {port} on 127.0.0.1 is in use by another program: choose another one with --port, "
        "or leave --port out for any free one"
    ]


def test_serve_with_options(run):
    """``--symbol`` and ``--option`` reach the service, and ``--seed`` makes its rows repeat on every run."""
    arguments = ("serve", "prices", "--open", "--seed", "7", "--rate", "100", "--json")
    arguments += ("--symbol", "AAPL", "--symbol", "GOLD", "--option", 'prices.start="2024-01-02T00:00:00Z"')
    tails = [
        run("tail", run(*arguments).ready()["url"], "--channel", "prices", "--rows", "5") for _ in range(2)
    ]
    assert [tail.end() for tail in tails] == [0, 0]
    assert tails[0].out == tails[1].out
    rows = [json.loads(line) for line in tails[0].out]
    assert {row["symbol"] for row in rows} == {"AAPL", "GOLD"}
    assert [row["time"][:10] for row in rows] == ["2024-01-02"] * 5


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (
            ["nonsense"],
            2,
            "there is no service 'nonsense'; there is: echo, ws, prices, chat, accounts, documents, "
            "orders, inventory, auctions, scores, games",
        ),
        (["--open", "--host", "0.0.0.0"], 1, "an open server answers this machine only"),
        (["--open", "--token", "t"], 2, "leave one of --open and --token out"),
        (["--rate", "0"], 2, "options of 'prices'"),
        (["echo", "--rate", "5"], 2, "options for prices, but the services are: echo"),
        (["--option", "rate"], 2, "is not of the form SERVICE.NAME=JSON"),
        (["--option", "rate=5"], 2, "names no service"),
        (["--option", "prices.speed=5"], 2, "It has: rate, symbols, start"),
        (["--host", "192.0.2.1"], 1, "cannot listen on 192.0.2.1"),
        (["--jwt-secret-file", "none.txt"], 2, "--jwt-secret-file 'none.txt' cannot be read: No such file"),
        (["--jwks", "http://example.org/keys"], 2, "give an https URL"),
        (["--jwks", "none.json", "--public-key", "none.pem"], 2, "leave one out"),
        (["--open", "--audience", "here"], 2, "--open asks for no token"),
        (["--certificate", "a.pem"], 2, "--certificate and --key go together"),
        (["--certificate", "a.pem", "--key", "a.pem"], 1, "the certificate 'a.pem' cannot be read"),
    ],
)
def test_serve_refuses_in_one_line(run, arguments, code, said):
    """What cannot be served is one line of text and an exit code, not a traceback."""
    server = run("serve", *arguments)
    assert server.end() == code
    assert len(server.err) == 1
    assert server.err[0].startswith("Error: ")
    assert said in server.err[0]
    assert server.out == []


def test_background_errors_are_logged(run):
    """A service that fails is in the log, and the server goes on."""
    code = (
        "from rtwidgets.services.prices import Prices\n"
        "async def run(self): raise RuntimeError('boom')\n"
        "Prices.run = run\n"
        "from rtwidgets.cli import main\n"
        "main(['serve', '--open', '--json'])\n"
    )
    server = run(command=[sys.executable, "-c", code])
    server.seen(r"ERROR +service /prices: RuntimeError: boom$", server.err)
    with connect(server.ready()["url"] + "/echo", proxy=None) as client:
        client.send("still here")
        assert client.recv() == "Echo: still here"


def test_clients_that_leave_are_no_errors(run):
    """A client that goes, or never speaks WebSocket, leaves no error and no traceback in the log."""
    server = run("serve", "prices", "--open", "--json")
    url = server.ready()["url"]
    with connect(url, proxy=None) as client:
        client.recv()
    with connect(url, proxy=None) as client:
        client.recv()
        client.socket.close()
    port = int(url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
        stranger.recv(1000)
    assert server.end(signal.SIGINT) == 0
    assert "Traceback" not in "\n".join(server.err)
    assert not [line for line in server.err if "a client of" in line]


# tail


def test_tail_a_plain_stream(run, prices):
    """Plain messages become rows: one line of JSON each where the output is no terminal."""
    tail = run("tail", f"{prices}/prices", "--records", "items()", "--key", "symbol", "--rows", "4")
    assert tail.end() == 0
    rows = [json.loads(line) for line in tail.out]
    assert [row["symbol"] for row in rows] == ["AAPL", "GOOGL", "MSFT", "AAPL"]
    assert all(isinstance(row["value"], float) and row["time"].endswith("Z") for row in rows)


def test_tail_a_channel_with_its_token(run):
    """``--channel`` reads a channel from its beginning; its rows carry their offsets."""
    ready = run("serve", "prices", "--rate", "50", "--json").ready()
    tail = run("tail", ready["url"], "--channel", "prices", "--token", ready["token"], "--rows", "20")
    assert tail.end() == 0
    assert [json.loads(line)["offset"] for line in tail.out] == list(range(1, 21))


def test_tail_where(run):
    """``--where`` takes the messages that have the value; ``--subscribe`` is what makes this server send."""
    url = run("serve", "ws", "--open", "--json").ready()["url"]
    sent = [f'{{"kind": "{kind}", "n": {n}}}' for n, kind in enumerate(["a", "b", "a", "b"])]
    subscribe = [argument for message in sent for argument in ("--subscribe", message)]
    tail = run("tail", f"{url}/ws", *subscribe, "--where", "kind=b", "--rows", "2")
    assert tail.end() == 0
    assert [json.loads(line)["n"] for line in tail.out] == [1, 3]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_tail_ends_by_a_signal(run, prices, number):
    """Ctrl-C and SIGTERM end it with exit code 0, with every row that was read on the output."""
    tail = run("tail", prices, "--channel", "prices")
    tail.seen('"offset":3}', tail.out)
    assert tail.end(number) == 0
    assert tail.err == []
    assert [json.loads(line)["offset"] for line in tail.out] == list(range(1, len(tail.out) + 1))


def test_tail_says_when_rows_do_not_fit(run, prices):
    """Messages without rows at ``--records`` are told of once, with the reason."""
    tail = run("tail", f"{prices}/prices", "--records", "data.items")
    tail.seen("some rows do not fit and are left out: .*there is no 'data'", tail.err)
    assert tail.end(signal.SIGINT) == 0
    assert tail.out == []


def test_tail_goes_on_after_a_break(run):
    """When the server goes it says so, and when it is back the rows come on."""
    server = run("serve", "prices", "--open", "--json")
    url = server.ready()["url"]
    tail = run("tail", f"{url}/prices", "--records", "items()")
    tail.seen("AAPL", tail.out)
    server.end(signal.SIGTERM)
    tail.seen("the connection was lost .*connecting again", tail.err)
    before = len(tail.out)
    again = run("serve", "prices", "--open", "--json", "--port", url.rpartition(":")[2])
    assert again.ready()["url"] == url
    tail.seen("MSFT", tail.out, start=before)
    assert tail.end(signal.SIGINT) == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["http://127.0.0.1"], 2, "is not a WebSocket URL"),
        (["ws://127.0.0.1:1"], 1, "nothing listens there"),
        (["URL/nowhere"], 1, "Nothing is served at /nowhere; there is: /prices"),
        (["URL", "--channel", "nowhere"], 1, "no channel 'nowhere'"),
        (["URL", "--channel", "prices", "--subscribe", "x"], 2, "--subscribe goes with a foreign URL"),
        (["URL", "--records", "()"], 2, "is not a path"),
        (["URL", "--where", "AAPL"], 2, "--where 'AAPL' is not of the form FIELD=VALUE"),
    ],
)
def test_tail_refuses_in_one_line(run, prices, arguments, code, said):
    """What cannot be read is one line of text and an exit code, not a traceback."""
    tail = run("tail", *(argument.replace("URL", prices) for argument in arguments))
    assert tail.end() == code
    assert len(tail.err) == 1
    assert said in tail.err[0]


def test_tail_with_a_wrong_token(run):
    """A wrong token is one line that says which option to use."""
    url = run("serve", "prices", "--json").ready()["url"]
    for arguments in ([f"{url}/prices"], [url, "--channel", "prices"]):
        tail = run("tail", *arguments, "--token", "wrong")
        assert tail.end() == 1
        assert re.search(r"401: The token is not .*Pass --token with the token", tail.err[0])


def test_tail_in_a_terminal(prices, tmp_path):
    """In a terminal it is a table: a row for each key, and a line with the rate, the rows and the state."""
    master, slave = pty.openpty()
    environment = ENVIRONMENT | {"TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
    process = subprocess.Popen(
        [*COMMAND, "tail", prices, "--channel", "prices"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment,
        cwd=tmp_path,
    )
    os.close(slave)
    shown = ""
    try:
        while not all(re.search(rf"{symbol} .*\d", shown) for symbol in ("AAPL", "GOOGL", "MSFT")):
            shown += os.read(master, 4096).decode(errors="replace")
        while not re.search(r"open · [1-9][\d.]* rows/s · \d+ rows · 0 rejected", shown):
            shown += os.read(master, 4096).decode(errors="replace")
        process.send_signal(signal.SIGINT)
        while True:  # an end with what is left unread would wait for ever
            try:
                shown += os.read(master, 4096).decode(errors="replace")
            except OSError:
                break
        assert process.wait() == 0, shown[-3000:]
    finally:
        process.kill()
        process.wait()
        os.close(master)
    assert "Traceback" not in shown, shown[shown.index("Traceback") :]


def test_a_stream_cannot_write_to_the_terminal():
    """Escape sequences that a server sends are shown as replacement characters, and long text is cut."""
    from rtwidgets.cli.board import _clean, _shown

    assert _clean("\x1b]0;title\x07 ok") == "\ufffd]0;title\ufffd ok"
    assert _clean("x" * 1000) == "x" * 59 + "…"
    assert [_shown(value) for value in (None, float("nan"), 2800.5, 7, "a")] == ["", "", "2,800.5", "7", "a"]


# demo


def notebook(path: Path, *cells: tuple[str, str]) -> Path:
    """Write a notebook of (tag, source) cells."""
    made = nbformat.v4.new_notebook()
    for tag, source in cells:
        made.cells.append(nbformat.v4.new_code_cell(source, metadata={"tags": [tag]} if tag else {}))
    nbformat.write(made, path)
    return path


@pytest.mark.browser
@pytest.mark.timeout(240)
def test_demo(run, tmp_path):
    """The demo prints the last rows, leaves a picture and a page that needs no network."""
    from playwright.sync_api import sync_playwright

    from rtwidgets.testing.lab import _FLAGS, _find_browser

    source = notebook(
        tmp_path / "small.ipynb",
        ("", "import rtwidgets as rt\nserver = rt.serve(seed=1, options={'prices': {'rate': 50}})"),
        ("", "prices = rt.connect('prices')"),
        ("chart", "prices.chart('price')"),
        ("last-rows", "prices.latest[['price']]"),
        ("", "print(rt.health())\nrt.stop()"),
    )
    before = source.read_bytes()
    demo = run("demo", str(source), "--out", "made/here")
    assert demo.end() == 0, "\n".join(demo.err)
    printed = "\n".join(demo.out)
    for symbol in ("AAPL", "GOOGL", "MSFT"):
        assert re.search(rf"^{symbol} +[\d.]+$", printed, re.MULTILINE)
    assert source.read_bytes() == before
    out = tmp_path / "made" / "here"
    with Image.open(out / "demo.png") as picture:
        assert picture.width > 1000
        colours = {colour for _, colour in picture.convert("RGB").getcolors(2**24)}
    assert (0x00, 0x72, 0xB2) in colours  # the first line's blue

    requests = []
    with sync_playwright() as playwright:
        executable = _find_browser(None, playwright)
        browser = playwright.chromium.launch(executable_path=executable, args=list(_FLAGS))
        page = browser.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.goto((out / "demo.html").as_uri(), wait_until="load")
        assert (
            page.locator("figure#chart img").evaluate("image => image.complete && image.naturalWidth") > 500
        )
        assert "AAPL" in page.inner_text("body")
        assert "healthy" in page.inner_text("body")
        browser.close()
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []


@pytest.mark.browser
def test_demo_of_a_notebook_that_fails(run, tmp_path):
    """A cell that raises ends the demo with its error and exit code 1, and no page."""
    source = notebook(tmp_path / "bad.ipynb", ("", "1 / 0"), ("chart", "1"), ("last-rows", "2"))
    demo = run("demo", str(source))
    assert demo.end() == 1
    assert demo.err[0] == "Error: bad.ipynb, cell 0: ZeroDivisionError: division by zero"
    assert not (tmp_path / "build" / "demo.html").exists()


def test_demo_needs_its_tags(tmp_path):
    """A notebook without the tags is named with the tag that is missing, before anything is started."""
    source = notebook(tmp_path / "plain.ipynb", ("chart", "1"))
    result = in_process("demo", str(source))
    assert result.exit_code == 2
    assert "has no cell tagged 'last-rows'" in result.stderr


@pytest.mark.parametrize("content", [None, "no JSON", "{}", "[]"])
def test_demo_of_no_notebook(tmp_path, content):
    """What is no notebook is named in one line."""
    source = tmp_path / "odd.ipynb"
    if content is not None:
        source.write_text(content)
    result = in_process("demo", str(source))
    assert result.exit_code == 2
    assert "cannot be read as a notebook" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("module", ["nbconvert", "jupyterlab", "playwright.sync_api"])
def test_demo_says_what_to_install(tmp_path, monkeypatch, module):
    """Where a part of the demo is missing the line says what to install."""
    source = notebook(tmp_path / "small.ipynb", ("chart", "1"), ("last-rows", "2"))
    monkeypatch.setitem(sys.modules, module, None)
    result = in_process("demo", str(source), "--out", str(tmp_path))
    assert result.exit_code == 2
    assert re.search(r"^Error: .* is not installed: pip install 'rtwidgets\[demo\]'\n$", result.stderr)
