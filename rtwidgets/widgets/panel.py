"""Auctions, games and matches, to watch and to take part in. The halves in the browser are in `browser/`.

Text crosses as text, and becomes text nodes there. How things stand crosses when it changes.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import traitlets as t

from rtwidgets.widgets.scripts import AUCTION, BOARD, PLAY_STYLE, SCOREBOARD
from rtwidgets.widgets.shown import Looking

__all__ = ["AuctionPanel", "BoardPanel", "Panel", "Playable", "ScorePanel"]

LOOK_EVERY = 0.1
"""Seconds between two looks for what is new."""


class Playable(Protocol):
    """What a panel shows."""

    @property
    def title(self) -> str:
        """Its name."""

    @property
    def user(self) -> str:
        """By which name one takes part here."""

    @property
    def changes(self) -> int:
        """How often `picture` has changed."""

    @property
    def picture(self) -> dict[str, Any]:
        """How it stands, as JSON can hold it."""

    @property
    def state(self) -> Any:
        """What the connection is doing; its `value` is a word."""

    @property
    def reason(self) -> str:
        """Why it is not open."""

    @property
    def writable(self) -> bool:
        """Whether one may take part."""

    @property
    def stopped(self) -> bool:
        """Whether it is over."""

    def now(self) -> float:
        """Return the time by the server's clock, in Unix milliseconds."""

    def ask(self, request: object, key: str, done: Callable[[str], None]) -> None:
        """Ask for something, from any thread.

        `key` is its idempotency key. `done` is called once it is in `picture`, or with the reason why not.
        """


class Panel(Looking):
    """Base of the widgets that show how something stands, and let one take part.

    Parameters
    ----------
    play
        What is shown.
    """

    _css = PLAY_STYLE
    reason = t.Unicode().tag(sync=True)
    picture = t.Dict().tag(sync=True)
    # The server's clock at the moment at which this is sent, whatever the value is.
    now = t.Float().tag(sync=True, to_json=lambda _, panel: panel._play.now())  # noqa: SLF001

    def __init__(self, play: Playable) -> None:
        self._play = play
        self._shown = play.changes
        super().__init__(
            uid=secrets.token_hex(8), name=play.title, user=play.user, picture=play.picture, **self._looks()
        )
        self._answers: deque[tuple[str, str]] = deque()
        self._asked = False
        self.on_msg(self._hear)
        self._begin(LOOK_EVERY, f"the widget of {self.name}", stopped=play.stopped)

    # What the page says, on whichever thread reads the comm

    def _hear(self, _: Any, content: dict[str, Any], buffers: Any) -> None:
        if "do" in content:
            key = str(content["key"])
            self._play.ask(content["do"], key, lambda reason: self._answer(key, reason))
        else:
            self._asked = True  # it may have lost something on the way

    def _answer(self, key: str, reason: str) -> None:
        self._answers.append((key, reason))
        if self._ticker is not None:
            self._ticker.soon()

    # What the page is told, on the background loop's thread

    def _look(self) -> None:
        # Taken first: what was asked for is in the picture when its answer is here.
        answers = [self._answers.popleft() for _ in range(len(self._answers))]
        changes = self._play.changes
        with self.hold_sync():
            for name, value in self._looks().items():
                setattr(self, name, value)
            if changes != self._shown:
                self._shown = changes
                self.picture, self.now = self._play.picture, self._play.now()
        if self._asked:
            self._asked = False
            self.send_state(["picture", "now"])
        if answers:
            self.send({"answers": answers})

    def _looks(self) -> dict[str, Any]:
        """Return what is told whenever it changes."""
        state = self._play.state.value
        reason = "" if state == "open" else self._play.reason
        return {"state": state, "reason": reason, "writable": self._play.writable}


class AuctionPanel(Panel):
    """An auction: the highest bid, the time that is left, the newest bids, and a place to bid."""

    _esm = AUCTION


class BoardPanel(Panel):
    """A game of connect four: the board, whose turn it is, and a move for a click or a key."""

    _esm = BOARD


class ScorePanel(Panel):
    """A match: the score, and what has happened."""

    _esm = SCOREBOARD
