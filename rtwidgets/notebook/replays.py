"""Recordings, played as streams of a kernel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from rtwidgets.checks import is_amount
from rtwidgets.client import ChannelReader, Source, Subscription
from rtwidgets.client.kinds import KindSource
from rtwidgets.client.player import Player
from rtwidgets.client.replay import ChannelTaking, ReplaySource, check_speed
from rtwidgets.errors import UsageError
from rtwidgets.kinds import Feed, stream_of
from rtwidgets.notebook.feeds import Feeds
from rtwidgets.notebook.registry import Registry, Wanted
from rtwidgets.notebook.rows import Rows
from rtwidgets.recording import Recording
from rtwidgets.stream import Stream

__all__ = ["Replays"]


class Replays:
    """Plays recordings.

    Parameters
    ----------
    registry
        Knows what runs.
    feeds
        Knows how the messages of feeds are read.
    """

    def __init__(self, registry: Registry, feeds: Feeds) -> None:
        self._registry = registry
        self._feeds = feeds

    def replay(
        self,
        path: str | Path,
        *,
        speed: float | None = 1,
        loop: bool = False,
        start: float = 0.0,
        name: str | None = None,
        **rows: Any,
    ) -> Stream | Feed:
        """Play a recording as the stream that was recorded, or as the feed of several kinds of messages.

        Rows that have no time of their own get the time at which they came then, and all that is worked out
        by time, such as bars and windows, goes by the recording's time.

        Parameters
        ----------
        path
            Of a recording that `Stream.record` or ``rtwidgets record`` made; or of JSON lines, or a capture.
        speed
            How many times as fast as it was recorded, such as 1 or 10. None plays all of it at once and
            returns when that is done.
        loop
            Begin anew at the end. The rows before it stay, and there is a gap between.
        start
            Seconds of the recording to leave out.
        name
            What the stream is called; the file's name when None.
        rows
            Arguments of `connect` about rows, where they should not be as they were recorded: key, time,
            schema, where, records, columns, beside, max_rows, max_age.

        Raises
        ------
        UsageError
            When there is no such file, it is no recording, or for arguments that do not hold together.
        """
        check_speed(speed, loop=loop)
        if not is_amount(start):
            raise UsageError(f"start={start!r}: give the seconds of the recording to leave out")
        recording = Recording(path)
        options = self._options(recording.about, rows)
        title = name or Path(path).name
        asked = (Path(path).resolve(), recording.first, recording.last, speed, loop, start, options)
        kind, make = self._made(recording, options, start)

        async def open_recording() -> Source:
            source, shown = make()
            if speed is None:
                await source.read_all()
            else:
                source.begin(speed, loop=loop, name=title)
            return shown

        wanted = Wanted(kind, name or ("replay", str(path)), title, asked)
        return self._registry.open(wanted, open_recording)

    def _options(self, about: Mapping[str, Any], rows: Mapping[str, Any]) -> Rows:
        """Return what the rows are: what was recorded of them, and what is given instead."""
        known = [field.name for field in fields(Rows)]
        if unknown := [each for each in rows if each not in known]:
            raise UsageError(
                f"replay({unknown[0]}=…): there is no such argument; choose from {', '.join(known)}"
            )
        recorded = {each: value for each, value in about.get("arguments", {}).items() if each in known}
        return replace(Rows(**recorded), **rows)

    def _made(
        self, recording: Recording, options: Rows, start: float
    ) -> tuple[Callable[[str, Any], Stream | Feed], Callable[[], tuple[ReplaySource, Source]]]:
        """Return what a recording is shown as, and what makes its source, to be played and to be shown."""
        about = recording.about

        def plain() -> tuple[ReplaySource, Source]:
            intake = options.taking()
            source = ReplaySource(Player(recording, intake, start=start), intake)
            return source, source

        def channel() -> tuple[ReplaySource, Source]:
            source = _channel(recording, options, about["channel"])
            return source, source

        def feed() -> tuple[ReplaySource, Source]:
            kinds = self._feeds.preset(about["feed"]).sorter(
                about["kinds"], options.max_rows, options.max_age
            )
            source = ReplaySource(Player(recording, kinds, start=start), kinds)
            if about["alone"]:
                return source, KindSource(source, kinds, about["kinds"][0], alone=True)
            return source, source

        if "channel" in about:
            return Stream, channel
        if "feed" in about:
            return (stream_of if about["alone"] else Feed), feed
        return (Stream if options.by is None else Feed), plain


def _channel(recording: Recording, options: Rows, channel: str) -> ReplaySource:
    reader = ChannelReader(Subscription(channel), lambda answer: options.intake(answer.key, answer.time))
    taking = ChannelTaking(reader)
    player = Player(recording, taking)
    while not taking.begun and player.play(1):
        pass  # the server's answer says what the rows are
    if not taking.begun:
        raise UsageError(f"{recording.path.name} has no messages of channel {channel!r}: record it again")
    return ReplaySource(player, taking, presence=reader.presence, missing=lambda: reader.gaps)
