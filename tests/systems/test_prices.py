"""Prices: the board each second to any client, and each tick in `rtwidgets.v1`."""

import json

import pytest

from rtwidgets.messages import Cursor
from rtwidgets.server import Server
from rtwidgets.services import Prices
from tests.talking import dial, dial_v1

pytestmark = pytest.mark.usefixtures("tidy")
BOARD = {"AAPL": 150.0, "GOOGL": 2800.0, "MSFT": 300.0}


async def test_plain_clients_have_the_board():
    """On connecting, and again and again, each price moved by a step."""
    async with Server([Prices], seed=1) as server, dial(server, "/prices") as client:
        boards = [json.loads(await client.recv()) for _ in range(3)]
        assert all(board.keys() == BOARD.keys() for board in boards)
        assert boards[1] != boards[2]
        assert all(0.5 < board[symbol] / BOARD[symbol] < 2 for board in boards for symbol in BOARD)


async def test_v1_clients_have_each_tick():
    """A row has the symbol, which is the key, a price, a size and a time."""
    async with (
        Server([Prices], seed=1, options={"prices": {"rate": 1_000}}) as server,
        dial_v1(server) as client,
    ):
        answer = await client.subscribe("prices", Cursor("", 0))
        assert (answer.key, answer.time) == ("symbol", "time")
        rows = [row for _, row in await client.rows(50)]
        assert {row["symbol"] for row in rows} == BOARD.keys()
        assert all(row.keys() == {"symbol", "price", "size", "time"} for row in rows)
        times = [row["time"] for row in rows]
        assert times == sorted(times)
