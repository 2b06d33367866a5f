"""Real input: what three exchanges sent, replayed over a socket as fast as it goes."""

import asyncio
import contextlib
import itertools
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from websockets.asyncio.server import ServerConnection, serve

import rtwidgets as rt
from rtwidgets.testing import Lab
from tests.waiting import until

CAPTURES = Path(__file__).parents[2] / "shared" / "captures"


def received(name: str) -> Iterator[str]:
    """Yield the messages that a recording received, in order."""
    path = CAPTURES / name
    assert path.exists(), f"the recordings belong beside the repository, at {CAPTURES}"
    with path.open() as lines:
        for line in lines:
            moment, colon, message = line.partition(": ")
            if colon and " " not in moment:
                yield message.rstrip("\n")


@contextlib.contextmanager
def replayed(name: str) -> Iterator[str]:
    """Serve a recording to everybody who connects, once they have sent a message, and give the URL."""
    messages = list(received(name))
    loop = asyncio.new_event_loop()

    async def play(connection: ServerConnection) -> None:
        await connection.recv()
        for message in messages:
            await connection.send(message)
        await connection.wait_closed()

    async def start() -> tuple[str, object]:
        server = await serve(play, "127.0.0.1", 0)
        return f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", server

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    url, server = asyncio.run_coroutine_threadsafe(start(), loop).result()

    async def stop() -> None:
        server.close()
        await server.wait_closed()

    try:
        yield url
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture(autouse=True)
def stopped() -> Iterator[None]:
    yield
    rt.stop()
    assert rt.health() == "healthy"


def test_trades_of_coinbase_are_rows_with_numbers_in_order() -> None:
    """Of 9 946 messages the 97 matches are rows, in the order they came, with numeric price and size."""
    wanted = [message for message in map(json.loads, received("coinbase.txt")) if message["type"] == "match"]
    with replayed("coinbase.txt") as url:
        trades = rt.connect(
            url, subscribe={"type": "subscribe"}, where={"type": "match"}, key="product_id", time="time"
        )
        df = trades.wait(rows=97)
        rt.stop()
    assert len(wanted) == len(df) == 97
    assert df.dtypes[["price", "size", "trade_id", "sequence"]].astype(str).tolist() == [
        "float64",
        "float64",
        "int64",
        "int64",
    ]
    assert str(df["time"].dtype) == "datetime64[ns, UTC]"
    for column in ("price", "size"):
        assert df[column].tolist() == [float(message[column]) for message in wanted]
    for column in ("trade_id", "product_id", "side", "maker_order_id"):
        assert df[column].tolist() == [message[column] for message in wanted]
    assert df["time"].tolist() == [pd.Timestamp(message["time"]) for message in wanted]
    assert trades.rejected.empty
    assert trades.latest.loc["SKL-USD", "price"] == float(
        [message for message in wanted if message["product_id"] == "SKL-USD"][-1]["price"]
    )


def test_order_book_changes_of_coinbase_are_rows_beside_their_product_and_time() -> None:
    """Each change of an l2update is a row, with the product and the time of its message."""
    wanted = [
        (message["product_id"], side, float(price), float(size))
        for message in map(json.loads, received("coinbase.txt"))
        if message["type"] == "l2update"
        for side, price, size in message["changes"]
    ]
    with replayed("coinbase.txt") as url:
        book = rt.connect(
            url,
            subscribe="go",
            where={"type": "l2update"},
            records="changes",
            columns=["side", "price", "size"],
            key="product_id",
            time="time",
        )
        df = book.wait(rows=len(wanted))
    assert list(df[["product_id", "side", "price", "size"]].itertuples(index=False, name=None)) == wanted
    assert book.rejected.empty


def test_trades_of_bitstamp_have_their_fields_one_level_down() -> None:
    """With `records="data"` the rows are the objects inside the messages, and microseconds are a time."""
    wanted = [message for message in map(json.loads, received("bitstamp.txt")) if message["event"] == "trade"]
    with replayed("bitstamp.txt") as url:
        trades = rt.connect(
            url,
            subscribe="go",
            where={"event": "trade"},
            records="data",
            key="channel",
            time="microtimestamp",
        )
        df = trades.wait(rows=len(wanted))
    assert len(wanted) > 0
    assert df["price"].tolist() == [message["data"]["price"] for message in wanted]
    assert df["microtimestamp"].tolist() == [
        pd.Timestamp(int(message["data"]["microtimestamp"]), unit="us", tz="UTC") for message in wanted
    ]


def test_arrays_of_kraken_are_counted_and_do_not_stop_the_stream() -> None:
    """Messages that hold no rows where one looks for them are rejected with a reason; the others come."""
    messages = [json.loads(message) for message in received("kraken.txt")]
    objects = [message for message in messages if isinstance(message, dict)]
    with replayed("kraken.txt") as url:
        events = rt.connect(url, subscribe="go", where={"event": "subscriptionStatus"})
        df = events.wait(rows=sum(message["event"] == "subscriptionStatus" for message in objects))
    assert set(df["status"]) == {"subscribed"}


@pytest.mark.browser
def test_chart_of_trades_by_product_is_drawn_in_the_lab(tmp_path: Path) -> None:
    """In JupyterLab the trades of a real recording are drawn with one line for each product."""
    cells = [
        "import rtwidgets as rt\n"
        "trades = rt.connect(URL, subscribe='go', where={'type': 'match'}, key='product_id', time='time')\n"
        "df = trades.wait(rows=97)",
        "trades.chart('price', by='product_id', window=None, relative=True)",
    ]
    with replayed("coinbase.txt") as url, Lab(tmp_path) as lab:
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell.replace("URL", repr(url))) for cell in cells],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        )
        nbformat.write(notebook, tmp_path / "trades.ipynb")
        page = lab.open("trades.ipynb")
        page.run_all()
        products = {
            message["product_id"]
            for message in map(json.loads, received("coinbase.txt"))
            if message["type"] == "match"
        }
        keys = page.wait_for(".rtw-key").page.locator(".rtw-key")
        until(lambda: keys.count() == len(products))
        until(lambda: page.page.locator(".rtw-chart .bqplot path.line").count() == len(products))
        picture = page.screenshot(Path("build") / "trades.png", cell=1)
    pixels = np.asarray(Image.open(picture).convert("RGB")).reshape(-1, 3)
    colours = {tuple(map(int, colour)) for colour in np.unique(pixels, axis=0)}
    assert {(0, 114, 178), (213, 94, 0), (0, 158, 115)} <= colours


def test_replay_has_the_messages_that_the_recording_names() -> None:
    """The reader of recordings finds the messages that were received, and none that were sent."""
    kinds = [json.loads(message)["type"] for message in received("coinbase.txt")]
    counts = {kind: len(list(group)) for kind, group in itertools.groupby(sorted(kinds))}
    assert counts == {
        "l2update": 9719,
        "last_match": 10,
        "match": 97,
        "snapshot": 10,
        "subscriptions": 3,
        "ticker": 107,
    }
