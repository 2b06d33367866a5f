"""What the commands share: arguments of the form name=value, the log, and an end by Ctrl-C or SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import logging
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from types import FrameType
from typing import Any, TypeVar

import click

from rtwidgets.errors import UsageError

__all__ = ["TOKEN", "assignments", "ca_option", "log_to_stderr", "run_until_told", "subscribe_option"]

C = TypeVar("C", bound=Callable[..., Any])

TOKEN = "RTWIDGETS_TOKEN"  # noqa: S105 (the name of a variable)
"""The environment variable of ``--token``: unlike the command line, other users cannot read it."""


def assignments(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> list[tuple[str, Any]]:
    """Take parameters ``name=value`` apart, as click's callback: a value is JSON, or else text."""
    pairs: list[tuple[str, Any]] = []
    for given in values:
        name, equals, text = given.partition("=")
        if not name or not equals:
            raise UsageError(f"{param.opts[0]} {given!r} is not of the form {param.metavar}")
        try:
            pairs.append((name, json.loads(text)))
        except ValueError:
            pairs.append((name, text))
    return pairs


def subscribe_option(command: C) -> C:
    """Give a command the option ``--subscribe``, as its parameter `greetings`."""
    return click.option(
        "--subscribe",
        "greetings",
        multiple=True,
        metavar="JSON",
        help="A message to send on connecting. May be repeated.",
    )(command)


def ca_option(command: C) -> C:
    """Give a command the option ``--ca``."""
    return click.option(
        "--ca", metavar="FILE", help="For wss://: a certificate to trust, as serve --tls logs it."
    )(command)


class _Formatter(logging.Formatter):
    """One line a record. A traceback, which only ``--verbose`` shows, otherwise shrinks to its last line."""

    default_msec_format = "%s.%03d"

    def __init__(self, verbose: bool) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s")
        self._verbose = verbose

    def format(self, record: logging.LogRecord) -> str:
        if not self._verbose and record.exc_info and (error := record.exc_info[1]) is not None:
            record = logging.makeLogRecord(
                record.__dict__
                | {
                    "msg": f"{record.getMessage()}: {type(error).__name__}: {error}",
                    "args": None,
                    "exc_info": None,
                    "exc_text": None,
                }
            )
        return super().format(record)


def log_to_stderr(*, verbose: bool = False) -> logging.Logger:
    """Show the package's log on the standard error stream and return it.

    Parameters
    ----------
    verbose
        Show each connection, and tracebacks.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(verbose))
    logger = logging.getLogger("rtwidgets")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    # These tell of every connection at level INFO.
    for chatty in ("rtwidgets.server", "rtwidgets.client"):
        logging.getLogger(chatty).setLevel(logging.INFO if verbose else logging.WARNING)
    return logger


def run_until_told(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end, or until Ctrl-C or SIGTERM cancel it, which is no error."""
    told = False
    cancel: Callable[[], object] | None = None

    # Not `loop.add_signal_handler`: a signal that comes while the loop is being made must not be an
    # exception in the middle of that.
    def tell(number: int, frame: FrameType | None) -> None:
        nonlocal told
        told = True
        if cancel is not None:
            cancel()

    async def main() -> None:
        nonlocal cancel
        loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)
        cancel = functools.partial(loop.call_soon_threadsafe, task.cancel)
        if told:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            try:
                await task
            finally:
                cancel = None

    before = {number: signal.signal(number, tell) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        asyncio.run(main())
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
