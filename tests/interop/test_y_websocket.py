"""Yjs editors with y-websocket's own provider as the clients of our server."""

from __future__ import annotations

from tests.waiting import until

ADA = {"user": {"name": "Zoë 李 🦊👩‍👩‍👧", "color": "#30bced"}}


def test_two_editors(serve, yjs_peer):
    """Each has what the other one writes, deletes and takes back, whatever the characters."""
    served = serve("documents")
    one, two = yjs_peer(served), yjs_peer(served)
    one.wait("synced", synced=True)
    one.insert(0, "Grüße 🌍")
    two.wait_text("Grüße 🌍")
    two.insert(8, " 世界")
    one.wait_text("Grüße 🌍 世界")
    one.delete(6, 2)
    two.wait_text("Grüße  世界")
    two.undo()
    one.wait_text("Grüße ")
    assert yjs_peer(served, room="other").text() == ""


def test_edits_without_a_connection(serve, yjs_peer):
    """What either side wrote meanwhile is there once after the provider has connected again."""
    served = serve("documents")
    one, two = yjs_peer(served), yjs_peer(served)
    one.insert(0, "both")
    two.wait_text("both")
    two.wait("synced", synced=True)
    two.disconnect()
    two.wait("status", status="disconnected")
    one.insert(0, "online ")
    two.insert(4, " 🎉 offline")
    yjs_peer(served).wait_text("online both")
    assert two.text() == "both 🎉 offline"
    two.connect()
    two.wait("synced", synced=True)
    for editor in (one, two, yjs_peer(served)):
        editor.wait_text("online both 🎉 offline")


def test_awareness(serve, yjs_peer):
    """A state is there for others as it was set, for those who come later too, and ends with the connection."""
    served = serve("documents")
    one, two = yjs_peer(served), yjs_peer(served)
    one.awareness(ADA)
    client = one.get()["client"]
    late = yjs_peer(served)
    for editor in (two, late):
        until(lambda editor=editor: editor.get()["states"].get(client) == ADA)
    one.disconnect()
    for editor in (two, late):
        until(lambda editor=editor: client not in editor.get()["states"])
    one.connect()
    one.awareness(ADA | {"cursor": 3})
    for editor in (two, late):
        until(lambda editor=editor: editor.get()["states"].get(client) == ADA | {"cursor": 3})


def test_a_wrong_token(serve, yjs_peer):
    """The provider is not let in, however often it tries, and has nothing of the document."""
    served = serve("documents")
    one = yjs_peer(served)
    one.insert(0, "secret")
    yjs_peer(served).wait_text("secret")
    stranger = yjs_peer(served, token="wrong")
    for _ in range(3):
        stranger.wait("connection-error")
    assert stranger.get()["text"] == ""
    assert not stranger.get()["synced"]
