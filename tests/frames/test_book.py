"""Order books against dictionaries."""

import math
import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtwidgets.errors import SchemaError, UsageError
from rtwidgets.frames import Book, LiveFrame
from rtwidgets.frames.book import BookOfRows, crc32_kraken

SCHEMA = {"symbol": "category", "side": "category", "price": "float64", "size": "float64"}


class Model:
    """A book as one would write it down: a dictionary for each side."""

    def __init__(self) -> None:
        self.bids: dict[float, tuple] = {}
        self.asks: dict[float, tuple] = {}

    def apply(self, bids: list[tuple], asks: list[tuple], reset: bool, depth: int | None) -> None:
        for name, half, changes in (("bids", self.bids, bids), ("asks", self.asks, asks)):
            if reset:
                half.clear()
            for level in changes:
                half[float(level[0])] = level
                if not float(level[1]):
                    del half[float(level[0])]
            for price in self.sorted(name)[depth:] if depth is not None else []:
                del half[price]

    def sorted(self, name: str) -> list[float]:
        return sorted(getattr(self, name), reverse=name == "bids")

    def top(self, levels: int) -> tuple[list, list]:
        bids, asks = (
            [[price, float(getattr(self, name)[price][1])] for price in self.sorted(name)[:levels]]
            for name in ("bids", "asks")
        )
        return bids, asks

    def digits(self) -> str:
        levels = [getattr(self, name)[price] for name in ("asks", "bids") for price in self.sorted(name)[:10]]
        return "".join(str(part).replace(".", "").lstrip("0") for level in levels for part in level[:2])


levels = st.tuples(
    st.sampled_from(["0.5", "0.50", "1", "1.0", "2.25", "3", 3, 3.5, "4", "5", "6", "7", "8", "9", "10"]),
    st.sampled_from(["0", "0.000", 0, "0.1", "0.10", "1", 2.5, "12.00"]),
    st.just("more"),
)
updates = st.tuples(
    st.lists(levels, max_size=12),
    st.lists(levels, max_size=12),
    st.booleans(),
    st.sampled_from([None, None, None, 0, 2, 10]),
    st.integers(1, 12),
)


@given(st.lists(updates, max_size=8))
def test_book_is_what_the_changes_make_it(changes: list[tuple]) -> None:
    """After each update the book, and all that is worked out of it, are those of two dictionaries."""
    book, model = Book(), Model()
    for bids, asks, reset, depth, n in changes:
        book.apply(bids, asks, reset=reset)
        if depth is not None:
            book.trim(depth)
        model.apply(bids, asks, reset, depth)
        assert tuple(half.tolist() for half in book.top(100)) == model.top(100)
        assert tuple(half.tolist() for half in book.top(n)) == model.top(n)
        assert book.digits() == model.digits()
        halves = model.top(n)
        bid, ask = (half[0] if half else [math.nan, math.nan] for half in halves)
        assert book.best == pytest.approx((*bid, *ask), nan_ok=True)
        assert book.mid == pytest.approx((bid[0] + ask[0]) / 2, nan_ok=True)
        assert book.spread == pytest.approx(ask[0] - bid[0], nan_ok=True)
        wanted, offered = (sum(size for _, size in half) for half in halves)
        imbalance = (wanted - offered) / (wanted + offered) if wanted + offered else math.nan
        assert book.imbalance(n) == pytest.approx(imbalance, nan_ok=True)
        assert book.quote(n) == pytest.approx(
            {
                "bid": bid[0],
                "bid_size": bid[1],
                "ask": ask[0],
                "ask_size": ask[1],
                "mid": book.mid,
                "spread": book.spread,
                "imbalance": imbalance,
            },
            nan_ok=True,
        )


def test_digits_follow_the_last_of_the_best_levels() -> None:
    """A change of the tenth price counts, the eleventh does not, and a cut does when it goes so far."""
    book = Book()
    book.apply([(price, 1) for price in range(20, 31)], [(price, 1) for price in range(40, 51)])
    digits = [f"{price}1" for price in [*range(40, 50), *range(30, 20, -1)]]
    assert book.digits() == "".join(digits)
    book.apply([(21, 7)], [(50, 9)])
    digits[-1] = "217"
    assert book.digits() == "".join(digits)
    book.trim(9)
    assert book.digits() == "".join(digits[:9] + digits[10:19])


