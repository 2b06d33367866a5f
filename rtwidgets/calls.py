"""A thread that calls functions of users, which may take their time. Floor 1."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from rtwidgets.loop import report

__all__ = ["Calls"]


class Calls:
    """Calls functions one after the other, on a thread that is there while there is something to call.

    Parameters
    ----------
    name
        Of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._waiting: deque[Callable[[], None]] = deque()
        self._thread: threading.Thread | None = None

    @property
    def is_here(self) -> bool:
        """Whether this is asked on that thread."""
        return threading.current_thread() is self._thread

    def soon(self, function: Callable[[], None]) -> None:
        """Call a function when those before it have ended; once, if it waits for that already."""
        with self._lock:
            if function not in self._waiting:
                self._waiting.append(function)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    return
                function = self._waiting.popleft()
            try:
                function()
            except BaseException as error:  # noqa: BLE001 - also what would end the thread
                report(self._name, error)
