"""What runs, in a table that keeps itself up to date, and as text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import ipywidgets

from rtwidgets.loop import peek_errors
from rtwidgets.widgets.theme import CSS, text
from rtwidgets.widgets.ticker import Ticker, close_widgets, closed, opened

__all__ = ["Line", "Status"]

REFRESH_EVERY = 0.5
"""Seconds between two looks."""


class Line(NamedTuple):
    """One thing that runs.

    Attributes
    ----------
    kind
        Such as ``"server"`` or ``"stream"``.
    name
        What it is called.
    state
        A word, such as ``"open"``.
    detail
        What changes from look to look: addresses, counts. Left out of the text.
    """

    kind: str
    name: str
    state: str
    detail: str


class Status(ipywidgets.HTML):  # type: ignore[misc]
    """Everything that runs in this kernel. As text it is short and does not change from run to run.

    Parameters
    ----------
    describe
        Gives the lines.
    """

    def __init__(self, describe: Callable[[], Sequence[Line]]) -> None:
        self._describe = describe
        self._stopped = False
        super().__init__()
        self.add_class("rtw")
        opened(self)
        self._ticker = Ticker(self._refresh, REFRESH_EVERY, "the status widget")

    def __repr__(self) -> str:
        lines = [f"rtwidgets: {_verdict()}"]
        lines += [f"  {line.kind:<8} {line.name}: {line.state}" for line in self._describe()]
        return "\n".join(lines)

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any] | None:
        """Give the whole text: ipywidgets would cut it after 110 characters."""
        bundle: dict[str, Any] | None = super()._repr_mimebundle_(**options)
        return bundle and bundle | {"text/plain": repr(self)}

    def stop(self) -> None:
        """Look once more and then no longer; what is shown stays. Stopping twice is harmless."""
        if not self._stopped:
            self._ticker.stop()
            self._stopped = True
            self._refresh()

    def close(self) -> None:
        """Look no more and close the widget; closing twice is harmless."""
        self.stop()
        closed(self)
        close_widgets([self.layout, self.style])
        super().close()

    def _refresh(self) -> None:
        rows = "".join(
            f"<tr><td>{text(line.kind)}</td><td><b>{text(line.name)}</b></td>"
            f'<td>{text(line.state)}</td><td class="rtw-dim">{text(line.detail)}</td></tr>'
            for line in self._describe()
        )
        errors = "".join(
            f'<tr><td class="rtw-error">error</td><td>{text(where)}</td><td></td>'
            f'<td class="rtw-error">{text(type(error).__name__)}: {text(error)}</td></tr>'
            for where, error in peek_errors()[-5:]
        )
        nothing = "" if rows else '<tr><td class="rtw-dim">Nothing runs.</td></tr>'
        self.value = (
            f'{CSS}<table class="rtw-status"><tr><td class="rtw-title" colspan="4">'
            f"rtwidgets: {text(_verdict())}</td></tr>{rows}{nothing}{errors}</table>"
        )


def _verdict() -> str:
    errors = len(peek_errors())
    if not errors:
        return "healthy"
    return f"{errors} background error{'s' if errors > 1 else ''}, see rt.health()"
