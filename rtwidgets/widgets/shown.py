"""What the widgets have in common that show something which runs, and let one take part in it."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import anywidget
import traitlets as t

from rtwidgets.widgets.ticker import close_widgets, closed

__all__ = ["Shown"]


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
        bundle = super()._repr_mimebundle_(**options)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        if data is not None:
            data["text/plain"] = repr(self)
        return bundle

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
