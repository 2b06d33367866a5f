"""A document of one of our servers: a replica that goes on without the server, and is merged with it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import msgspec

from rtwidgets.client.awareness import AwarenessSource
from rtwidgets.client.link import Link
from rtwidgets.client.multiplex import Multiplex
from rtwidgets.client.outgoing import Outgoing
from rtwidgets.client.subscription import Subscription
from rtwidgets.errors import BadUpdate, Closed, ConnectError, DocumentLost, ProtocolError, Refused, RtError
from rtwidgets.loop import Bell, report, supervise
from rtwidgets.messages import Joined, Latest, Left, Messages, Subscribed
from rtwidgets.yjs.edits import Change
from rtwidgets.yjs.history import Entry, History
from rtwidgets.yjs.protocol import AskAwareness, Awareness, State, Step1, Update, decode, encode
from rtwidgets.yjs.record import Record
from rtwidgets.yjs.replica import Replica
from rtwidgets.yjs.shadow import Shadow
from rtwidgets.yjs.versions import Versions

__all__ = ["DocumentSource", "Editing"]

READ_BACK = 1.0
"""Seconds that an edit which the server has may take to come back; mostly it is a few thousandths."""

_records = msgspec.json.Decoder(list[Record]).decode


class DocumentSource:
    """A document, and the edits on their way to the server. Lives on the background loop's thread.

    Parameters
    ----------
    multiplex
        A connection to the server on which nobody else is present; closed with this.
    name, user
        The document's name, and by which name to be present in it.
    """

    def __init__(self, multiplex: Multiplex, name: str, user: str) -> None:
        self.name = name
        self.user = user
        self.subscription = Subscription(f"documents/{name}")
        self.awareness = AwarenessSource(multiplex, name, self._hear_awareness)
        self.bell = Bell()
        """Rung after each change of the text, and of who is there."""
        self.writable = True
        self.discarded: str | None = None
        """The text of a copy that was thrown away, because the server had lost the document."""
        self._multiplex = multiplex
        self._epoch: str | None = None
        self._head = 0  # the newest offset when the server answered last
        self._behind: list[tuple[int, Record]] = []  # what has come of the way there
        self._outgoing = Outgoing(f"document {name}", self._publish, self._whole, self._refused)
        self._editings: set[Editing] = set()
        self._watching: list[Callable[[str, int], None]] = []
        self._shadow = Shadow()
        self._sending: asyncio.Task[None] | None = None
        self._started = False
        self.replica = Replica(undo=True)
        self.history = History()
        self.versions = Versions("", 0)

    def __repr__(self) -> str:
        return f"DocumentSource({self.name!r})"

    @property
    def link(self) -> Link:
        """The connection."""
        return self._multiplex.link

    @property
    def text(self) -> str:
        """The text; from any thread."""
        return self.replica.text

    @property
    def present(self) -> list[str]:
        """Who has the document open, oldest first."""
        return self.subscription.present

    @property
    def unsent(self) -> int:
        """Own edits that the server has not answered yet."""
        return self._outgoing.unsent

    @property
    def caught_up(self) -> bool:
        """Whether all that the server had when it answered last is here."""
        return self._epoch is not None and self.history.version >= self._head

    async def start(self) -> None:
        """Follow the document until it is here, and be present in it; raises as `Multiplex.subscribe`."""
        self.link.ended.add_done_callback(self._ended)
        await self._multiplex.subscribe(self, user=self.user)
        await self.awareness.start()
        self._sending = supervise(self._outgoing.run(), f"sending edits of {self.subscription.channel}")
        await self.bell.wait(lambda: self.caught_up or self.link.ended.done())
        self._started = self.caught_up

    async def close(self) -> None:
        """Send what is on its way, as far as the connection stands, and follow the document no longer."""
        self._started = False
        try:
            with contextlib.suppress(RtError, TimeoutError):  # told where it was waited for
                async with asyncio.timeout(2.0):
                    await self.settled()
            if self.unsent:
                lost = f"stopped with {self.unsent} edits that the server does not have; they are in .text"
                report(f"document {self.name}", Closed(lost))
            if self._sending is not None:
                self._sending.cancel()
            self._outgoing.ended(Closed(f"document {self.name!r} was stopped"))
            for editing in list(self._editings):
                editing.leave()
            await self.awareness.close()
            await self._multiplex.unsubscribe(self.subscription.channel)
        finally:
            await self._multiplex.close()

    def _ended(self, ended: asyncio.Future[ConnectError | None]) -> None:
        """Wake who waits; a connection that is lost for good is nothing to be silent about."""
        if (error := ended.result()) is not None:
            if self._started:
                report(f"document {self.name}", error)
            self.writable = False
            self._outgoing.ended(error)
        self.bell.ring()

    # Edits from here

    async def edit(self, make: Callable[[str], Change]) -> None:
        """Make a change that is worked out from the text as it is then, and wait as `settled` does.

        Raises
        ------
        Refused
            When the server does not take it; the text is then as it was.
        """
        self._check_writable()
        change = make(self.text)
        if change:
            self._edited(self.replica.edit(change), change)
            await self.settled()

    async def undo(self, *, redo: bool = False) -> bool:
        """Take the last own edit back, or make it again; return whether there was one. Raises as `edit`."""
        self._check_writable()
        done = self.replica.redo() if redo else self.replica.undo()
        if done is None:
            return False
        change, update = done
        self._edited(update, change)
        await self.settled()
        return True

    async def settled(self) -> None:
        """Wait until the server has all edits that were made here; as `Outgoing.settled`."""
        await self._outgoing.settled()

    def join(self, hear: Callable[[bytes], None]) -> Editing:
        """Have an editor take part.

        Parameters
        ----------
        hear
            Called on the loop's thread with each y-protocols message for it; with an empty one when it has
            to throw its copy away and sync again.
        """
        editing = Editing(self, hear)
        self._editings.add(editing)
        return editing

    def said(self, editing: Editing, message: bytes) -> None:
        """Take what an editor says."""
        try:
            match decode(message):
                case Step1(vector):
                    editing.hear(encode(Update(self.replica.lacking(vector), answer=True)))
                    editing.hear(encode(Step1(self.replica.vector)))
                    self._greet(editing)
                case Update(update):
                    self._merge(editing, update)
                case Awareness(states):
                    news = self.awareness.tell(states)
                    editing.clients |= {state.client for state in news}
                    self._hear_awareness(news, but=editing)
                case AskAwareness():
                    self._greet(editing)
        except (BadUpdate, ProtocolError) as error:
            report(f"an editor of {self.name}", error)
            editing.hear(b"")

    def watch(self, hear: Callable[[str, int], None]) -> Callable[[], None]:
        """Have a function called with the text and its version, now and after each change.

        Versions count changes here; they are not those of the log. What is returned ends it.
        """
        self._watching.append(hear)
        hear(self.text, self.versions.version)
        return lambda: self._watching.remove(hear)

    def save(self, text: str, version: int) -> None:
        """Take a whole text that was made from a version of `watch`; what others wrote since stays."""
        try:
            if self.writable:
                change = self._shadow.rebase(self.versions, text, version, since=version)
                if change:
                    self._edited(self.replica.edit(change), change)
                    self._shadow.landed(self.versions.version)
        except LookupError as error:  # the copy was thrown away meanwhile
            report(f"a save of {self.name}", error)
        except UnicodeEncodeError as error:
            self._shadow.refused()
            report(f"a save of {self.name}", error)
        self._show()

    def left(self, editing: Editing) -> None:
        """Take note that an editor is gone."""
        self._editings.discard(editing)
        self._hear_awareness(self.awareness.gone(editing.clients))

    def _greet(self, editing: Editing) -> None:
        if states := list(self.awareness.presence.states.values()):
            editing.hear(encode(Awareness(states)))

    def _merge(self, editing: Editing, update: bytes) -> None:
        try:
            change = self.replica.apply(update)
        except BadUpdate as error:
            self._restore()
            if not error.missing:
                raise
            editing.hear(encode(Step1(self.replica.vector)))
            return
        if change is None:
            return
        if not self.writable:
            self._restore()
            editing.hear(b"")
            return
        self._edited(update, change, but=editing)

    def _edited(self, update: bytes, change: Change, *, but: Editing | None = None) -> None:
        """Send an edit that was made here to the server, and to the editors here."""
        self._outgoing.add(update)
        self._changed([update], change, but=but)

    def _changed(self, updates: list[bytes], change: Change, *, but: Editing | None = None) -> None:
        self.versions.add(change, self.versions.version + 1)
        self._show()
        if self._editings:
            for update in updates:
                self._tell_editors(encode(Update(update)), but=but)
        self.bell.ring()

    def _hear_awareness(self, states: list[State], *, but: Editing | None = None) -> None:
        if states:
            self._tell_editors(encode(Awareness(states)), but=but)
            self.bell.ring()

    def _tell_editors(self, message: bytes, *, but: Editing | None = None) -> None:
        for editing in list(self._editings):
            if editing is not but:
                editing.hear(message)

    def _check_writable(self) -> None:
        if self.link.ended.done():
            raise self.link.ended.result() or Closed(f"document {self.name!r} was stopped")
        if not self.writable:
            raise Refused(
                "forbidden",
                f"your token does not allow to edit {self.name!r}: its scope needs publish:"
                f"{self.subscription.channel}, or a pattern that covers it",
            )

    # To the server

    def _whole(self) -> bytes:
        return self.replica.state()

    async def _publish(self, message: dict[str, Any]) -> None:
        """Send an edit, and wait until it has come back with the log: so that it is in the history then."""
        epoch = self._epoch
        offset = await self._multiplex.publish(self.subscription.channel, message)
        with contextlib.suppress(TimeoutError):  # the server has it, which is what counts
            async with asyncio.timeout(READ_BACK):
                await self.bell.wait(lambda: self.history.version >= offset or self._epoch != epoch)

    def _refused(self, refusal: Refused) -> None:
        if not self._outgoing.waited_for:
            report(f"document {self.name}", refusal)
        self._give_up(refusal)
        self.bell.ring()

    def _give_up(self, error: RtError) -> None:
        """Forget the edits that are on their way, here and in the editors."""
        self._outgoing.give_up(error)
        self._restore()
        self._tell_editors(b"")

    # What the multiplex calls

    def opened(self, answer: Subscribed) -> None:
        """Take the server's answer, the first or one after a break."""
        self.writable = answer.writable
        if self._epoch not in {None, answer.epoch}:
            self._discard()
        self._epoch, self._head = answer.epoch, answer.last
        self._outgoing.opened(answer.epoch)
        self.bell.ring()

    def read(self, run: Messages, known: int) -> None:
        """Take a run."""
        self._behind += enumerate(_records(run.data)[known:], run.offset + known)
        if run.offset + run.count - 1 < self._head:
            return  # a long past comes in many runs, which take hardly longer than one when merged together
        records, self._behind = self._behind, []
        try:
            self._take(records)
        except BadUpdate:
            self._restore()
            self._take_singly(records)
        self.bell.ring()

    def read_latest(self, latest: Latest) -> None:
        """Its channel has no keys."""

    def event(self, event: Joined | Left) -> None:
        """Take a change of who is present."""
        self.subscription.presence(event)
        self.bell.ring()

    def _take(self, records: list[tuple[int, Record]]) -> None:
        contents = [record.content for _, record in records]
        change = self.replica.apply(*contents)
        for (version, record), content in zip(records, contents, strict=True):
            if record.state is not None and self.history.version == 0:
                self.history.begin(version, content)
            else:
                entry = Entry(version, record.time, record.user, record.inserted, record.deleted, content)
                self.history.add(entry)
        if change is not None:
            self._changed(contents, change)

    def _take_singly(self, records: list[tuple[int, Record]]) -> None:
        """Take all but those that nobody can read."""
        for version, record in records:
            try:
                self._take([(version, record)])
            except BadUpdate as error:
                report(f"document {self.name}, version {version}", error)
                self._restore()

    # The copy here

    def _restore(self) -> None:
        """Make the replica anew of what the server has and what is on its way there."""
        self.replica = Replica([*self.history.updates, *self._outgoing.pending], undo=True)
        self.versions = Versions(self.replica.text, self.versions.version + 1)
        self._shadow = Shadow()
        self._show()

    def _show(self) -> None:
        for hear in list(self._watching):
            hear(self.text, self.versions.version)

    def _discard(self) -> None:
        """Throw the copy away: the server has another document of this name."""
        text = self.text
        if text:
            self.discarded = text
            report(f"document {self.name}", DocumentLost(self.name, text))
        self.history = History()
        self._behind.clear()
        self._give_up(DocumentLost(self.name, text))


class Editing:
    """An editor's part in a document."""

    def __init__(self, source: DocumentSource, hear: Callable[[bytes], None]) -> None:
        self.hear = hear
        self.clients: set[int] = set()
        """The Yjs clients that it has told of."""
        self._source = source

    def say(self, message: bytes) -> None:
        """Take a y-protocols message of the editor; on the loop's thread."""
        self._source.said(self, message)

    def leave(self) -> None:
        """Take no more part; on the loop's thread."""
        self._source.left(self)
