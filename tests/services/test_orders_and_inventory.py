"""What the stock decides, and what orders make of that: without a network."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtwidgets.errors import Refused
from rtwidgets.messages import Cursor
from rtwidgets.services import inventory, orders
from rtwidgets.services.inventory import Stock
from rtwidgets.services.orders import OrderBook
from rtwidgets.services.trade import Accepted, Placed, Sold, Stocked, TurnedDown


def order(number, item="lamp", quantity=1):
    return orders._Order(number, item, quantity)


def restock(item, quantity, number=None):
    return inventory._Restock(item, quantity, number)


class World:
    """Orders and a stock with their logs, each reading the other's from where it stands."""

    def __init__(self):
        self.book, self.stock = OrderBook(), Stock()
        self.orders, self.decisions = [], []  # the logs

    def write(self, log, state, rows):
        for row in rows:
            log.append(row)
            state.apply(row)

    def place(self, *arguments, user="ada"):
        self.write(self.orders, self.book, self.book.place(order(*arguments), user))

    def restock(self, *arguments):
        self.write(self.decisions, self.stock, self.stock.restock(restock(*arguments), "ada"))

    def decide(self):
        after = 0 if self.stock.cursor is None else self.stock.cursor.offset
        rows = self.orders[after:]
        self.write(self.decisions, self.stock, self.stock.answer(rows, Cursor("o", len(self.orders))))

    def settle(self):
        after = 0 if self.book.cursor is None else self.book.cursor.offset
        rows = self.decisions[after:]
        self.write(self.orders, self.book, self.book.answer(rows, Cursor("i", len(self.decisions))))

    def restart(self):
        """Both begin again with what their snapshots say, as JSON has it."""
        self.book, self.stock = (
            renewed(kind, each.snapshot()) for kind, each in ((OrderBook, self.book), (Stock, self.stock))
        )

    def compact_orders(self):
        """The orders' log is one message that stands for all, at the place of the last one."""
        if self.orders:
            self.orders = [Stocked("-", 1, 1, "-", 0.0)] * (len(self.orders) - 1) + [self.book.snapshot()]

    def compact_decisions(self):
        if self.decisions:
            self.decisions = [Accepted("-", "-", 1, "-", 0.0, "i", 0)] * (len(self.decisions) - 1)
            self.decisions.append(self.stock.snapshot())


def renewed(kind, snapshot):
    state = kind()
    state.apply(msgspec.json.decode(msgspec.json.encode(snapshot), type=type(snapshot)))
    return state


ITEMS = st.sampled_from(["lamp", "chair"])
STEPS = st.one_of(
    st.tuples(st.just("place"), st.integers(0, 30).map(str), ITEMS, st.integers(1, 4)),
    st.tuples(st.just("place"), st.integers(0, 30).map(str), ITEMS, st.integers(1, 4)),
    st.tuples(st.just("restock"), ITEMS, st.integers(1, 5), st.none() | st.integers(0, 5).map(str)),
    st.tuples(st.sampled_from(["decide", "settle", "restart", "compact_orders", "compact_decisions"])),
)


class Oracle:
    """Does all at once, and one after the other."""

    def __init__(self):
        self.placed, self.came = {}, set()
        self.levels, self.accepted = {}, {}

    def place(self, number, item, quantity):
        """Return whether it is a new order, or the same one again."""
        return self.placed.setdefault(number, (item, quantity)) == (item, quantity)

    def restock(self, item, quantity, number):
        if number not in self.came:
            self.levels[item] = self.levels.get(item, 0) + quantity
        self.came |= {number} - {None}

    def decide(self):
        for number, (item, quantity) in self.placed.items():
            if number not in self.accepted:
                self.accepted[number] = self.levels.get(item, 0) >= quantity
                if self.accepted[number]:
                    self.levels[item] -= quantity


@settings(max_examples=400, deadline=None)
@given(st.lists(STEPS, max_size=60))
def test_nothing_is_oversold_whatever_the_order_of_things(steps):
    """An oracle that is told each order and restock once comes to the same decisions and levels."""
    world, oracle = World(), Oracle()
    for kind, *arguments in [*steps, ("decide",), ("settle",)]:
        if kind == "place" and not oracle.place(*arguments):
            with pytest.raises(Refused, match="another order"):
                world.place(*arguments)
            continue
        getattr(world, kind)(*arguments)
        if kind in {"restock", "decide"}:
            getattr(oracle, kind)(*arguments)
    assert world.stock.levels == oracle.levels
    assert not world.book.pending
    accepted = {number: isinstance(row, Accepted) for number, row in world.book.decided.items()}
    assert accepted == oracle.accepted


def test_why_an_order_is_rejected():
    """There was never such an item, or there are not enough of it; and the level stays."""
    stock = Stock()
    stock.apply(Stocked("lamp", 3, 3, "ada", 0.0))
    rows = [Placed(str(n), item, quantity, "bob", 0.0) for n, (item, quantity) in
            enumerate([("lamp", 4), ("lamp", 3), ("lamp", 1), ("car", 1)])]  # fmt: skip
    decisions = stock.answer(rows, Cursor("o", 4))
    assert [(type(each), each.level, getattr(each, "reason", None)) for each in decisions] == [
        (TurnedDown, 3, "not_enough"),
        (Sold, 0, None),
        (TurnedDown, 0, "not_enough"),
        (TurnedDown, 0, "unknown_item"),
    ]


def test_orders_that_begin_anew_are_decided_anew():
    """Another epoch is another life of the orders: the same id is another order."""
    stock = Stock()
    stock.apply(Stocked("lamp", 3, 3, "ada", 0.0))
    row = Placed("1", "lamp", 1, "bob", 0.0)
    for epoch, level in (("a", 2), ("b", 1)):
        (sold,) = stock.answer([row], Cursor(epoch, 1))
        assert sold.level == level
        stock.apply(sold)
        assert stock.answer([row], Cursor(epoch, 2)) == []


def test_there_is_an_end_to_waiting_orders(monkeypatch):
    """One more is refused with what to do; it is taken when others were decided."""
    monkeypatch.setattr(orders, "MAX_PENDING", 2)
    world = World()
    world.restock("lamp", 5)
    for number in "ab":
        world.place(number)
    with pytest.raises(Refused, match="again in a while"):
        world.place("c")
    world.place("a")  # is here already
    world.decide()
    world.settle()
    world.place("c")
    assert list(world.book.pending) == ["c"]


def test_an_id_is_its_owners():
    """Nobody else's order can have it, waiting or decided."""
    world = World()
    world.place("a")
    for _ in range(2):
        with pytest.raises(Refused, match="another order with the id 'a'"):
            world.place("a", user="bob")
        world.decide()
        world.settle()


def test_what_is_remembered_is_bounded(monkeypatch):
    """The newest orders, decisions and restocks are known by their id."""
    monkeypatch.setattr(orders, "REMEMBERED", 3)
    monkeypatch.setattr(inventory, "REMEMBERED", 3)
    monkeypatch.setattr(inventory, "RESTOCKS", 3)
    world = World()
    for number in "abcdef":
        world.restock("lamp", 1, number)
        world.place(number)
        world.decide()
        world.settle()
    for known in (world.book.decided, world.stock.decided, world.stock.stocked):
        assert list(known) == ["d", "e", "f"]


def test_a_stock_has_its_limit():
    """Of what a number in JSON can say."""
    stock = Stock()
    stock.apply(Stocked("lamp", 1, inventory.MAX_LEVEL, "ada", 0.0))
    with pytest.raises(Refused, match="no room"):
        stock.restock(restock("lamp", 1), "ada")
