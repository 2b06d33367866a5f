import asyncio
import contextlib
import gc
import os
import subprocess
import sys
import textwrap
import threading

import pytest

from rtwidgets import loop
from rtwidgets.errors import Closed, UsageError
from rtwidgets.loop import Bell, aside, lease, peek_errors, report, supervise, take_errors
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("tidy")


async def ident():
    return threading.get_ident()


def ours():
    return [thread for thread in threading.enumerate() if thread.name == "rtwidgets"]


def test_leases_share_one_thread_and_the_last_one_ends_it():
    """The first lease starts the thread, the last one released stops it, and only that one."""
    first, second = lease(), lease()
    assert len(ours()) == 1
    assert first.run(ident()) == second.run(ident()) == ours()[0].ident
    first.release()
    assert len(ours()) == 1
    second.release()
    assert not ours()


def test_releasing_twice_gives_back_one_share():
    """A second release of one lease takes nothing from the others."""
    first, second = lease(), lease()
    for _ in range(3):
        first.release()
    assert second.run(ident())
    second.release()


def test_a_lease_after_the_last_starts_anew():
    """The loop can be started and stopped any number of times."""
    seen = set()
    for _ in range(3):
        held = lease()
        seen.add(held.loop)
        held.release()
    assert len(seen) == 3
    assert all(each.is_closed() for each in seen)


def test_many_threads_lease_and_release_at_once():
    """However threads interleave, each runs its coroutine and nothing is left."""
    failures = []

    def work():
        try:
            for _ in range(20):
                held = lease()
                assert held.run(ident())
                held.release()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert not ours()


def test_a_blocking_call_on_the_loops_own_thread_is_a_usage_error():
    """It says so at once instead of waiting for itself, and the coroutine is closed."""
    held = lease()

    async def outer():
        held.run(ident())

    with pytest.raises(UsageError, match="await the async form"):
        held.run(outer())
    held.release()


def test_what_a_coroutine_raises_comes_out():
    """Its error is raised where it is waited for, and is no background error."""
    held = lease()

    async def fail():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        held.run(fail())
    held.release()


def test_a_timeout_cancels_the_coroutine():
    """When the time is over the coroutine is cancelled."""
    held = lease()
    cancelled = threading.Event()

    async def wait():
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with pytest.raises(TimeoutError):
        held.run(wait(), timeout=0.05)
    assert cancelled.wait(20)
    held.release()


def test_a_released_lease_runs_nothing():
    """It says that it was stopped, whether or not the loop goes on for others."""
    first, second = lease(), lease()
    first.release()
    with pytest.raises(Closed, match="was stopped"):
        first.run(ident())
    second.release()
    with pytest.raises(Closed, match="was stopped"):
        second.run(ident())


def test_who_waits_while_the_loop_ends_is_told():
    """A call that waits in another thread ends with Closed when the last lease is released."""
    held = lease()
    raised, began = [], threading.Event()

    async def wait():
        began.set()
        await asyncio.sleep(1000)

    def call():
        try:
            held.run(wait())
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    began.wait(20)
    held.release()
    thread.join(20)
    assert [type(error) for error in raised] == [Closed]


def test_a_release_on_the_loops_own_thread_does_not_wait_for_itself():
    """The thread ends all the same."""
    held = lease()
    held.call(held.release)
    until(lambda: not ours())


def test_a_task_that_will_not_end_holds_the_release_up_for_a_bounded_time(monkeypatch):
    """It is reported; the thread ends without it."""
    monkeypatch.setattr(loop, "WIND_UP_TIMEOUT", 0.1)
    held = lease()

    async def stubborn():
        while held.held or ours():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(1000)

    async def start():
        asyncio.get_running_loop().create_task(stubborn(), name="stubborn")
        await asyncio.sleep(0)

    held.run(start())
    held.release()
    assert not ours()
    assert "stubborn" in str(take_errors()[0][1])
    gc.collect()  # its end is reported too
    take_errors()


def test_tasks_that_start_others_while_they_end_leave_none():
    """What a cancelled task starts is cancelled too."""
    held = lease()
    ended = threading.Event()

    async def second():
        try:
            await asyncio.sleep(1000)
        finally:
            ended.set()

    async def first():
        try:
            await asyncio.sleep(1000)
        finally:
            tasks.append(asyncio.ensure_future(second()))
            await asyncio.sleep(0)

    tasks = []

    async def start():
        tasks.append(asyncio.ensure_future(first()))
        await asyncio.sleep(0)

    held.run(start())
    held.release()
    assert ended.is_set()
    assert all(task.done() for task in tasks)


def test_errors_are_kept_in_order_bounded_and_taken_once():
    """The newest hundred are kept until somebody takes them."""
    for n in range(150):
        report("here", ValueError(n))
    assert len(peek_errors()) == 100
    taken = take_errors()
    assert [error.args[0] for _, error in taken] == list(range(50, 150))
    assert take_errors() == []


