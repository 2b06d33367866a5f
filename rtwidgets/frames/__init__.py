"""Live frames: typed columns that grow, and pandas snapshots that share their memory.

Floor 2 of the house: knows no socket and no widget.
"""

from __future__ import annotations

from rtwidgets.frames.bars import Bars
from rtwidgets.frames.book import Book
from rtwidgets.frames.frame import LiveFrame, Rows
from rtwidgets.frames.schema import Schema

__all__ = ["Bars", "Book", "LiveFrame", "Rows", "Schema"]
