"""The clients of prices, in Node and in Go: one behaviour, two languages."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess

import pytest

from tests.examples.conftest import EXAMPLES

pytestmark = pytest.mark.timeout(300)  # Go builds its own library first

BOARD = re.compile(r"AAPL \d+\.\d\d  GOOGL \d+\.\d\d  MSFT \d+\.\d\d\n")


@pytest.fixture(params=["node", "go"])
def follow(request, start):
    """Start a client with a URL and a token."""
    if request.param == "node":
        command = ["node", request.getfixturevalue("node_folder") / "prices.mjs"]
    else:
        command = [request.getfixturevalue("go_folder") / "prices"]

    def follow(*arguments: str, token: str = "") -> subprocess.Popen:
        environment = os.environ | {"RTWIDGETS_TOKEN": token}
        return start(*command, *arguments, env=environment, stderr=subprocess.PIPE)

    return follow


def test_a_line_for_each_board(up, follow):
    """The token comes from the environment, and Ctrl-C ends the program politely."""
    server = up(services=["prices"])
    client = follow(f"{server.url}/prices", token=server.token)
    lines = [client.stdout.readline() for _ in range(3)]
    assert all(BOARD.fullmatch(line) for line in lines), lines
    assert len(set(lines)) > 1
    assert server.server.statistics().connections == 1
    client.send_signal(signal.SIGINT)
    assert client.wait() == 0
    assert client.stderr.read() == ""


def test_a_token_in_the_address(up, follow):
    """``?token=`` does as well."""
    server = up(services=["prices"])
    client = follow(f"{server.url}/prices?token={server.token}")
    assert BOARD.fullmatch(client.stdout.readline())


def test_going_on_after_a_break(up, follow):
    """When the server goes it says so, and when it is back the lines go on."""
    server = up(services=["prices"])
    client = follow(f"{server.url}/prices", token=server.token)
    assert client.stdout.readline()
    server.stop()
    assert re.fullmatch(r"lost: .*the server stops; again in \d\.\d s\n", client.stderr.readline())
    up(services=["prices"], port=int(server.url.rpartition(":")[2]), token=server.token)
    lines = [client.stdout.readline() for _ in range(5)]  # more than can have been on their way
    assert all(BOARD.fullmatch(line) for line in lines), lines


@pytest.mark.parametrize(
    ("path", "token", "said"),
    [
        ("/prices", "wrong", r"refused: 401.*: The token is not .*\n"),
        ("/nowhere", None, r"refused: 404.*: /prices\n"),
    ],
)
def test_a_refusal_is_the_end(up, follow, path, token, said):
    """What will be the same next time is told, and ends the program with exit code 1."""
    server = up(services=["prices"])
    client = follow(server.url + path, token=token or server.token)
    assert client.wait() == 1
    assert re.fullmatch(said, client.stderr.read())
    assert client.stdout.read() == ""


def test_no_address(follow):
    """Without a URL it says how it is used."""
    client = follow()
    assert client.wait() != 0
    assert "usage: " in client.stderr.read()


def test_node_packages_are_those_of_the_tests(peers):
    """The examples are run with the packages that they ask for, of exact versions."""
    asked = json.loads((EXAMPLES / "node" / "package.json").read_text())["dependencies"]
    tested = json.loads((peers / "package.json").read_text())["dependencies"]
    assert asked.items() <= tested.items()
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in asked.values())
