"""Connect four, as those who play and those who watch see it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json

import pytest

from rtwidgets.messages import Cursor
from rtwidgets.server import Server
from rtwidgets.services.games import Games
from rtwidgets.testing import FaultProxy
from tests.systems.clients import DIALECTS, V1, Plain
from tests.talking import eventually

pytestmark = pytest.mark.usefixtures("tidy")

CHANNEL = "games/final"
SIT, RESIGN, AGAIN = {"type": "sit"}, {"type": "resign"}, {"type": "again"}

numbers = itertools.count(1)

dialects = pytest.mark.parametrize("dialect", DIALECTS)


def drop(column):
    return {"type": "drop", "column": column}


async def log_of(server):
    """Return the channel's rows."""
    channel = await server.hub.channel(CHANNEL)
    return [json.loads(piece) for piece in channel.log.read(0).pieces]


async def do(client, message, kind, key=None):
    """Do something that is taken; return the row that comes of it."""
    key = key or f"request {next(numbers)}"
    await client.say(message, key)
    while (row := await client.row(kind)).get("id") != key:
        pass
    return row


@contextlib.asynccontextmanager
async def seated(server, dialect, *, other=None):
    """Have two players at the table: ada moves first, then bob, who may speak another dialect."""
    async with (
        dialect.join(server, CHANNEL, "ada") as ada,
        (other or dialect).join(server, CHANNEL, "bob") as bob,
    ):
        await do(ada, SIT, "sat")
        await do(bob, SIT, "sat")
        yield ada, bob


async def play(players, columns):
    """Drop discs in turns, each once the one before has landed; return the row of the last one."""
    row = None
    for number, column in enumerate(columns):
        row = await do(players[number % 2], drop(column), "dropped")
    return row


@pytest.mark.parametrize(("one", "two"), [(Plain, Plain), (V1, V1), (Plain, V1)])
async def test_two_play_and_everybody_watches(one, two):
    """Players and spectators of both dialects see the same rows, which are those of the log."""
    async with (
        Server([Games]) as server,
        Plain.join(server, CHANNEL) as eve,
        V1.join(server, CHANNEL, "dan") as dan,
        seated(server, one, other=two) as players,
    ):
        last = await play(players, [0, 1, 0, 1, 0, 1, 0])
        assert (last["result"], last["winner"], last["turn"]) == ("won", 1, None)
        assert last["cells"] == [[2, 0], [3, 0], [4, 0], [5, 0]]
        await do(players[1], AGAIN, "restarted")
        await do(players[1], drop(6), "dropped")
        rows = await log_of(server)
        assert [row["type"] for row in rows] == ["sat"] * 2 + ["dropped"] * 7 + ["restarted", "dropped"]
        for client in (eve, dan, *players):
            await eventually(lambda client=client: len(client.rows) == len(rows))
            assert client.rows == rows


async def test_what_a_plain_client_is_sent_first():
    """The board, the players, whose turn it is, how it ended and the moves; then what comes after that."""
    async with Server([Games]) as server, Plain.join(server, CHANNEL) as early:
        assert early.state.pop("now") > 1e12
        assert early.state == {
            "type": "state", "event": 0, "time": 0.0, "game": 0, "players": [None, None], "turn": None,
            "board": ["......."] * 6, "moves": [], "result": None, "winner": None, "cells": None,
        }  # fmt: skip
        async with seated(server, Plain) as players:
            await play(players, [3, 3, 4])
            async with Plain.join(server, CHANNEL) as late:
                state = late.state
                assert state["board"] == ["......."] * 4 + ["...2...", "...11.."]
                assert (state["players"], state["turn"], state["moves"]) == (["ada", "bob"], 2, [3, 3, 4])
                assert (state["event"], state["game"], state["result"]) == (5, 1, None)
                assert state["now"] >= state["time"] == early.rows[-1]["time"]
                row = await do(players[1], drop(0), "dropped")
                await late.row("dropped")
                assert late.rows == [row]
            await do(players[0], RESIGN, "resigned")
            async with Plain.join(server, CHANNEL) as late:
                state = late.state
                assert (state["result"], state["winner"], state["turn"]) == ("won", 2, None)


