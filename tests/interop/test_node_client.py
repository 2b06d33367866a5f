"""Node's `ws` package as a client of our server: the plain dialect as it stands, and rtwidgets.v1."""

from __future__ import annotations

import json

import pytest


def test_echo(serve, node):
    """``/echo`` gives text back with ``Echo: `` before it."""
    client = node(serve("--open")["url"] + "/echo")
    assert client.opened() == ""
    for text in ("hello", "", "Grüße, 世界 🌍", "x" * 100_000):
        client.send(text)
        assert client.message() == f"Echo: {text}"
    assert client.close()["code"] == 1005  # Node's word for a closing frame without a code


def test_raw_echo(serve, node):
    """``/ws`` gives each message back unchanged, text as text and binary as binary, in order."""
    client = node(serve("--open")["url"] + "/ws")
    client.opened()
    messages = ["text", b"\x00\xff binary", "", b"", "世界", bytes(range(256)) * 500]
    for message in messages:
        client.send(message)
    assert [client.message() for _ in messages] == messages


def test_prices(serve, node):
    """``/prices`` sends the whole board on connect and again every second, each price moved by a step."""
    client = node(serve("--open", "--seed", "1")["url"] + "/prices")
    client.opened()
    boards = [client.json() for _ in range(3)]
    for board in boards:
        assert list(board) == ["AAPL", "GOOGL", "MSFT"]
        for symbol, start in (("AAPL", 150.0), ("GOOGL", 2800.0), ("MSFT", 300.0)):
            assert isinstance(board[symbol], float)
            assert abs(board[symbol] / start - 1) < 0.2
    assert boards[0] != boards[1] != boards[2]


def test_one_service_at_the_root(serve, node):
    """A service that is served alone and openly answers at ``/`` too."""
    client = node(serve("prices", "--open")["url"])
    client.opened()
    assert set(client.json()) == {"AAPL", "GOOGL", "MSFT"}


def test_chat(serve, node):
    """``/chat/{room}`` begins with the history, then tells of messages and of who joins and leaves."""
    url = serve("--open")["url"] + "/chat/lobby"
    ada = node(f"{url}?user=ada")
    ada.opened()
    assert ada.json() == {"type": "history", "messages": []}
    ada.send({"type": "message", "text": "anybody here? 🙂"})
    said = ada.json()
    while said["type"] == "joined":  # her own arrival
        said = ada.json()
    assert said == {"type": "message", "user": "ada", "text": "anybody here? 🙂", "time": said["time"]}

    bob = node(f"{url}?user=bob")
    bob.opened()
    assert bob.json() == {"type": "history", "messages": [said]}
    assert ada.json() == {"type": "joined", "user": "bob"}
    bob.send({"type": "message", "text": "hello ada"})
    heard = ada.json()
    assert (heard["user"], heard["text"]) == ("bob", "hello ada")
    assert heard["time"] >= said["time"]
    bob.close()
    assert ada.json() == {"type": "left", "user": "bob"}


def test_chat_refuses_politely(serve, node):
    """What is no message is answered with an error, and the client stays."""
    client = node(serve("--open")["url"] + "/chat/lobby?user=ada")
    client.opened()
    client.json()
    client.send("not JSON")
    answer = client.json()
    while answer["type"] == "joined":
        answer = client.json()
    assert answer["type"] == "error"
    client.send({"type": "message", "text": "still here"})
    assert client.json()["text"] == "still here"


def test_rooms_are_apart(serve, node):
    """What is said in one room is not heard in another."""
    url = serve("--open")["url"]
    inside, outside = node(f"{url}/chat/one?user=ada"), node(f"{url}/chat/two?user=bob")
    for client in (inside, outside):
        client.opened()
        assert client.json()["type"] == "history"
    inside.send({"type": "message", "text": "secret"})
    while inside.json()["type"] != "message":
        pass
    outside.send({"type": "message", "text": "own"})
    heard = outside.json()
    while heard["type"] == "joined":
        heard = outside.json()
    assert heard["text"] == "own"


def test_token(serve, node):
    """A plain client shows its token in the query; a wrong one is refused with 401 before any message."""
    ready = serve("echo")
    client = node(f"{ready['url']}/echo?token={ready['token']}")
    client.opened()
    client.send("in")
    assert client.message() == "Echo: in"
    refused = node(f"{ready['url']}/echo?token=wrong").event()
    assert (refused["event"], refused["status"]) == ("refused", 401)


def test_token_in_the_first_message(serve, node):
    """A plain client may also send its token as the first message."""
    ready = serve("echo")
    client = node(f"{ready['url']}/echo")
    client.opened()
    client.send({"type": "auth", "token": ready["token"]})
    client.send("in")
    assert client.message() == "Echo: in"


@pytest.mark.parametrize("first", ["hello", json.dumps({"type": "auth", "token": "wrong"})])
def test_no_token(serve, node, first):
    """Anything but the token as the first message is answered with an error and close code 1008."""
    client = node(serve("echo")["url"] + "/echo")
    client.opened()
    client.send(first)
    assert client.json()["code"] == "unauthorized"
    closed = client.event()
    assert (closed["event"], closed["code"]) == ("close", 1008)


def test_unknown_path(serve, node):
    """A path where nothing is served is refused with 404, and the answer says what there is."""
    refused = node(serve("--open")["url"] + "/nowhere").event()
    assert (refused["event"], refused["status"]) == ("refused", 404)
    assert "/prices" in refused["body"]


def test_our_own_dialect(serve, node):
    """With the subprotocol rtwidgets.v1 Node reads a channel from its beginning, without a hole."""
    ready = serve("--rate", "100")
    client = node(ready["url"], "rtwidgets.v1")
    assert client.opened() == "rtwidgets.v1"
    client.send({"type": "auth", "token": ready["token"]})
    client.send({"type": "subscribe", "id": 1, "channel": "prices", "after": {"epoch": "", "offset": 0}})
    answer = client.json()
    assert (answer["type"], answer["id"], answer["channel"]) == ("subscribed", 1, "prices")
    assert answer["offset"] == 0
    read = 0
    while read < 50:
        run = client.json()
        assert (run["type"], run["epoch"]) == ("messages", answer["epoch"])
        assert run["offset"] == read + 1
        assert len(run["data"]) == run["count"]
        assert set(run["data"][0]) == {"symbol", "price", "size", "time"}
        read += run["count"]
