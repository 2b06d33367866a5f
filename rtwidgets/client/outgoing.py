"""Edits of a document on their way to the server: in order, kept over breaks, and waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import accumulate
from typing import Any, NamedTuple

from rtwidgets.errors import Closed, ConnectError, Refused, RtError, UsageError
from rtwidgets.loop import report
from rtwidgets.yjs.replica import EMPTY, merged

__all__ = ["Outgoing"]

BATCH = 100
"""Edits that are sent as one at the most, while the answer to the last ones is awaited."""
BATCH_BYTES = 256 * 1024
RETRY = 1.0
"""Seconds until edits are sent again that the server could not store."""


class _Waiter(NamedTuple):
    """Somebody who waits until so many edits have been answered."""

    number: int
    future: asyncio.Future[None]


class Outgoing:
    """The edits that the server has not answered yet. Lives on the background loop's thread.

    Parameters
    ----------
    name
        What to call them in reports.
    publish
        Sends a message and returns when it was answered; raises as `Multiplex.publish`.
    whole
        Returns all of the document, for a server that lacks what an edit builds on.
    refused
        Called when the server does not take an edit, after which none of them is sent.
    """

    def __init__(
        self,
        name: str,
        publish: Callable[[dict[str, Any]], Awaitable[object]],
        whole: Callable[[], bytes],
        refused: Callable[[Refused], None],
    ) -> None:
        self.pending: list[bytes] = []
        """The edits, as Yjs updates, oldest first."""
        self._name = name
        self._publish = publish
        self._whole = whole
        self._told = refused
        self._epoch: str | None = None
        self._open = asyncio.Event()
        self._more = asyncio.Event()
        self._answered = 0
        self._waiters: list[_Waiter] = []

    @property
    def unsent(self) -> int:
        """How many there are."""
        return len(self.pending)

    @property
    def waited_for(self) -> bool:
        """Whether somebody waits, and will be told of an error."""
        return bool(self._waiters)

    def add(self, update: bytes) -> None:
        """Send an edit when those before it are there."""
        self.pending.append(update)
        self._more.set()

    def opened(self, epoch: str) -> None:
        """Send from now on, to a document of this epoch."""
        self._epoch = epoch
        self._open.set()

    async def settled(self) -> None:
        """Wait until the server has all of them; not while there is no connection.

        Raises
        ------
        Refused, DocumentLost
            When it does not take them, or has no such document any more.
        """
        if not self.pending or not self._open.is_set():
            return
        number = self._answered + len(self.pending)
        waiter = _Waiter(number, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        await waiter.future

    def give_up(self, error: RtError) -> None:
        """Forget all of them; those who wait are told why."""
        self._answered += len(self.pending)
        self.pending.clear()
        self._more.clear()
        self._release(error=error)

    def ended(self, error: RtError) -> None:
        """Have nobody wait any more: none of them will be sent."""
        self._open.clear()
        self._release(error=error)

    async def run(self) -> None:
        """Send them, until cancelled."""
        while True:
            await self._more.wait()
            await self._open.wait()
            if not self.pending:  # they were given up meanwhile
                continue
            count, epoch = self._together(), self._epoch
            error = await self._send(merged(self.pending[:count]))
            if error is None and epoch == self._epoch:
                self._settle(count)
            elif isinstance(error, Closed | ConnectError):
                self._open.clear()
                self._release()  # it is sent when the connection is back, which may take long
            elif isinstance(error, Refused) and epoch == self._epoch:
                await self._refused(error, count)

    async def _send(self, update: bytes) -> Closed | ConnectError | Refused | None:
        try:
            await self._publish({"update": update, "epoch": self._epoch})
        except UsageError as error:  # it does not fit into a message
            return Refused("too_large", f"{error}: make the edit in parts")
        except (Closed, ConnectError, Refused) as error:
            return error
        return None

    def _together(self) -> int:
        """Return how many edits are sent as one: those that surely fit into a message, one at the least."""
        sizes = accumulate(map(len, self.pending[:BATCH]))
        return max(1, sum(size <= BATCH_BYTES for size in sizes))

    def _settle(self, count: int) -> None:
        del self.pending[:count]
        self._answered += count
        if not self.pending:
            self._more.clear()
        self._release(self._answered)

    def _release(self, answered: int | None = None, *, error: RtError | None = None) -> None:
        """Have those wait no longer whose edits are among the first so many; all of them for None."""
        for waiter in self._waiters[:]:
            if answered is None or waiter.number <= answered:
                self._waiters.remove(waiter)
                if waiter.future.done():  # it was given up
                    continue
                if error is None:
                    waiter.future.set_result(None)
                else:
                    waiter.future.set_exception(error)

    async def _refused(self, refusal: Refused, count: int) -> None:
        if refusal.code == "stale_epoch":
            self._open.clear()  # it has begun anew: what comes next on the channel says so
        elif refusal.code == "not_stored":
            report(self._name, refusal)
            await asyncio.sleep(RETRY)
        elif refusal.code == "out_of_order" and self.pending[0] != (whole := self._whole()):
            self.pending[:count] = [whole] + [EMPTY] * (count - 1)
        else:
            self._told(refusal)