async def test_a_state_and_the_rows_after_it_are_all_there_is():
    """Whenever somebody comes: no row is lost in between, and none is there twice."""
    async with (
        Server([Games]) as server,
        seated(server, Plain) as players,
        contextlib.AsyncExitStack() as stack,
    ):

        async def keep_coming():
            return [await stack.enter_async_context(Plain.join(server, CHANNEL)) for _ in range(12)]

        coming = asyncio.create_task(keep_coming())
        columns = [0, 1, 2, 3, 4, 5, 6] * 2
        await play(players, columns)
        for client in await coming:
            await eventually(lambda client=client: client.state["event"] + len(client.rows) == 16)
            moves = [row["column"] for row in client.rows if row["type"] == "dropped"]
            assert client.state["moves"] + moves == columns


@dialects
async def test_what_is_against_the_rules(dialect):
    """It is refused with a code, who asked is told why, and nobody else sees any of it."""

    async def refused(client, message, code):
        await client.say(message)
        refusal = await client.refusal()
        assert refusal["code"] == code
        assert len(refusal["message"]) > 10

    async with (
        Server([Games]) as server,
        dialect.join(server, CHANNEL, "eve") as eve,
        dialect.join(server, CHANNEL) as guest,
        dialect.join(server, CHANNEL, "ada") as ada,
        dialect.join(server, CHANNEL, "bob") as bob,
    ):
        await refused(ada, drop(0), "not_seated")
        await do(ada, SIT, "sat")
        await refused(ada, SIT, "seated")
        await refused(ada, drop(0), "not_begun")
        await do(bob, SIT, "sat")
        await refused(eve, SIT, "no_seat")
        await refused(eve, drop(0), "not_seated")
        await refused(guest, SIT, "no_name")
        await refused(bob, drop(0), "not_your_turn")
        await refused(ada, drop(7), "bad_message")
        await refused(ada, {"type": "stand"}, "begun")
        await refused(ada, AGAIN, "begun")
        await play((ada, bob), [0] * 6)
        await refused(ada, drop(0), "full_column")
        await do(bob, RESIGN, "resigned")
        await refused(ada, drop(1), "over")
        await do(bob, {"type": "stand"}, "stood")
        await refused(ada, AGAIN, "not_begun")
        await eventually(lambda: len(eve.rows) == 10)
        assert len(await log_of(server)) == 10
        assert not any(client.refusals for client in (eve, guest, ada, bob))


async def test_a_plain_client_hears_which_request_was_refused_or_repeated():
    """By its id, if it has one."""
    async with Server([Games]) as server, seated(server, Plain) as (ada, bob):
        await bob.say(drop(0), "early")
        assert (await bob.refusal())["id"] == "early"
        row = await do(ada, drop(0), "dropped", "one")
        assert row["id"] == "one"
        await ada.say(drop(0), "one")
        await eventually(lambda: ada.asides)
        assert ada.asides == [{"type": "repeated", "id": "one", "offset": row["event"]}]


@dialects
async def test_who_is_cut_off_goes_on(dialect):
    """The seat stays the player's; a move whose answer was lost is sent again, and made once."""
    async with (
        Server([Games]) as server,
        FaultProxy("127.0.0.1", server.port) as proxy,
        dialect.join(server, CHANNEL, "bob") as bob,
    ):
        async with dialect.join(server, CHANNEL, "ada", through=proxy) as ada:
            await do(ada, SIT, "sat")
            await do(bob, SIT, "sat")
            await do(ada, drop(3), "dropped", "one")
            await do(bob, drop(3), "dropped")
            await eventually(lambda: len(ada.rows) == 4)
            proxy.cut_after(1)  # byte of the answer
            await ada.say(drop(4), "two")
            await eventually(lambda: proxy.connections == 0)
            assert len(ada.rows) == 4
        await eventually(lambda: len(bob.rows) == 5)  # it has landed, but ada cannot know
        back = {"after": ada.cursor} if dialect is V1 else {}
        async with dialect.join(server, CHANNEL, "ada", through=proxy, **back) as ada:
            if dialect is Plain:
                assert (ada.state["players"], ada.state["moves"]) == (["ada", "bob"], [3, 3, 4])
            else:
                assert (await ada.row("dropped"))["id"] == "two"
            await ada.say(drop(4), "two")
            await do(bob, drop(3), "dropped")
            await ada.row("dropped")
            last = await do(ada, drop(5), "dropped", "three")
            assert (last["move"], last["seat"]) == (5, 1)
        dropped = [row for row in await log_of(server) if row["type"] == "dropped"]
        assert [row["column"] for row in dropped] == [3, 3, 4, 3, 5]
        assert bob.rows == await log_of(server)


