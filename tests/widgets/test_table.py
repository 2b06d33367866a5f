"""The table as a set of widgets; what it looks like is seen in `test_table_in_lab.py`."""

import json
import time
from collections.abc import Iterator

import comm
import pytest
from ipywidgets.widgets.widget import _instances

from rtwidgets.errors import SchemaError, UsageError
from rtwidgets.frames import LiveFrame
from rtwidgets.loop import take_errors
from rtwidgets.widgets import Table
from rtwidgets.widgets.sheet import HEIGHT
from tests.waiting import until


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    before = set(_instances)
    yield
    assert set(_instances) == before
    assert take_errors() == []


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of all messages that leave for the browser."""
    sizes: list[int] = []

    def publish_msg(self, msg_type, data=None, metadata=None, buffers=None, **keys):
        body = json.dumps(data, default=str)
        sizes.append(len(body.encode()) + sum(map(len, buffers or [])))

    monkeypatch.setattr(comm.DummyComm, "publish_msg", publish_msg)
    return sizes


class Browser:
    """What a page would show, made of what it is sent."""

    def __init__(self, table: Table) -> None:
        self.cells: dict[tuple[int, str], str] = {}
        self.updates: list[int] = []
        self._sheet = table._sheet
        self._sheet.feeder.send = self._take
        self.ask(0, HEIGHT - 1)

    def _take(self, content, buffers=None) -> None:
        self.updates.append(len(json.dumps(content).encode()))
        for block in content.get("blocks", ()):
            for ident, column in zip(content["columns"], block["cells"], strict=True):
                for row, text in enumerate(column, block["row"]):
                    self.cells[row, ident] = text

    def say(self, **content) -> None:
        self._sheet.grid._handle_custom_msg(content, [])

    def ask(self, top: int, bottom: int) -> None:
        self.say(type="data-request", r1=top, r2=bottom, c1=0, c2=99)

    def column(self, name: str) -> list[str]:
        ident = next((each.ident for each in self._sheet.columns.values() if each.name == name), None)
        rows = range(self._sheet.grid._row_count)
        return [self.cells[row, ident] for row in rows if (row, ident) in self.cells]


def rows(*prices: tuple[str, float]) -> list[dict[str, object]]:
    return [{"symbol": symbol, "price": price, "time": time.time()} for symbol, price in prices]


@pytest.fixture
def frame() -> LiveFrame:
    frame = LiveFrame(key="symbol", time="time")
    frame.extend(rows(("b", 1.5), ("a", 2.25)))
    return frame


@pytest.fixture
def open_table() -> Iterator[object]:
    tables = []

    def make(*arguments, **options):
        tables.append(Table(*arguments, **options))
        return tables[-1], Browser(tables[-1])

    yield make
    for table in tables:
        table.close()


def test_latest_values_are_updated_in_place_in_the_order_of_the_keys(frame, open_table) -> None:
    """Each key has one row where it was at first, whichever key comes."""
    _, browser = open_table(frame)
    until(lambda: browser.column("symbol") == ["b", "a"])
    frame.extend(rows(("a", 2.5), ("c", 9.0), ("b", 1.5)))
    until(lambda: browser.column("price") == ["1.50", "▲ 2.50", "9.00"])
    assert browser.column("symbol") == ["b", "a", "c"]


def test_number_is_marked_against_the_value_before_of_its_key(frame, open_table) -> None:
    """Up and down are told by a mark, also between two updates, and an equal value has none."""
    _, browser = open_table(frame)
    frame.extend(rows(("a", 9.0), ("b", 1.0), ("a", 8.0)))
    until(lambda: browser.column("price") == ["▼ 1.00", "▼ 8.00"])
    frame.extend(rows(("a", 8.0)))
    until(lambda: browser.column("price") == ["▼ 1.00", "8.00"])


def test_a_key_may_be_a_number(open_table) -> None:
    """It has a row like any other key, and its values move."""
    frame = LiveFrame(key="lot")
    frame.extend([{"lot": 7, "price": 1.0}, {"lot": 8, "price": 2.0}])
    _, browser = open_table(frame)
    until(lambda: browser.column("price") == ["1", "2"])
    frame.extend([{"lot": 7, "price": 3.0}])
    until(lambda: browser.column("price") == ["▲ 3", "2"])


def test_newest_rows_come_first_and_are_bounded(frame, open_table) -> None:
    """Without the key's view the newest row is on top, marked by its own key, and there are `max_rows`."""
    _, browser = open_table(frame, latest=False, max_rows=3)
    frame.extend(rows(("b", 1.0), ("a", 3.0)))
    until(lambda: browser.column("price") == ["▲ 3.00", "▼ 1.00", "2.25"])
    assert browser.column("symbol") == ["a", "b", "a"]


