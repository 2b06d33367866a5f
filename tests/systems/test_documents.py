"""A shared document: the same text to a plain client, a client of `rtwidgets.v1`, and a Yjs editor."""

import json

import pytest

from rtwidgets.client import Multiplex
from rtwidgets.client.document import DocumentSource
from rtwidgets.server import Server
from rtwidgets.services import Documents
from rtwidgets.yjs.edits import Edit
from tests.editors import TextArea, YjsEditor
from tests.talking import dial, eventually

pytestmark = pytest.mark.usefixtures("tidy")


async def test_three_dialects_on_one_text():
    """What each writes is in the text of all."""
    async with Server([Documents]) as server:
        plain = TextArea(f"{server.url}/documents/notes", server.token, echo=True)
        ours = DocumentSource(Multiplex(server.url, server.token), "notes", "ada")
        yjs = YjsEditor(f"{server.url}/yjs/notes", server.token)
        try:
            await ours.start()
            await ours.edit(lambda text: (Edit(0, 0, "one\n"),))
            await eventually(lambda: yjs.text == "one\n")
            await yjs.edit(4, 4, "two\n")
            await eventually(lambda: plain._newest is not None and plain._newest[0] == "one\ntwo\n")
            plain.show()
            plain.edit(8, 8, "three\n")
            await plain.save()
            await eventually(lambda: {ours.text, yjs.text} == {"one\ntwo\nthree\n"})
        finally:
            await plain.close()
            await yjs.close()
            await ours.close()


async def test_the_plain_shapes():
    """`init` on connecting, `edit` to write, and `update` to everybody; no more than that is needed."""
    async with Server([Documents]) as server, dial(server, "/documents/notes") as ada:
        assert json.loads(await ada.recv()) == {"type": "init", "content": "", "version": 0}
        await ada.send(json.dumps({"type": "edit", "content": "hello"}))
        update = {}
        while update.get("type") != "update":
            update = json.loads(await ada.recv())
        assert update["content"] == "hello"
        async with dial(server, "/documents/notes") as bob:
            assert json.loads(await bob.recv())["content"] == "hello"
