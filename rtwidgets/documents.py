"""The user's handle on one document."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pandas as pd

from rtwidgets.client import State
from rtwidgets.client.document import DocumentSource, Editing
from rtwidgets.client.stats import StatsSource
from rtwidgets.errors import Closed, TextTimeout, UsageError
from rtwidgets.loop import Lease, lease
from rtwidgets.stream import Stream
from rtwidgets.widgets import Editor, Line
from rtwidgets.yjs.difference import difference
from rtwidgets.yjs.edits import Edit
from rtwidgets.yjs.history import History

__all__ = ["Change", "Document"]

T = TypeVar("T")


class Change(NamedTuple):
    """An edit of a document, as ``async for`` gives it.

    Attributes
    ----------
    version
        Its number: `Document.at` gives the text after it.
    time
        When it reached the server, in UTC.
    user
        Who made it; None for several that the server had put together while there was no connection.
    inserted, deleted
        Characters.
    """

    version: int
    time: pd.Timestamp
    user: str | None
    inserted: int
    deleted: int


class Document:
    """A document that many edit at once; made by `rtwidgets.document`.

    Edits are made here at once, and sent. While the server cannot be reached they are kept, and merged with
    those of the others when it is back. Indices count characters (code points), as those of a Python text.
    """

    def __init__(self, source: DocumentSource) -> None:
        self.name = source.name
        self.user = source.user
        self._source = source
        self._lease = lease()
        self._stopped = False
        self._stopping = threading.Lock()
        self._editor: Editor | None = None
        self._stats: Stream | None = None

    def __repr__(self) -> str:
        return f"Document({self.name!r})"

    def __len__(self) -> int:
        return len(self.text)

    # The text

    @property
    def text(self) -> str:
        """The text as it is here now."""
        return self._source.text

    def edit(self, start: int, stop: int, text: str) -> None:
        """Replace the characters from `start` to `stop` by a text, which may be empty.

        Returns when the server has it, or at once while there is no connection: it is sent later then.

        Raises
        ------
        UsageError
            When there are no such characters, or the text is none.
        Refused
            When the server does not take it: the text is then as it was.
        """
        _check_text(text)
        self._run(lambda: self._source.edit(lambda now: (_checked(now, start, stop, text),)))

    def insert(self, index: int, text: str) -> None:
        """Insert a text before the character at an index; raises as `edit`."""
        self.edit(index, index, text)

    def replace(self, text: str) -> None:
        """Make this the whole text. Only what differs is edited; raises as `edit`."""
        _check_text(text)
        self._run(lambda: self._source.edit(lambda now: difference(now, text)))

    def undo(self) -> bool:
        """Take the last edit of this handle back, and leave those of others; return whether there was one.

        What is typed into the editor has an undo of its own there. Raises as `edit`.
        """
        return self._run(self._source.undo)

    def redo(self) -> bool:
        """Make the edit again that `undo` has taken back last; return whether there was one."""
        return self._run(lambda: self._source.undo(redo=True))

    def wait(self, reached: str | Callable[[str], bool], timeout: float | None = 10.0) -> str:
        """Wait for the text to be as it should; return it.

        Parameters
        ----------
        reached
            What it is to contain, or a function that says of a text whether it is as it should.
        timeout
            Seconds; None waits for ever.

        Raises
        ------
        TextTimeout
            When that did not come about in time (also a `TimeoutError`).
        Closed
            When the document was stopped before.
        """
        return self._lease.run(self.wait_async(reached, timeout))

    async def wait_async(self, reached: str | Callable[[str], bool], timeout: float | None = 10.0) -> str:
        """Do what `wait` does, without blocking the loop of the caller."""
        test = (lambda text: reached in text) if isinstance(reached, str) else reached
        try:
            async with asyncio.timeout(timeout):
                await self._source.bell.wait(lambda: self._stopped or test(self.text))
        except TimeoutError:
            assert timeout is not None
            raise TextTimeout(self.name, timeout, f"the connection is {self.state.value}") from None
        if not test(text := self.text):
            raise Closed(f"document {self.name!r} was stopped")
        return text

    # Its past

    @property
    def version(self) -> int:
        """The number of the newest edit that the server has and that is here."""
        return self._source.history.version

    @property
    def history(self) -> pd.DataFrame:
        """The edits that are known one by one, oldest first.

        Columns: `version` (int64), `time` (datetime64[ns, UTC], when it reached the server), `user`
        (category), `inserted` and `deleted` (int64, characters). The server puts old edits together when
        there are many; they are not known one by one any more to who opens the document then.
        """
        entries = list(self._source.history.entries)
        times = pd.to_datetime([entry.time for entry in entries], unit="ms", utc=True)
        return pd.DataFrame(
            {
                "version": pd.Series([entry.version for entry in entries], dtype="int64"),
                "time": pd.Series(times.as_unit("ns"), dtype="datetime64[ns, UTC]"),
                "user": pd.Series([entry.user for entry in entries], dtype="str").astype("category"),
                "inserted": pd.Series([entry.inserted for entry in entries], dtype="int64"),
                "deleted": pd.Series([entry.deleted for entry in entries], dtype="int64"),
            }
        )

    def at(self, version: int) -> str:
        """Return the text as it was after an edit, by its number in `history`.

        Raises
        ------
        UsageError
            When there is no such version, or it is not known any more.
        """
        history = self._source.history

        async def travel() -> str:
            return history.at(version)

        try:
            return self._lease.run(travel())
        except LookupError as error:
            raise UsageError(f"document {self.name!r}: {error}") from error

    def export(self, path: str | Path) -> Path:
        """Write the text to a file, as UTF-8 and with its line ends as they are; return the path."""
        path = Path(path)
        path.write_text(self.text, encoding="utf-8", newline="")
        return path

    async def __aiter__(self) -> AsyncIterator[Change]:
        """Yield the edits from now on, everybody's, once they have reached the server."""
        history, seen = self._source.history, self.version
        while not self._stopped:
            if history is not self._source.history:  # the document was begun anew
                history, seen = self._source.history, 0
            for entry in [entry for entry in history.entries if entry.version > seen]:
                version, time, user, inserted, deleted, _ = entry
                seen = version
                yield Change(version, pd.Timestamp(time, unit="ms", tz="UTC"), user, inserted, deleted)
            await self._source.bell.wait(partial(self._is_news, history, seen))

    def _is_news(self, history: History, seen: int) -> bool:
        return self._stopped or self._source.history is not history or history.version > seen

    # State

    @property
    def present(self) -> list[str]:
        """Who has the document open, oldest first."""
        return list(dict.fromkeys([*self._source.present, *self._source.awareness.users.values()]))

    @property
    def writable(self) -> bool:
        """Whether the token allows to edit."""
        return self._source.writable

    @property
    def unsent(self) -> int:
        """Edits made here that the server does not have yet."""
        return self._source.unsent

    @property
    def discarded(self) -> str | None:
        """What the copy here had when the server lost the document, and it was begun anew; else None."""
        return self._source.discarded

    @property
    def state(self) -> State:
        """What the connection is doing."""
        return State.CLOSED if self._stopped else self._source.link.state

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped

    def describe(self) -> Line:
        """Return what to show of it in the status."""
        words = [f"characters: {len(self):,}", f"version: {self.version:,}"]
        words += [f"here: {', '.join(self.present)}"] if self.present else []
        words += [] if self.writable else ["read only"]
        words += [f"not sent yet: {self.unsent:,}"] if self.unsent else []
        words += ["begun anew by the server (see .discarded)"] if self.discarded is not None else []
        if self.state is not State.OPEN:
            words.append(self._source.link.reason)
        return Line("document", self.name, self.state.value, " · ".join(words))

    def stop(self) -> None:
        """Take no more part. The text stays; stopping twice is harmless.

        Raises
        ------
        UsageError
            When called in a coroutine of the background loop.
        """
        with self._stopping:
            if self._stopped:
                return
            self._lease.check()
            self._stopped = True
        try:
            for part in (self._editor, self._stats):
                if part is not None:
                    part.stop()
            self._lease.run(self._source.close(), timeout=5.0)
        finally:
            self._source.bell.ring()
            self._lease.release()

    # Widgets

    def editor(self) -> Editor:
        """Show the document in an editor; the same one each time, until it is closed."""
        if self._editor is None or self._editor.closed:
            self._editor = Editor(self)
        return self._editor

    def stats(self) -> Stream:
        """Return a stream of what goes on in the document, a row a second, for frames and charts.

        Columns: `characters`, `edits_per_minute`, `editors` (those present by name) and `time`.
        """
        if self._stats is None or self._stats.stopped:
            source = self._lease.run(StatsSource.open(self._source, lambda: len(self.present)))
            self._stats = Stream(f"stats of {self.name}", source)
        return self._stats

    # What the editor asks for

    def join(self, hear: Callable[[bytes], None]) -> Seat:
        """Have an editor take part: see `rtwidgets.widgets.editor.Shared`."""

        async def join() -> Editing:
            return self._source.join(hear)

        return Seat(self._lease, self._run(join))

    def watch(self, hear: Callable[[str, int], None]) -> Callable[[], None]:
        """Have a function called with the text and its version, now and after each change."""

        async def watch() -> Callable[[], None]:
            return self._source.watch(hear)

        end = self._run(watch)

        def stop() -> None:
            with contextlib.suppress(Closed):
                self._lease.call(end)

        return stop

    def save(self, text: str, version: int) -> None:
        """Take a whole text that was made from a version of `watch`; from any thread."""
        with contextlib.suppress(Closed):
            self._lease.call(self._source.save, text, version)

    def _run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return self._lease.run(work())


class Seat:
    """An editor's place in a document: says what the editor says, from any thread."""

    def __init__(self, lease: Lease, editing: Editing) -> None:
        self._lease = lease
        self._editing = editing

    def say(self, message: bytes) -> None:
        """Pass on a y-protocols message."""
        with contextlib.suppress(Closed):
            self._lease.call(self._editing.say, message)

    def close(self) -> None:
        """Leave."""
        with contextlib.suppress(Closed):
            self._lease.call(self._editing.leave)


def _check_text(text: object) -> None:
    if not isinstance(text, str):
        raise UsageError(f"{text!r} is no text: give a str, an empty one to delete")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"the text has half a character (a lone surrogate) at {error.start}: leave it out"
        ) from None


def _checked(now: str, start: object, stop: object, text: str) -> Edit:
    places = isinstance(start, int) and isinstance(stop, int)
    if not (places and 0 <= start <= stop <= len(now)):  # type: ignore[operator]
        raise UsageError(
            f"there are no characters {start!r} to {stop!r}: the text has {len(now)}, counted from 0, "
            "and the end is not before the beginning"
        )
    return Edit(start, stop, text)  # type: ignore[arg-type]
