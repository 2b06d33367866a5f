"""Yjs with y-websocket's own provider, in Node, driven from a test."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections import deque

from tests.waiting import until

__all__ = ["YjsPeer"]


class YjsPeer:
    """An editor of one document; `tests/peers/yjs-peer.mjs` says what its events are.

    Every call waits for Node, so the server has to run in another process or thread. Indices count UTF-16 units,
    as in JavaScript. The test's own time limit bounds the waits for events.
    """

    def __init__(self, popen: subprocess.Popen):
        self._popen = popen
        self._events: deque[dict] = deque()
        self._ids = itertools.count()

    def insert(self, index: int, text: str) -> None:
        self._say("insert", [index, text])

    def delete(self, index: int, length: int) -> None:
        self._say("delete", [index, length])

    def undo(self) -> None:
        """Take back the last edit that was made here."""
        self._say("undo", 1)

    def awareness(self, state: dict | None) -> None:
        """Set its own state; None takes it out."""
        self._say("awareness", state)

    def disconnect(self) -> None:
        """Close the connection, and open no other one until `connect`."""
        self._say("disconnect", 1)

    def connect(self) -> None:
        self._say("connect", 1)

    def get(self) -> dict:
        """Return its text, its awareness states by client id, its own client id, and whether it is synced."""
        asked = next(self._ids)
        self._say("get", asked)
        while (line := self._line()).get("got") != asked:
            self._events.append(line)
        return line | {"states": {int(client): state for client, state in line["states"].items()}}

    def text(self) -> str:
        return self.get()["text"]

    def wait(self, event: str, **fields: object) -> dict:
        """Wait for an event with these fields and return it; those before it are passed over."""
        wanted = {"event": event, **fields}
        while True:
            line = self._events.popleft() if self._events else self._line()
            if wanted.items() <= line.items():
                return line

    def wait_text(self, text: str) -> None:
        """Wait until its text is this one."""
        until(lambda: self.text() == text)

    def _line(self) -> dict:
        line = self._popen.stdout.readline()
        assert line, "the editor in Node ended without a word"
        return json.loads(line)

    def _say(self, command: str, argument: object) -> None:
        self._popen.stdin.write(json.dumps({command: argument}) + "\n")
        self._popen.stdin.flush()
