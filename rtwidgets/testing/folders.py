"""Where the recordings of each notebook and each test are, while pytest runs it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from rtwidgets.recording.places import RECORD, REPLAY

__all__ = ["Folders", "environment"]

_LONGEST = 100  # characters of a folder's name


@contextlib.contextmanager
def environment(replay: Path | None = None, record: Path | None = None) -> Iterator[None]:
    """Have connections read from, or recorded to, a folder; neither of both when both are None."""
    before = {name: os.environ.pop(name, None) for name in (REPLAY, RECORD)}
    if replay is not None:
        os.environ[REPLAY] = str(replay)
    if record is not None:
        os.environ[RECORD] = str(record)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class Folders:
    """Sets the variables for each notebook and test.

    What is recorded goes to a folder of its own beside the one that is there, and takes its place when
    everything in the notebook, or the test, has passed.

    Parameters
    ----------
    folder
        Of all recordings.
    record
        Record there, instead of reading.
    tests
        Whether tests take part, too, or notebooks only.
    """

    def __init__(self, folder: Path, *, record: bool, tests: bool) -> None:
        self._folder = folder
        self._record = record
        self._tests = tests
        self._owners: dict[Path, set[str]] = defaultdict(set)
        self._open: set[Path] = set()
        self._failed: set[Path] = set()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Note whose each folder is."""
        for item in items:
            self._owners[self._folder / item.path.stem].add(str(item.path))
            if not _is_notebook(item):
                self._owners[self._place(item)].add(item.nodeid)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        """Set the variables before anything of the item is set up: a notebook's kernel inherits them."""
        place = self._place(item)
        if not (self._tests or _is_notebook(item)):
            return (yield)
        if not self._record:
            with environment(replay=place):
                return (yield)
        if place not in self._open:
            self._open.add(place)
            _remove(_beside(place, "new"))
        with environment(record=_beside(place, "new")):
            result = yield
        if _is_last(item, nextitem):
            self._settle(place)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
        """Fail when recordings of two files, or tests, would overwrite each other."""
        yield
        place = self._place(item)
        owners = self._owners[place]
        if self._record and len(owners) > 1 and _is_last(item, nextitem) and _beside(place, "new").exists():
            names = " and ".join(sorted(owners))
            pytest.fail(
                f"the recordings of {names} would both be in {place}: give one of them another name",
                pytrace=False,
            )

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note what failed, and say where its recording is."""
        report = yield
        place = self._place(item)
        if self._record and report.failed:
            self._failed.add(place)
            if _beside(place, "new").exists():
                kept = f"what was recorded is in {_beside(place, 'failed')}; {place} is as it was"
                report.sections.append(("rtwidgets", kept))
        return report

    def pytest_sessionfinish(self) -> None:
        """Leave no half-made recording in place of a whole one."""
        for place in tuple(self._open):
            self._failed.add(place)
            self._settle(place)

    def _place(self, item: pytest.Item) -> Path:
        """Return the folder of an item: that of its notebook, or a test's own."""
        place = self._folder / item.path.stem
        return place if _is_notebook(item) else place / _slug(item.nodeid.partition("::")[2] or item.name)

    def _settle(self, place: Path) -> None:
        self._open.discard(place)
        new = _beside(place, "new")
        if not new.exists():
            return
        _remove(_beside(place, "failed"))
        if place in self._failed:
            new.rename(_beside(place, "failed"))
        else:
            _remove(place)
            new.rename(place)


def _is_notebook(item: pytest.Item) -> bool:
    return item.path.suffix == ".ipynb"


def _is_last(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    """Whether nothing more of the same notebook comes; a test is always alone."""
    return not _is_notebook(item) or nextitem is None or nextitem.path != item.path


def _beside(place: Path, kind: str) -> Path:
    return place.with_name(f"{place.name}.{kind}")


def _remove(place: Path) -> None:
    if place.exists():
        shutil.rmtree(place)


def _slug(name: str) -> str:
    """Return a test's name as that of a folder."""
    slug = re.sub(r"[^\w.-]+", "-", name).strip("-.")
    if len(slug) <= _LONGEST:
        return slug
    return f"{slug[:_LONGEST]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
