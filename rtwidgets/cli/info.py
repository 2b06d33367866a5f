"""``rtwidgets info``: what is in a recording."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rtwidgets.recording import Info, Recording

__all__ = ["info"]

_FIRST = 3  # messages that are shown
_WIDEST = 90  # characters of one, and of whatever else was sent
_LABEL = 13


@click.command(short_help="Say what is in a recording.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print it as one object of JSON.")
def info(file: Path, as_json: bool) -> None:
    """Say what is in the recording FILE: of which feed, from when to when, how much, and the first messages.

    JSON lines and captures will do, too.

    \b
    rtwidgets info morning.rtlog
    rtwidgets info morning.rtlog --json
    """  # noqa: D301 (click reads the escape)
    from rtwidgets.recording import Recording

    recording = Recording(file)
    found = recording.info()
    beginning = _beginning(recording)
    if as_json:
        shown = {"file": str(file), "about": recording.about, **found._asdict(), **_worked_out(found)}
        click.echo(json.dumps({**shown, "beginning": beginning}))
        return
    click.echo(str(file))
    for label, value in _lines(recording, found):
        click.echo(f"  {label:<{_LABEL}}{_short(value)}")
    for message in beginning:
        click.echo(f"  {_moment(message['time']):%H:%M:%S.%f} {_short(message['data'])}")


def _lines(recording: Recording, found: Info) -> Iterator[tuple[str, str]]:
    """Yield what to show, but for messages."""
    about = recording.about
    if "url" in about:
        yield "url", str(about["url"])
    for greeting in about.get("subscribe") or ():
        yield "subscribe", str(greeting)
    for name, value in about.items():
        if name not in ("url", "subscribe"):
            yield name, json.dumps(value, ensure_ascii=False)
    if found.first is not None and found.last is not None:
        seconds = (found.last - found.first) / 1e9
        begin, end = _moment(found.first), _moment(found.last)
        day = "" if begin.date() == end.date() else f"{end:%Y-%m-%d} "
        yield "recorded", f"{begin:%Y-%m-%d %H:%M:%S} to {day}{end:%H:%M:%S} UTC, {seconds:,.1f} s"
    worked_out = _worked_out(found)
    rate = "" if worked_out["rate"] is None else f", {worked_out['rate']:,.1f} a second"
    yield "messages", f"{found.messages:,} received{rate}; {found.sent:,} sent"
    yield "connections", f"{found.connections:,}"
    ratio = f" ({worked_out['ratio']:.1f} to 1)" if (worked_out["ratio"] or 0) > 1 else ""
    yield "bytes", f"{found.raw:,} of messages, {found.compressed:,} in the file{ratio}"
    cut = "no: it was cut, is damaged or is still being written; what is there can be read"
    yield "whole", "yes" if found.whole else cut


def _worked_out(found: Info) -> dict[str, float | None]:
    """Return messages a second, and how much smaller the file is than what is in it."""
    seconds = 0.0 if found.first is None or found.last is None else (found.last - found.first) / 1e9
    return {
        "rate": found.messages / seconds if seconds > 0 else None,
        "ratio": found.raw / found.compressed if found.compressed else None,
    }


def _beginning(recording: Recording) -> list[dict[str, Any]]:
    """Return the first messages that came."""
    from rtwidgets.recording import Kind

    found: list[dict[str, Any]] = []
    for time, kind, messages in recording.batches():
        if kind in (Kind.TEXT, Kind.BINARY):
            for message in messages[: _FIRST - len(found)]:
                data = message.decode(errors="replace") if kind is Kind.TEXT else repr(message)
                found.append({"time": time, "kind": kind.name.lower(), "data": data})
        if len(found) == _FIRST:
            break
    return found


def _moment(time: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(time / 1e9, dt.UTC)


def _short(text: str) -> str:
    """Return the beginning of a text, which cannot move the cursor."""
    short = text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in short)
