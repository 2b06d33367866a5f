"""The user's handles on a game and on a match. Floor 5."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import pandas as pd
from pandas.api.typing import NaTType

from rtwidgets.play import Play, moment
from rtwidgets.services import games, scores
from rtwidgets.widgets import BoardPanel, ScorePanel

__all__ = ["Game", "Match", "MatchStanding"]


class _Table(games.Table):
    """A table that knows who has played when they have left their seats."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str | None] = [None, None]

    def evolve(self, row: games.Event) -> None:
        super().evolve(row)
        if self.turn is not None:
            self.names = list(self.players)

    def restore(self, snapshot: games.Position) -> None:
        super().restore(snapshot)
        self.names = list(self.players)


class _Seen(NamedTuple):
    """A position, and who plays or has played it, in seats 1 and 2."""

    position: games.Position
    names: list[str | None]


class Game(Play):
    """A table for connect four: the stream of what happens there, and ways to play.

    Made by `rtwidgets.game`. Each verb waits until what it does is done.

    They raise `Refused` for what the rules do not allow, with a sentence that says why, and `Closed` when the
    connection is down.
    """

    service = "games"
    schema = {
        "type": "category",
        "user": "category",
        "game": "float64",
        "seat": "float64",
        "turn": "float64",
        "move": "float64",
        "column": "float64",
        "row": "float64",
        "result": "str",
        "winner": "float64",
        "time": "datetime64[ms]",
    }
    rows = games.Event | games.Position
    rules = _Table
    panel = BoardPanel

    @staticmethod
    def show(state: _Table) -> _Seen:
        """Return a picture of a state that does not change with it."""
        return _Seen(state.picture(), list(state.names))

    @property
    def board(self) -> list[str]:
        """The rows, the top one first: seven characters each, ``"."``, ``"1"`` or ``"2"`` by seat."""
        return list(self._seen.position.board)

    @property
    def players(self) -> list[str | None]:
        """Who is in seats 1 and 2; None where nobody sits. Seat 1 moves first."""
        return list(self._seen.position.players)

    @property
    def turn(self) -> str | None:
        """Whose move it is; None as long as no game is under way."""
        position = self._seen.position
        return None if position.turn is None else position.players[position.turn - 1]

    @property
    def result(self) -> str | None:
        """``"won"`` or ``"draw"``; None before the end."""
        return self._seen.position.result

    @property
    def winner(self) -> str | None:
        """Who has won; None where nobody has."""
        seen = self._seen
        return None if seen.position.winner is None else seen.names[seen.position.winner - 1]

    @property
    def picture(self) -> dict[str, Any]:
        """How it stands, for the page: what JSON can hold."""
        position, names = self._seen
        shown = ("game", "players", "turn", "board", "result", "winner", "cells")
        column = position.moves[-1] if position.moves else None
        last = None if column is None else [len(position.board) - position.moves.count(column), column]
        return {name: getattr(position, name) for name in shown} | {"names": names, "last": last}

    def sit(self) -> None:
        """Take the next free seat. A game begins when both are taken."""
        self._do("sit")

    def drop(self, column: int) -> None:
        """Drop a disc into a column, 0 to 6 from the left."""
        self._do("drop", column=column)

    def resign(self) -> None:
        """Give the game to the other one."""
        self._do("resign")

    def again(self) -> None:
        """Begin a new game, seats swapped."""
        self._do("again")

    def stand(self) -> None:
        """Leave the seat to somebody else."""
        self._do("stand")

    @property
    def _seen(self) -> _Seen:
        seen: _Seen = self._decisions.picture
        return seen


class MatchStanding(NamedTuple):
    """How a match stands.

    Attributes
    ----------
    phase
        ``"scheduled"``, ``"live"`` or ``"ended"``.
    home, away
        The names of the teams; None before it is begun.
    home_points, away_points
        Their points.
    reporter
        Who has begun it, and alone reports on it.
    began
        When, in UTC by the server's clock; NaT before.
    """

    phase: str
    home: str | None
    away: str | None
    home_points: int
    away_points: int
    reporter: str | None
    began: pd.Timestamp | NaTType


class Match(Play):
    """A match: the stream of what happens in it, and ways to report on it.

    Made by `rtwidgets.match`. Each verb waits until what it reports is in `df`. They raise `Refused` for what
    cannot be, or when another has begun the match, and `Closed` when the connection is down.
    """

    service = "scores"
    schema = {
        "type": "category",
        "user": "category",
        "event": "int64",
        "home_points": "int64",
        "away_points": "int64",
        "elapsed": "float64",
        "side": "category",
        "points": "float64",
        "player": "str",
        "text": "str",
        "corrects": "float64",
        "home": "str",
        "away": "str",
        "time": "datetime64[ms]",
    }
    rows = scores.Event | scores.Standing
    rules = scores.Match
    panel = ScorePanel

    @property
    def standing(self) -> MatchStanding:
        """How it stands, by the newest row here."""
        state: scores.Standing = self._decisions.picture
        shown = {name: getattr(state, name) for name in MatchStanding._fields}
        return MatchStanding(**shown | {"began": moment(state.began)})

    @property
    def picture(self) -> dict[str, Any]:
        """How it stands, for the page: what JSON can hold."""
        state: scores.Standing = self._decisions.picture
        standing = {name: getattr(state, name) for name in MatchStanding._fields}
        return standing | {"events": msgspec.to_builtins(state.events)}

    def begin(self, home: str, away: str) -> None:
        """Begin it: the names of the teams. Who does alone reports on it from then on."""
        self._do("begin", home=home, away=away)

    def score(self, side: str, points: int = 1, player: str | None = None) -> None:
        """Report points for a side, ``"home"`` or ``"away"``, and who has made them."""
        self._do("score", side=side, points=points, player=player)

    def note(self, text: str) -> None:
        """Report something else that has happened."""
        self._do("note", text=text)

    def correct(self, event: int) -> None:
        """Take a score back that was wrong: the `event` of its row in `df`."""
        self._do("correct", event=int(event))

    def end(self) -> None:
        """Report that it has ended."""
        self._do("end")
