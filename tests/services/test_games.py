"""Tables for connect four: who may do what when, against a sequential oracle."""

from __future__ import annotations

import asyncio
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rtwidgets.frames import LiveFrame
from rtwidgets.services import ledger as ledger_
from rtwidgets.services.games import Games, Table
from rtwidgets.services.ledger import Ledger
from tests.services.asking import At
from tests.services.test_connect4 import DRAW, LINES

pytestmark = pytest.mark.usefixtures("tidy")


class Oracle:
    """The rules as one would tell them: a grid, all lines of it, and two chairs."""

    def __init__(self):
        self.chairs = {1: None, 2: None}
        self.state = "waiting"  # or "playing", "over"
        self.new_game()

    def new_game(self):
        self.grid = {(row, column): "." for row in range(6) for column in range(7)}
        self.turn, self.moves = 1, 0

    def ask(self, user, message):
        """Return the code of a refusal, or the type of the row and some of its fields."""
        kind = message["type"]
        if user.startswith("guest-"):
            return "no_name"
        seat = next((chair for chair, name in self.chairs.items() if name == user), None)
        if kind == "sit":
            return self.sit(user, seat)
        if seat is None:
            return "not_seated"
        playing = self.state == "playing"
        if kind in {"drop", "resign"} and not playing:
            return "not_begun" if None in self.chairs.values() else "over"
        if kind in {"again", "stand"} and playing:
            return "begun"
        return getattr(self, kind)(seat, message.get("column"))

    def sit(self, user, seat):
        if seat is not None:
            return "seated"
        free = [chair for chair, name in self.chairs.items() if name is None]
        if not free:
            return "no_seat"
        self.chairs[free[0]] = user
        if len(free) == 1:
            self.state = "playing"
            self.new_game()
        return {"type": "sat", "seat": free[0], "turn": 1 if len(free) == 1 else None}

    def drop(self, seat, column):
        if self.turn != seat:
            return "not_your_turn"
        free = [row for row in range(6) if self.grid[row, column] == "."]
        if not free:
            return "full_column"
        self.grid[max(free), column] = str(seat)
        self.moves += 1
        self.turn = 3 - seat
        row = {"type": "dropped", "column": column, "row": max(free), "seat": seat, "move": self.moves}
        if any(all(self.grid[cell] == str(seat) for cell in line) for line in LINES):
            self.state = "over"
            return row | {"turn": None, "result": "won", "winner": seat}
        if "." not in self.grid.values():
            self.state = "over"
            return row | {"turn": None, "result": "draw"}
        return row | {"turn": self.turn, "result": None, "cells": None}

    def resign(self, seat, _):
        self.state = "over"
        return {"type": "resigned", "seat": seat, "result": "won", "winner": 3 - seat, "turn": None}

    def again(self, seat, _):
        if None in self.chairs.values():
            return "not_begun"
        self.chairs = {1: self.chairs[2], 2: self.chairs[1]}
        self.state = "playing"
        self.new_game()
        return {"type": "restarted", "first": self.chairs[1], "second": self.chairs[2], "turn": 1}

    def stand(self, seat, _):
        self.chairs[seat] = None
        self.state = "waiting"
        return {"type": "stood", "seat": seat, "turn": None}

    @property
    def board(self):
        return ["".join(self.grid[row, column] for column in range(7)) for row in range(6)]


def table():
    return At(Games, name="a")


async def begin():
    """Return a table at which two sit."""
    at = table()
    for user in ("ada", "bob"):
        await at.ask({"type": "sit"}, user)
    return at


async def play(at, columns, users=("ada", "bob")):
    """Drop discs, in turns; return the row of the last one, or why it was refused."""
    row = None
    for number, column in enumerate(columns):
        row = await at.ask({"type": "drop", "column": int(column)}, users[number % 2])
    return row


USERS = st.sampled_from(["ada", "bob", "eve", "guest-1"])
MESSAGES = st.sampled_from(
    [{"type": kind} for kind in ("sit", "again", "stand", "resign")]
    + [{"type": "drop", "column": column} for column in range(7)]
)
MOVES = st.lists(st.integers(0, 6), min_size=1, max_size=40)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    steps=st.lists(st.tuples(USERS, MESSAGES) | MOVES, min_size=5, max_size=40),
    seated=st.booleans(),
    kept=st.sampled_from([2, 1_000]),
)
def test_random_requests(steps, seated, kept):
    """Of players and spectators, legal and illegal: each is decided as the oracle does, and kept."""
    asyncio.run(both(steps, seated=seated, kept=kept))


async def both(steps, *, seated, kept):
    at, oracle = table(), Oracle()
    with mock.patch.object(ledger_, "KEPT", kept):
        for user in ("ada", "bob") if seated else ():
            await same(at, oracle, user, {"type": "sit"})
        for step in steps:
            if isinstance(step, list):  # columns: by those whose turn it is
                for column in step:
                    user = oracle.chairs[oracle.turn] or "ada"
                    await same(at, oracle, user, {"type": "drop", "column": column})
            else:
                await same(at, oracle, *step)
        state = at.ledger.state
        assert Ledger(at.channel, Table, Games.rows).state.snapshot() == state.snapshot()
        assert at.channel.log.first == 1 or kept == 2