@pytest.mark.parametrize("latest", [True, False])
def test_what_is_sent_does_not_grow_with_the_frame(latest, sent) -> None:
    """An update of 200 keys and 50 000 rows sends no more than one of the rows in sight."""

    def update(count: int) -> int:
        frame = LiveFrame(key="symbol", time="time")
        frame.extend(rows(*((f"K{n % 200:03}", 100 + n % 90 / 10) for n in range(count))))
        table = Table(frame, latest=latest)
        try:
            table._sheet.set_columns(list(table._sheet.columns.values()))
            until(lambda: not table._sheet.unsettled)
            sent.clear()
            frame.extend(rows(*((f"K{n:03}", 100 + n / 100) for n in range(200))))
            table.stop()
            return sum(sent)
        finally:
            table.close()

    small, large = update(200), update(50_000)
    assert large < 1.25 * small
    assert large < HEIGHT * 120 + 2_000


def test_only_changed_rows_are_sent_and_nothing_without_news(frame, open_table, sent) -> None:
    """A row that came for one key sends that key's row; no row sends nothing."""
    table, browser = open_table(frame)
    until(lambda: browser.column("symbol") == ["b", "a"] and not table._sheet.unsettled)
    with table._writing:
        browser.cells.clear()
    frame.extend(rows(("a", 7.0)))
    until(lambda: browser.cells)
    assert {row for row, _ in browser.cells} == {1}
    sent.clear()
    updates = len(browser.updates)
    table._tick()
    assert (sent, len(browser.updates)) == ([], updates)


def test_rows_out_of_sight_are_sent_when_they_are_scrolled_to(open_table) -> None:
    """The browser has only the rows that it asked for."""
    frame = LiveFrame(key="symbol", time="time")
    frame.extend(rows(*((f"K{n}", n) for n in range(200))))
    _, browser = open_table(frame)
    until(lambda: browser.column("symbol"))
    assert {row for row, _ in browser.cells} == set(range(HEIGHT))
    browser.ask(150, 160)
    until(lambda: (150, "c0") in browser.cells)
    assert browser.cells[150, "c0"] == "K150"


def test_table_that_nobody_sees_is_sent_nothing(frame, open_table) -> None:
    """When all its views are out of sight no rows go out; what was missed comes with the next look."""
    table, browser = open_table(frame)
    until(lambda: browser.column("symbol") == ["b", "a"] and not table._sheet.unsettled)
    table._sheet.feeder._handle_custom_msg({"view": 1, "seen": False}, [])
    until(lambda: table._sheet._views == {1: False})
    frame.extend(rows(("a", 7.0)))
    until(lambda: table._drawn == frame.total)
    with table._writing:
        assert browser.column("price")[1] == "2.25"
    table._sheet.feeder._handle_custom_msg({"view": 1, "seen": True}, [])
    until(lambda: browser.column("price")[1] == "▲ 7.00")


def test_sorting_holds_while_rows_come(frame, open_table) -> None:
    """By the API and by what a click sends, the order follows the live values, missing ones last."""
    table, browser = open_table(frame)
    until(lambda: browser.column("symbol"))
    table.sort("price", descending=True)
    until(lambda: browser.column("symbol") == ["a", "b"])
    frame.extend([*rows(("b", 5.0)), {"symbol": "c", "price": None, "time": time.time()}])
    until(lambda: browser.column("symbol") == ["b", "a", "c"])
    table._sheet.grid.set_state({"_transforms": [{"type": "sort", "column": "c0", "columnIndex": 0}]})
    until(lambda: browser.column("symbol") == ["a", "b", "c"])
    table.sort(None)
    until(lambda: browser.column("symbol") == ["b", "a", "c"])
    with pytest.raises(SchemaError, match="no column 'prize' to sort by; columns shown: symbol, price, time"):
        table.sort("prize")


@pytest.mark.parametrize(
    ("test", "left"),
    [
        (("c1", ">", "2"), ["a"]),
        (("c1", "between", [1, 2]), ["b"]),
        (("c1", "in", ["2.25"]), ["a"]),
        (("c1", ">", "two"), []),
        (("c1", "notempty", None), ["b", "a"]),
        (("c0", "contains", "b"), ["b"]),
        (("c0", "!=", "b"), ["a"]),
        (("c2", "isOnSameDay", "2020-01-01"), []),
        (("c9", ">", 1), ["b", "a"]),
    ],
)
def test_filter_leaves_the_rows_that_fulfil_it(frame, open_table, test, left) -> None:
    """Each condition of the dialog works on typed values; one that makes no sense leaves no row."""
    table, _ = open_table(frame)
    column, condition, operand = test
    filters = [{"type": "filter", "column": column, "operator": condition, "value": operand}]
    table._sheet.grid.set_state({"_transforms": filters})
    until(lambda: table._sheet.grid._row_count == len(left))
    names = table._picture.rows["symbol"].iloc[table._order]
    assert list(names) == left


