"""The editor of a document. Its half in the browser is `js/editor.js`, bundled when the package is built.

It syncs through the kernel: no page has to reach a server, so it works wherever the notebook does.
"""

from __future__ import annotations

import secrets
import zlib
from collections.abc import Callable
from typing import Any, Protocol

import traitlets as t

from rtwidgets.widgets.scripts import EDITOR, EDITOR_STYLE, TEXTAREA
from rtwidgets.widgets.shown import Shown
from rtwidgets.widgets.theme import COLOURS
from rtwidgets.widgets.ticker import Ticker, close_widgets, opened

__all__ = ["Editor", "Peer", "Shared", "colour_of"]

LOOK_EVERY = 1.0
"""Seconds between two looks at the connection's state."""

STEP_1 = b"\0\0"
"""How a y-protocols message begins that asks for what its sender lacks: others have no use for it."""


class Peer(Protocol):
    """An editor's part in a document."""

    def say(self, message: bytes) -> None:
        """Take a y-protocols message of the editor; from any thread."""

    def close(self) -> None:
        """End it; from any thread."""


class Shared(Protocol):
    """A document, as its editors see it."""

    name: str
    user: str

    @property
    def writable(self) -> bool:
        """Whether it may be edited."""

    @property
    def state(self) -> Any:
        """What the connection is doing; its `value` is a word."""

    def join(self, hear: Callable[[bytes], None]) -> Peer:
        """Have an editor take part.

        `hear` is called on the background loop's thread with each y-protocols message for it; with an empty
        one when it has to throw its copy away and sync again.
        """

    def watch(self, hear: Callable[[str, int], None]) -> Callable[[], None]:
        """Have a function called with the text and its version, now and after each change, until it ends."""

    def save(self, text: str, version: int) -> None:
        """Take a whole text that was made from a version; from any thread."""


class Editor(Shown):
    """A document in an editor with everybody's cursors; in a plain text area where there is no bundle.

    Parameters
    ----------
    document
        What is edited.
    """

    _css = EDITOR_STYLE
    colour = t.Unicode().tag(sync=True)

    def __init__(self, document: Shared) -> None:
        self._document = document
        super().__init__(
            uid=secrets.token_hex(8),
            name=document.name,
            user=document.user,
            colour=colour_of(document.user),
            state=document.state.value,
            writable=document.writable,
            _esm=TEXTAREA if EDITOR is None else EDITOR,
        )
        self.add_class("rtw")
        self._peer: Peer | None = None
        self._pages: set[Any] = set()
        self._end: Callable[[], None] | None = None
        self._shown: tuple[str, int] = ("", 0)
        self.on_msg(self._hear)
        try:
            if EDITOR is None:
                self._end = document.watch(self._show)
            else:
                self._peer = document.join(self._pass_on)
        except BaseException:  # the document was stopped, say
            close_widgets([self.layout])
            super(Shown, self).close()  # there is nothing to stop yet
            raise
        opened(self)
        self._ticker = Ticker(self._look, LOOK_EVERY, f"the editor of {document.name}")

    def stop(self) -> None:
        """Take no more part: the text stays, and cannot be edited. Stopping twice is harmless."""
        if self.stopped:
            return
        self._ticker.stop()
        if self._peer is not None:
            self._peer.close()
        if self._end is not None:
            self._end()
        self.stopped = True

    def _hear(self, _: Any, content: dict[str, Any], buffers: list[memoryview]) -> None:
        # Called on whichever thread reads the comm.
        if self.stopped:
            return
        if self._peer is not None and buffers:
            message, page = bytes(buffers[0]), content.get("page")
            self._peer.say(message)
            self._pages.add(page)
            others = self._pages - {page}
            if content.get("left"):
                self._pages = others
            if others and message[:2] != STEP_1:
                self.send({}, [message])  # the document tells it to all editors but this one
        elif "text" in content:
            self._document.save(str(content["text"]), int(content["version"]))
        elif "hello" in content:
            self._show(*self._shown)  # a page that has just come

    def _pass_on(self, message: bytes) -> None:
        if not self.closed:
            self.send({}, [message])

    def _show(self, text: str, version: int) -> None:
        self._shown = (text, version)
        if not self.closed:
            self.send({"text": text, "version": version})

    def _look(self) -> None:
        with self.hold_sync():
            self.state, self.writable = self._document.state.value, self._document.writable


def colour_of(name: str) -> str:
    """Return the colour of somebody's cursor, the same one everywhere."""
    return COLOURS[zlib.crc32(name.encode()) % len(COLOURS)]
