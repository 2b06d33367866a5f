"""The streams of a kernel, by name, and the connections they share."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, overload

from rtwidgets.checks import check_websocket
from rtwidgets.client import (
    AskForToken,
    ChannelSource,
    Intake,
    Multiplex,
    Source,
    Subscription,
)
from rtwidgets.client.accounts import Login
from rtwidgets.client.room import RoomSource
from rtwidgets.errors import UsageError
from rtwidgets.frames import LiveFrame
from rtwidgets.kinds import Feed
from rtwidgets.messages import MAX_USER, Subscribed
from rtwidgets.notebook.outside import Asked, Outside, called
from rtwidgets.notebook.places import Place, Places
from rtwidgets.notebook.registry import Registry, Wanted
from rtwidgets.notebook.rows import Rows
from rtwidgets.notebook.servers import RunningServer
from rtwidgets.play import Play
from rtwidgets.rooms import Chat
from rtwidgets.stream import Stream

__all__ = ["Streams"]

P = TypeVar("P", bound=Play)


class Streams:
    """The streams of this kernel.

    Parameters
    ----------
    places
        Where channels are found.
    registry
        Knows what runs.
    outside
        Opens URLs.
    """

    def __init__(self, places: Places, registry: Registry, outside: Outside) -> None:
        self._places = places
        self._registry = registry
        self._outside = outside

    @property
    def streams(self) -> list[Stream]:
        """Those that were opened and not forgotten."""
        return [handle for handle in self._registry.handles if isinstance(handle, Stream)]

    @overload
    def connect(self, channel: str, *, by: None = None, **options: Any) -> Stream: ...

    @overload
    def connect(self, channel: str, *, by: str, **options: Any) -> Feed: ...

    def connect(  # type: ignore[misc]  # the overloads do not repeat every argument
        self,
        channel: str,
        *,
        # Where
        server: str | RunningServer | None = None,
        token: str | AskForToken | None = None,
        ca: str | None = None,
        user: str | None = None,
        subscribe: object = None,
        headers: Mapping[str, str] | None = None,
        # What a row is
        key: str | None = None,
        time: str | None = None,
        schema: Mapping[str, Any] | None = None,
        where: Mapping[str, Any] | None = None,
        records: str | None = None,
        columns: Sequence[str] | None = None,
        beside: Mapping[str, str] | None = None,
        by: str | None = None,
        # How much
        history: bool = True,
        max_rows: int | None = 100_000,
        max_age: float | None = None,
        name: str | None = None,
        fallback: str | Path | None = None,
    ) -> Stream | Feed:
        """Open a stream and return it once the connection stands.

        Asking again for a stream that runs, with the same arguments, returns that stream; with others it
        is replaced, unless another `name` is given.

        Parameters
        ----------
        channel
            A channel of a server of ours, such as ``"prices"`` or ``"chat/lobby"``; or the URL of any
            WebSocket that sends JSON, ``"wss://…"``.
        server, token
            For a channel: the URL of the server and its token, or a signed one. The newest server of this
            kernel when None. A function that returns a token, plain or async, is called for each connection
            and again when four fifths of the token's life are over; it may take its time, and is called on
            another thread.
        ca
            For ``wss://``: the path of a certificate to trust, of the server or of who signed it, in place
            of the authorities that this machine knows. Servers of this kernel need none.
        user
            For a channel: the name to be present under, 1 to 100 characters, which is needed where guests may
            only watch. Where a token names its user, that one.
        key
            The column that says what a row is about, such as ``"symbol"``; becomes a categorical, and what
            `latest` and charts go by.
        time
            The column with the row's time: ISO 8601 text, or a number whose unit is found by its size.
            Rows without one get the time at which they were published, or arrived.
        schema
            Dtypes by column; see `LiveFrame`. Inferred from the first rows when None.
        where
            Fields that a message must have, with their values: ``{"type": "match"}``.
        records
            Where the rows are in a message: ``"data.items"``, or ``"items()"`` for an object whose
            entries are rows.
        columns
            Names of the elements, where rows are lists.
        beside
            Further columns, of values elsewhere in the message, by their paths: ``{"pair": "-1"}``.
        by
            For a URL that sends messages of several kinds: the path to what tells them apart, such as
            ``"type"``. What is returned is a `Feed` then, which has a stream of each kind.
        subscribe
            For a URL: what to send on connecting, as text or as anything that JSON can hold; a list for
            several messages.
        headers
            For a URL: further request headers.
        history
            For a channel: begin with what its log still keeps.
        max_rows, max_age
            How many rows to keep, and for how many seconds of their time.
        name
            What the stream is called in status and charts; the channel, or the URL without its scheme, when
            None.
        fallback
            For a URL: the path of a recording that is played where nobody answers. `Stream.origin` tells
            which of both it is.

        Raises
        ------
        ConnectError
            When the connection cannot be made; the sentence says why.
        Refused
            When the server has no such channel.
        NotRunning
            When no server is named and none runs here.
        SchemaError, UsageError
            For arguments that do not hold together.
        """
        if not isinstance(channel, str):
            raise UsageError(
                f"connect({channel!r}): give a channel's name as text, or a URL 'ws://host:port/path'"
            )
        rows = Rows(
            key=key,
            time=time,
            schema=schema,
            where=where,
            records=records,
            columns=columns,
            beside=beside,
            by=by,
            max_rows=max_rows,
            max_age=max_age,
        )
        if channel.startswith(("ws://", "wss://")):
            context = self._places.trust(channel, ca)
            if server is not None or token is not None or user is not None:
                raise UsageError(
                    "server=, token= and user= go with a channel's name; "
                    "put what a foreign server wants into its URL or into headers="
                )
            asked = Asked(
                url=channel,
                subscribe=subscribe,
                headers=headers,
                trust=context,
                about={"arguments": rows.about()},
                ours=self._places.ours(channel),
            )
            made, kind = rows.taking(), Stream if by is None else Feed
            arguments = (channel, subscribe, headers, ca, fallback, rows)
            outside: Wanted[Stream | Feed] = Wanted(kind, name or channel, name or called(channel), arguments)
            return self._registry.open(outside, lambda: self._outside.open(asked, made, fallback=fallback))
        if "://" in channel:
            check_websocket(channel)
        if any(given is not None for given in (subscribe, headers, by, fallback)):
            raise UsageError(
                "subscribe=, headers=, by= and fallback= go with a URL; a channel of ours needs none of them"
            )
        place = self._places.place(channel, server, token, ca)
        if user is not None:
            _check_user(user)
        wanted = Wanted(
            Stream, name or (channel, place.url, user), name or channel, (*place, user, history, rows)
        )
        return self._registry.open(wanted, lambda: self._follow(place, rows, history=history, user=user))

    def chat(
        self,
        room: str = "lobby",
        *,
        name: str,
        server: str | RunningServer | None = None,
        token: str | AskForToken | None = None,
        ca: str | None = None,
        max_rows: int | None = 100_000,
    ) -> Chat:
        """Enter a chat room under a name; raises as `connect` does.

        Parameters
        ----------
        room
            The channel is ``chat/`` and this.
        name
            1 to 100 characters.
        server, token, ca, max_rows
            As for `connect`. Where a token names its user, that is the only `name` it allows.

        Returns
        -------
        Chat
            With ``.send(text)`` and ``.df``: columns user (category), text (str), time and offset. In a
            notebook it shows as a widget, to read and to write in.
        """
        _check_user(name)
        schema = {"user": "category", "text": "str", "time": "datetime64[ms]"}

        def make(answer: Subscribed) -> Intake:
            return Intake(LiveFrame(max_rows, key="user", time="time", schema=schema))

        place = self._places.place(f"chat/{room}", server, token, ca)
        title = f"chat/{room} as {name}"
        wanted = Wanted(Chat, (place.channel, place.url, title), title, (*place, max_rows))
        return self._registry.open(wanted, lambda: self._enter(place, make, name))

    def play(
        self,
        kind: type[P],
        called: str,
        *,
        name: str,
        server: str | RunningServer | None,
        token: str | AskForToken | None,
        ca: str | None,
    ) -> P:
        """Take part, under a name, in something that is decided row by row; raises as `connect` does.

        The channel is the kind's service, ``/`` and what it is `called`.
        """
        _check_user(name)

        async def take_part() -> Source:
            multiplex = self._places.multiplex(place, shared=False)
            source = kind.source(multiplex, place.channel, name)
            await _begun(multiplex, source.start())
            return source

        place = self._places.place(f"{kind.service}/{called}", server, token, ca)
        title = f"{place.channel} as {name}"
        wanted = Wanted(kind, (place.channel, place.url, title), title, (*place,))
        return self._registry.open(wanted, take_part)

    def login(
        self, *, user: str, password: str, server: str | RunningServer | None = None, ca: str | None = None
    ) -> Login:
        """Log in at the accounts of a server, for a token that renews itself.

        Parameters
        ----------
        user, password
            As they were registered there. The password is not kept: take it from ``getpass.getpass()``, so
            that it is not in the notebook either.
        server, ca
            As for `connect`.

        Returns
        -------
        Login
            For ``rt.connect("prices", server=url, token=login)``.

        Raises
        ------
        ConnectError
            When the server cannot be reached, or has no accounts.
        Refused
            When it does not let this user in; the sentence says why.
        NotRunning
            When no server is named and none runs here.
        """
        url = self._places.url(server)
        return Login(url, user, password, trust=self._places.trust(url, ca))

    async def _follow(self, place: Place, rows: Rows, *, history: bool, user: str | None) -> Source:
        def make(answer: Subscribed) -> Intake:
            return rows.intake(answer.key, answer.time)

        multiplex = self._places.multiplex(place, shared=user is None)
        source = ChannelSource(multiplex, Subscription(place.channel, history=history), make)
        source.about = {"channel": place.channel, "arguments": rows.about()}
        await _begun(multiplex, multiplex.subscribe(source, user=user))
        return source

    async def _enter(self, place: Place, make: Callable[[Subscribed], Intake], user: str) -> Source:
        multiplex = self._places.multiplex(place, shared=False)
        source = RoomSource(multiplex, place.channel, user, make)
        await _begun(multiplex, source.start())
        return source


def _check_user(name: str) -> None:
    if not 0 < len(name) <= MAX_USER:
        raise UsageError(f"a user's name has 1 to {MAX_USER} characters, not {len(name)}")


async def _begun(multiplex: Multiplex, beginning: Coroutine[Any, Any, None]) -> None:
    """Wait for a source to begin; where it fails, close the connection if nobody else uses it."""
    try:
        await beginning
    except BaseException:
        if not multiplex.channels:
            await multiplex.close()
        raise
