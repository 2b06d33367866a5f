"""Editors of a document in the dialects that are not our own client's: a text area, and a Yjs client."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import time

import pycrdt
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from rtwidgets.yjs.edits import Edit, apply
from rtwidgets.yjs.protocol import AskAwareness, Awareness, Step1, Update, decode, encode
from tests.talking import eventually

__all__ = ["NodeEditor", "TextArea", "YjsEditor", "come_about"]


async def come_about(ask, reached, timeout=30.0):
    """Ask until the answer is as it should be; as `eventually`, where looking takes its time."""
    deadline = time.monotonic() + timeout
    while not reached(await ask()):
        assert time.monotonic() < deadline, "it never came about"
        await asyncio.sleep(0.01)


class _Editor:
    """A connection that is opened again, when it ends, until `close`."""

    def __init__(self, url, token):
        self.url = url
        self.token = token
        self.connection = None
        self.connects = 0
        self._task = asyncio.create_task(self._run())

    async def close(self):
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _run(self):
        headers = {"Authorization": f"Bearer {self.token}"}
        while True:
            with contextlib.suppress(OSError, ConnectionClosed, InvalidHandshake):
                async with connect(
                    self.url,
                    additional_headers=headers,
                    compression=None,
                    proxy=None,
                    close_timeout=1,
                    max_size=None,
                ) as connection:
                    self.connection = connection
                    self.connects += 1
                    try:
                        await self._opened()
                        async for message in connection:
                            await self._take(message)
                    finally:
                        self.connection = None
            await asyncio.sleep(0.01)

    async def _send(self, message):
        if self.connection is not None:
            with contextlib.suppress(ConnectionClosed):
                await self.connection.send(message)


class TextArea(_Editor):
    """A plain client: a text on a screen that is brought up to date when there is nothing to save.

    Parameters
    ----------
    url, token
        The document's URL and the server's token.
    echo
        Whether it says from which version it has made its text.
    """

    def __init__(self, url, token, *, echo):
        self.text = ""
        self.version = None
        self.dirty = False
        self.errors = []
        self._echo = echo
        self._newest = None
        super().__init__(url, token)

    def edit(self, start, stop, text):
        self.text = apply(self.text, (Edit(start, stop, text),))
        self.dirty = True

    async def save(self):
        """Send the text, if it has changed; then what has come meanwhile may be shown."""
        if self.dirty:
            version = {"version": self.version} if self._echo else {}
            self.dirty = False
            await self._send(json.dumps({"type": "edit", "content": self.text, **version}))

    def show(self):
        """Show the newest text, where nothing is left to save."""
        if not self.dirty and self._newest is not None:
            self.text, self.version = self._newest
            self._newest = None

    async def barrier(self):
        """Wait until the server has taken all saves: it answers in order."""
        count = len(self.errors)
        await self._send("are you there?")
        await eventually(lambda: len(self.errors) > count)

    async def _opened(self):
        pass

    async def _take(self, message):
        message = json.loads(message)
        if message["type"] in {"init", "update"}:
            self._newest = message["content"], message["version"]
            if message["type"] == "init":
                self.show()
        elif message["type"] == "error":
            self.errors.append(message["message"])


class YjsEditor(_Editor):
    """A Yjs client as y-websocket's provider is one, on the Doc of pycrdt, and with nothing else of ours."""

    def __init__(self, url, token, *, client_id=None):
        self.doc = pycrdt.Doc() if client_id is None else pycrdt.Doc(client_id=client_id)
        self.content = self.doc.get("content", type=pycrdt.Text)
        self.states = {}
        self.answers = 0
        self._undo = pycrdt.UndoManager(scopes=[self.content], capture_timeout_millis=0)
        self._undo.include_origin("local")
        super().__init__(url, token)

    @property
    def text(self):
        return str(self.content)

    async def edit(self, start, stop, text):
        before, now = self.doc.get_state(), self.text
        first, last = len(now[:start].encode()), len(now[:stop].encode())
        with self.doc.transaction(origin="local"):
            if last > first:
                del self.content[first:last]
            if text:
                self.content.insert(first, text)
        await self.send(Update(self.doc.get_update(before)))

    async def undo(self, *, redo=False):
        whole = self.doc.get_state()
        if self._undo.redo() if redo else self._undo.undo():
            await self.send(Update(self.doc.get_update(whole)))

    async def send(self, message):
        await self._send(message if isinstance(message, bytes | str) else encode(message))

    async def barrier(self):
        """Wait until the server has taken all that was sent: it answers in order."""
        count = self.answers
        await self.send(Step1(self.doc.get_state()))
        await eventually(lambda: self.answers > count)

    async def _opened(self):
        await self.send(Step1(self.doc.get_state()))

    async def _take(self, message):
        match decode(message):
            case Step1(state):
                await self.send(Update(self.doc.get_update(state), answer=True))
            case Update(update, answer):
                self.doc.apply_update(update)
                self.answers += answer
            case Awareness(states):
                for client, _, state in states:
                    if state is None:
                        self.states.pop(client, None)
                    else:
                        self.states[client] = json.loads(state)
            case AskAwareness():
                pass


class NodeEditor:
    """y-websocket's own provider, in Node."""

    def __init__(self, process):
        self._process = process
        self._said = itertools.count(1)

    @classmethod
    @contextlib.asynccontextmanager
    async def start(cls, peers, url, token, room="notes"):
        """Start one, in step with the server, and end it when the block is over."""
        command = "node", str(peers / "yjs-peer.mjs"), f"{url}/yjs", room, token
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=2**24)
        try:
            editor = cls(process)
            await come_about(editor.say, lambda now: now["synced"])
            yield editor
        finally:
            process.stdin.close()
            await process.wait()

    async def say(self, **command):
        """Give a command, as `tests/peers/yjs-peer.mjs` has them, and return what it has then."""
        number = next(self._said)
        self._process.stdin.write(json.dumps({**command, "get": number}).encode() + b"\n")
        answer = {}
        while answer.get("got") != number:  # events come in between
            line = await self._process.stdout.readline()
            assert line, "the editor in Node ended without a word"
            answer = json.loads(line)
        return answer
