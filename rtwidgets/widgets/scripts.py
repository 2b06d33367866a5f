"""The widgets' halves in the browser, in `browser/`.

A widget is one ES module and nothing is bundled, so the files of a module are put one after the other; they
see each other's names. The one exception is the document editor, which is built of `js/` when the package is.
"""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "ALERTS",
    "ALERTS_STYLE",
    "AUCTION",
    "BOARD",
    "CHART",
    "CHART_STYLE",
    "CHAT",
    "CHAT_STYLE",
    "EDITOR",
    "EDITOR_STYLE",
    "PLAY_STYLE",
    "SCOREBOARD",
    "TABLE",
    "TEXTAREA",
]

_FOLDER = Path(__file__).parent / "browser"
_BUNDLE = Path(__file__).parent / "static" / "editor.bundle.js"


def _text(*names: str) -> str:
    return "\n".join((_FOLDER / name).read_text(encoding="utf-8") for name in names)


ALERTS = _text("links.js", "alerts.js")
ALERTS_STYLE = _text("alerts.css")
AUCTION = _text("kernel.js", "links.js", "play.js", "auction.js")
BOARD = _text("kernel.js", "links.js", "play.js", "board.js")
CHART = _text("kernel.js", "ring.js", "series.js", "ticks.js", "feed.js", "view.js")
CHART_STYLE = _text("chart.css")
CHAT = _text("kernel.js", "links.js", "room.js", "chat.js")
CHAT_STYLE = _text("chat.css")
PLAY_STYLE = _text("play.css")
SCOREBOARD = _text("kernel.js", "links.js", "play.js", "scoreboard.js")
TABLE = _text("kernel.js", "table.js")
EDITOR = _BUNDLE.read_text(encoding="utf-8") if _BUNDLE.exists() else None
"""None where it was not built: the package was installed without npm."""
EDITOR_STYLE = _text("editor.css")
TEXTAREA = _text("kernel.js", "textarea.js")