def test_a_supervised_failure_is_reported_and_a_cancellation_is_not():
    """`supervise` reports what a task raises under its name."""
    held = lease()

    async def fail():
        raise ValueError("broken")

    async def start():
        failing = supervise(fail(), "the pump")
        idle = supervise(asyncio.sleep(1000), "the idler")
        idle.cancel()
        await asyncio.wait([failing, idle])
        await asyncio.sleep(0)

    held.run(start())
    assert [(where, str(error)) for where, error in take_errors()] == [("the pump", "broken")]
    held.release()


def test_an_error_in_a_callback_is_reported():
    """What nobody waits for is found in the background errors."""
    held = lease()
    held.call(lambda: 1 / 0)
    until(peek_errors)
    assert isinstance(take_errors()[0][1], ZeroDivisionError)
    held.release()


def run_script(text):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(text)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": "."},
    )


def test_nothing_is_printed():
    """Background errors and a loop left running at exit print nothing."""
    done = run_script("""
        import asyncio, time
        from rtwidgets.loop import lease, peek_errors, report, supervise
        held = lease()
        async def fail():
            supervise(asyncio.sleep(1000), "forever")
            raise ValueError("broken")
        async def start():
            supervise(fail(), "task")
            asyncio.ensure_future(fail())
        held.run(start())
        held.call(lambda: 1 / 0)
        report("here", ValueError("no"))
        while len(peek_errors()) < 3:
            time.sleep(0.01)
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(os.name == "nt", reason="signals are sent to a thread")
def test_ctrl_c_cancels_what_the_cell_waits_for_and_nothing_else():
    """KeyboardInterrupt reaches the caller; its coroutine is cancelled; the other task and the loop go on."""
    done = run_script("""
        import asyncio, signal, threading
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a background job of a shell
        from rtwidgets.loop import lease, supervise
        held = lease()
        state = []
        async def other():
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                state.append("other was cancelled")
                raise
        async def start():
            return supervise(other(), "other")
        task = held.run(start())
        cancelled = threading.Event()
        async def wait():
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                cancelled.set()
                raise
        try:
            held.run(wait())
        except KeyboardInterrupt:
            print("interrupted")
        assert cancelled.wait(20)
        print(held.run(asyncio.sleep(0, "alive")), task.done(), state)
        held.release()
        print(threading.active_count())
    """)
    assert done.stderr == ""
    assert done.stdout.split("\n") == ["interrupted", "alive False []", "1", ""]


def test_ctrl_c_right_after_the_coroutine_was_handed_over_cancels_it_too(monkeypatch):
    """The interrupt may come before the caller waits: the loop has the coroutine already."""
    held = lease()
    hand_over = held.loop.call_soon_threadsafe
    begun, cancelled = threading.Event(), threading.Event()

    async def wait():
        begun.set()
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    def interrupted(*args, **kwargs):
        hand_over(*args, **kwargs)
        monkeypatch.undo()
        assert begun.wait(20)
        raise KeyboardInterrupt

    monkeypatch.setattr(held.loop, "call_soon_threadsafe", interrupted)
    with pytest.raises(KeyboardInterrupt):
        held.run(wait())
    assert cancelled.wait(20)
    held.release()


async def test_aside():
    """What may block runs on a thread of its own, which the end of a loop does not wait for."""
    gate = threading.Event()

    def block():
        gate.wait(20)
        return threading.current_thread()

    waiting = asyncio.ensure_future(aside(block, "a test"))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    gate.set()
    thread = await waiting
    assert (thread is threading.current_thread(), thread.daemon) == (False, True)
    with pytest.raises(ZeroDivisionError):
        await aside(lambda: 1 // 0, "a test")


async def test_a_bell_wakes_who_waits_and_raises_what_they_asked():
    """An error in what somebody waits for is theirs, and not of whoever rings."""
    bell, state = Bell(), []
    waiting = asyncio.ensure_future(bell.wait(lambda: len(state) > 1))
    failing = asyncio.ensure_future(bell.wait(lambda: bool(state) and state[7]))
    await asyncio.sleep(0)
    for number in range(2):
        state.append(number)
        bell.ring()
    await asyncio.wait_for(waiting, 20)
    with pytest.raises(IndexError):
        await asyncio.wait_for(failing, 20)
    assert not bell._wakers


def test_a_released_lease_calls_nothing():
    """And says so, whether or not the loop goes on for others."""
    with lease_of_another():
        gone = lease()
        gone.release()
        with pytest.raises(Closed):
            gone.call(print)
    with pytest.raises(Closed):
        gone.call(print)


@contextlib.contextmanager
def lease_of_another():
    kept = lease()
    try:
        yield
    finally:
        kept.release()
