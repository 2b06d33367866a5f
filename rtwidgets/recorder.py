"""The recording of a stream that runs, as a user holds it. Floor 5, below the stream."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from rtwidgets.client import Source
from rtwidgets.client.recorder import Recorder
from rtwidgets.errors import UsageError
from rtwidgets.loop import lease
from rtwidgets.recording import Recording, Writer

__all__ = ["StreamRecorder"]


class StreamRecorder:
    """Writes what a stream's connection hears to a file, until it is stopped.

    Made by `Stream.record`.
    """

    def __init__(self, source: Source, path: str | Path) -> None:
        self.path = Path(path)
        self.stopped = False
        self._source = source
        _check(self.path, source)
        self._writer = Writer(path, source.about)
        self._lease = lease()
        try:
            self._lease.run(self._tap(Recorder(self._writer)))
        except BaseException:
            self._writer.close()
            self._lease.release()
            raise

    def __repr__(self) -> str:
        return f"StreamRecorder({str(self.path)!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    @property
    def messages(self) -> int:
        """Messages that were received and written so far."""
        return self._writer.messages

    def stop(self) -> None:
        """Write what is left and close the file; twice is harmless."""
        if self.stopped:
            return
        self.stopped = True
        try:
            self._lease.run(self._tap(None))
        finally:
            self._lease.release()
            self._writer.close()

    async def _tap(self, recorder: Recorder | None) -> None:
        self._source.tap = recorder


def _check(path: Path, source: Source) -> None:
    """Raise a `UsageError` when a file is to be of another format, or has the recording of another feed."""
    if path.suffix in (".csv", ".json", ".jsonl", ".parquet", ".txt"):
        raise UsageError(f"{path}: record to a file .rtlog, and convert that with 'rtwidgets convert'")
    if not path.exists() or "url" not in source.about:
        return
    recorded = Recording(path).about.get("url")
    if recorded is not None and recorded != source.about["url"]:
        raise UsageError(f"{path} is a recording of {recorded}: name another file for {source.about['url']}")
