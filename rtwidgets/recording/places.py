"""Where the recordings of a process are: one file for each time that a URL is connected to."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path
from urllib.parse import urlsplit

from rtwidgets.checks import is_local, without_secrets
from rtwidgets.errors import ConnectError

__all__ = ["RECORD", "REPLAY", "Shelf", "shelf", "to_read", "to_write"]

REPLAY = "RTWIDGETS_REPLAY"
"""The environment variable that names the folder in which live feeds have their recordings."""
RECORD = "RTWIDGETS_RECORD"
"""That of the folder in which live feeds are recorded; it counts where nothing is replayed."""

_LONGEST = 120  # characters of a slug
_NAMED = 10  # recordings that an error lists


class Shelf:
    """A folder of recordings, with the names of which this process has asked for. Usable from any thread.

    The n-th time that a URL is asked for is its n-th recording, so that a process which does what another one
    did finds what that one wrote: ``feed.example.org-ws.rtlog``, ``feed.example.org-ws-2.rtlog`` and so on.
    The port and the query of a URL do not count: ports may be chosen anew, and queries hold secrets.

    Parameters
    ----------
    folder
        Made when a recording is written to it.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._lock = threading.Lock()
        self._written: set[str] = set()
        self._read: set[str] = set()

    def __repr__(self) -> str:
        return f"Shelf({str(self.folder)!r})"

    def path(self, url: str) -> Path:
        """Return where to write the next recording of a URL.

        What another process has written there is removed: it would be read before the new one.
        """
        with self._lock:
            path = self._next(url, self._written)
            self._written.add(path.name)
        self.folder.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        return path

    def replaces(self, url: str) -> bool:
        """Whether a recording has to be read in place of a URL: not of this machine, unless there is one.

        What answers on this machine was started by whoever connects to it, and is there in a test, too.
        """
        with self._lock:
            return not is_local(url) or self._next(url, self._read).is_file()

    def find(self, url: str) -> Path:
        """Return where the next recording of a URL is.

        Raises
        ------
        ConnectError
            When there is none; the sentence says which ones there are, and how to make one.
        """
        with self._lock:
            path = self._next(url, self._read)
            if not path.is_file():
                raise ConnectError(without_secrets(url), self._explain(path))
            self._read.add(path.name)
        return path

    def _next(self, url: str, taken: set[str]) -> Path:
        slug = name = _slug(url)
        number = 1
        while f"{name}.rtlog" in taken:
            number += 1
            name = f"{slug}-{number}"
        return self.folder / f"{name}.rtlog"

    def _explain(self, path: Path) -> str:
        there = sorted(each.name for each in self.folder.glob("*.rtlog"))
        names = ", ".join(there[:_NAMED]) + (f" and {len(there) - _NAMED} more" if there[_NAMED:] else "")
        return (
            f"there is no recording {path.name} of it in {self.folder}, only {names or 'nothing'}: make one "
            "where the feed can be reached, with pytest --rt-record=DIR or the environment variable "
            "RTWIDGETS_RECORD=DIR"
        )


_shelves: dict[Path, Shelf] = {}
_lock = threading.Lock()


def shelf(folder: str | Path) -> Shelf:
    """Return the shelf of a folder: one in this process, whoever asks."""
    place = Path(folder).resolve()
    with _lock:
        return _shelves.setdefault(place, Shelf(place))


def to_read(url: str) -> Path | None:
    """Return the recording that is to be read in place of a URL; None where that is not wanted.

    Raises
    ------
    ConnectError
        As `Shelf.find`.
    """
    if not (folder := os.environ.get(REPLAY)):
        return None
    place = shelf(folder)
    return place.find(url) if place.replaces(url) else None


def to_write(url: str) -> Path | None:
    """Return where a connection to a URL is to be recorded; None where that is not wanted."""
    folder = os.environ.get(RECORD)
    return shelf(folder).path(url) if folder and not os.environ.get(REPLAY) else None


def _slug(url: str) -> str:
    """Return a file's name for the host and the path of a URL, such as ``feed.example.org-ws``."""
    parts = urlsplit(url)
    words = re.sub(r"[^a-z0-9._]+", "-", f"{parts.hostname or ''}{parts.path}".lower())
    return words[:_LONGEST].strip("-.") or "feed"
