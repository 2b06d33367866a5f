"""A pytest plugin: recordings in place of live feeds, and cells that fail when something failed out of sight.

It is loaded in every run of pytest where rtwidgets is installed, so things are imported when they are needed.
``pytest -p no:rtwidgets`` leaves it out.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from rtwidgets.testing.fixtures import rt_faults, rt_kernel, rt_server, rt_stream

__all__ = ["pytest_addoption", "pytest_configure", "rt_faults", "rt_kernel", "rt_server", "rt_stream"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("rtwidgets", "live feeds (rtwidgets)")
    group.addoption(
        "--rt-replay",
        metavar="DIR",
        help="read every live feed from the recordings in DIR; the ini option rt_replay says so of notebooks",
    )
    group.addoption(
        "--rt-record",
        metavar="DIR",
        help="record every live feed to DIR, for what passes; outputs of notebooks are not compared",
    )
    parser.addini(
        "rt_replay",
        "as --rt-replay, relative to the root directory, for notebooks only: not for tests",
        default="",
    )
    parser.addini(
        "rt_sanitize",
        "do not compare times of day, durations, ports and the like in the outputs of notebooks",
        type="bool",
        default=False,
    )


def pytest_configure(config: pytest.Config) -> None:
    """Take part where there is something to do."""
    replay, record = config.getoption("rt_replay"), config.getoption("rt_record")
    if replay and record:
        raise pytest.UsageError(
            "--rt-replay and --rt-record exclude each other: record first, then replay what was recorded"
        )
    started = config.invocation_params.dir
    if record:
        folder = (started / record).resolve()
        if folder.exists() and not folder.is_dir():
            raise pytest.UsageError(f"--rt-record: {folder} is a file: name a folder")
    elif replay:
        folder = _existing(started / replay, "--rt-replay")
    elif written := config.getini("rt_replay"):
        folder = _existing(config.rootpath / written, "rt_replay")
    else:
        folder = None
    if folder is not None:
        from rtwidgets.testing.folders import Folders

        folders = Folders(folder, record=bool(record), tests=bool(record or replay))
        config.pluginmanager.register(folders, "rtwidgets-folders")
    if config.getoption("nbval", False) or config.getoption("nbval_lax", False):
        from rtwidgets.testing.cells import Cells

        cells = Cells(recording=bool(record), sanitize=config.getini("rt_sanitize"))
        config.pluginmanager.register(cells, "rtwidgets-cells")


def _existing(place: Path, option: str) -> Path:
    folder = place.resolve()
    if not folder.is_dir():
        raise pytest.UsageError(
            f"{option}: there is no folder {folder}: make the recordings with --rt-record={folder}"
        )
    return folder