def test_best_prices_are_arrays_of_floats() -> None:
    """Of shape (n, 2), best first, whatever the levels came as and however few there are."""
    book = Book()
    assert [(half.shape, half.dtype) for half in book.top(5)] == [((0, 2), np.float64)] * 2
    book.apply([["9", "1"], [8, 2]], np.array([[10.0, 3.0], [11.0, 4.0], [12.0, 5.0]]))
    bids, asks = book.top(2)
    assert bids.tolist() == [[9.0, 1.0], [8.0, 2.0]]
    assert asks.tolist() == [[10.0, 3.0], [11.0, 4.0]]
    assert (book.best.bid, book.mid, book.spread) == (9.0, 9.5, 1.0)
    assert book.imbalance(1) == -0.5
    assert [half.shape for half in book.top(0)] == [(0, 2)] * 2


@pytest.mark.parametrize(
    "level",
    [
        ("x", "1"),
        ("1", "x"),
        ("nan", "1"),
        ("inf", "1"),
        ("1", "nan"),
        ("1", "inf"),
        ("1", "-1"),
        ("1",),
        (None, "1"),
        5,
        (10**400, "1"),
    ],
)
@pytest.mark.parametrize("before", [[], [("2", "1")]])
def test_what_is_no_level_is_refused(level: object, before: list) -> None:
    """With a sentence that says what a level is; the book stays in order."""
    book = Book()
    book.apply(before, before)
    for halves in (([("3", "1"), level], []), ([], [level])):
        with pytest.raises(UsageError, match=r"a level is \[price, size, ...\], the price finite"):
            book.apply(*halves)  # type: ignore[arg-type]
    bids, asks = book.top(10)
    assert set(bids[:, 0]) in ({2.0, 3.0}, {3.0}, {2.0}, set())
    assert asks.tolist() == [[float(price), float(size)] for price, size in before]


def test_checksum_is_that_of_the_example_of_version_1() -> None:
    """Kraken's documentation works it out for ten levels of each side."""
    asks = [(f"0.05{cents:03}", "0.00000500") for cents in range(5, 55, 5)]
    prices = ["0.05000", "0.04995", "0.04990", "0.04980", "0.04975", "0.04970", "0.04965", "0.04960"]
    bids = [(price, "0.00000500") for price in [*prices, "0.04955", "0.04950"]]
    book = Book()
    book.apply([*bids, ("0.00001", "1")], [*asks, ("0.9", "1")])
    assert crc32_kraken(book) == 974947235


def test_checksum_is_that_of_the_example_of_version_2() -> None:
    """Likewise, for prices of five digits."""
    bids = """45283.5 0.10000000 45283.4 1.54582015 45282.1 0.10000000 45281.0 0.10000000 45280.3 1.54592586
        45279.0 0.07990000 45277.6 0.03310103 45277.5 0.30000000 45277.3 1.54602737 45276.6 0.15445238"""
    asks = """45285.2 0.00100000 45286.4 1.54571953 45286.6 1.54571109 45289.6 1.54560911 45290.2 0.15890660
        45291.8 1.54553491 45294.7 0.04454749 45296.1 0.35380000 45297.5 0.09945542 45299.5 0.18772827"""
    book = Book()
    book.apply(*(list(zip(*[iter(half.split())] * 2, strict=True)) for half in (bids, asks)))
    assert crc32_kraken(book) == 3310070434


def test_book_is_read_whole_while_another_thread_changes_it() -> None:
    """Bids and asks that are read together were there together."""
    book, torn, done = Book(), [], threading.Event()
    every = sys.getswitchinterval()

    def look() -> None:
        while not done.is_set():
            bids, asks = book.top(50)
            if len({*bids[:, 1], *asks[:, 1]}) > 1 or len(bids) != len(asks):
                torn.append((bids, asks))

    sys.setswitchinterval(1e-6)
    reader = threading.Thread(target=look)
    reader.start()
    try:
        for size in range(1, 1_500):
            half = [(price, size) for price in range(20)]
            book.apply(half, half, reset=True)
    finally:
        done.set()
        reader.join()
        sys.setswitchinterval(every)
    assert not torn


