"""Recordings for clients that are not ours."""

from __future__ import annotations

import threading
from pathlib import Path

from rtwidgets.checks import check_websocket
from rtwidgets.errors import ConnectError
from rtwidgets.recording import Recording, hidden
from rtwidgets.recording.places import RECORD, to_read, to_write
from rtwidgets.testing.recording import BlockingRecordingProxy
from rtwidgets.testing.replaying import BlockingReplayServer

__all__ = ["Recorded"]


class Recorded:
    """Stands between a client of any kind and a feed, where an environment variable asks for that."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._between: list[BlockingReplayServer | BlockingRecordingProxy] = []

    def open(self, url: str) -> str:
        """Return the URL to connect any WebSocket library to, so that what it receives can be recorded.

        That is `url` itself, unless one of two environment variables names a folder. With
        ``RTWIDGETS_RECORD`` it is the URL of a local proxy, which hands everything on and records it there.
        With ``RTWIDGETS_REPLAY`` it is that of a local server, which answers as was recorded there, as fast
        as the client reads; a client that says something else than what was recorded is told what differs,
        and its connection closed with code 1008. Both run until `stop`.

        Ask for each connection that is open at the same time, as each has a recording of its own; one that
        is opened again after it has ended may go on with the same URL.

        ::

            async with websockets.connect(rt.recorded("wss://feed.example.org/ws")) as connection:
                ...

        Parameters
        ----------
        url
            Where the feed is: ``ws://…`` or ``wss://…``.

        Returns
        -------
        str
            Where to connect.

        Raises
        ------
        UsageError
            When `url` is not the URL of a WebSocket, or what is in its place is no recording.
        ConnectError
            When there is no recording of it, or one of another query.
        """
        check_websocket(url)
        if (path := to_read(url)) is not None:
            return self._keep(BlockingReplayServer(_recording(path, url)))
        if (path := to_write(url)) is not None:
            return self._keep(BlockingRecordingProxy(url, path))
        return url

    def forget(self) -> list[BlockingReplayServer | BlockingRecordingProxy]:
        """Forget what stands between, and return it; somebody has to stop it."""
        with self._lock:
            between, self._between = self._between, []
        return between

    def _keep(self, between: BlockingReplayServer | BlockingRecordingProxy) -> str:
        with self._lock:
            self._between.append(between)
        return between.url


def _recording(path: Path, url: str) -> Recording:
    recording = Recording(path)
    shown = hidden(url)
    recorded = recording.about.get("url", shown)
    if recorded != shown:
        raise ConnectError(
            shown,
            f"{recording.path.name} is a recording of {recorded}. Record it again (pytest --rt-record=DIR, "
            f"or {RECORD}=DIR), or ask for the same",
        )
    return recording
