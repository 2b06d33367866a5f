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
from rtwidgets.errors import Closed, RtError
from rtwidgets.frames import LiveFrame
from rtwidgets.loop import supervise
from rtwidgets.messages import Subscribed
from rtwidgets.stream import Stream
from rtwidgets.widgets import Panel

__all__ = ["Play", "moment"]


class Play(Stream):
    """Something that is decided row by row, and in which one takes part: the stream of its rows.

    In a notebook it shows as its `widget`.
    """

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
        self._panel: Panel | None = None

    def _repr_mimebundle_(self, **options: Any) -> Any:
        bundle = self.widget()._repr_mimebundle_(**options)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        if data is not None:
            data["text/plain"] = repr(self)
        return bundle

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

    def widget(self) -> Panel:
        """Show it, and take part by mouse and keys; the same widget each time, until it is closed."""
        if self._panel is None or self._panel.closed:
            self._panel = self.panel(self)
        return self._panel

    def stop(self, why: str = "") -> None:
        """Take part no more; see `Stream.stop`."""
        if self.stopped:
            return
        self._lease.check()
        try:
            super().stop(why)
        finally:
            if self._panel is not None:
                self._panel.stop()

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

        async def ask() -> None:
            try:
                await self._decisions.ask(request, key)
            except RtError as error:
                done(str(error))
            else:
                done("")

        try:
            self._lease.call(lambda: supervise(ask(), f"asking for something in {self.name}"))
        except Closed as error:
            done(str(error))


def moment(time: float | None) -> pd.Timestamp | NaTType:
    """Return Unix milliseconds as a time in UTC; NaT for None."""
    return pd.NaT if time is None else pd.Timestamp(round(time * 1e3), unit="us", tz="UTC")
