"""The rules of connect four, against a look at all lines of the board."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rtwidgets.errors import Refused
from rtwidgets.services.connect4 import COLUMNS, ROWS, Game

DRAW = "146660203633536103043506522512202545444111"
"""Columns of a game that fills the board, with no four in a line."""

LINES = [
    [(row + n * down, column + n * right) for n in range(4)]
    for row in range(6)
    for column in range(7)
    for down, right in [(0, 1), (1, 0), (1, 1), (1, -1)]
    if row + 3 * down < 6 and 0 <= column + 3 * right < 7
]


def play(moves):
    """Play columns, one after the other."""
    game = Game()
    for number, column in enumerate(moves):
        game = game.drop(int(column), 1 + number % 2)
    return game


def test_there_are_69_lines():
    """As everybody who has counted them knows."""
    assert len(LINES) == 69


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(0, COLUMNS - 1), max_size=ROWS * COLUMNS))
def test_random_games(columns):
    """Discs fall on each other, and the game ends with the first line of four, at once."""
    game, grid = Game(), [["."] * COLUMNS for _ in range(ROWS)]
    for column in columns:
        full = [line for line in LINES if "".join(grid[r][c] for r, c in line) in {"1111", "2222"}]
        assert (game.result == "won") == bool(full)
        if full:
            assert game.turn is None
            assert [tuple(cell) for cell in game.four] in [sorted(line) for line in full]
            assert str(game.winner) == grid[game.four[0].row][game.four[0].column]
            return
        assert (game.four, game.winner, game.result) == (None, None, None)
        assert game.turn == 1 + len(game.moves) % 2
        free = [row for row in range(ROWS) if grid[row][column] == "."]
        if not free:
            with pytest.raises(Refused) as caught:
                game.drop(column, game.turn)
            assert caught.value.code == "full_column"
            continue
        grid[free[-1]][column] = str(game.turn)
        game = game.drop(column, game.turn)
        assert game.row == free[-1]
        assert game.board == ["".join(row) for row in grid]


@pytest.mark.parametrize(
    ("moves", "four"),
    [
        ("0101010", [(2, 0), (3, 0), (4, 0), (5, 0)]),
        ("0011223", [(5, 0), (5, 1), (5, 2), (5, 3)]),
        ("6655443", [(5, 3), (5, 4), (5, 5), (5, 6)]),
        ("01123223363", [(2, 3), (3, 2), (4, 1), (5, 0)]),
        ("65543443303", [(2, 3), (3, 4), (4, 5), (5, 6)]),
        ("0011224455663", [(5, 0), (5, 1), (5, 2), (5, 3)]),
    ],
    ids=["up", "from the left", "from the right", "rising", "falling", "seven at once"],
)
def test_four_in_a_line(moves, four):
    """In all directions, whichever of them comes last; of more than four, the first in reading order."""
    game = play(moves)
    assert (game.result, game.winner, game.turn) == ("won", 1, None)
    assert game.four == four
    with pytest.raises(Refused) as caught:
        game.drop(6, 2)
    assert caught.value.code == "over"


def test_a_full_board_is_a_draw():
    """With nobody's turn and no winner."""
    assert play(DRAW[:-1]).result is None
    game = play(DRAW)
    assert (game.result, game.winner, game.four, game.turn) == ("draw", None, None, None)
    assert "." not in "".join(game.board)


def test_seats_take_turns():
    """Seat 1 begins."""
    for moves, wrong in (("", 2), ("3", 1), ("33", 2)):
        with pytest.raises(Refused, match=f"turn of seat {3 - wrong}") as caught:
            play(moves).drop(0, wrong)
        assert caught.value.code == "not_your_turn"
