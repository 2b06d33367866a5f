"""Charts, tables and the status on one page: what `%rt up` shows."""

from __future__ import annotations

from collections.abc import Sequence

import ipywidgets

from rtwidgets.widgets.status import Status
from rtwidgets.widgets.ticker import close_widgets, closed, opened

__all__ = ["Dashboard"]


class Dashboard(ipywidgets.VBox):  # type: ignore[misc]
    """Widgets in a grid, over the status.

    Parameters
    ----------
    parts
        Widgets of any kind. They stay their owner's: closing the dashboard leaves them alone.
    status
        Closed with the dashboard.
    columns
        How many widgets stand side by side; on a narrow page they stand one above the other.
    """

    def __init__(self, parts: Sequence[ipywidgets.Widget], status: Status, *, columns: int = 1) -> None:
        # A column is as wide as its share of the page, but never so narrow that a chart cannot be read.
        tracks = f"repeat(auto-fit, minmax(max(360px, calc({100 / columns:g}% - 16px)), 1fr))"
        layout = ipywidgets.Layout(grid_template_columns=tracks, grid_gap="8px 16px", width="100%")
        self._grid = ipywidgets.GridBox(list(parts), layout=layout)
        super().__init__([self._grid, status])
        self.parts = tuple(parts)
        self._status = status
        opened(self)

    def __repr__(self) -> str:
        return f"Dashboard({', '.join(map(repr, self.parts))})"

    def stop(self) -> None:
        """Bring the status up to date no more; what is shown stays."""
        self._status.stop()

    def close(self) -> None:
        """Close the dashboard and its status; closing twice is harmless."""
        self._status.close()
        closed(self)
        close_widgets([self._grid, self.layout])
        super().close()
