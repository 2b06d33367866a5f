"""The one background event-loop thread, and what goes wrong on it. Floor 1: imports errors only.

Servers, clients and charts of a kernel share one asyncio loop on one daemon thread. Each holds a lease:
the first one starts the thread, the last one released stops it. Blocking calls made in a cell hand a
coroutine over and wait, so they work whether or not the caller's own thread runs a loop.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from rtwidgets.errors import Closed, RtError, UsageError

__all__ = ["Bell", "Lease", "aside", "lease", "peek_errors", "report", "supervise", "take_errors"]

T = TypeVar("T")

logger = logging.getLogger("rtwidgets")
# Without a handler the last resort of `logging` would print into whichever cell happens to run.
logger.addHandler(logging.NullHandler())

WIND_UP_TIMEOUT = 2.0
"""Seconds that tasks have to end when the loop is stopped."""

# The newest are kept; a failure that repeats for a night must not fill the memory.
_errors: deque[tuple[str, BaseException]] = deque(maxlen=100)


def report(where: str, error: BaseException) -> None:
    """Keep a background error until somebody asks for it, and log it."""
    _errors.append((where, error))
    logger.error("%s: %s: %s", where, type(error).__name__, error)


def take_errors() -> list[tuple[str, BaseException]]:
    """Return the background errors since the last call, oldest first, and forget them."""
    taken = []
    while _errors:
        taken.append(_errors.popleft())
    return taken


def peek_errors() -> list[tuple[str, BaseException]]:
    """Return the background errors that nobody has taken yet, oldest first."""
    return list(_errors)


def supervise(coroutine: Coroutine[Any, Any, T], where: str) -> asyncio.Task[T]:
    """Run a coroutine as a task of the current loop; its failure is reported under `where`."""
    task = asyncio.get_running_loop().create_task(coroutine, name=f"rtwidgets: {where}")

    def ended(task: asyncio.Task[T]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            report(where, error)

    task.add_done_callback(ended)
    return task


async def aside(function: Callable[[], T], where: str) -> T:
    """Run a function that may block on a thread of its own, and return what it returns.

    Nobody waits for the thread when the loop ends: it is not one of the loop's executor, which would.
    """
    future: concurrent.futures.Future[T] = concurrent.futures.Future()

    def run() -> None:
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(function())
            except BaseException as error:  # noqa: BLE001 - raised where it is awaited
                future.set_exception(error)

    threading.Thread(target=run, name=f"{where} for rtwidgets", daemon=True).start()
    return await asyncio.wrap_future(future)


class Bell:
    """Wakes those who wait, on whichever loop, for something to come about. Rung from any thread."""

    def __init__(self) -> None:
        self._wakers: set[Callable[[], object]] = set()

    def ring(self) -> None:
        """Have those who wait look again."""
        for waker in tuple(self._wakers):
            waker()

    async def wait(self, reached: Callable[[], bool]) -> None:
        """Wait until something is so; it is looked at whenever the bell rings, on the thread that rings.

        What `reached` raises there is raised here.
        """
        loop, event = asyncio.get_running_loop(), asyncio.Event()
        failed: list[Exception] = []

        def waker() -> None:
            try:
                over = reached()
            except Exception as error:  # noqa: BLE001 - whoever rings has nothing to do with it
                failed.append(error)
                over = True
            if over:
                with contextlib.suppress(RuntimeError):  # the loop of whoever waited was closed meanwhile
                    loop.call_soon_threadsafe(event.set)

        self._wakers.add(waker)
        try:
            if not reached():
                await event.wait()
            if failed:
                raise failed[0]
        finally:
            self._wakers.discard(waker)


class _Handed(Generic[T]):
    """A coroutine on its way to the loop's thread; all but `future` belongs to that thread."""

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self.future: concurrent.futures.Future[T] = concurrent.futures.Future()
        self._coroutine = coroutine
        self._task: asyncio.Task[T] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._coroutine)
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            self.future.cancel()
        elif (error := task.exception()) is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(task.result())

    def give_up(self) -> None:
        if self._task is None:
            self._coroutine.close()
        else:
            self._task.cancel()