def change(side: str | None, price: float | None, size: float | None, symbol: str = "A") -> dict:
    return {"symbol": symbol, "side": side, "price": price, "size": size}


def framed(*rows: dict, **options: object) -> LiveFrame:
    frame = LiveFrame(**({"key": "symbol", "schema": SCHEMA} | options))
    frame.extend(rows)
    return frame


def top(book: BookOfRows, levels: int = 10) -> tuple[list, list]:
    bids, asks = book.top(levels)
    return bids.tolist(), asks.tolist()


changes = st.builds(
    change,
    st.sampled_from(["buy", "BID", "b", "sell", "ask", "Offer", "a", "s", "?", None]),
    st.one_of(st.none(), st.integers(1, 6).map(float)),
    st.one_of(st.none(), st.integers(-1, 3).map(float), st.just(math.inf)),
    st.sampled_from(["A", "B"]),
)


@given(st.lists(st.lists(changes, max_size=10), max_size=5), st.sampled_from([None, "A"]), st.integers(1, 4))
def test_book_of_rows_is_what_they_make_it(batches: list[list[dict]], key: str | None, levels: int) -> None:
    """Read after each batch, the book holds the last size of each price of its key, best prices first."""
    frame = framed()
    book = BookOfRows(frame, key=key)
    bids: dict[float, float] = {}
    asks: dict[float, float] = {}
    for batch in batches:
        frame.extend(batch)
        for row in batch:
            side = str(row["side"]).lower()
            known = side in {"buy", "bid", "b", "sell", "ask", "offer", "a", "s"}
            if (
                not known
                or {None, math.inf} & {row["price"], row["size"]}
                or key not in {None, row["symbol"]}
            ):
                continue
            half = bids if side in {"buy", "bid", "b"} else asks
            half[row["price"]] = row["size"]
            if row["size"] <= 0:
                del half[row["price"]]
        expected = sorted(bids.items(), reverse=True)[:levels], sorted(asks.items())[:levels]
        assert top(book, levels) == tuple([list(level) for level in half] for half in expected)
    assert book.missed == 0


def test_book_of_no_rows_is_empty() -> None:
    """A book may be asked for before the first row."""
    book = BookOfRows(LiveFrame())
    assert top(book) == ([], [])
    assert [half.shape for half in book.top(5)] == [(0, 2), (0, 2)]


def test_text_that_is_no_category_may_be_the_side() -> None:
    """The side is read from any column of text, and the columns may have other names."""
    frame = LiveFrame()
    frame.extend([{"what": "Buy", "at": 5, "many": 2}, {"what": "sell", "at": 6, "many": 1}])
    assert top(BookOfRows(frame, side="what", price="at", size="many")) == ([[5.0, 2.0]], [[6.0, 1.0]])


def test_changes_that_left_unread_are_counted() -> None:
    """A book that was not read in time knows how many changes it has missed."""
    frame = framed(*[change("buy", float(n), 1.0) for n in range(5)], max_rows=2)
    book = BookOfRows(frame)
    assert top(book) == ([[4.0, 1.0], [3.0, 1.0]], [])
    assert book.missed == 3


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"side": "buy", "price": 1.0}, "there is no 'size' among: side, price"),
        (
            {"side": "buy", "price": "x", "size": 1.0},
            "column 'price' is str, and an order book needs numbers",
        ),
    ],
)
def test_columns_that_make_no_book_are_refused(row: dict, sentence: str) -> None:
    """A column that is missing, or holds no numbers, is an error that names it."""
    frame = LiveFrame()
    frame.extend([row])
    for ask in (BookOfRows(frame).check, lambda: BookOfRows(frame).top(1)):
        with pytest.raises(SchemaError, match=sentence):
            ask()
