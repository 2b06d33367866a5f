"""What the handles on auctions, games and matches have in common. Floor 5.

What the rows add up to is worked out here by the rules that the server decides by.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import pandas as pd
from pandas.api.typing import NaTType

from rtwidgets.client import Intake, Multiplex
from rtwidgets.client.decisions import DecisionSource
from rtwidgets.frames import LiveFrame
from rtwidgets.member import Member
from rtwidgets.messages import Subscribed
from rtwidgets.widgets import Panel

__all__ = ["Play", "moment"]


class Play(Member):
    """Something that is decided row by row, and in which one takes part: the stream of its rows."""

    service: ClassVar[str]
    """What channels begin with."""
    schema: ClassVar[dict[str, str]]
    """The columns of `df`."""
    rows: ClassVar[Any]
    """What rows are decoded to: a msgspec type."""
    rules: ClassVar[Callable[[], Any]]
    """Makes the state before the first row."""
    panel: ClassVar[type[Panel]]
    """The widget's class."""

    def __init__(self, name: str, source: DecisionSource[Any]) -> None:
        super().__init__(name, source)
        self._decisions = source

    @classmethod
    def source(cls, multiplex: Multiplex, channel: str, user: str) -> DecisionSource[Any]:
        """Return where the rows come from, for the user of a connection on which nobody else is present."""

        def make(answer: Subscribed) -> Intake:
            return Intake(LiveFrame(time="time", schema=cls.schema))

        return DecisionSource(multiplex, channel, user, make, rules=cls.rules, rows=cls.rows, show=cls.show)

    @staticmethod
    def show(state: Any) -> Any:
        """Return a picture of a state that does not change with it."""
        return state.picture()

    @property
    def title(self) -> str:
        """What it is called in the channel's name."""
        return self._decisions.subscription.channel.partition("/")[2]

    @property
    def user(self) -> str:
        """By which name one takes part here."""
        return self._decisions.user

    @property
    def writable(self) -> bool:
        """Whether the token allows to take part."""
        return self._decisions.writable

    def _show(self) -> Panel:
        return self.panel(self)

    def _do(self, kind: str, **fields: Any) -> None:
        self.send({"type": kind, **fields})

    # What the widget asks for; see `rtwidgets.widgets.panel.Playable`

    @property
    def changes(self) -> int:
        """How often `picture` has changed."""
        return self._decisions.changes

    @property
    @abstractmethod
    def picture(self) -> dict[str, Any]:
        """How it stands, for the page: what JSON can hold."""

    def now(self) -> float:
        """Return the time by the server's clock, in Unix milliseconds."""
        return self._decisions.clock.now()

    def ask(self, request: object, key: str, done: Callable[[str], None]) -> None:
        """Ask for something, from any thread; `done` is called with why it is refused, or nothing."""
        self._aside(lambda: self._decisions.publish(request, key), "asking for something in", done)


def moment(time: float | None) -> pd.Timestamp | NaTType:
    """Return Unix milliseconds as a time in UTC; NaT for None."""
    return pd.NaT if time is None else pd.Timestamp(round(time * 1e3), unit="us", tz="UTC")
