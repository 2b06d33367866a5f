"""What a kernel is asked after each cell: the background errors that were not told before."""

from __future__ import annotations

from rtwidgets.loop import peek_errors

__all__ = ["unseen"]

# The errors themselves, not their ids, which may be given to others when they are gone.
_seen: list[tuple[str, BaseException]] = []


def unseen() -> str:
    """Return a line for each new error; `rtwidgets.health` finds them all the same."""
    errors = peek_errors()
    new = [each for each in errors if not any(each is other for other in _seen)]
    _seen[:] = errors
    return "\n".join(f"{where}: {type(error).__name__}: {error}" for where, error in new)
