"""A copy of a document: a Yjs Doc (of pycrdt) with one text, edited by character.

A Doc belongs to the thread that made it, and so does a replica.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pycrdt

from rtwidgets.errors import BadUpdate
from rtwidgets.yjs.difference import difference
from rtwidgets.yjs.edits import Change, apply, from_delta

__all__ = ["EMPTY", "TEXT", "Replica", "merged"]

TEXT = "content"
"""The name of the text in the Doc: Yjs clients write ``ydoc.getText("content")``."""
EMPTY = b"\x00\x00"
"""An update that changes nothing."""

_LOCAL, _REMOTE = "local", "remote"  # origins of transactions: only the local ones can be undone


class Replica:
    """A document's text and all that Yjs needs to merge the edits of others into it.

    Parameters
    ----------
    updates
        Yjs updates (version 1) to begin with.
    undo
        Whether `undo` and `redo` will be asked for.

    Raises
    ------
    BadUpdate
        When an update is none.
    """

    def __init__(self, updates: Iterable[bytes] = (), *, undo: bool = False) -> None:
        self._doc: pycrdt.Doc[Any] = pycrdt.Doc()
        self._text = self._doc.get(TEXT, type=pycrdt.Text)
        updates = list(updates)
        self._merge(updates)
        self.text = str(self._text)
        """The text as it is now."""
        self._check_is_text()
        self._deltas: list[Sequence[Mapping[str, Any]]] = []
        self._updates: list[bytes] = []
        self._text.observe(lambda event: self._deltas.append(event.delta))
        self._doc.observe(lambda event: self._updates.append(event.update))
        self._undo = None
        if undo:
            # Each call is an edit of its own, however soon it follows the last one.
            self._undo = pycrdt.UndoManager(scopes=[self._text], capture_timeout_millis=0)
            self._undo.include_origin(_LOCAL)

    def __repr__(self) -> str:
        return f"Replica({len(self.text)} characters)"

    @property
    def vector(self) -> bytes:
        """The Yjs state vector: what this replica has."""
        return self._doc.get_state()

    def state(self) -> bytes:
        """Return all of it, as one update."""
        return self._doc.get_update()

    def lacking(self, vector: bytes) -> bytes:
        """Return an update with what another replica lacks, whose state vector is given.

        Raises
        ------
        BadUpdate
            When that is no state vector.
        """
        try:
            return self._doc.get_update(vector)
        except ValueError as error:
            raise BadUpdate(f"it is no state vector ({error})") from error

    def apply(self, *updates: bytes) -> Change | None:
        """Merge updates of other replicas, and return what they changed in the text.

        None when all of it was known. Several together take hardly longer than one: what takes time is to
        find their places in a text of many pieces.

        Raises
        ------
        BadUpdate
            When one is no update, builds on others that are not here, or puts something into the text that
            is none. This replica is then of no more use: make another one.
        """
        before = self.text
        self._updates.clear()
        self._merge(updates)
        # What is left of it when all that is known is taken away begins with its number of clients.
        vector = self._doc.get_state()
        if any(pycrdt.get_update(update, vector)[0] for update in updates):
            raise BadUpdate("it builds on edits that are not here", missing=True)
        if not self._updates:
            return None
        change = self._changed(before)
        self._check_is_text()
        return change

    def edit(self, change: Change) -> bytes:
        """Make a change here, and return it as an update for the others.

        Raises
        ------
        ValueError
            When its places are not in the text, or its text has half a surrogate pair.
        """
        before = self.text
        after = apply(before, change)
        pieces = [edit.text.encode() for edit in change]  # fails before anything is done
        self._updates.clear()
        with self._doc.transaction(origin=_LOCAL):
            for edit, piece in zip(reversed(change), reversed(pieces), strict=True):  # so that places stay
                start = _place(before, edit.start)
                if edit.stop > edit.start:
                    del self._text[start : _place(before, edit.stop)]
                if piece:
                    self._text.insert(start, edit.text)
        self._deltas.clear()
        self.text = after
        return self._made()

    def undo(self) -> tuple[Change, bytes] | None:
        """Take the last own edit back that was not taken back yet; return the change, and it as an update.

        None when there is none. What others have written since stays.
        """
        return self._redone(redo=False)

    def redo(self) -> tuple[Change, bytes] | None:
        """Make what was taken back last again; as `undo`."""
        return self._redone(redo=True)

    def _redone(self, *, redo: bool) -> tuple[Change, bytes] | None:
        assert self._undo is not None
        before = self.text
        self._updates.clear()
        if not (self._undo.redo() if redo else self._undo.undo()):
            return None
        return self._changed(before), self._made()

    def _merge(self, updates: Sequence[bytes]) -> None:
        try:
            with self._doc.transaction(origin=_REMOTE):
                for update in updates:
                    self._doc.apply_update(update)
        except ValueError as error:
            raise BadUpdate(f"it cannot be read ({error})") from error
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # what pyo3 makes of a panic in Rust
                raise
            raise BadUpdate(f"Yjs cannot take it ({error})") from error

    def _changed(self, before: str) -> Change:
        deltas, self._deltas = self._deltas, []
        if len(deltas) > 1:  # each counts from the one before
            self.text = str(self._text)
            return difference(before, self.text)
        change = from_delta(deltas[0], before) if deltas else ()
        self.text = apply(before, change)
        return change

    def _made(self) -> bytes:
        made, self._updates = self._updates, []
        return merged(made) if made else EMPTY

    def _check_is_text(self) -> None:
        if len(self._text) != len(self.text.encode()):
            raise BadUpdate(f"it puts something else than text into {TEXT!r}")


def _place(text: str, index: int) -> int:
    """Return where a character is in pycrdt's count, of bytes of UTF-8."""
    return index if text.isascii() else len(text[:index].encode())


def merged(updates: Sequence[bytes]) -> bytes:
    """Return one update for several, which are few: it takes longer than it should for thousands."""
    return updates[0] if len(updates) == 1 else pycrdt.merge_updates(*updates)
