"""The streams of a kernel, by name, and the connections they share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

from rtwidgets.client import (
    AskForToken,
    ChannelSource,
    Foreign,
    ForeignSource,
    Intake,
    Multiplex,
    Records,
    Source,
    State,
    Subscription,
)
from rtwidgets.client.accounts import Login
from rtwidgets.client.room import RoomSource
from rtwidgets.errors import UsageError
from rtwidgets.frames import LiveFrame
from rtwidgets.loop import lease
from rtwidgets.messages import MAX_USER, Subscribed
from rtwidgets.notebook.places import Place, Places
from rtwidgets.notebook.servers import RunningServer
from rtwidgets.play import Play
from rtwidgets.rooms import Chat
from rtwidgets.stream import Stream

__all__ = ["Streams"]

P = TypeVar("P", bound=Play)


class _Wanted(NamedTuple):
    """A stream that is asked for.

    Attributes
    ----------
    key
        What is followed, or the name that the user gave it: a stream with the same key is replaced.
    name
        What it is called.
    arguments
        What tells it from another one of the same key.
    """

    kind: type[Stream]
    key: object
    name: str
    arguments: tuple[object, ...]

    def __repr__(self) -> str:
        return f"_Wanted({self.name!r})"  # tokens and headers may not get into a log


class Streams:
    """The streams of this kernel.

    Parameters
    ----------
    places
        Where channels are found.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._lock = threading.RLock()
        self._streams: dict[object, tuple[Stream, tuple[object, ...]]] = {}

    @property
    def streams(self) -> list[Stream]:
        """Those that were opened and not forgotten."""
        with self._lock:
            return [stream for stream, _ in self._streams.values()]

    def connect(
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
        # How much
        history: bool = True,
        max_rows: int | None = 100_000,
        max_age: float | None = None,
        name: str | None = None,
    ) -> Stream:
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
        if where is not None and not isinstance(where, Mapping):
            raise UsageError(f'where={where!r}: write fields and their values, as in {{"type": "match"}}')
        rows = Records(records, columns=columns, key=key)
        key = key or ("key" if rows.entries else None)

        def intake(key: str | None, time: str | None) -> Intake:
            frame = LiveFrame(max_rows, max_age, key=key, time=time, schema=schema)
            return Intake(frame, where=where, records=rows)

        arguments = (
            key,
            time,
            schema,
            where,
            records,
            columns,
            user,
            subscribe,
            headers,
            history,
            max_rows,
            max_age,
            ca,
        )
        if channel.startswith(("ws://", "wss://")):
            context = self._places.trust(channel, ca)
            if server is not None or token is not None or user is not None:
                raise UsageError(
                    "server=, token= and user= go with a channel's name; "
                    "put what a foreign server wants into its URL or into headers="
                )
            parts = urlsplit(channel)
            called = name or parts.netloc.rpartition("@")[2] + parts.path.rstrip("/")
            wanted = _Wanted(Stream, name or channel, called, (channel, *arguments))
            made = intake(key, time)

            async def open_foreign() -> Source:
                foreign = Foreign(channel, made, subscribe=subscribe, headers=headers, trust=context)
                await foreign.opened()
                return ForeignSource(foreign, made)

            return self._open(wanted, open_foreign)
        if subscribe is not None or headers is not None:
            raise UsageError("subscribe= and headers= go with a URL; a channel of ours needs neither")

        def make(answer: Subscribed) -> Intake:
            return intake(key or answer.key, time or answer.time)

        intake(key, time)  # so that what does not hold together is an error here and not in the background
        place = self._places.place(channel, server, token, ca)
        if user is not None:
            _check_user(user)
        called = name or channel
        wanted = _Wanted(Stream, name or (channel, place.url, user), called, (*place, *arguments))
        return self._open(wanted, lambda: self._follow(place, make, history=history, user=user))

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
        called = f"chat/{room} as {name}"
        wanted = _Wanted(Chat, (place.channel, place.url, called), called, (*place, max_rows))
        stream = self._open(wanted, lambda: self._enter(place, make, name))
        assert isinstance(stream, Chat)
        return stream

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
        stream = self._open(_Wanted(kind, (place.channel, place.url, title), title, (*place,)), take_part)
        assert isinstance(stream, kind)
        return stream

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

    def forget(self) -> list[Stream]:
        """Forget every stream and return them; somebody has to stop them."""
        with self._lock:
            streams = self.streams
            self._streams.clear()
            self._places.forget()
        return streams

    def _open(self, wanted: _Wanted, make: Callable[[], Coroutine[Any, Any, Source]]) -> Stream:
        """Return the stream that runs under a name with the same arguments, or a new one in its place."""
        if (same := self._same(wanted)) is not None:
            return same
        opening = lease()
        try:
            stream = wanted.kind(wanted.name, opening.run(make()))
        finally:
            opening.release()
        gone: list[Stream] = []
        with self._lock:
            same = self._same(wanted)  # another thread may have been faster
            before: Stream | None = stream
            if same is None:
                before, _ = self._streams.pop(wanted.key, (None, ()))
                gone = self._drop_gone(wanted.name)
                self._streams[wanted.key] = (stream, wanted.arguments)
        if before is not None:
            before.stop("another one with other arguments took its place: give each a name= to keep both")
        for other in gone:
            other.stop("its server is gone, and another one has its channel")
        return stream if same is None else same  # an empty one is false

    def _drop_gone(self, name: str) -> list[Stream]:
        """Forget and return the streams of a name that are not connected, so that the new one is the one."""
        named = [key for key, (stream, _) in self._streams.items() if stream.name == name]
        gone = [key for key in named if self._streams[key][0].state is not State.OPEN]
        return [self._streams.pop(key)[0] for key in gone]

    def _same(self, wanted: _Wanted) -> Stream | None:
        with self._lock:
            stream, arguments = self._streams.get(wanted.key, (None, ()))
        running = stream is not None and stream.state is not State.CLOSED
        return stream if running and arguments == wanted.arguments else None

    async def _follow(
        self,
        place: Place,
        make: Callable[[Subscribed], Intake],
        *,
        history: bool,
        user: str | None,
    ) -> Source:
        multiplex = self._places.multiplex(place, shared=user is None)
        source = ChannelSource(multiplex, Subscription(place.channel, history=history), make)
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