async def same(at, oracle, user, message):
    expected, got = oracle.ask(user, message), await at.ask(message, user)
    if isinstance(expected, str):
        assert got == expected
        return
    assert {name: got.get(name) for name in expected} == expected
    for row, column in got.get("cells", ()):
        assert oracle.grid[row, column] == str(got["winner"])
    assert ("cells" in got) == (got["type"] == "dropped" and got.get("result") == "won")
    if "cells" in got:
        assert sorted(map(tuple, got["cells"])) in [sorted(line) for line in LINES]
    at.check_snapshot()
    state = at.state
    assert state["board"] == oracle.board
    assert state["players"] == [oracle.chairs[1], oracle.chairs[2]]
    assert state["turn"] == (oracle.turn if oracle.state == "playing" else None)
    assert len(state["moves"]) == oracle.moves
    if oracle.state == "over":
        assert (state["result"], state["winner"]) == (got["result"], got.get("winner"))


async def test_a_draw():
    """The board is full, and nobody has won."""
    at = await begin()
    row = await play(at, DRAW)
    assert (row["result"], row["turn"], row["move"]) == ("draw", None, 42)
    assert "winner" not in row
    assert "cells" not in row
    assert (at.state["result"], at.state["winner"], at.state["cells"]) == ("draw", None, None)
    assert await play(at, "0") == "over"


async def test_seats_are_swapped():
    """In each further game the other one begins."""
    at = await begin()
    await play(at, "0101010")
    row = await at.ask({"type": "again"}, "ada")
    assert (row["type"], row["game"], row["seat"], row["first"]) == ("restarted", 2, 2, "bob")
    assert await play(at, "0") == "not_your_turn"
    row = await play(at, "0101010", users=("bob", "ada"))
    assert (row["result"], row["winner"], row["seat"], row["user"]) == ("won", 1, 1, "bob")
    assert (await at.ask({"type": "again"}, "bob"))["first"] == "ada"


async def test_who_has_resigned_can_leave_the_seat():
    """And somebody else take it, which begins a new game with the seats as they are."""
    at = await begin()
    await play(at, "01")
    assert await at.ask({"type": "stand"}, "ada") == "begun"
    assert (await at.ask({"type": "resign"}, "ada"))["winner"] == 2
    assert (await at.ask({"type": "stand"}, "ada"))["seat"] == 1
    assert await at.ask({"type": "again"}, "bob") == "not_begun"
    row = await at.ask({"type": "sit"}, "eve")
    assert (row["seat"], row["turn"], row["game"]) == (1, 1, 2)
    assert at.state["moves"] == []


async def test_a_move_that_is_sent_again_is_made_once():
    """Also when it is one's turn again meanwhile."""
    at = await begin()
    move = {"type": "drop", "column": 0, "id": "first"}
    row = await at.ask(move, "ada")
    assert await at.ask(move, "ada") == row
    await at.ask({"type": "drop", "column": 1}, "bob")
    assert await at.ask(move, "ada") == row
    assert at.state["moves"] == [0, 1]
    assert (await at.ask({"type": "drop", "column": 2}, "ada", key="k"))["id"] == "k"
    await at.ask({"type": "drop", "column": 3}, "bob")
    assert (await at.ask({"type": "drop", "column": 2}, "ada", key="k"))["move"] == 3


@pytest.mark.parametrize(
    "message",
    [{"type": "drop"}, {"type": "drop", "column": 7}, {"type": "drop", "column": -1},
     {"type": "drop", "column": "0"}, {"type": "drop", "column": True}, {"type": "dropped"}, "sit"],
)  # fmt: skip
async def test_what_is_no_move(message):
    """It is refused, whoever sends it."""
    assert await table().ask("ada", message) == "bad_message"


async def test_rows_make_a_frame(monkeypatch):
    """Every row fits, a snapshot too, and the columns have the types that one would want."""
    monkeypatch.setattr(ledger_, "KEPT", 10)
    at = await begin()
    for first, second in [("ada", "bob"), ("bob", "ada")]:
        await play(at, "0101010", users=(first, second))
        await at.ask({"type": "again"}, "ada")
        await at.ask({"type": "resign"}, "bob")
        await at.ask({"type": "again"}, "ada")
        await at.ask({"type": "resign"}, "bob")
        await at.ask({"type": "again"}, "bob")
    frame = LiveFrame(time="time")
    frame.extend_json(b"[%s]" % b",".join(at.channel.log.read(0).pieces))
    df = frame.df
    assert frame.rejected_count == 0
    assert at.channel.log.first > 1
    assert df["type"].iloc[0] == "state"
    assert len(df) == at.channel.log.last - at.channel.log.first + 1
    dropped = df[df["type"] == "dropped"]
    assert dropped[["column", "row", "seat", "move", "game"]].notna().all(axis=None)
    assert str(df["time"].dtype) == "datetime64[ns, UTC]"
