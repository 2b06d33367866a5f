"""Who is in a document, as one of its clients hears it, and what that client tells of its own editors."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable

import msgspec

from rtwidgets.client.multiplex import Multiplex
from rtwidgets.client.subscription import Subscription
from rtwidgets.errors import Closed, ConnectError, Refused
from rtwidgets.loop import report, supervise
from rtwidgets.messages import Joined, Latest, Left, Messages, Subscribed
from rtwidgets.yjs.awareness import Presence
from rtwidgets.yjs.protocol import State
from rtwidgets.yjs.record import AwarenessRow

__all__ = ["AwarenessSource"]

SWEEP_INTERVAL = 3.0
"""Seconds between two looks for those who went without a word."""

_rows = msgspec.json.Decoder(list[AwarenessRow]).decode


class AwarenessSource:
    """The channel ``documents/{name}/awareness``.

    Parameters
    ----------
    multiplex
        The connection to the server.
    name
        The document's.
    changed
        Called with states that others have changed.
    """

    def __init__(self, multiplex: Multiplex, name: str, changed: Callable[[list[State]], None]) -> None:
        self.subscription = Subscription(f"documents/{name}/awareness")
        self.users: dict[int, str] = {}
        """Names of those who are there, by client."""
        self.presence = Presence()
        self._multiplex = multiplex
        self._changed = changed
        self._waiting: dict[int, State] = {}  # the newest state of each own client that is still to be told
        self._more = asyncio.Event()
        self._open = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Follow the channel, if the token allows it; raises as `Multiplex.subscribe` otherwise."""
        try:
            await self._multiplex.subscribe(self)
        except Refused as refusal:
            if refusal.code != "forbidden":
                raise
            return  # who may read the document alone sees nobody in it
        channel = self.subscription.channel
        self._tasks = [supervise(self._tell(), f"telling {channel}"), supervise(self._sweep(), channel)]

    async def close(self) -> None:
        """Tell that own clients are gone, and follow the channel no longer."""
        for task in self._tasks:
            task.cancel()
        # Where that cannot be told they are noticed to be gone after a while.
        with contextlib.suppress(Closed, ConnectError, Refused, TimeoutError):
            async with asyncio.timeout(1.0):
                for state in list(self._waiting.values()):
                    if state.state is None:
                        await self._publish(state)
        await self._multiplex.unsubscribe(self.subscription.channel)

    def tell(self, states: Iterable[State]) -> list[State]:
        """Tell the others of states of own clients; return those that are news."""
        news = self.presence.hear(states, asyncio.get_running_loop().time())
        self._pass_on(news)
        return news

    def gone(self, clients: Iterable[int]) -> list[State]:
        """Tell the others that own clients are gone; return that as states."""
        news = self.presence.remove(clients, asyncio.get_running_loop().time())
        self._pass_on(news)
        return news

    def _pass_on(self, news: list[State]) -> None:
        self._note(news)
        self._waiting |= {state.client: state for state in news}
        if news:
            self._more.set()

    def _note(self, states: list[State]) -> None:
        for state in states:
            if (name := state.user) is None:
                self.users.pop(state.client, None)
            else:
                self.users[state.client] = name

    async def _publish(self, state: State) -> None:
        await self._multiplex.publish(self.subscription.channel, AwarenessRow.of(state))

    async def _tell(self) -> None:
        while True:
            await self._more.wait()
            await self._open.wait()
            while self._waiting:
                client = next(iter(self._waiting))
                state = self._waiting.pop(client)
                try:
                    await self._publish(state)
                except (Closed, ConnectError):
                    self._waiting.setdefault(client, state)
                    self._open.clear()
                    break
                except Refused as refusal:
                    if refusal.code != "forbidden":  # who may only read is not seen by the others
                        report(f"telling {self.subscription.channel}", refusal)
            if not self._waiting:
                self._more.clear()

    async def _sweep(self) -> None:
        """Notice those who say nothing any more; a server that was started anew knows nothing of them."""
        while True:
            await asyncio.sleep(SWEEP_INTERVAL)
            self._take(self.presence.prune(asyncio.get_running_loop().time()))

    # What the multiplex calls

    def opened(self, answer: Subscribed) -> None:
        """Take the server's answer."""
        self._open.set()

    def read(self, run: Messages, known: int) -> None:
        """Take a run."""
        self._hear(_rows(run.data)[known:])

    def read_latest(self, latest: Latest) -> None:
        """Take the last message of each client among messages that are missing."""
        self._hear(_rows(latest.data))

    def event(self, event: Joined | Left) -> None:
        """Nobody is present in this channel."""

    def _hear(self, rows: list[AwarenessRow]) -> None:
        entries = (row.entry for row in rows)
        self._take(self.presence.hear(entries, asyncio.get_running_loop().time()))

    def _take(self, news: list[State]) -> None:
        self._note(news)
        if news:
            self._changed(news)
