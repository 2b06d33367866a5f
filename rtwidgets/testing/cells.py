"""The cells of a notebook that nbval runs. Needs nbval."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
from nbval.plugin import (  # type: ignore[import-untyped]  # nbval has no types
    IPyNbCell,
    NbCellError,
    get_sanitize_patterns,
)

__all__ = ["Cells"]

EXPECTED = "rt-errors-expected"
"""The tag of a cell in or before which errors in the background are expected."""

# Evaluated in the kernel, where nothing of ours is imported for it.
_UNSEEN = (
    "__import__('importlib').import_module('rtwidgets.testing.unseen').unseen()"
    " if 'rtwidgets.loop' in __import__('sys').modules else ''"
)
_STOP = (
    "__import__('rtwidgets').stop() or ''"
    " if 'rtwidgets.notebook.running' in __import__('sys').modules else ''"
)


class Cells:
    """Makes a cell fail when something failed out of sight, and compares no more than is asked for.

    Parameters
    ----------
    recording
        Live feeds are recorded: what is shown of them cannot be compared.
    sanitize
        Leave out of the comparison what ``sanitize.cfg`` says.
    """

    def __init__(self, *, recording: bool, sanitize: bool) -> None:
        self._recording = recording
        self._patterns = dict[str, str]()
        if sanitize:
            text = Path(__file__).with_name("sanitize.cfg").read_text("utf-8")
            self._patterns = dict(get_sanitize_patterns(text))
        self._next: pytest.Item | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, nextitem: pytest.Item | None) -> None:
        """Remember which item follows."""
        self._next = nextitem

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Iterator[None]:
        """Decide what is compared: nbval has read the user's own patterns by then."""
        yield
        if isinstance(item, IPyNbCell):
            item.parent.sanitize_patterns.update(self._patterns)
            if self._recording:
                item.options["check"] = False

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        """Run a cell, then look for errors in the background."""
        try:
            yield
        except NbCellError:
            if words := _ask(item, _UNSEEN):  # it may be the reason
                item.add_report_section("call", "rtwidgets: in the background", words)
            raise
        if isinstance(item, IPyNbCell) and (words := _ask(item, _UNSEEN)) and not self._expected(item):
            item.raise_cell_error(
                "Something failed in the background, in this cell or since the one before", words
            )

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
        """Have the recordings of a notebook written to their end: nbval kills its kernel."""
        last = nextitem is None or nextitem.path != item.path
        try:
            if self._recording and last and isinstance(item, IPyNbCell):
                _ask(item, _STOP)
                if words := _ask(item, _UNSEEN):
                    item.raise_cell_error("Something failed while the recordings were closed", words)
        finally:
            yield

    def _expected(self, item: Any) -> bool:
        """Whether a cell, or the one after it, is there to show what failed."""
        following = self._next if self._next is not None and self._next.path == item.path else None
        return any(
            cell.options["check_exception"] or EXPECTED in cell.cell.metadata.get("tags", [])
            for cell in (item, following)
            if isinstance(cell, IPyNbCell)
        )


def _ask(item: Any, expression: str) -> str:
    """Return what a text expression gives in the kernel, without a trace in the notebook."""
    kernel = item.parent.kernel
    if kernel is None or not kernel.is_alive() or kernel.language != "python":
        return ""
    asked = kernel.kc.execute("", silent=True, user_expressions={"it": expression}, allow_stdin=False)
    reply: dict[str, Any] = {"parent_header": {}}
    try:
        while reply["parent_header"].get("msg_id") != asked:
            reply = kernel.get_message("shell", timeout=item.config.option.nbval_cell_timeout)
    except Empty:
        item.raise_cell_error("The kernel did not say in time whether something failed in the background")
    answer = reply["content"]["user_expressions"]["it"]
    if answer["status"] != "ok":
        item.raise_cell_error(
            "The kernel cannot say whether something failed in the background: is the same rtwidgets there?",
            f"{answer['ename']}: {answer['evalue']}",
        )
    return str(ast.literal_eval(answer["data"]["text/plain"]))
