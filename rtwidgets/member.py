"""What the handles have in common on channels in which one takes part. Floor 5."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any

from rtwidgets.errors import Closed, RtError
from rtwidgets.loop import supervise
from rtwidgets.stream import Stream
from rtwidgets.widgets import Shown
from rtwidgets.widgets.shown import as_text

__all__ = ["Member"]


class Member(Stream):
    """The stream of a channel in which one takes part under a name. A notebook shows its `widget`."""

    _widget: Shown | None = None

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return as_text(self.widget()._repr_mimebundle_(**options), self)

    @abstractmethod
    def _show(self) -> Shown:
        """Make its widget."""

    def widget(self) -> Shown:
        """Show it, and take part by mouse and keys; the same widget each time, until it is closed."""
        if self._widget is None or self._widget.closed:
            self._widget = self._show()
        return self._widget

    def stop(self, why: str = "") -> None:
        """Take part no more; see `Stream.stop`."""
        if self.stopped:
            return
        self._lease.check()
        try:
            super().stop(why)
        finally:
            if self._widget is not None:
                self._widget.stop()

    def _aside(
        self, doing: Callable[[], Coroutine[Any, Any, object]], what: str, done: Callable[[str], None]
    ) -> None:
        """Do something on the background loop, and call `done` with why that failed, or with nothing."""

        async def do() -> None:
            try:
                await doing()
            except RtError as error:
                done(str(error))
            else:
                done("")

        try:
            self._lease.call(lambda: supervise(do(), f"{what} {self.name}"))
        except Closed as error:
            done(str(error))