class Lease:
    """A share in the background loop. Release it when the work is over; releasing twice is harmless."""

    def __init__(self, background: _Background, loop: asyncio.AbstractEventLoop) -> None:
        self._background = background
        self.held = True
        self.loop = loop

    def check(self) -> None:
        """Raise what `run` would raise before it runs anything."""
        if not self.held:
            raise Closed("this was stopped: start or connect it again")
        if threading.get_ident() == self._background.thread_id:
            raise UsageError(
                "a blocking call inside a coroutine of the background loop would wait for itself: "
                "await the async form instead"
            )

    def run(self, coroutine: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run a coroutine on the loop's thread and wait for its result.

        Parameters
        ----------
        coroutine
            What to run.
        timeout
            Seconds to wait; the coroutine is cancelled when they are over.

        Raises
        ------
        TimeoutError
            When `timeout` seconds went by.
        Closed
            When the lease was released, before the call or while it waited.
        UsageError
            When called from the loop's own thread, where it would wait for itself for ever.
        """
        try:
            self.check()
        except RtError:
            coroutine.close()
            raise
        handed = _Handed(coroutine)
        # Ctrl-C may come as soon as the loop has the coroutine, before this thread waits for it. The loop
        # keeps the order of its calls: what gives up finds what was started.
        try:
            self.call(handed.start)
            return handed.future.result(timeout)
        except concurrent.futures.CancelledError:
            raise Closed("this was stopped while something waited for it") from None
        except Closed:
            coroutine.close()
            raise
        except (KeyboardInterrupt, TimeoutError):
            # Ctrl-C in a cell ends what the cell waits for, and nothing else that runs on the loop.
            with contextlib.suppress(Closed):  # then it ended with the loop
                self.call(handed.give_up)
            raise

    def call(self, function: Callable[..., object], *args: object) -> None:
        """Call a function soon on the loop's thread, from any thread, without waiting for it.

        Raises
        ------
        Closed
            When the lease was released.
        """
        stopped = "this was stopped: start or connect it again"
        if not self.held:
            raise Closed(stopped)
        try:
            self.loop.call_soon_threadsafe(function, *args)
        except RuntimeError as error:  # the loop was closed a moment ago
            raise Closed(stopped) from error

    def release(self) -> None:
        """Give the share back; the last one stops the thread and waits for its end."""
        self._background.released(self)


class _Background:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._leases = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def thread_id(self) -> int | None:
        return self._thread.ident if self._thread is not None else None

    def lease(self) -> Lease:
        with self._lock:
            if self._loop is None:
                self._start()
            assert self._loop is not None
            self._leases += 1
            return Lease(self, self._loop)

    def released(self, lease: Lease) -> None:
        with self._lock:
            if not lease.held:
                return
            lease.held = False
            self._leases -= 1
            if self._leases > 0 or self._loop is None or self._thread is None:
                return
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
            loop.call_soon_threadsafe(loop.stop)
        if thread.ident != threading.get_ident():
            thread.join()

    def _start(self) -> None:
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(_unhandled)
        started = threading.Event()

        def run() -> None:
            asyncio.set_event_loop(loop)
            loop.call_soon(started.set)
            try:
                loop.run_forever()
            finally:
                _wind_up(loop)

        self._thread = threading.Thread(target=run, name="rtwidgets", daemon=True)
        self._loop = loop
        self._thread.start()
        started.wait()


def _unhandled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception") or RuntimeError(context["message"])
    report("background loop", error)


def _wind_up(loop: asyncio.AbstractEventLoop) -> None:
    async def cancel_all() -> None:
        deadline = loop.time() + WIND_UP_TIMEOUT
        # More than once: what ends may start something, and a thread may have just handed a coroutine over.
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            if loop.time() > deadline:
                for task in tasks:
                    report(
                        "background loop",
                        RuntimeError(f"{task.get_name()} does not end when it is cancelled"),
                    )
                return
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=WIND_UP_TIMEOUT / 4)

    loop.run_until_complete(cancel_all())
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


_background = _Background()


def lease() -> Lease:
    """Take a share in the background loop, starting its thread if nobody else has."""
    return _background.lease()
