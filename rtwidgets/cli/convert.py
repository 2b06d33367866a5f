"""``rtwidgets convert``: a recording in another format, or its rows as Parquet."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rtwidgets.cli.common import assignments
from rtwidgets.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from rtwidgets.frames import LiveFrame
    from rtwidgets.notebook.rows import Rows
    from rtwidgets.recording import Recording

__all__ = ["convert"]

_LONG = 1.0  # seconds after which it is shown how far it is
_GROUP = 100_000  # rows that are written together


@click.command(short_help="Write a recording in another format, or its rows as Parquet.")
@click.argument("source", metavar="FROM", type=click.Path(path_type=Path))
@click.argument("target", metavar="TO", type=click.Path(path_type=Path))
@click.option(
    "--where",
    "wanted",
    multiple=True,
    metavar="FIELD=VALUE",
    callback=assignments,
    help="Parquet: take messages with this value only, such as type=trade. May be repeated.",
)
@click.option(
    "--records",
    metavar="PATH",
    help="Parquet: where rows are in a message: data.items; items() for an object's entries.",
)
@click.option(
    "--columns", metavar="NAMES", help="Parquet: what the elements of rows that are lists are: side,price."
)
@click.option("--key", metavar="FIELD", help="Parquet: what a row is about, such as symbol.")
@click.option("--time", "time_field", metavar="FIELD", help="Parquet: the field with a row's time.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
def convert(  # noqa: PLR0917 (click passes them by name)
    source: Path,
    target: Path,
    wanted: list[tuple[str, Any]],
    records: str | None,
    columns: str | None,
    key: str | None,
    time_field: str | None,
    force: bool,
) -> None:
    """Write what is in the recording FROM to TO, in the format that the name of TO says.

    That is .rtlog; .jsonl, which are JSON lines; .txt, a capture of text lines; or .parquet, which holds the
    rows that a stream would make of the messages. Where a recording does not say how its rows are read,
    options do.

    \b
    rtwidgets convert morning.rtlog morning.jsonl
    rtwidgets convert capture.txt morning.rtlog
    rtwidgets convert morning.rtlog trades.parquet --where type=match --key product_id
    """  # noqa: D301 (click reads the escape)
    options = {
        "where": dict(wanted) or None,
        "records": records,
        "columns": columns and columns.split(","),
        "key": key,
        "time": time_field,
    }
    given = {name: value for name, value in options.items() if value is not None}
    suffix = target.suffix.lower()
    if suffix not in (".rtlog", ".jsonl", ".txt", ".parquet"):
        raise UsageError(f"{target}: give a name that ends with .rtlog, .jsonl, .txt or .parquet")
    if given and suffix != ".parquet":
        raise UsageError(f"--{next(iter(given))} is about rows, which only .parquet has: leave it out")
    if target.exists() and not force:
        raise UsageError(f"{target} is there already: replace it with --force, or choose another name")

    from rtwidgets.recording import write_capture, write_jsonl, write_rtlog

    recording = _watched(source)
    if suffix == ".parquet":
        asyncio.run(_write_parquet(recording, target, _rows(recording, given)))
        return
    {".rtlog": write_rtlog, ".jsonl": write_jsonl, ".txt": write_capture}[suffix](recording, target)


def _watched(path: Path) -> Recording:
    """Open a recording that shows in the terminal how far it has been read, once that takes long."""
    from rtwidgets.recording import Batch, Recording

    class Watched(Recording):
        def batches(self, start: int | None = None) -> Iterator[Batch]:
            if not sys.stderr.isatty():
                yield from super().batches(start)
                return

            from rich.console import Console
            from rich.progress import Progress

            progress = Progress(console=Console(stderr=True), transient=True)
            began, task = time.monotonic(), None
            with contextlib.ExitStack() as ending:
                for batch in super().batches(start):
                    if task is not None:
                        progress.update(task, completed=batch.time - (self.first or 0))
                    elif time.monotonic() - began > _LONG:
                        ending.enter_context(progress)
                        task = progress.add_task(
                            f"reading {self.path.name}", total=(self.last or 0) - (self.first or 0)
                        )
                    yield batch

    return Watched(path)


def _rows(recording: Recording, given: dict[str, Any]) -> Rows:
    """Return what the rows are: what was recorded of them, and what is given instead."""
    from rtwidgets.notebook.rows import Rows

    about = recording.about
    recorded = about.get("arguments") or {}
    if ("feed" in about or "by" in recorded) and not given:
        raise UsageError(
            f"{recording.path} has rows of several kinds, and a Parquet file has one: "
            "say which with --where, and what they are with --records, --key and --time"
        )
    known = {field.name for field in fields(Rows)} - {"by", "max_rows", "max_age"}
    return replace(Rows(**{name: value for name, value in recorded.items() if name in known}), **given)


async def _write_parquet(recording: Recording, target: Path, rows: Rows) -> None:
    """Write rows batch by batch. All of it is played twice: columns may come, and widen, up to the end.

    A coroutine because what plays recordings wants a running loop; nothing else is on it.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise UsageError("Parquet needs pyarrow: pip install 'rtwidgets[parquet]'") from None

    from rtwidgets.recording.files import replacing

    most = total = 0
    frame = None
    for frame in _played(recording, replace(rows, max_rows=1_000)):
        most, total = max(most, frame.total - total), frame.total
    if frame is None or not frame.total:
        why = f" ({frame.rejected_reason})" if frame is not None and frame.rejected_count else ""
        raise UsageError(
            f"{recording.path} has no rows to write{why}: say where they are with --records and --where"
        )
    schema = _schema(frame.df)
    with replacing(target) as beside, parquet.ParquetWriter(beside, schema) as file:
        cursor = 0
        tables: list[pa.Table] = []
        for frame in _played(recording, replace(rows, max_rows=most)):
            news, cursor = frame.since(cursor)
            if len(news):
                tables.append(_table(news, schema))
            if sum(map(len, tables)) >= _GROUP:
                file.write_table(pa.concat_tables(tables))
                tables.clear()
        if tables:
            file.write_table(pa.concat_tables(tables))


