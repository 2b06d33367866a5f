"""The thread that calls functions of users."""

import threading

import pytest

from rtwidgets.calls import Calls
from rtwidgets.loop import take_errors
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("tidy")


def ended(name):
    return all(thread.name != name for thread in threading.enumerate())


def test_functions_are_called_in_order_on_one_thread():
    """Which is not the one that asks, and is there only while there is something to call."""
    calls, called, held = Calls("test calls"), [], threading.Event()
    calls.soon(lambda: (held.wait(20), called.append(threading.current_thread().name)))
    for number in range(3):
        calls.soon(lambda number=number: called.append(number))
    assert not called
    assert not calls.is_here
    held.set()
    until(lambda: len(called) == 4)
    assert called == ["test calls", 0, 1, 2]
    until(lambda: ended("test calls"))
    calls.soon(lambda: called.append(calls.is_here))
    until(lambda: len(called) == 5)
    assert called[-1] is True
    until(lambda: ended("test calls"))


def test_what_waits_already_is_called_once():
    """A function that runs may be asked for again meanwhile."""
    calls, called, held = Calls("test calls"), [], threading.Event()

    def function():
        held.wait(20)
        called.append(1)

    calls.soon(function)
    until(lambda: not calls._waiting)
    calls.soon(function)
    calls.soon(function)
    held.set()
    until(lambda: ended("test calls"))
    assert called == [1, 1]


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(1)])
def test_a_failure_is_reported_and_those_behind_it_are_called(error):
    """Whatever it is: nobody else would hear of it."""
    calls, called = Calls("test calls"), []

    def fail():
        raise error

    calls.soon(fail)
    calls.soon(lambda: called.append(1))
    until(lambda: called and ended("test calls"))
    assert take_errors() == [("test calls", error)]
