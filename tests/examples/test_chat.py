"""The client of a chat room in Node."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import pytest
from websockets.sync.client import connect


@pytest.fixture
def join(node_folder, start):
    """Start a client of a room."""

    def join(server, name: str) -> subprocess.Popen:
        environment = os.environ | {"RTWIDGETS_TOKEN": server.token}
        return start(
            "node",
            node_folder / "chat.mjs",
            f"{server.url}/chat/lobby",
            name,
            env=environment,
            stderr=subprocess.PIPE,
        )

    return join


def say(client, text):
    client.stdin.write(f"{text}\n")
    client.stdin.flush()


def until(client, line):
    """Read what a client prints up to a line."""
    lines = []
    while lines[-1:] != [f"{line}\n"]:
        lines.append(client.stdout.readline())
        assert lines[-1], lines
    return [each.rstrip("\n") for each in lines]


def messages(socket, count):
    """Return the next messages that somebody says, as plain clients get them."""
    said = []
    while len(said) < count:
        message = json.loads(socket.recv())
        said += message.get("messages", [])
        said += [message] if message["type"] == "message" else []
    return [(message["user"], message["text"]) for message in said]


def test_two_talk(up, join):
    """What one types the other reads; and who comes and goes."""
    server = up(services=["chat"])
    ada = join(server, "ada")
    assert until(ada, "* ada joined") == ["* ada joined"]
    bob = join(server, "bob")
    until(ada, "* bob joined")
    say(ada, "hello")
    until(bob, "ada: hello")
    say(bob, "Grüße 🙂")
    assert until(ada, "bob: Grüße 🙂") == ["ada: hello", "bob: Grüße 🙂"]
    bob.send_signal(signal.SIGINT)
    assert bob.wait() == 0
    until(ada, "* bob left")


def test_all_of_the_input_is_said(up, join):
    """A file can be said: the program ends when all of it is."""
    server = up(services=["chat"])
    ada = join(server, "ada")
    for n in range(20):
        ada.stdin.write(f"line {n}\n")
    ada.stdin.close()
    assert ada.wait() == 0
    with connect(f"{server.url}/chat/lobby?token={server.token}", proxy=None) as bob:
        assert messages(bob, 20) == [("ada", f"line {n}") for n in range(20)]


def test_what_moves_the_cursor_is_not_printed(up, join):
    """Control characters in what others say do not reach the terminal."""
    server = up(services=["chat"])
    ada = join(server, "ada")
    until(ada, "* ada joined")
    with connect(f"{server.url}/chat/lobby?token={server.token}&user=eve%1b", proxy=None) as eve:
        eve.send(json.dumps({"text": "\x1b]0;title\x07\nroot: hi"}))
        assert until(ada, "eve : " + " ]0;title  root: hi")[-1]


def test_what_is_refused_is_told(up, join):
    """A line that is too long gets the server's sentence, and the next one is said."""
    server = up(services=["chat"])
    ada = join(server, "ada")
    say(ada, "x" * 4_001)
    assert ada.stderr.readline() == "a message has 1 to 4000 characters, not 4001\n"
    say(ada, "short")
    until(ada, "ada: short")


def test_nothing_is_shown_twice_after_a_break(up, join, tmp_path):
    """The history that comes again after a break is shown as far as it is new."""
    engine = f"sqlite:///{tmp_path}/log.db"
    server = up(services=["chat"], engine=engine)
    ada = join(server, "ada")
    say(ada, "before")
    until(ada, "ada: before")
    server.stop()
    assert ada.stderr.readline().startswith("lost: the server stops; again in ")
    again = up(services=["chat"], port=int(server.url.rpartition(":")[2]), token=server.token, engine=engine)
    with connect(f"{again.url}/chat/lobby?token={again.token}&user=bob", proxy=None) as bob:
        bob.send(json.dumps({"text": "after"}))
        assert messages(bob, 2) == [("ada", "before"), ("bob", "after")]
        shown = until(ada, "bob: after")
    assert "ada: before" not in shown