def _played(recording: Recording, rows: Rows) -> Iterator[LiveFrame]:
    """Play a recording as fast as it goes, and yield the frame each time that it may have more rows."""
    from rtwidgets.client import ChannelReader, Subscription, Taking
    from rtwidgets.client.player import Player
    from rtwidgets.client.replay import BATCH, ChannelTaking

    taking: Taking
    if (channel := recording.about.get("channel")) is None:
        taking = rows.intake()
    else:
        taking = ChannelTaking(
            ChannelReader(Subscription(channel), lambda answer: rows.intake(answer.key, answer.time))
        )
    player = Player(recording, taking)
    more = True
    while more:
        more = player.play(BATCH)
        if not isinstance(taking, ChannelTaking) or taking.begun:
            yield taking.frame
    player.end()


def _schema(frame: pd.DataFrame) -> pa.Schema:
    """Return the columns of a frame as Parquet has them; pandas reads them back as they are."""
    import pyarrow as pa

    schema = pa.Schema.from_pandas(frame, preserve_index=False)
    wide = [
        field.with_type(pa.dictionary(pa.int32(), field.type.value_type))  # there may be more categories
        if pa.types.is_dictionary(field.type)
        else field
        for field in schema
    ]
    return pa.schema(wide, metadata=schema.metadata)


def _table(rows: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    """Return rows with the columns of a schema, of which they may lack some, or have a narrower kind."""
    import pyarrow as pa

    columns = []
    for field in schema:
        column = rows.get(field.name)
        if column is None:
            columns.append(pa.nulls(len(rows), field.type))
        else:
            columns.append(pa.array(column, from_pandas=True).cast(field.type, safe=False))
    return pa.Table.from_arrays(columns, schema=schema)
