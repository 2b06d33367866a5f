"""The documents of a kernel, by name."""

from __future__ import annotations

import threading

from rtwidgets.client import AskForToken, State
from rtwidgets.client.document import DocumentSource
from rtwidgets.documents import Document
from rtwidgets.errors import ConnectError, UsageError
from rtwidgets.loop import lease
from rtwidgets.messages import MAX_USER, check_channel
from rtwidgets.notebook.places import Place, Places
from rtwidgets.notebook.servers import RunningServer

__all__ = ["Documents"]


class Documents:
    """The documents that are open in this kernel.

    Parameters
    ----------
    places
        Where servers are found.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._lock = threading.Lock()
        self._open: dict[tuple[Place, str], Document] = {}

    @property
    def documents(self) -> list[Document]:
        """Those that were opened and not forgotten."""
        with self._lock:
            return list(self._open.values())

    def open(
        self,
        document: str,
        *,
        name: str,
        server: str | RunningServer | None = None,
        token: str | AskForToken | None = None,
        ca: str | None = None,
    ) -> Document:
        """Open a document that many edit at once, and return it once all of it is here.

        Asking again under the same name returns the same one.

        Parameters
        ----------
        document
            Its name; it is made by whoever opens it first.
        name
            Yours, 1 to 100 characters: the others see it. Where a token names its user, that one.
        server, token, ca
            As for `connect`.

        Raises
        ------
        ConnectError
            When the connection cannot be made; the sentence says why.
        Refused
            When the token does not allow it.
        NotRunning
            When no server is named and none runs here.
        UsageError
            For names that cannot be.
        """
        if "/" in document or document in {".", ".."}:
            raise UsageError(f"{document!r} is no document's name: give a text without '/', such as 'notes'")
        if not 0 < len(name) <= MAX_USER:
            raise UsageError(f"name={name!r}: give your own name, a text of 1 to {MAX_USER} characters")
        check_channel(f"documents/{document}/awareness")  # the longer one of its two channels
        place = self._places.place(f"documents/{document}", server, token, ca)
        with self._lock:
            same = self._open.get((place, name))
        if same is not None and same.state is not State.CLOSED:
            return same
        opening = lease()
        try:
            made = Document(opening.run(self._start(place, document, name)))
        finally:
            opening.release()
        with self._lock:
            before = self._open.get((place, name))
            if before is None or before.state is State.CLOSED:
                self._open = {key: each for key, each in self._open.items() if not each.stopped}
                self._open[place, name] = made
            else:  # another thread was faster
                before, made = made, before
        if before is not None:
            before.stop()
        return made

    def forget(self) -> list[Document]:
        """Forget every document and return them; somebody has to stop them."""
        with self._lock:
            documents = list(self._open.values())
            self._open.clear()
        return documents

    async def _start(self, place: Place, document: str, name: str) -> DocumentSource:
        multiplex = self._places.multiplex(place, shared=False)
        source = DocumentSource(multiplex, document, name)
        try:
            await source.start()
            if not source.caught_up:
                raise multiplex.link.ended.result() or ConnectError(multiplex.link.shown, "it was stopped")
        except BaseException:
            await source.close()
            raise
        return source
