"""Files that are written whole, or not at all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from rtwidgets.errors import UsageError

__all__ = ["replacing"]


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the path of a file beside `path` to write to, which takes its place when that has been done.

    Raises
    ------
    UsageError
        When it cannot be written.
    """
    beside = path.with_name(f"{path.name}.part")
    try:
        beside.unlink(missing_ok=True)  # of one that was killed
        yield beside
        beside.replace(path)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):  # what is still there was not finished
            beside.unlink(missing_ok=True)
