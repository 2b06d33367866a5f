"""What the widgets have in common that show something which runs, and let one take part in it."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import anywidget
import traitlets as t

from rtwidgets.widgets.ticker import Ticker, close_widgets, closed, opened

__all__ = ["Looking", "Shown", "as_text"]


def as_text(bundle: Any, thing: object) -> Any:
    """Return a widget's MIME bundle in which the short text of something stands for it."""
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    if data is not None:
        data["text/plain"] = repr(thing)
    return bundle


class Shown(anywidget.AnyWidget):
    """Base of such a widget: it has a name, can be stopped and closed, and a short text stands for it."""

    uid = t.Unicode().tag(sync=True)
    name = t.Unicode().tag(sync=True)
    user = t.Unicode().tag(sync=True)
    state = t.Unicode().tag(sync=True)
    writable = t.Bool(True).tag(sync=True)
    stopped = t.Bool(False).tag(sync=True)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return as_text(super()._repr_mimebundle_(**options), self)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self.comm is None

    @abstractmethod
    def stop(self) -> None:
        """Show no more, and let nobody take part; what is shown stays. Stopping twice is harmless."""

    def close(self) -> None:
        """Stop, and take the widget away; closing twice is harmless."""
        if self.closed:
            return
        self.stop()
        closed(self)
        close_widgets([self.layout])
        super().close()


class Looking(Shown):
    """Base of such widgets that look now and then for what is new."""

    _ticker: Ticker | None = None

    def _begin(self, every: float, what: str, *, stopped: bool) -> None:
        """Look from now on every so many seconds, unless what is shown is over already."""
        self.add_class("rtw")
        opened(self)
        self.stopped = stopped
        if not stopped:
            self._ticker = Ticker(self._look, every, what)

    def stop(self) -> None:
        """Show no more, and let nobody take part; what is shown stays. Stopping twice is harmless."""
        if self.stopped or self._ticker is None:
            return
        self._ticker.stop()
        self._last_look()
        self.stopped = True

    @abstractmethod
    def _look(self) -> None:
        """Show what is new."""

    def _last_look(self) -> None:
        """Show what is new, for the last time."""
        self._look()
