"""``rtwidgets record``: what a WebSocket sends, into a file."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rtwidgets.checks import check_websocket
from rtwidgets.cli.common import ca_option, log_to_stderr, run_until_told, subscribe_option
from rtwidgets.errors import BackgroundErrors, Closed, UsageError

if TYPE_CHECKING:
    from rich.text import Text

    from rtwidgets.client import Foreign
    from rtwidgets.client.recorder import Recorder
    from rtwidgets.frames import LiveFrame
    from rtwidgets.recording import Writer

__all__ = ["record"]

_log = logging.getLogger("rtwidgets.record")


@click.command(short_help="Write what a stream sends to a file.")
@click.argument("url")
@click.argument("file", type=click.Path(path_type=Path))
@subscribe_option
@click.option(
    "--for", "seconds", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="End after so long."
)
@click.option("--messages", "limit", type=click.IntRange(1), metavar="N", help="End after N messages.")
@click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="NAME:VALUE",
    help="A header of the request, such as 'Authorization: Bearer T'. May be repeated.",
)
@ca_option
@click.option("--append", is_flag=True, help="Continue a recording that is there.")
def record(  # noqa: PLR0917 (click passes them by name)
    url: str,
    file: Path,
    greetings: tuple[str, ...],
    seconds: float | None,
    limit: int | None,
    headers: tuple[str, ...],
    ca: str | None,
    append: bool,
) -> None:
    """Record what the WebSocket at URL sends, as it comes, in FILE until Ctrl-C.

    After a break it connects again, which is in the recording, too. What may be secret in the URL and in
    messages that are sent is not. 'rtwidgets replay' serves the file, and rt.replay() in a notebook reads it.

    \b
    rtwidgets record wss://any.feed/ws morning.rtlog --subscribe '{"op": "subscribe"}' --for 60
    rtwidgets record ws://127.0.0.1:8765 echo.rtlog --messages 1000 --append
    """  # noqa: D301 (click reads the escape)
    check_websocket(url)
    if ca is not None and not url.startswith("wss://"):
        raise UsageError("--ca goes with a URL that begins with wss://")
    new = not file.exists()
    if not new and not append:
        raise UsageError(f"{file} is there already: continue it with --append, or choose another name")
    request_headers = dict(map(_header, headers))
    live = sys.stdout.isatty()
    if not live:
        log_to_stderr()

    from rtwidgets.client import Foreign, trusting
    from rtwidgets.client.recorder import Recorder
    from rtwidgets.frames import LiveFrame
    from rtwidgets.recording import Writer, hidden, hidden_message

    trust = None if ca is None else trusting(ca)
    said = [hidden_message(greeting.encode()).decode() for greeting in greetings]
    writer = Writer(file, {"url": hidden(url), "subscribe": said})
    tap = _Tap(Recorder(writer), LiveFrame(), limit)

    async def work() -> None:
        foreign = Foreign(
            url, tap, subscribe=list(greetings), headers=request_headers, trust=lambda: trust, tap=tap
        )
        try:
            await foreign.opened()
            with _Counter(writer, foreign) if live else contextlib.nullcontext():
                await _until(seconds, tap.full, foreign)
        finally:
            tap.ending = True
            await foreign.close()

    try:
        run_until_told(work())
    finally:
        writer.close()
        _conclude(file, new)


async def _until(seconds: float | None, full: asyncio.Event, foreign: Foreign) -> None:
    """Wait until the time is over, or enough has come.

    Raises
    ------
    ConnectError, Closed
        When the connection has ended for good.
    BackgroundErrors
        When something went wrong: the disk is full, say.
    """
    from rtwidgets.loop import take_errors

    ended = foreign.link.ended
    waiting: asyncio.Future[Any] = asyncio.ensure_future(full.wait())
    end = math.inf if seconds is None else time.monotonic() + seconds
    try:
        while not waiting.done() and (left := end - time.monotonic()) > 0:
            await asyncio.wait([waiting, ended], timeout=min(left, 1.0), return_when=asyncio.FIRST_COMPLETED)
            if errors := take_errors():
                raise BackgroundErrors(errors)
            if ended.done() and not waiting.done():
                raise ended.result() or Closed(f"the stream has ended: {foreign.link.reason}")
    finally:
        waiting.cancel()


class _Tap:
    """Hands what a connection says and hears to a recorder, up to so many messages; makes no rows of it."""

    skipped = 0

    def __init__(self, recorder: Recorder, frame: LiveFrame, limit: int | None) -> None:
        self.frame = frame
        self.full = asyncio.Event()
        self.ending = False
        self._recorder = recorder
        self._left = limit

    def opened(self, url: str) -> None:
        """Record that a connection stands."""
        self._recorder.opened(url)

    def sent(self, message: bytes, binary: bool) -> None:
        """Record a message that was sent."""
        self._recorder.sent(message, binary)

    def received(self, time: int, messages: Sequence[bytes]) -> None:
        """Record messages, as long as there are not enough."""
        taken = messages[: self._left]
        if taken:
            self._recorder.received(time, taken)
        if self._left is not None:
            self._left -= len(taken)
            if not self._left:
                self.full.set()

    def closed(self, reason: str) -> None:
        """Record that the connection has ended."""
        self._recorder.closed(reason)
        if not self.ending:
            _log.warning("the connection was lost (%s); connecting again", reason)

    def messages(self, messages: list[bytes], received: object) -> None:
        """Make no rows."""

    def broke(self) -> None:
        """Mark no gap: it is in the recording."""


class _Counter:
    """Shows in the terminal how much has come, while the ``with`` block lasts."""

    def __init__(self, writer: Writer, foreign: Foreign) -> None:
        from rich.live import Live

        self._writer = writer
        self._link = foreign.link
        self._began = time.monotonic()
        self._live = Live(get_renderable=self.render, refresh_per_second=4, transient=True)

    def __enter__(self) -> None:
        self._live.start(refresh=True)

    def __exit__(self, *error: object) -> None:
        self._live.stop()

    def render(self) -> Text:
        """Return what is so now."""
        from rich.text import Text

        link, passed = self._link, time.monotonic() - self._began
        state = link.state.value
        # The server may have said it: what is no text could move the cursor.
        reason = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in link.reason)
        words = [
            state if state == "open" or not reason else f"{state} ({reason})",
            _count(self._writer.messages, "message"),
            _size(self._writer.bytes),
            f"{passed:,.0f} s",
            "Ctrl-C ends it",
        ]
        return Text(" · ".join(words), style="dim")


def _header(given: str) -> tuple[str, str]:
    name, colon, value = given.partition(":")
    if not colon or not name.strip():
        raise UsageError(f"--header {given!r} is not of the form NAME:VALUE")
    return name.strip(), value.strip()


def _conclude(file: Path, new: bool) -> None:
    """Say what a recording holds; remove it when nothing has come of it."""
    from rtwidgets.recording import Recording

    if not file.exists():
        return
    info = Recording(file).info()
    if new and not info.connections:
        file.unlink()
        return
    lasted = 0.0 if info.first is None or info.last is None else (info.last - info.first) / 1e9
    parts = [
        _count(info.messages, "message"),
        f"{info.sent:,} sent",
        _count(info.connections, "connection"),
        f"{lasted:,.1f} s",
        f"{_size(info.raw)}, {_size(info.compressed)} in the file",
    ]
    click.echo(f"{file}: {' · '.join(parts)}")


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _size(count: int) -> str:
    """Return a number of bytes as people say it."""
    return (
        f"{count:,} B"
        if count < 10_000
        else f"{count / 1e3:,.0f} kB"
        if count < 1e7
        else f"{count / 1e6:,.1f} MB"
    )