def test_awkward_values_are_written_as_they_are(open_table) -> None:
    """NaN, null, integers beyond 2**53, keys that are numbers, and text that looks like HTML."""
    frame = LiveFrame(key="id", schema={"id": "category", "x": "float64", "n": "int64", "note": "str"})
    frame.extend(
        [
            {"id": 7, "x": float("nan"), "n": 2**53 + 1, "note": "<b>"},
            {"id": 8, "x": 1e-9, "n": -1, "note": None},
            {"id": 9, "x": 0.1 + 0.2, "n": 0, "note": "a\nb"},
        ]
    )
    _, browser = open_table(frame)
    until(lambda: len(browser.column("note")) == 3)
    assert browser.column("id") == ["7", "8", "9"]
    assert browser.column("n") == ["9,007,199,254,740,993", "-1", "0"]
    assert browser.column("note") == ["<b>", "–", "a b"]
    assert browser.column("x")[0] == "–"
    assert float(browser.column("x")[1]) == 1e-9
    assert float(browser.column("x")[2]) == pytest.approx(0.3)


def test_times_are_in_utc_with_milliseconds(open_table) -> None:
    """The day is there when it is not today."""
    frame = LiveFrame(time="time")
    frame.extend([{"time": "2024-02-29T23:59:58.1239Z", "x": 1}])
    _, browser = open_table(frame)
    until(lambda: browser.column("time") == ["2024-02-29 23:59:58.123Z"])


def test_table_without_rows_waits_for_them(open_table) -> None:
    """A table may be asked for before the first row, and a column that then is not there is named in it."""
    frame = LiveFrame(key="symbol")
    table, browser = open_table(frame)
    wrong, _ = open_table(frame, ["prize"])
    assert "waiting for rows" in table._head.value
    frame.extend([{"symbol": "a", "price": 1.0}])
    until(lambda: browser.column("price") == ["1"])
    until(lambda: "no column &#x27;prize&#x27;" in wrong._head.value)
    (_, error), *_ = take_errors()
    assert "columns: symbol, price" in str(error)


def test_new_column_is_shown_when_it_comes(frame, open_table) -> None:
    """A frame may get columns as it goes on."""
    _, browser = open_table(frame)
    until(lambda: browser.column("symbol"))
    frame.extend([{"symbol": "a", "price": 1.0, "time": time.time(), "side": "buy"}])
    until(lambda: browser.column("side") == ["–", "buy"])


def test_what_cannot_be_shown_is_refused_with_the_choice(frame) -> None:
    """A wrong argument is an error that names what would do, and leaves no widget behind."""
    with pytest.raises(SchemaError, match="no column 'prize' to show; columns: symbol, price, time"):
        Table(frame, ["prize"])
    with pytest.raises(UsageError, match="give a list of names"):
        Table(frame, "price")
    with pytest.raises(UsageError, match="at least 1 row"):
        Table(frame, max_rows=0)
    with pytest.raises(SchemaError, match="no key to show the latest rows of"):
        Table(LiveFrame(), latest=True)


def test_stopped_table_keeps_its_rows_and_can_still_be_sorted(frame, open_table) -> None:
    """After `stop` newer rows are not shown, and the browser's questions are still answered."""
    table, browser = open_table(frame)
    frame.extend(rows(("a", 3.0)))
    table.stop()
    table.stop()
    frame.extend(rows(("a", 4.0)))
    assert browser.column("price") == ["1.50", "▲ 3.00"]
    assert "stopped" in table._head.value
    table.sort("symbol")
    assert browser.column("symbol") == ["a", "b"]
    browser.cells.clear()
    browser.ask(0, 1)
    assert browser.column("price") == ["▲ 3.00", "1.50"]


def test_text_of_a_table_is_short_and_stable(frame, open_table) -> None:
    """The repr names the stream."""
    table, _ = open_table(frame, title="prices")
    assert repr(table) == "Table(of prices)"
    assert table._repr_mimebundle_()["text/plain"] == "Table(of prices)"


def test_closing_leaves_no_widget(frame) -> None:
    """Every widget that a table has made is closed with it, and closing twice is harmless."""
    before = set(_instances)
    table = Table(frame)
    assert set(_instances) != before
    table.close()
    table.close()
    assert set(_instances) == before
    assert table.closed
