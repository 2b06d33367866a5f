"""A small game for two, and for any number of spectators: connect four."""

from __future__ import annotations

from typing import Annotated

import msgspec

from rtwidgets.errors import Refused
from rtwidgets.services.connect4 import COLUMNS, OVER, Cell, Game, Result
from rtwidgets.services.decider import Decider, DeciderService, Request, Row, Snapshot, Stamp

__all__ = ["Games", "Table"]

_ALONE = "there is one player yet: a game begins when somebody takes the other seat"


# What a player sends


class Sit(Request, tag="sit"):
    """Take the next free seat."""


class Drop(Request, tag="drop"):
    """Drop a disc into a column, the leftmost of which is 0."""

    column: Annotated[int, msgspec.Meta(ge=0, lt=COLUMNS)]


class Resign(Request, tag="resign"):
    """Give the game to the other one."""


class Again(Request, tag="again"):
    """Begin a new game, seats swapped."""


class Stand(Request, tag="stand"):
    """Leave the seat to somebody else."""


# What is in the channel


class _Event(Row):
    """Something has happened at a seat.

    `game` counts the games, and is 0 until the first one is under way. `turn` is the seat that comes next,
    and None where no game is under way.
    """

    game: int
    seat: int
    turn: int | None


class Sat(_Event, tag="sat"):
    """Somebody has taken a seat. A game begins when both are taken."""


class Dropped(_Event, tag="dropped"):
    """A disc was dropped, the game's `move`-th, and ended in a row, the topmost of which is 0.

    `result` is there when the game is over by it, and `cells` (each as row and column) when it is won.
    """

    move: int
    column: int
    row: int | None
    result: Result | None = None
    winner: int | None = None
    cells: list[Cell] | None = None


class Resigned(_Event, tag="resigned"):
    """A player has given up."""

    result: Result
    winner: int


class Restarted(_Event, tag="restarted"):
    """A new game has begun: `first` is in seat 1 and moves first."""

    first: str
    second: str


class Stood(_Event, tag="stood"):
    """A player has left the seat."""


Event = Sat | Dropped | Resigned | Restarted | Stood


class Position(Snapshot):
    """The state of a table.

    `players` are the names in seats 1 and 2, None where nobody sits. `board` has the rows, the top one first,
    of seven characters each: ``"."`` where nothing is, ``"1"`` or ``"2"``. `moves` are columns; seat 1 made
    the first. `cells` are those of the four, each as row and column; none where a player has given up.
    """

    game: int
    players: list[str | None]
    turn: int | None
    board: list[str]
    moves: list[int]
    result: Result | None
    winner: int | None
    cells: list[Cell] | None


class Table(Decider):
    """Two seats, and the game that is played there or was the last one."""

    def __init__(self) -> None:
        super().__init__()
        self.players: list[str | None] = [None, None]
        self.number = 0
        self.game = Game()
        self.resigned: int | None = None
        """The seat that has given up."""

    @property
    def result(self) -> Result | None:
        """How the game has ended; None before that, and before the first game."""
        return self.game.result if self.resigned is None else "won"

    @property
    def winner(self) -> int | None:
        """The seat that has won."""
        return self.game.winner if self.resigned is None else _other(self.resigned)

    @property
    def turn(self) -> int | None:
        """The seat that comes next; None as long as no game is under way."""
        return self.game.turn if self.number and self.result is None else None

    def decide(self, request: Sit | Drop | Resign | Again | Stand, stamp: Stamp) -> Event:
        """Return the row of what a player does; raises Refused when it is against the rules."""
        user = stamp["user"]
        if isinstance(request, Sit):
            return self._sit(stamp)
        if user not in self.players:
            raise Refused("not_seated", 'you have no seat: watch, or take one with {"type": "sit"}')
        seat = 1 + self.players.index(user)
        match request:
            case Drop(column=column):
                self._check_under_way()
                return self._drop(column, seat, stamp)
            case Resign():
                self._check_under_way()
                return Resigned(
                    **stamp, game=self.number, seat=seat, turn=None, result="won", winner=_other(seat)
                )
            case Again():
                return self._again(seat, stamp)
            case Stand():
                self._check_idle("resign first")
                return Stood(**stamp, game=self.number, seat=seat, turn=None)

    def evolve(self, row: Event) -> None:
        """Take the next row."""
        match row:
            case Sat():
                self.players[row.seat - 1] = row.user
            case Dropped():
                self.game = self.game.drop(row.column, row.seat)
            case Resigned():
                self.resigned = row.seat
            case Restarted():
                self.players = [row.first, row.second]
            case Stood():
                self.players[row.seat - 1] = None
        if row.game != self.number:
            self.number, self.game, self.resigned = row.game, Game(), None

    def picture(self) -> Position:
        """Return the state."""
        return Position(
            event=self.event,
            time=self.time,
            game=self.number,
            players=list(self.players),
            turn=self.turn,
            board=self.game.board,
            moves=list(self.game.moves),
            result=self.result,
            winner=self.winner,
            cells=self.game.four,
        )

    def restore(self, snapshot: Position) -> None:
        """Become what `picture` returned."""
        self.players = list(snapshot.players)
        self.number, self.game = snapshot.game, Game(tuple(snapshot.moves))
        self.resigned = None
        if snapshot.winner is not None and snapshot.cells is None:
            self.resigned = _other(snapshot.winner)

    # One request each

    def _sit(self, stamp: Stamp) -> Sat:
        user, players = stamp["user"], self.players
        if user in players:
            raise Refused("seated", f"you have seat {1 + players.index(user)} already")
        if None not in players:
            raise Refused(
                "no_seat",
                f"{players[0]!r} and {players[1]!r} have the seats: watch, or play a game of another name",
            )
        seat = 1 + players.index(None)
        begins = players[_other(seat) - 1] is not None
        return Sat(**stamp, game=self.number + begins, seat=seat, turn=1 if begins else None)

    def _drop(self, column: int, seat: int, stamp: Stamp) -> Dropped:
        after = self.game.drop(column, seat)
        return Dropped(
            **stamp,
            game=self.number,
            seat=seat,
            turn=after.turn,
            move=len(after.moves),
            column=column,
            row=after.row,
            result=after.result,
            winner=after.winner,
            cells=after.four,
        )

    def _again(self, seat: int, stamp: Stamp) -> Restarted:
        self._check_idle("play it to its end, or resign")
        second, first = self.players
        if first is None or second is None:
            raise Refused("not_begun", _ALONE)
        return Restarted(**stamp, game=self.number + 1, seat=_other(seat), turn=1, first=first, second=second)

    def _check_under_way(self) -> None:
        if None in self.players:
            raise Refused("not_begun", _ALONE)
        if self.turn is None:
            raise Refused("over", OVER)

    def _check_idle(self, what: str) -> None:
        if self.turn is not None:
            raise Refused("begun", f"a game is under way: {what}")


class Games(DeciderService):
    """Tables for connect four at ``/games/{name}``: two play, and everybody watches.

    A player sends ``{"type": "sit"}``, then ``{"type": "drop", "column": 0}`` (up to 6) or
    ``{"type": "resign"}``, and after the end ``{"type": "again"}`` or ``{"type": "stand"}``. The rows are
    `sat`, `dropped`, `resigned`, `restarted` and `stood`. A seat belongs to a name, not to a connection: who
    was cut off comes back and plays on. An `id` keeps a move that is sent again from being made twice.
    """

    name = "games"
    path = "/games/{name}"
    decider = Table
    requests = Sit | Drop | Resign | Again | Stand
    rows = Event | Position


def _other(seat: int) -> int:
    return 3 - seat
