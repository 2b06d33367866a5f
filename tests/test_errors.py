import inspect

import pytest

from rtwidgets import errors


def test_the_tree_in_the_docstring_is_the_tree():
    """Each error stands in the docstring, under its parent."""
    parents = []
    found = {}
    for line in errors.__doc__.splitlines():
        head = line.replace("│", " ").split("──")
        name = (head[1] if len(head) == 2 else line).split()[:1]
        if not name or name[0] not in errors.__all__:
            continue
        depth = (line.index(name[0]) - 4) // 4 if len(head) == 2 else 0
        del parents[depth:]
        found[name[0]] = parents[-1] if parents else "Exception"
        parents.append(name[0])
    assert found == {name: getattr(errors, name).__mro__[1].__name__ for name in errors.__all__}


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (errors.ChannelNameError("a b"), "'a b' is not a channel name"),
        (
            errors.PortInUse("127.0.0.1", 80),
            "port 80 on 127.0.0.1 is in use by another program: choose another",
        ),
        (errors.Unreachable("ws://h", "nobody"), "cannot connect to ws://h: nobody"),
        (errors.Refused("read_only", "no messages"), "no messages"),
        (errors.ProtocolError("5 bytes follow"), "not a y-websocket message: 5 bytes follow"),
        (errors.WaitTimeout("prices", 3, 10, 2.0, "open"), "prices: 3 of 10 rows came in 2 s (open)"),
        (
            errors.BackgroundErrors([("a", ValueError("b"))]),
            "1 background error\n  a: ValueError: b",
        ),
        (
            errors.BackgroundErrors([("a", ValueError("b")), ("c", OSError("d"))]),
            "2 background errors\n  a: ValueError: b\n  c: OSError: d",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_say_what_to_do(error, sentence):
    """`str` is a sentence for the user."""
    assert sentence in str(error)


def test_a_wait_that_is_over_is_a_timeout_error():
    """So that `except TimeoutError` catches it."""
    assert issubclass(errors.WaitTimeout, TimeoutError)


def test_every_error_has_a_docstring():
    """Each class says what it means."""
    for name in errors.__all__:
        assert inspect.getdoc(getattr(errors, name))