@dialects
async def test_a_game_outlasts_the_server(dialect, tmp_path):
    """Where its log is in a file: the board, the seats, the turn, and which moves were made."""
    engine = f"sqlite:///{tmp_path}/games.db"
    async with Server([Games], engine=engine) as server, seated(server, dialect) as players:
        await play(players, [3, 3, 4])
        await do(players[1], drop(4), "dropped", "mine")
        before = await log_of(server)
    async with (
        Server([Games], engine=engine) as server,
        dialect.join(server, CHANNEL, "ada") as ada,
        dialect.join(server, CHANNEL, "bob") as bob,
        Plain.join(server, CHANNEL) as eve,
    ):
        assert await log_of(server) == before
        assert eve.state["moves"] == [3, 3, 4, 4]
        assert (eve.state["players"], eve.state["turn"]) == (["ada", "bob"], 1)
        await bob.say(drop(0))
        assert (await bob.refusal())["code"] == "not_your_turn"
        await do(ada, drop(5), "dropped")
        await bob.say(drop(6), "mine")  # the same as before, so that it makes no other move
        await do(bob, drop(0), "dropped")
        last = await do(ada, drop(6), "dropped")
        assert (last["result"], last["move"]) == ("won", 7)
        await eventually(lambda: eve.rows and eve.rows[-1] == last)
        assert eve.rows == (await log_of(server))[len(before) :]


@dialects
async def test_of_two_moves_at_once_one_is_made(dialect):
    """Of the same player on two connections, six times: it is not the player's turn for the other one."""
    async with (
        Server([Games]) as server,
        seated(server, dialect) as (ada, bob),
        dialect.join(server, CHANNEL, "ada") as twin,
    ):
        for one, other in [(0, 1)] * 3 + [(5, 6)] * 3:
            await asyncio.gather(ada.say(drop(one)), twin.say(drop(other)))
            made = await bob.row("dropped")
            await eventually(lambda: ada.refusals or twin.refusals)
            loser = twin if made["column"] == one else ada
            assert (await loser.refusal())["code"] == "not_your_turn"
            await do(bob, drop(made["column"]), "dropped")  # on top of it, so that there is never a four
        assert not ada.refusals + twin.refusals
        seats = [row["seat"] for row in await log_of(server) if row["type"] == "dropped"]
        assert seats == [1, 2] * 6


@dialects
async def test_of_two_who_sit_down_at_once_one_gets_the_seat(dialect):
    """The other one is told who has it."""
    async with (
        Server([Games]) as server,
        dialect.join(server, CHANNEL, "ada") as ada,
        dialect.join(server, CHANNEL, "bob") as bob,
        dialect.join(server, CHANNEL, "eve") as eve,
    ):
        await do(ada, SIT, "sat")
        await asyncio.gather(bob.say(SIT), eve.say(SIT))
        await eventually(lambda: len(bob.refusals) + len(eve.refusals) == 1)
        refusal = (bob.refusals + eve.refusals)[0]
        assert refusal["code"] == "no_seat"
        second = (await log_of(server))[1]["user"]
        assert second in refusal["message"]
        assert second == ("eve" if bob.refusals else "bob")


async def test_tables_are_apart():
    """Each name is a game of its own."""
    async with (
        Server([Games]) as server,
        Plain.join(server, "games/one", "ada") as one,
        Plain.join(server, "games/two", "ada") as two,
    ):
        assert (await do(one, SIT, "sat"))["seat"] == 1
        assert (await do(two, SIT, "sat"))["seat"] == 1


async def test_a_spectator_of_v1_gets_the_game_from_its_begin():
    """Whoever asks for the history."""
    async with (
        Server([Games]) as server,
        seated(server, Plain) as players,
    ):
        await play(players, [3, 3])
        async with V1.join(server, CHANNEL, after=Cursor("", 0)) as late:
            await eventually(lambda: len(late.rows) == 4)
            assert late.rows == await log_of(server)
