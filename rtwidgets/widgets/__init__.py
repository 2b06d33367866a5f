"""Charts, tables and status, as ipywidgets. Floor 4: knows frames, not servers."""

from rtwidgets.widgets.candles import Candles
from rtwidgets.widgets.chart import Chart
from rtwidgets.widgets.chatbox import ChatBox
from rtwidgets.widgets.dashboard import Dashboard
from rtwidgets.widgets.editor import Editor
from rtwidgets.widgets.panel import AuctionPanel, BoardPanel, Panel, Playable, ScorePanel
from rtwidgets.widgets.plot import Plot
from rtwidgets.widgets.shapes import Depth, Histogram, LatestBars
from rtwidgets.widgets.shown import Shown
from rtwidgets.widgets.status import Line, Status
from rtwidgets.widgets.table import Table
from rtwidgets.widgets.ticker import close_all

__all__ = [
    "AuctionPanel",
    "BoardPanel",
    "Candles",
    "Chart",
    "ChatBox",
    "Dashboard",
    "Depth",
    "Editor",
    "Histogram",
    "LatestBars",
    "Line",
    "Panel",
    "Playable",
    "Plot",
    "ScorePanel",
    "Shown",
    "Status",
    "Table",
    "close_all",
]
