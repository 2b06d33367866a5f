"""Streams of somebody: who acts in a channel says a name."""

from __future__ import annotations

import pytest

import rtwidgets as rt
from rtwidgets.errors import Refused, UsageError

ORDER = {"type": "order", "id": "1", "item": "lamp", "quantity": 1}


@pytest.fixture(autouse=True)
def server():
    with rt.serve(services=["orders", "inventory"]) as server:
        yield server
    rt.stop()
    assert rt.health() == "healthy"


def test_a_name_is_who_acts():
    """The rows that come of it have that name; without one it is refused, with what to do."""
    orders = rt.connect("orders", user="ada")
    orders.send(ORDER)
    rows = orders.wait(rows=2)
    assert rows["type"].tolist() == ["placed", "rejected"]
    assert set(rows["user"]) == {"ada"}
    with pytest.raises(Refused, match="log in"):
        rt.connect("orders").send(ORDER | {"id": "2"})


def test_two_names_are_two_streams():
    """Each acts for itself; asking again for the same one returns it."""
    ada, bob = rt.connect("orders", user="ada"), rt.connect("orders", user="bob")
    assert ada is not bob
    assert rt.connect("orders", user="ada") is ada
    ada.send(ORDER)
    with pytest.raises(Refused, match="another order with the id '1'"):
        bob.send(ORDER)
    assert ada.presence["user"].tolist() == ["ada", "bob"]


@pytest.mark.parametrize("user", ["", "x" * 101])
def test_a_name_that_is_none(user):
    """It is an error that says how long one is."""
    with pytest.raises(UsageError, match="1 to 100 characters"):
        rt.connect("orders", user=user)


def test_a_foreign_feed_knows_no_names():
    """What it wants goes into its URL."""
    with pytest.raises(UsageError, match="user= go"):
        rt.connect("ws://127.0.0.1:1", user="ada")
