"""G14: loading twice changes nothing; unloading leaves no thread, port, task, process or widget of ours."""

from __future__ import annotations

import pytest

from tests.notebook.conftest import Kernel

TRACES = """
import asyncio, gc, threading, psutil
from ipywidgets.widgets.widget import _instances

shell = get_ipython()
main_loop = asyncio.get_running_loop()

def is_the_kernels(task):
    # One for each message that it passes on: they come and go meanwhile, on threads of its own.
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and "ipykernel" in code.co_filename

def traces():
    gc.collect()
    process = psutil.Process()
    tasks = [each for each in gc.get_objects() if isinstance(each, asyncio.Task) and not each.done()]
    return {
        "threads": sorted(each.name for each in threading.enumerate()),
        "sockets": sorted((each.status, each.laddr.port) for each in process.net_connections()),
        "tasks": sorted(
            repr(each.get_coro())
            for each in tasks
            if each.get_loop() is not main_loop and not is_the_kernels(each)
        ),
        "children": sorted(child.pid for child in process.children(recursive=True)),
        "widgets": sorted(_instances),
        "callbacks": {name: len(those) for name, those in shell.events.callbacks.items()},
        "magics": sorted(name for kind in shell.magics_manager.magics.values() for name in kind),
    }
"""

EVERYTHING = """
import rtwidgets as rt
ada = rt.chat("lobby", name="ada")
ada.send("hello")
ada.wait(1)

@rt.service("/mine", key="who", writable=True)
async def mine(channel):
    await channel.publish({"who": "ada", "n": 1})

my_stream = rt.connect("mine")
child = rt.serve(process=True, services=["prices"])
elsewhere = rt.connect("prices", server=child, name="elsewhere")
plain = rt.connect(f"{server.url}/chat/lobby?token={server.token}", name="plain")
page = rt.dashboard(
    prices.chart("size", by="symbol", window=None), prices.candles("1s"), prices.table(), my_stream
)
status = rt.status()
elsewhere.wait(20)
prices.wait(20)
"""


@pytest.fixture
def fresh(kernel: Kernel) -> Kernel:
    """A kernel that can tell what it was like before anything of ours began.

    The packages are there already: some of them keep threads and widgets of their own.
    """
    kernel.run("import rtwidgets.notebook.magics, rtwidgets.testing\n" + TRACES)
    kernel.run("before = traces()")
    kernel.run("before = traces()")  # the first cell that looked may have left something behind
    return kernel


def same(kernel: Kernel, name: str) -> str:
    """Return ``"same"`` if the traces are those of a name, or what is otherwise."""
    return kernel.run(
        "now = traces()\n"
        f"print({{kind: ({name}[kind], now[kind]) for kind in now if now[kind] != {name}[kind]}} or 'same')"
    ).strip()


def test_loading_twice_changes_nothing(fresh: Kernel) -> None:
    """With all there is running: the same servers, streams, threads, sockets, tasks, widgets; no other."""
    fresh.run("%load_ext rtwidgets\n%rt up --seed 1")
    fresh.run("import rtwidgets as rt; things = server, prices, rt.dashboard(prices); up = traces()")
    assert "already loaded" in fresh.run("%load_ext rtwidgets")
    fresh.run("rt.load_ipython_extension(shell)")
    fresh.run("%rt up --seed 1")
    assert same(fresh, "up") == "same"
    assert fresh.run("print(things == (server, prices, rt.dashboard(prices)))") == "True\n"
    fresh.run(EVERYTHING)
    fresh.run("loaded = traces()")
    fresh.run("%load_ext rtwidgets")
    fresh.run("rt.load_ipython_extension(shell)")
    assert same(fresh, "loaded") == "same"
    assert fresh.run("print(rt.health())") == "healthy\n"


def test_unloading_leaves_nothing(fresh: Kernel) -> None:
    """Neither thread, socket, task, child process, widget nor magic; and it can be done again."""
    for _ in range(2):
        fresh.run("%load_ext rtwidgets\n%rt up --seed 1")
        fresh.run(EVERYTHING)
        fresh.run("running = traces()")
        assert fresh.run("print([kind for kind in running if running[kind] == before[kind]])") == "[]\n"
        fresh.run("%unload_ext rtwidgets")
        assert same(fresh, "before") == "same"
        assert (
            fresh.run("print(rt.health(), len(prices) >= 20, prices.state.value)") == "healthy True closed\n"
        )
    with pytest.raises(AssertionError, match="`%rt` not found"):
        fresh.run("%rt status")


def test_reloading_is_unloading_and_loading(fresh: Kernel) -> None:
    """What ran has ended, and nothing but the magic is there; what is started then works."""
    fresh.run("%load_ext rtwidgets")
    fresh.run("loaded = traces()")
    fresh.run("%rt up --seed 1")
    fresh.run(EVERYTHING)
    fresh.run("%reload_ext rtwidgets")
    assert same(fresh, "loaded") == "same"
    assert fresh.run("%rt status") == "rtwidgets: healthy\n"
    fresh.run("first = server\n%rt up --seed 2")
    assert fresh.run("print(server is not first, len(prices.wait(20)) >= 20, rt.health())") == (
        "True True healthy\n"
    )
