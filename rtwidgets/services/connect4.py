"""Connect four: the rules. Pure: moves in, positions out."""

from __future__ import annotations

from typing import Literal, NamedTuple

from rtwidgets.errors import Refused

__all__ = ["COLUMNS", "OVER", "ROWS", "Cell", "Game", "Result"]

COLUMNS, ROWS = 7, 6
FOUR = 4
OVER = 'this game is over: {"type": "again"} begins a new one'

Result = Literal["won", "draw"]

_WAYS = (0, 1), (1, 0), (1, 1), (1, -1)
"""Rows and columns from one cell of a line to the next."""


class Cell(NamedTuple):
    """A place on the board. Row 0 is the top one, column 0 the leftmost."""

    row: int
    column: int


class Game(NamedTuple):
    """A position, as the columns that were dropped into to get there. Seat 1 begins; it does not change.

    Attributes
    ----------
    moves
        Columns, the first move's first.
    """

    moves: tuple[int, ...] = ()

    @property
    def discs(self) -> dict[Cell, int]:
        """The seat, 1 or 2, whose disc is in a cell, in the order of the moves."""
        discs: dict[Cell, int] = {}
        free = [ROWS - 1] * COLUMNS
        for number, column in enumerate(self.moves):
            discs[Cell(free[column], column)] = 1 + number % 2
            free[column] -= 1
        return discs

    @property
    def board(self) -> list[str]:
        """The rows, top row first: seven characters each, ``"."`` where nothing is, ``"1"`` or ``"2"``."""
        discs = self.discs
        return [
            "".join(str(discs.get(Cell(row, column), ".")) for column in range(COLUMNS))
            for row in range(ROWS)
        ]

    @property
    def row(self) -> int | None:
        """The row that the last disc is in; None before the first."""
        return ROWS - self.moves.count(self.moves[-1]) if self.moves else None

    @property
    def four(self) -> list[Cell] | None:
        """Four cells in a line of the last move's, in reading order; None where it has not made one."""
        discs = self.discs
        if not discs:
            return None
        last, seat = list(discs.items())[-1]
        for way in _WAYS:
            line = [last]
            for sign in (-1, 1):
                cell = _next(last, way, sign)
                while discs.get(cell) == seat:
                    line.append(cell)
                    cell = _next(cell, way, sign)
            if len(line) >= FOUR:
                return sorted(line)[:FOUR]
        return None

    @property
    def result(self) -> Result | None:
        """How it has ended; None while it goes on."""
        if self.four is not None:
            return "won"
        return "draw" if len(self.moves) == ROWS * COLUMNS else None

    @property
    def winner(self) -> int | None:
        """The seat with four in a line."""
        return 2 - len(self.moves) % 2 if self.result == "won" else None

    @property
    def turn(self) -> int | None:
        """The seat that moves next; None when the game is over."""
        return 1 + len(self.moves) % 2 if self.result is None else None

    def drop(self, column: int, seat: int) -> Game:
        """Return the game after a seat, 1 or 2, has dropped a disc into a column, 0 to 6.

        Raises
        ------
        Refused
            When the game is over, it is the other one's turn, or the column is full.
        """
        if self.turn is None:
            raise Refused("over", OVER)
        if seat != self.turn:
            raise Refused("not_your_turn", f"it is the turn of seat {self.turn}: wait for its move")
        if self.moves.count(column) == ROWS:
            raise Refused("full_column", f"column {column} is full: choose another one")
        return Game((*self.moves, column))


def _next(cell: Cell, way: tuple[int, int], sign: int) -> Cell:
    return Cell(cell.row + sign * way[0], cell.column + sign * way[1])
