"""Documents of a kernel: which one is asked for, and what is left when they are gone."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

import rtwidgets as rt
from rtwidgets.client import State
from rtwidgets.errors import ChannelNameError, Closed, DocumentLost, TextTimeout, UsageError
from rtwidgets.loop import take_errors
from rtwidgets.notebook.running import running
from tests.waiting import until


@pytest.fixture(autouse=True)
def stopped(tidy):
    yield
    rt.stop()
    take_errors()


def test_asking_again_returns_the_same_one():
    """Until it is stopped; another name is another person."""
    rt.serve(services=["documents"])
    ada = rt.document("notes", name="ada")
    assert rt.document("notes", name="ada") is ada
    bob = rt.document("notes", name="bob")
    assert bob is not ada
    ada.insert(0, "text")
    ada.stop()
    again = rt.document("notes", name="ada")
    assert again is not ada
    assert again.text == "text"
    assert set(running.documents.documents) == {again, bob}


def test_text_by_character():
    """Places count what Python counts, and what is not there is said so."""
    rt.serve(services=["documents"])
    ada = rt.document("notes", name="ada")
    ada.insert(0, "a😀é")
    ada.edit(1, 2, "b")
    assert ada.text == "abé"
    for start, stop in ((0, 9), (2, 1), (-1, 0), ("0", 1), (0.0, 1)):
        with pytest.raises(UsageError, match="the text has 3"):
            ada.edit(start, stop, "x")
    for text in ("half \ud83d", b"bytes", None):
        with pytest.raises(UsageError):
            ada.insert(0, text)
    assert ada.text == "abé"


@pytest.mark.parametrize("name", ["a/b", ".", "..", "with space", "é", "", "x" * 200, "x" * 185])
def test_names_that_cannot_be(name):
    """They are refused here, in the words of whoever gave them."""
    rt.serve(services=["documents"])
    with pytest.raises((UsageError, ChannelNameError)):
        rt.document(name, name="ada")


def test_waiting():
    """It ends with the text, in time or with a hint; what is asked may fail, and hurts nobody else."""
    rt.serve(services=["documents"])
    ada = rt.document("notes", name="ada")
    bob = rt.document("notes", name="bob")
    bob.insert(0, "hello")
    assert ada.wait("hello") == ada.wait(lambda text: text.endswith("o")) == "hello"
    with pytest.raises(TextTimeout, match="the connection is open"):
        ada.wait("never", timeout=0.05)
    with pytest.raises(IndexError):
        ada.wait(lambda text: text[100])
    assert ada.state is State.OPEN


async def test_edits_are_heard_of_in_another_loop():
    """Everybody's, once each, in their order; the end of the document ends them."""
    rt.serve(services=["documents"])
    ada = rt.document("notes", name="ada")
    bob = rt.document("notes", name="bob")
    heard = []

    async def listen():
        async for _, _, user, inserted, deleted in ada:
            heard.append((user, inserted, deleted))

    listening = asyncio.ensure_future(listen())
    await asyncio.sleep(0)
    ada.insert(0, "one")
    bob.wait("one")
    bob.edit(0, 1, "")
    await asyncio.wait_for(ada.wait_async(lambda text: text == "ne"), 20)
    await asyncio.to_thread(until, lambda: len(heard) == 2)
    ada.stop()
    await asyncio.wait_for(listening, 20)
    assert heard == [("ada", 3, 0), ("bob", 0, 1)]
    assert ada.history[["user", "inserted", "deleted"]].to_numpy().tolist() == [["ada", 3, 0], ["bob", 0, 1]]
    with pytest.raises(Closed):
        ada.insert(0, "x")


def test_the_past_and_a_file(tmp_path):
    """Each version has its text, and the file has the newest with its line ends."""
    rt.serve(services=["documents"])
    ada = rt.document("notes", name="ada")
    ada.insert(0, "one\r\n")
    ada.replace("one\r\ntwo")
    assert [ada.at(version) for version in range(3)] == ["", "one\r\n", "one\r\ntwo"]
    assert str(ada.history["time"].dtype) == "datetime64[ns, UTC]"
    with pytest.raises(UsageError, match="version 3 is not known"):
        ada.at(3)
    assert ada.export(tmp_path / "notes.txt").read_bytes() == b"one\r\ntwo"
    assert ada.undo()
    assert ada.text == "one\r\n"
    assert ada.redo()
    assert not ada.redo()


def test_a_document_that_the_server_has_lost():
    """It is begun anew here too, and what it was is kept aside and told of."""
    first = rt.serve(services=["documents"], token="keep")
    port = int(first.url.rpartition(":")[2])
    ada = rt.document("notes", name="ada", server=first.url, token="keep")
    ada.insert(0, "precious")
    first.stop()
    rt.serve(services=["documents"], token="keep", port=port)
    assert ada.wait(lambda text: text == "", timeout=60) == ""
    assert ada.discarded == "precious"
    assert [type(error) for _, error in take_errors()] == [DocumentLost]


def test_what_is_stopped_is_let_go():
    """Neither a server with documents nor a stopped document stays in memory."""
    gone = []
    for number in range(3):
        server = rt.serve(services=["documents"])
        document = rt.document(f"notes{number}", name="ada")
        document.insert(0, "x")
        gone += [weakref.ref(server._server.hub), weakref.ref(document._source)]
        document.stop()
        server.stop()
    rt.serve(services=["documents"])
    rt.document("other", name="ada")
    assert len(running.documents.documents) == 1
    del server, document
    until(lambda: gc.collect() >= 0 and not any(ref() for ref in gone))
