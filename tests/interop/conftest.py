"""Our own command line as the server, and Node programs as peers."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PEERS = Path(__file__).parents[1] / "peers"


class NodeClient:
    """A client in Node, and the events that it tells of. The test's own time limit bounds every wait."""

    def __init__(self, popen: subprocess.Popen):
        self._popen = popen

    def event(self) -> dict:
        """Wait for the next event."""
        line = self._popen.stdout.readline()
        assert line, "the client in Node ended without a word"
        return json.loads(line)

    def opened(self) -> str:
        """Wait until the connection stands, and return its subprotocol."""
        event = self.event()
        assert event["event"] == "open", event
        return event["protocol"]

    def message(self) -> str | bytes:
        """Wait for a message: text as str, binary as bytes."""
        event = self.event()
        assert event["event"] == "message", event
        return event["text"] if "text" in event else base64.b64decode(event["binary"])

    def json(self):
        """Wait for a message that is JSON in a text frame."""
        message = self.message()
        assert isinstance(message, str)
        return json.loads(message)

    def send(self, data: str | bytes | dict) -> None:
        """Send text as text, bytes as binary, and a dict as JSON."""
        if isinstance(data, bytes):
            command = {"binary": base64.b64encode(data).decode()}
        else:
            command = {"text": data if isinstance(data, str) else json.dumps(data)}
        self._say(command)

    def close(self) -> dict:
        """Close the connection and return the event that tells of its end."""
        self._say({"close": True})
        while (event := self.event())["event"] == "message":
            pass
        return event

    def _say(self, command: dict) -> None:
        self._popen.stdin.write(json.dumps(command) + "\n")
        self._popen.stdin.flush()


@pytest.fixture(scope="session")
def peers() -> Path:
    """The folder of the peers in JavaScript, with the packages that they need."""
    if shutil.which("node") is None:
        pytest.fail("Node.js is missing: install nodejs and npm, then run `make test`")
    if not (PEERS / "node_modules" / "ws").is_dir():
        pytest.fail("the packages of the peers are missing: run `make test`, or `npm install` in tests/peers")
    return PEERS


@pytest.fixture
def start():
    """Start a process with pipes; it is ended with the test."""
    with contextlib.ExitStack() as stack:

        def start(*command: str | Path, **options) -> subprocess.Popen:
            process = stack.enter_context(
                subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, **options
                )
            )
            stack.callback(process.kill)
            return process

        yield start


@pytest.fixture
def serve(start):
    """Start ``rtwidgets serve`` and return what it says of itself: url, token and paths."""

    def serve(*arguments: str) -> dict:
        line = start(sys.executable, "-m", "rtwidgets", "serve", *arguments, "--json").stdout.readline()
        assert line, "the server did not start; its reason is in the captured output"
        return json.loads(line)

    return serve


@pytest.fixture
def node(peers, start):
    """Connect a client in Node."""

    def node(url: str, *subprotocols: str) -> NodeClient:
        return NodeClient(start("node", peers / "client.mjs", url, *subprotocols))

    return node
