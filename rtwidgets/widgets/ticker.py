"""A function called again and again on the background loop, and the closing of widgets."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterable
from typing import Protocol

from ipywidgets import Widget

from rtwidgets.errors import Closed
from rtwidgets.loop import lease, report

__all__ = ["Live", "Ticker", "close_all", "close_widgets", "closed", "opened"]


class Ticker:
    """Calls a function every so many seconds on the background loop's thread.

    A widget is written to by one thread only, this one: `hold_sync` is kept by widget and not by thread.

    Parameters
    ----------
    function
        What to call. An error of it is reported, once for each kind of error, and does not stop the ticker.
    every
        Seconds between two calls.
    where
        What to call it in reports.
    """

    def __init__(self, function: Callable[[], None], every: float, where: str) -> None:
        self._function = function
        self._every = every
        self._where = where
        self._reported: set[str] = set()
        self._stopped = False
        self._calling = threading.RLock()  # reentrant: the function itself may stop the ticker
        self._lease = lease()
        self._task = asyncio.run_coroutine_threadsafe(self._run(), self._lease.loop)

    def stop(self) -> None:
        """Call it no more, after the end of a call that goes on; stopping twice is harmless."""
        with self._calling:
            self._stopped = True
        self._task.cancel()
        self._lease.release()

    def soon(self) -> None:
        """Call it as soon as the loop can, beside the regular calls. From any thread."""
        with contextlib.suppress(Closed):  # stopped at this moment
            self._lease.call(self._call)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not self._stopped:
            self._call()
            due = max(due + self._every, loop.time())  # what a call takes is no delay of the next one
            await asyncio.sleep(due - loop.time())

    def _call(self) -> None:
        with self._calling:
            if self._stopped:
                return
            try:
                self._function()
            except Exception as error:  # noqa: BLE001 - a picture that fails must not end those after it
                if repr(error) not in self._reported:
                    self._reported.add(repr(error))
                    report(self._where, error)


class Live(Protocol):
    """A widget that is brought up to date until it is stopped."""

    def stop(self) -> None:
        """Change no more; what is shown stays."""

    def close(self) -> None:
        """Stop, and take the widget and all it has made away."""


_open: dict[int, Live] = {}


def opened(widget: Live) -> None:
    """Note a widget that somebody has to close in the end."""
    _open[id(widget)] = widget


def closed(widget: Live) -> None:
    """Note that it was closed."""
    _open.pop(id(widget), None)


def close_all() -> None:
    """Close every live widget that is open; no other widget is touched."""
    for widget in list(_open.values()):
        widget.close()


def close_widgets(widgets: Iterable[Widget]) -> None:
    """Close widgets, and the widgets they were given at birth (layouts, styles, scales), and no others."""
    for widget in widgets:
        parts = [value for name in widget.keys if isinstance(value := getattr(widget, name), Widget)]
        widget.close()
        for part in parts:
            part.close()
