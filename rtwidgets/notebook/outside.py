"""Sources at URLs that are not ours: live, or what was recorded of them.

The environment variables ``RTWIDGETS_REPLAY`` and ``RTWIDGETS_RECORD`` name a folder. With the first one no
stream is live: each reads its recording in that folder, and time stands still unless somebody waits. With the
second one each is live, and recorded there.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rtwidgets.checks import is_amount
from rtwidgets.client import Foreign, ForeignSource, Source, Taking
from rtwidgets.client.foreign import texts
from rtwidgets.client.player import Player, Timeline
from rtwidgets.client.recorder import Recorder
from rtwidgets.client.replay import ReplaySource
from rtwidgets.errors import ConnectError, Unreachable, UsageError
from rtwidgets.recording import Kind, Recording, Writer, hidden, hidden_message
from rtwidgets.recording.places import RECORD, to_read, to_write
from rtwidgets.recording.requests import difference, request_of

__all__ = ["Asked", "Outside", "called", "play"]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked of a URL.

    Attributes
    ----------
    subscribe, headers, trust, keepalive
        As for `Foreign`.
    about
        How its messages are read, for a recording.
    ours
        Whether a server of this kernel answers there: that is never replayed.
    """

    url: str
    subscribe: object = None
    headers: Mapping[str, str] | None = field(default=None, repr=False)
    trust: Callable[[], ssl.SSLContext | None] = field(default=lambda: None, repr=False)
    keepalive: tuple[object, float] | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    ours: bool = False

    def described(self) -> dict[str, Any]:
        """Return what a recording has to say, without what may be secret."""
        said = [hidden_message(text.encode()).decode() for text in texts(self.subscribe)]
        return {"url": hidden(self.url), "subscribe": said, **self.about}


class Outside:
    """Opens sources."""

    def __init__(self) -> None:
        self.timeline = Timeline()
        """The time of all recordings that are read in place of a live feed."""

    async def open(self, asked: Asked, intake: Taking, *, fallback: str | Path | None = None) -> Source:
        """Return a source once its connection stands, or its recording is open; runs on the background loop.

        Parameters
        ----------
        asked
            What to connect to.
        intake
            What takes the messages.
        fallback
            A recording to play where nobody answers.

        Raises
        ------
        ConnectError
            When the connection cannot be made; in a replay, when there is no recording of it, or one of
            another request.
        """
        if not asked.ours and (path := to_read(asked.url)) is not None:
            recording = Recording(path)
            _check(asked, recording)
            return ReplaySource(
                Player(recording, intake), intake, timeline=self.timeline, expected=_sent_in(recording)
            )
        about = asked.described()
        recorder = None
        if not asked.ours and (path := to_write(asked.url)) is not None:
            recorder = Recorder(Writer(path, about))
        foreign = Foreign(
            asked.url,
            intake,
            subscribe=asked.subscribe,
            headers=asked.headers,
            trust=asked.trust,
            keepalive=asked.keepalive,
            tap=recorder,
        )
        try:
            await foreign.opened()
        except BaseException as error:
            if recorder is not None:
                recorder.close()
            if fallback is None or not isinstance(error, Unreachable):
                raise
            return play(Recording(fallback), intake, speed=1.0, name=called(asked.url))
        return ForeignSource(foreign, intake, about=about, recorder=recorder)

    def sleep(self, seconds: float) -> None:
        """Wait, by the clock that the streams go by: in a replay whose time stands still it goes on so much.

        Parameters
        ----------
        seconds
            How long.

        Raises
        ------
        UsageError
            When that is no time.
        """
        if not is_amount(seconds):
            raise UsageError(f"sleep({seconds!r}): give a number of seconds")
        if not self.timeline.sleep(seconds):
            time.sleep(seconds)


def called(url: str) -> str:
    """Return what a stream at a URL is called: its host and path."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] + parts.path.rstrip("/")


def play(
    recording: Recording,
    intake: Taking,
    *,
    speed: float,
    name: str,
    loop: bool = False,
    start: float = 0.0,
) -> ReplaySource:
    """Play a recording by the clock; runs on the background loop."""
    source = ReplaySource(Player(recording, intake, start=start), intake)
    source.begin(speed, loop=loop, name=name)
    return source


def _check(asked: Asked, recording: Recording) -> None:
    """Raise a `ConnectError` when a recording is of another request."""
    greetings = [text.encode() for text in texts(asked.subscribe)]
    before = recording.about.get("subscribe")
    recorded = _greetings(recording) if before is None else [text.encode() for text in before]
    url = recording.about.get("url", hidden(asked.url))
    if words := difference(request_of(url, recorded), request_of(asked.url, greetings)):
        raise ConnectError(
            hidden(asked.url),
            f"the request is not the one that was recorded in {recording.path.name}. Record it again "
            f"(pytest --rt-record=DIR, or {RECORD}=DIR), or ask for the same:\n{words}",
        )


def _greetings(recording: Recording) -> list[bytes]:
    """Return what was sent before anything came."""
    sent: list[bytes] = []
    for batch in recording.batches():
        if batch.kind in (Kind.SENT_TEXT, Kind.SENT_BINARY):
            sent += batch.messages
        elif batch.kind is not Kind.OPENED:
            break
    return sent


def _sent_in(recording: Recording) -> Callable[[object], None]:
    """Return what checks that a message is one of those that were sent in a recording."""

    def check(data: object) -> None:
        (text,) = texts([data])
        message = hidden_message(text.encode())
        sent = [
            each
            for batch in recording.batches()
            if batch.kind in (Kind.SENT_TEXT, Kind.SENT_BINARY)
            for each in batch.messages
        ]
        if message not in sent:
            known = ", ".join(each.decode(errors="replace") for each in sent[-5:]) or "nothing"
            raise UsageError(
                f"send: {message.decode()} was not sent when {recording.path.name} was recorded. "
                f"That was: {known}"
            )

    return check
