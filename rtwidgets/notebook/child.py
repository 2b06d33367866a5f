"""A server in a process of its own, so that a cell that holds the interpreter does not hold the server.

The child reads its configuration as one JSON line from its standard input and answers with one line, the URL
or an error. Further lines are background errors. It ends when its input is closed, which happens when the
kernel dies, however it dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from typing import Any

from rtwidgets.errors import PortInUse, RtError, ServeError, UsageError
from rtwidgets.loop import report, take_errors
from rtwidgets.server import Server
from rtwidgets.services import choose

__all__ = ["Child", "main"]

START_TIMEOUT = 30.0
"""Seconds that the child has to say that it listens."""
REPORT_EVERY = 0.5
"""Seconds between two looks of the child at its background errors."""


class Child:
    """A running child process with a server in it.

    Parameters
    ----------
    services
        Names of services, or None for all.
    config
        Keyword arguments of `Server`.

    Raises
    ------
    PortInUse
        When another program has the port.
    UsageError
        For options that no service has.
    ServeError
        When the child cannot serve, with its reason.
    """

    def __init__(self, services: list[str] | None, config: Mapping[str, Any]) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `stop`
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rtwidgets.notebook.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            start_new_session=True,  # Ctrl-C in a cell is sent to the kernel's whole process group
        )
        self._stopped = False
        self._listener = threading.Thread(target=self._listen, name="rtwidgets: server process", daemon=True)
        timer = threading.Timer(START_TIMEOUT, self._process.kill)
        timer.start()
        try:
            with contextlib.suppress(BrokenPipeError):  # it ended at once; what it said will tell why
                self._say({"services": services, "config": dict(config)})
            answer = self._hear()
        except BaseException:
            self.stop()
            raise
        finally:
            timer.cancel()
            timer.join()
        if "url" not in answer:
            last_words = self._last_words()
            self.stop()
            if answer.get("kind") == "PortInUse":
                raise PortInUse(config["host"], config["port"])
            if answer.get("kind") == "UsageError":
                raise UsageError(answer["error"])
            raise ServeError(answer.get("error") or f"the server process ended: {last_words}")
        self.url: str = answer["url"]
        self.token: str = answer["token"]
        self.certificate: str | None = answer.get("certificate")
        self._listener.start()

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End the process; stopping twice is harmless."""
        self._stopped = True
        process = self._process
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._listener.is_alive():
            self._listener.join()
        assert process.stdout is not None
        process.stdout.close()
        self._stderr.close()

    def _say(self, config: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(config, default=str) + "\n")
        self._process.stdin.flush()

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline() or "{}")
        return answer

    def _listen(self) -> None:
        """Pass on the child's background errors, and notice its end."""
        while said := self._hear():
            report(f"the server process: {said['where']}", ServeError(said["error"]))
        if not self._stopped:
            self._process.wait()
            report("the server process", ServeError(f"it ended by itself: {self._last_words()}"))

    def _last_words(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=1.0)
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"exit code {self._process.poll()}"


def _answer(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


async def _serve(line: str) -> None:
    given = json.loads(line)
    async with Server(choose(given["services"]), **given["config"]) as server:
        _answer({"url": server.url, "token": server.token, "certificate": server.certificate})
        # It returns when the parent closes the pipe or dies.
        ended = asyncio.ensure_future(asyncio.to_thread(sys.stdin.read))
        while not ended.done():
            await asyncio.wait([ended], timeout=REPORT_EVERY)
            for where, error in take_errors():
                _answer({"where": where, "error": f"{type(error).__name__}: {error}"})


def main() -> None:
    """Serve until the standard input ends."""
    try:
        asyncio.run(_serve(sys.stdin.readline()))
    except RtError as error:
        _answer({"error": str(error), "kind": type(error).__name__})


if __name__ == "__main__":
    main()
