"""Services where what is asked for is decided at once, and is one row of a channel's log then.

This is the Decider of functional event sourcing (Chassaing, 2021): `decide` makes an event of a request,
`evolve` makes the next state of an event. A request with an `id` that has landed before lands no more.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from typing import Annotated, Any, ClassVar, TypedDict, get_args

import msgspec

from rtwidgets.errors import Refused
from rtwidgets.messages import clock
from rtwidgets.server import Channel, Fields, Hub, Peer, Service
from rtwidgets.services.ledger import Ledger, check_name, converse, refused

__all__ = ["Decider", "DeciderService", "Name", "Request", "Row", "Snapshot", "Stamp"]

REMEMBERED = 500
"""Requests of a channel that are known by their id, the newest ones."""

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
"""What somebody or something is called."""


class Request(msgspec.Struct, tag_field="type", kw_only=True):
    """What a client sends; other fields than those of its type are of no interest."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None


class Stamp(TypedDict):
    """What every row says. `event` is its own offset, and `time` is in Unix milliseconds and never falls."""

    event: int
    user: str
    time: float
    id: str | None


class Row(msgspec.Struct, tag_field="type", kw_only=True, omit_defaults=True):
    """An event: what was decided, by whose request. The fields are those of `Stamp`."""

    event: int
    user: str
    time: float
    id: str | None = None


class Snapshot(msgspec.Struct, tag_field="type", tag="state", kw_only=True, omit_defaults=True):
    """The state after a row, which `event` and `time` are of.

    In the log, where it stands for all rows so far, `landed` has who made a request, its id and its event.
    Where it is sent to a plain client `now` is the server's clock, in Unix milliseconds.
    """

    event: int
    time: float
    landed: list[tuple[str, str, int]] = []
    now: float | None = None


class Decider(ABC):
    """The state of a channel. A subclass begins in the state before the first row."""

    def __init__(self) -> None:
        self.event = 0
        self.time = 0.0
        self.landed: OrderedDict[tuple[str, str], int] = OrderedDict()

    @abstractmethod
    def decide(self, request: Any, stamp: Stamp) -> Row:
        """Return the row that a request of this state is; it must not change the state.

        Raises
        ------
        Refused
            When it may not be.
        """

    @abstractmethod
    def evolve(self, row: Any) -> None:
        """Take the next row."""

    @abstractmethod
    def picture(self) -> Snapshot:
        """Return the state."""

    @abstractmethod
    def restore(self, snapshot: Any) -> None:
        """Become what `picture` returned."""

    def apply(self, row: Row | Snapshot) -> None:
        """Take the next message of the channel."""
        self.event, self.time = row.event, row.time
        if isinstance(row, Snapshot):
            self.landed = OrderedDict(((user, known), event) for user, known, event in row.landed)
            self.restore(row)
            return
        if row.id is not None:
            self.landed[row.user, row.id] = row.event
            if len(self.landed) > REMEMBERED:
                self.landed.popitem(last=False)
        self.evolve(row)

    def snapshot(self) -> Snapshot:
        """Return a message that stands for all so far."""
        landed = [(user, known, event) for (user, known), event in self.landed.items()]
        return msgspec.structs.replace(self.picture(), landed=landed)


class DeciderService(Service):
    """Base of a service whose channels each have a state of their own: a Decider.

    A plain client is sent the state when it comes, with the server's clock as `now`, and each row from then
    on. It alone is sent ``{"type": "refused", "code": …, "message": …}``, with the request's ``id`` if it has
    one; and ``{"type": "repeated", "id": …, "offset": …}`` for what has landed before, as the row whose
    `event` is that offset.
    """

    fields = Fields(time="time")
    compacted = True
    decider: ClassVar[type[Decider]]
    requests: ClassVar[Any]
    """A union of types of requests."""
    rows: ClassVar[Any]
    """A union of the types of rows and of snapshots."""

    def __init__(self, hub: Hub, **options: Any) -> None:
        super().__init__(hub, **options)
        # The server's: a service that takes the place of this one has to decide with the same.
        self._ledgers: dict[Channel, Ledger[Decider]] = hub.shared.setdefault(self.decider, {})
        self._requests: msgspec.json.Decoder[Request] = msgspec.json.Decoder(self.requests)

    def ledger(self, channel: Channel) -> Ledger[Decider]:
        """Return the decisions of a channel, read from its log at first."""
        if channel not in self._ledgers:
            self._ledgers[channel] = Ledger(channel, self.decider, self.rows)
        return self._ledgers[channel]

    async def publish(
        self, channel: Channel, data: msgspec.Raw, user: str, idempotency: str | None = None
    ) -> int:
        """Do what somebody asks for; return the offset by which it is in the log.

        `idempotency` stands for the request's `id` where that has none.

        Raises
        ------
        Refused
            When it is no request, comes from nobody, or may not be.
        """
        request = self._read(data)
        return await self._do(channel, request, user, request.id or idempotency or None)

    async def talk(self, peer: Peer) -> None:
        """Let a plain client take part."""
        channel = await self.channel(peer.params)
        picture = msgspec.structs.replace(self.ledger(channel).state.picture(), now=clock())
        await converse(peer, channel, picture, lambda message: self._answer(channel, message, peer))

    async def _answer(self, channel: Channel, message: bytes, peer: Peer) -> dict[str, object] | None:
        """Do what a plain client asks for; return what to tell it that it does not see in the rows."""
        request, last = None, channel.log.last
        try:
            peer.require("publish", channel)
            request = self._read(message)
            offset = await self._do(channel, request, peer.user, request.id)
        except Refused as refusal:
            return refused(refusal, None if request is None else request.id)
        return {"type": "repeated", "id": request.id, "offset": offset} if offset <= last else None

    def _read(self, data: str | bytes) -> Request:
        try:
            return self._requests.decode(data)
        except (ValueError, RecursionError) as error:
            types = ", ".join(kind.__struct_config__.tag for kind in get_args(self.requests))
            raise Refused("bad_message", f"send an object whose type is one of {types}: {error}") from error

    async def _do(self, channel: Channel, request: Request, user: str, id: str | None) -> int:
        """Make a row of a request, if there is none yet; return its offset."""
        check_name(user)
        ledger = self.ledger(channel)
        known: int | None = None

        def decide(state: Decider) -> list[Row]:
            nonlocal known
            known = None if id is None else state.landed.get((user, id))
            if known is not None:
                return []
            stamp = Stamp(event=ledger.next, user=user, time=max(clock(), state.time), id=id)
            return [state.decide(request, stamp)]

        last = await ledger.decide(decide)
        return last if known is None else known
