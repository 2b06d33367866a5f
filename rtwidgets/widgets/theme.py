"""How things look: colours, line styles, and the styles of our HTML.

The colours are those of Okabe and Ito, "Color Universal Design" (2008), in an order whose first ones read
well on white and on JupyterLab's dark ground alike. A line style goes with each: nothing is told apart by
colour alone. All else follows the `--jp-*` variables of the theme that JupyterLab shows.
"""

from __future__ import annotations

from html import escape

__all__ = ["COLOURS", "CSS", "FALL", "RISE", "STYLES", "line_look", "text"]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")

RISE, FALL = "#0072B2", "#D55E00"
"""For what goes up and down: blue and orange, which colour-blind people tell apart, unlike red and green."""

STYLES = ("solid", "dashed", "dotted", "dash_dotted")

CSS = """<style>
.rtw, .rtw .widget-html-content {
  color: var(--jp-ui-font-color1, #222); font-size: var(--jp-ui-font-size1, 13px);
}
.rtw-title { font-weight: 600; }
.rtw-dim { color: var(--jp-ui-font-color2, #555); }
.rtw-status { border-collapse: collapse; line-height: 1.6; }
.rtw-status td {
  padding: 0 14px 0 0; text-align: left; vertical-align: top; color: var(--jp-ui-font-color1, #222);
}
.rtw-error { color: var(--jp-error-color1, #b00020); }
</style>"""


def line_look(number: int) -> tuple[str, str]:
    """Return the colour and the line style of a chart's line, by its number from 0."""
    return COLOURS[number % len(COLOURS)], STYLES[(number // len(COLOURS)) % len(STYLES)]


def text(value: object) -> str:
    """Return a value as text that is safe inside HTML."""
    return escape(str(value))
