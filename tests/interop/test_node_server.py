"""A price server written with Node's `ws` package, as it is, and our client."""

from __future__ import annotations

import time

import numpy as np
import pytest

import rtwidgets as rt

FIRST = {"AAPL": 150.1, "GOOGL": 2800.25, "MSFT": 300.0}


@pytest.fixture
def node_prices(peers, start):
    """Start the price server in Node; return its process and its port."""

    def node_prices(port: int = 0):
        process = start("node", peers / "prices.mjs", str(port))
        return process, int(process.stdout.readline())

    return node_prices


@pytest.fixture(autouse=True)
def stopped():
    """Nothing is left running, and nothing went wrong out of sight."""
    yield
    rt.stop()
    assert rt.health() == "healthy"


def ticks(frame, symbol: str) -> np.ndarray:
    """The numbers of the ticks of one symbol, from its prices."""
    prices = frame.loc[frame["symbol"] == symbol, "value"].to_numpy()
    return np.round(prices - FIRST[symbol]).astype(int)


def test_one_row_a_symbol_a_tick(node_prices):
    """``records="items()"`` makes one row a symbol a tick, in order, none missing and none twice."""
    _, port = node_prices()
    prices = rt.connect(f"ws://127.0.0.1:{port}", records="items()", key="symbol")
    frame = prices.wait(rows=30)
    assert {"symbol": "category", "value": "float64"}.items() <= frame.dtypes.astype(str).to_dict().items()
    assert str(frame["time"].dtype) == "datetime64[ns, UTC]"
    whole = frame.iloc[: len(frame) // 3 * 3]
    assert whole["symbol"].tolist() == list(FIRST) * (len(whole) // 3)
    for symbol, first in FIRST.items():
        numbers = ticks(whole, symbol)
        assert (np.diff(numbers) == 1).all()
        np.testing.assert_allclose(whole.loc[whole["symbol"] == symbol, "value"], first + numbers)
    assert prices.latest.index.tolist() == list(FIRST)
    assert prices.rejected.empty
    assert prices.gaps.empty


def test_restart_of_the_server(node_prices):
    """After a restart on the same port the rows come on, and the break is on record."""
    process, port = node_prices()
    prices = rt.connect(f"ws://127.0.0.1:{port}", records="items()", key="symbol")
    prices.wait(rows=9)
    process.kill()
    process.wait()
    while prices.state.value == "open":  # what was on its way still comes
        time.sleep(0.01)
    before = prices.frame.total
    node_prices(port)
    frame = prices.wait(rows=before + 30, timeout=60)
    after = frame.loc[before:]
    for symbol in FIRST:
        assert (np.diff(ticks(after, symbol)) == 1).all()
    assert len(prices.gaps) == 1
    assert "the connection broke" in prices.gaps["reason"].iloc[0]
    assert prices.state.value == "open"
