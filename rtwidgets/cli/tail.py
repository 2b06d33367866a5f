"""``rtwidgets tail``: the rows of a stream, as a live table or as lines of JSON."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from rtwidgets.checks import check_websocket
from rtwidgets.cli.common import (
    TOKEN,
    assignments,
    ca_option,
    log_to_stderr,
    run_until_told,
    subscribe_option,
)
from rtwidgets.errors import Closed, Unauthorized, UsageError

if TYPE_CHECKING:
    import pandas as pd

    from rtwidgets.stream import Stream

__all__ = ["tail"]

_log = logging.getLogger("rtwidgets.tail")


@click.command(short_help="Show what a stream sends.")
@click.argument("url")
@click.option(
    "--channel", metavar="NAME", help="Read this channel of an rtwidgets server; URL is the server's."
)
@click.option(
    "--where",
    "wanted",
    multiple=True,
    metavar="FIELD=VALUE",
    callback=assignments,
    help="Take messages with this value only, such as type=trade. May be repeated.",
)
@click.option(
    "--records",
    metavar="PATH",
    help="Where rows are in a message: data.items; items() for an object's entries.",
)
@click.option(
    "--key", metavar="FIELD", help="What a row is about, such as symbol: shows the latest row of each."
)
@click.option("--time", "time_field", metavar="FIELD", help="The field with a row's time.")
@subscribe_option
@click.option("--token", envvar=TOKEN, help=f"The server's token. Also read from {TOKEN}.")
@ca_option
@click.option("--rows", type=click.IntRange(1), metavar="N", help="End after N rows.")
@click.option("--json", "as_json", is_flag=True, help="Print each row as a line of JSON, as in a pipe.")
def tail(  # noqa: PLR0917 (click passes them by name)
    url: str,
    channel: str | None,
    wanted: list[tuple[str, Any]],
    records: str | None,
    key: str | None,
    time_field: str | None,
    greetings: tuple[str, ...],
    token: str | None,
    ca: str | None,
    rows: int | None,
    as_json: bool,
) -> None:
    """Show what the WebSocket at URL sends: the latest row of each key, or the newest rows.

    Any server that sends JSON will do. After a break it connects again. Where the output is not a
    terminal, rows are printed as lines of JSON.

    \b
    rtwidgets tail wss://any.feed/ws --subscribe '{"op": "subscribe"}' --records data --key symbol
    rtwidgets tail ws://127.0.0.1:8080/prices --records 'items()' --key symbol --token T
    rtwidgets tail ws://127.0.0.1:8080 --channel prices --token T --rows 100 > rows.jsonl
    """  # noqa: D301 (click reads the escape)
    check_websocket(url)
    if channel is not None and greetings:
        raise UsageError("--subscribe goes with a foreign URL: leave it out where there is a --channel")
    table = not as_json and sys.stdout.isatty()
    if not table:
        log_to_stderr()
    where = dict(wanted) or None

    import rtwidgets as rt
    from rtwidgets.client.link import WANTED_AS_ARGUMENT, WANTED_IN_URL

    try:
        with contextlib.suppress(KeyboardInterrupt):
            if channel is not None:
                stream = rt.connect(
                    channel,
                    server=url,
                    token=token,
                    ca=ca,
                    key=key,
                    time=time_field,
                    where=where,
                    records=records,
                )
            else:
                stream = rt.connect(
                    url,
                    headers=None if token is None else {"Authorization": f"Bearer {token}"},
                    ca=ca,
                    key=key,
                    time=time_field,
                    where=where,
                    records=records,
                    subscribe=list(greetings) or None,
                )
            run_until_told(_show(stream, rows) if table else _follow(stream, rows, click.echo))
    except Unauthorized as error:
        reason = error.reason
        for advice in (WANTED_AS_ARGUMENT, WANTED_IN_URL):
            reason = reason.replace(advice, "Pass --token with the token that the server printed")
        raise Unauthorized(error.url, reason) from error
    finally:
        rt.stop()


async def _show(stream: Stream, limit: int | None) -> None:
    """Show a live table until there are as many rows as wanted."""
    from rtwidgets.cli.board import Board

    with Board(stream):
        await _follow(stream, limit, None)


async def _follow(stream: Stream, limit: int | None, write: Callable[[bytes], object] | None) -> None:
    """Write rows as they come, until there are as many as wanted.

    Raises
    ------
    ConnectError, Closed
        When the stream ended for good.
    """
    from rtwidgets.client import State

    frame, loop, changed = stream.frame, asyncio.get_running_loop(), asyncio.Event()
    unsubscribe = frame.on_change(lambda: loop.call_soon_threadsafe(changed.set))
    cursor = written = 0
    news = None if write is None else _News(stream)
    try:
        while True:
            changed.clear()
            ended = stream.state is State.CLOSED
            batch, cursor = frame.since(cursor)
            batch = batch.iloc[: None if limit is None else limit - written]
            written += len(batch)
            if write is not None:
                for line in _lines(batch):
                    write(line)
            if news is not None:
                news.tell()
            if written == limit:
                return
            if ended:
                raise Closed(f"the stream has ended: {stream.reason}")
            with contextlib.suppress(TimeoutError):
                # Changes of the connection's state come without a word.
                async with asyncio.timeout(0.25):
                    await changed.wait()
    finally:
        unsubscribe()


class _News:
    """Logs, once each, what would leave somebody before an empty screen wondering."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._rejecting = False
        self._lost = ""

    def tell(self) -> None:
        """Log what is new."""
        from rtwidgets.client import State

        stream = self._stream
        if stream.frame.rejected_count and not self._rejecting:
            self._rejecting = True
            _log.warning("some rows do not fit and are left out: %s", stream.rejected["reason"].iloc[0])
        lost = stream.reason if stream.state is State.WAITING else ""
        if lost and lost != self._lost:
            _log.warning("the connection was lost (%s); connecting again", lost)
        self._lost = lost


def _lines(batch: pd.DataFrame) -> Iterator[bytes]:
    """Yield the rows as JSON; missing values are null, times are ISO 8601."""
    import msgspec
    import pandas as pd

    columns: list[list[Any]] = []
    for name in batch.columns:
        column = batch[name]
        if isinstance(column.dtype, pd.DatetimeTZDtype):
            shown = [None if time is pd.NaT else time.isoformat().replace("+00:00", "Z") for time in column]
        else:
            values = column.astype(object)
            shown = values.where(values.notna(), None).tolist()
        columns.append(shown)
    encode = msgspec.json.Encoder().encode
    for row in zip(*columns, strict=True):
        yield encode(dict(zip(batch.columns, row, strict=True)))
