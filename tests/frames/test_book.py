"""Order books against a dictionary."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtwidgets.errors import SchemaError
from rtwidgets.frames import Book, LiveFrame

SCHEMA = {"symbol": "category", "side": "category", "price": "float64", "size": "float64"}


def change(side: str | None, price: float | None, size: float | None, symbol: str = "A") -> dict:
    return {"symbol": symbol, "side": side, "price": price, "size": size}


def framed(*rows: dict, **options: object) -> LiveFrame:
    frame = LiveFrame(**({"key": "symbol", "schema": SCHEMA} | options))
    frame.extend(rows)
    return frame


def top(book: Book, levels: int = 10) -> tuple[list, list]:
    bids, asks = book.top(levels)
    return bids.tolist(), asks.tolist()


changes = st.builds(
    change,
    st.sampled_from(["buy", "BID", "b", "sell", "ask", "Offer", "a", "s", "?", None]),
    st.one_of(st.none(), st.integers(1, 6).map(float)),
    st.one_of(st.none(), st.integers(0, 3).map(float)),
    st.sampled_from(["A", "B"]),
)


@given(st.lists(st.lists(changes, max_size=10), max_size=5), st.sampled_from([None, "A"]), st.integers(1, 4))
def test_book_is_what_the_changes_make_it(batches: list[list[dict]], key: str | None, levels: int) -> None:
    """Read after each batch, the book holds the last size of each price of its key, best prices first."""
    frame = framed()
    book = Book(frame, key=key)
    bids: dict[float, float] = {}
    asks: dict[float, float] = {}
    for batch in batches:
        frame.extend(batch)
        for row in batch:
            side = str(row["side"]).lower()
            known = side in {"buy", "bid", "b", "sell", "ask", "offer", "a", "s"}
            if not known or None in (row["price"], row["size"]) or key not in {None, row["symbol"]}:
                continue
            half = bids if side in {"buy", "bid", "b"} else asks
            half[row["price"]] = row["size"]
            if not row["size"]:
                del half[row["price"]]
        expected = sorted(bids.items(), reverse=True)[:levels], sorted(asks.items())[:levels]
        assert top(book, levels) == tuple([list(level) for level in half] for half in expected)
    assert book.missed == 0


def test_book_of_no_rows_is_empty() -> None:
    """A book may be asked for before the first row."""
    book = Book(LiveFrame())
    assert top(book) == ([], [])
    assert [half.shape for half in book.top(5)] == [(0, 2), (0, 2)]


def test_text_that_is_no_category_may_be_the_side() -> None:
    """The side is read from any column of text, and the columns may have other names."""
    frame = LiveFrame()
    frame.extend([{"what": "Buy", "at": 5, "many": 2}, {"what": "sell", "at": 6, "many": 1}])
    assert top(Book(frame, side="what", price="at", size="many")) == ([[5.0, 2.0]], [[6.0, 1.0]])


def test_changes_that_left_unread_are_counted() -> None:
    """A book that was not read in time knows how many changes it has missed."""
    frame = framed(*[change("buy", float(n), 1.0) for n in range(5)], max_rows=2)
    book = Book(frame)
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
    for ask in (Book(frame).check, lambda: Book(frame).top(1)):
        with pytest.raises(SchemaError, match=sentence):
            ask()
