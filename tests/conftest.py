"""What every test shares."""

import asyncio
import inspect
import threading

import pytest

from rtwidgets.loop import peek_errors, take_errors


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Run an async test on a loop of its own; it has to leave no task and no unhandled error behind."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    asyncio.run(_alone(pyfuncitem.obj(**arguments)))
    return True


@pytest.hookimpl
def pytest_make_parametrize_id(val, argname):
    """Name bytes by their place: workers have to collect the same tests, and some bytes are random."""
    return argname if isinstance(val, bytes) else None


async def _alone(test):
    unhandled = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
    await test
    for _ in range(3):  # what was cancelled at the end needs a moment to be gone
        await asyncio.sleep(0)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"the test left tasks behind: {left}"
    assert not unhandled, unhandled


@pytest.fixture
def tidy():
    """Nothing went wrong in the background that the test did not take, and no thread of ours is left."""
    take_errors()
    yield
    threads = [thread.name for thread in threading.enumerate() if thread.name.startswith("rtwidgets")]
    errors = peek_errors()
    take_errors()
    assert not errors, errors
    assert not threads, threads
