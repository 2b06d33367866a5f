"""Waiting for a condition, in tests of things that happen on another thread."""

import time
from collections.abc import Callable

__all__ = ["until"]


def until(condition: Callable[[], object], timeout: float = 20.0) -> None:
    """Wait until `condition()` is true; the time is there for a test that fails, not for one that passes."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        time.sleep(0.01)
