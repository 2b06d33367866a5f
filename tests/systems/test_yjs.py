"""A shared document to Yjs editors, and to a client of `rtwidgets.v1` beside them."""

import json

import pytest

from rtwidgets.client import Multiplex
from rtwidgets.client.document import DocumentSource
from rtwidgets.server import Server
from rtwidgets.services import Documents
from rtwidgets.yjs.edits import Edit
from rtwidgets.yjs.protocol import Awareness, State
from tests.editors import YjsEditor
from tests.talking import eventually

pytestmark = pytest.mark.usefixtures("tidy")


async def test_editors_share_a_text_and_see_each_other():
    """What one writes the other has, and where one's cursor is the other hears; so does a client of ours."""
    async with Server([Documents]) as server:
        url = f"{server.url}/yjs/notes"
        ada, bob = YjsEditor(url, server.token, client_id=1), YjsEditor(url, server.token, client_id=2)
        ours = DocumentSource(Multiplex(server.url, server.token), "notes", "cy")
        try:
            await ours.start()
            await eventually(lambda: ada.answers and bob.answers)
            await ada.edit(0, 0, "hello")
            await eventually(lambda: bob.text == ours.text == "hello")
            await bob.edit(5, 5, " you")
            await ours.edit(lambda text: (Edit(0, 0, "Oh, "),))
            await eventually(lambda: {ada.text, bob.text, ours.text} == {"Oh, hello you"})
            here = {"user": {"name": "ada"}, "cursor": None}
            await ada.send(Awareness([State(1, 1, json.dumps(here).encode())]))
            await eventually(lambda: bob.states.get(1) == here)
        finally:
            await ada.close()
            await bob.close()
            await ours.close()
