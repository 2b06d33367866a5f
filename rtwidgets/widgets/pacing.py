"""When frames go to the browser. `Pace` is pure; `Pacemaker` is the one clock of a kernel's charts.

The browser answers each frame when it has painted it, and at most `IN_FLIGHT` frames may be unanswered: so
it is never sent more than it can draw. A browser that paints each frame with ease answers a few times a
second only, and is sent frames by the clock: each answer makes the kernel say that it is busy and idle again,
and these small messages hold up the next frame for 40 ms on their way (Nagle's algorithm and delayed
acknowledgements, for jupyter_server does not set TCP_NODELAY). While a cell runs, answers wait until the cell
has ended; then a slower clock takes the place of answers. Nothing is sent for a chart that nobody can see.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from IPython.core.getipython import get_ipython

from rtwidgets.widgets.ticker import Ticker

__all__ = ["BUDGET", "Pace", "Paced", "Pacemaker", "pacemaker"]

FPS = 30.0
"""Frames a second at the most."""
BUSY_FPS = 10.0
"""Frames a second while a cell runs and the browser's answers wait."""
IN_FLIGHT = 2
"""Frames sent and not yet painted, at the most."""
BUDGET = 200.0
"""Frames a second of all charts of a kernel; jupyter_server drops messages above 1 000."""
EASE = 0.6
"""Seconds that a browser is believed that it paints with ease."""
PATIENCE = 2.0
"""Seconds without an answer after which a full frame is tried."""
TRIES = 5
"""Full frames without an answer after which nobody is thought to be there."""


class Pace:
    """When one chart's next frame may go, and whether it has to be a full one."""

    def __init__(self) -> None:
        self.sent = 0
        self.visible: dict[str, bool] = {}
        """By browser client, whether it shows the chart."""
        self._painted = 0
        self._sent_at = -1e9
        self._next_at = -1e9
        self._full_at = -1e9
        self._answered_at = -1e9
        self._easy_until = -1e9
        self._need_full = True
        self._tries = 0

    def hear(self, content: dict[str, Any], now: float) -> None:
        """Take what a client says: ``hello`` (with the ``last`` frame that it has), ``visible``, ``lost`` or
        ``painted`` (and whether that was ``easy``).
        """
        client = str(content.get("client"))
        self._answered_at, self._tries = now, 0
        if client not in self.visible and ("painted" in content or "lost" in content):
            # It was given up, and was only slow, or its computer asleep.
            self.visible[client] = True
            self._painted = self.sent
            self._need_full = True
        if "hello" in content:
            self.visible[client] = True
            self._painted = self.sent
            # A page gets the first frames of the cell that shows the chart before it can speak.
            self._need_full = self._need_full or not content.get("last")
        elif "visible" in content:
            if content["visible"] and not self.visible.get(client):
                self._painted = self.sent
                self._need_full = True
            self.visible[client] = bool(content["visible"])
        elif "lost" in content:
            self._painted = self.sent
            self._need_full = True
        elif "painted" in content:
            self._painted = max(self._painted, int(content["painted"]))
            self._easy_until = now + EASE if content.get("easy") else now

    def renew(self) -> None:
        """Let the next frame be a full one."""
        self._need_full = True

    @property
    def in_flight(self) -> int:
        """Frames sent and not yet painted, as far as is known."""
        return self.sent - self._painted

    def due(self, now: float, *, busy: bool) -> str | None:
        """Return ``"full"`` or ``"new"`` when a frame may go now, and None when it may not.

        Parameters
        ----------
        now
            Seconds of any steady clock.
        busy
            Whether a cell runs, so that answers are late.
        """
        if busy:
            # Who is there may not have been heard yet: a new chart's first words wait as well.
            if (self.visible and not any(self.visible.values())) or now - self._sent_at < 1 / BUSY_FPS:
                return None
            unheard = self.in_flight > 0 and now - self._full_at >= 1.0 and now - self._answered_at >= 1.0
            return "full" if self._need_full or unheard else "new"
        if not any(self.visible.values()) or now < self._next_at:
            return None
        if self.in_flight < IN_FLIGHT or now < self._easy_until:
            return "full" if self._need_full else "new"
        if now - max(self._sent_at, self._answered_at) < PATIENCE:
            return None
        self._tries += 1
        if self._tries > TRIES:
            self.visible = {client: False for client, seen in self.visible.items() if not seen}
            return None
        return "full"

    def send(self, now: float, *, full: bool) -> int:
        """Note that a frame goes and return its number."""
        self.sent += 1
        self._sent_at = now
        # A frame that went late does not make the next one late too.
        self._next_at = max(self._next_at, now - 0.5 / FPS) + 1 / FPS
        if full:
            self._need_full = False
            self._full_at = now
        return self.sent


class Paced(Protocol):
    """What a pacemaker looks after."""

    def beat(self, now: float, *, busy: bool) -> bool:
        """Send a frame if one is due, and return whether one went."""


class Pacemaker:
    """The clock of all charts of a kernel: it shares the budget of messages out in turns."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._charts: list[Paced] = []
        self._ticker: Ticker | None = None
        self._busy = False
        self._tokens = BUDGET / 10
        self._last = clock()
        # A beat holds it: charts come and go on other threads. Never held while a ticker is stopped, which
        # waits for the end of a beat.
        self._lock = threading.RLock()

    def add(self, chart: Paced) -> None:
        """Look after a chart. The first one starts the clock."""
        with self._lock:
            self._charts.append(chart)
            if self._ticker is None:
                shell = get_ipython()
                if shell is not None:
                    self._busy = _in_a_cell(shell)
                    shell.events.register("pre_run_cell", self._began)
                    shell.events.register("post_run_cell", self._ended)
                self._ticker = Ticker(self.beat, 1 / FPS, "a chart")

    def remove(self, chart: Paced) -> None:
        """Look after a chart no longer: its last beat is over. The last one stops the clock."""
        with self._lock:
            self._charts.remove(chart)
            if self._charts or self._ticker is None:
                return
            ticker, self._ticker = self._ticker, None
            shell = get_ipython()
            if shell is not None:
                shell.events.unregister("pre_run_cell", self._began)
                shell.events.unregister("post_run_cell", self._ended)
        ticker.stop()

    def beat(self) -> None:
        """Send what is due, as far as the budget goes; who had to wait comes first the next time.

        A chart that fails keeps no other waiting: the first error is raised when all had their turn.
        """
        failed: Exception | None = None
        with self._lock:
            now = self._clock()
            self._tokens = min(BUDGET / 10, self._tokens + (now - self._last) * BUDGET)
            self._last = now
            charts = list(self._charts)
            for place, chart in enumerate(charts):
                if self._tokens < 1:
                    self._charts = charts[place:] + charts[:place]
                    break
                try:
                    if chart.beat(now, busy=self._busy):
                        self._tokens -= 1
                except Exception as error:  # noqa: BLE001 - raised below
                    failed = failed or error
        if failed is not None:
            raise failed

    def wake(self) -> None:
        """Beat soon: a browser has said something. From any thread."""
        ticker = self._ticker
        if ticker is not None:
            ticker.soon()

    def _began(self, *_: object) -> None:
        self._busy = True

    def _ended(self, *_: object) -> None:
        self._busy = False


def _in_a_cell(shell: Any) -> bool:
    """Whether what runs now was asked for by a cell, and not by a widget's callback."""
    kernel = getattr(shell, "kernel", None)
    parent = kernel.get_parent() if kernel is not None else {}
    return bool(parent.get("header", {}).get("msg_type") == "execute_request")


pacemaker = Pacemaker()
"""The clock of this kernel."""
