"""What runs in this kernel: its servers, its streams and the widgets that show them."""

from __future__ import annotations

import atexit
import contextlib
import threading

import ipywidgets

from rtwidgets.checks import is_count
from rtwidgets.errors import BackgroundErrors, Closed, UsageError, WaitTimeout
from rtwidgets.kinds import Feed
from rtwidgets.loop import report, take_errors
from rtwidgets.notebook.documents import Documents
from rtwidgets.notebook.feeds import Feeds
from rtwidgets.notebook.opener import FeedOpener
from rtwidgets.notebook.outside import Outside
from rtwidgets.notebook.places import Places
from rtwidgets.notebook.recorded import Recorded
from rtwidgets.notebook.registry import Registry
from rtwidgets.notebook.replays import Replays
from rtwidgets.notebook.servers import Servers
from rtwidgets.notebook.streams import Streams
from rtwidgets.stream import Stream
from rtwidgets.widgets import Dashboard, Line, Status, close_all

__all__ = ["Running", "running"]


FIRST_ROW = 2.0
"""Seconds that a dashboard waits for a stream's first row, which tells its columns."""


class Running:
    """Everything that was started in this kernel and has not been stopped."""

    def __init__(self) -> None:
        self.servers = Servers()
        places = Places(self.servers)
        self._places = places
        self._registry = Registry()
        self.outside = Outside()
        self.streams = Streams(places, self._registry, self.outside)
        self.feeds = Feeds(FeedOpener(self._registry, self.outside, places))
        self.replays = Replays(self._registry, self.feeds)
        self.documents = Documents(places)
        self.recorded = Recorded()
        self._lock = threading.Lock()
        self._widgets: list[Status | Dashboard] = []

    def status(self) -> Status:
        """Return everything that runs in this kernel: as text, and as a widget that stays up to date."""
        status = Status(self.describe)
        with self._lock:
            self._widgets.append(status)
        return status

    def dashboard(self, *parts: Stream | ipywidgets.Widget, columns: int = 1) -> Dashboard:
        """Put streams, charts, tables and the status on one page; the same page for the same parts.

        Parameters
        ----------
        parts
            Widgets, and streams, which show as a chart of ``price`` or of their first column of numbers, or
            as a table if they have none or no row yet. All streams of this kernel when there are no parts.
        columns
            How many stand side by side.

        Raises
        ------
        UsageError
            For a part that is neither, or a number of columns that is not positive.
        """
        if not is_count(columns):
            raise UsageError(f"columns={columns!r}: give a number of widgets that stand side by side")
        shown = tuple(_widget(part) for part in parts or self._streams())
        with self._lock:
            for widget in self._widgets:
                if isinstance(widget, Dashboard) and widget.parts == shown:
                    return widget
            dashboard = Dashboard(shown, Status(self.describe), columns=columns)
            self._widgets.append(dashboard)
        return dashboard

    def describe(self) -> list[Line]:
        """Return a line for each thing that runs."""
        servers = [server.describe() for server in self.servers.alive()]
        streams = [handle.describe() for handle in self._registry.handles]
        return servers + streams + [document.describe() for document in self.documents.documents]

    def _streams(self) -> list[Stream]:
        """Return all streams, those of feeds too."""
        feeds = [handle for handle in self._registry.handles if isinstance(handle, Feed)]
        return [*self.streams.streams, *(stream for feed in feeds for stream in feed.streams)]

    def health(self) -> str:
        """Return ``"healthy"`` if nothing went wrong in the background since the last call.

        Raises
        ------
        BackgroundErrors
            With each error since then.
        """
        errors = take_errors()
        if errors:
            raise BackgroundErrors(errors)
        return "healthy"

    def stop(self) -> None:
        """End everything that runs in this kernel: streams, servers, user services, what widgets follow.

        The last pictures stay where they are shown. What goes wrong is left for `health`.
        """
        with self._lock:
            widgets, self._widgets = self._widgets, []
        self._places.forget()
        for thing in [
            *self.documents.forget(),
            *self._registry.forget(),
            *self.recorded.forget(),
            *self.servers.forget(),
            *widgets,
        ]:
            try:
                thing.stop()
            except Exception as error:  # noqa: BLE001 - the others have to be stopped all the same
                report(f"stopping {thing!r}", error)

    def close(self) -> None:
        """Stop, and take every widget of ours away too."""
        self.stop()
        close_all()


def _widget(part: Stream | ipywidgets.Widget) -> ipywidgets.Widget:
    if isinstance(part, ipywidgets.Widget):
        return part
    if not isinstance(part, Stream):
        raise UsageError(
            f"{part!r} is neither a stream nor a widget: give what rt.connect(…) or .chart(…) returned"
        )
    with contextlib.suppress(WaitTimeout, Closed):
        part.wait(1, timeout=FIRST_ROW)
    columns = part.frame.schema.items()
    numbers = [name for name, dtype in columns if dtype in ("float64", "int64") and name != "offset"]
    if not numbers:
        return part.table()
    return part.chart("price" if "price" in numbers else numbers[0], relative="price" in numbers)


running = Running()
"""What runs in this kernel."""

atexit.register(running.stop)
