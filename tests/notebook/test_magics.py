"""The extension in a real kernel."""

import pytest

from tests.notebook.conftest import Kernel

TRACES = """
import asyncio, gc, threading, psutil
from ipywidgets.widgets.widget import _instances
def traces():
    gc.collect()
    threads = sorted(t.name for t in threading.enumerate() if "rtwidgets" in t.name)
    ports = [c.laddr.port for c in psutil.Process().net_connections() if c.status == "LISTEN"]
    tasks = [o.get_name() for o in gc.get_objects() if isinstance(o, asyncio.Task) and not o.done()
             and "rtwidgets" in (o.get_name() + repr(o.get_coro()))]
    children = [child.pid for child in psutil.Process().children()]
    return threads, sorted(ports), tasks, sorted(_instances), children
before = traces()
"""


def test_loading_twice_and_unloading_leaves_nothing(kernel: Kernel) -> None:
    """After loading twice, `%rt up`, a chat, a process server and charts, unloading leaves all as it was."""
    kernel.run(TRACES)
    kernel.run("%load_ext rtwidgets\n%load_ext rtwidgets\n%rt up --seed 1")
    kernel.run("%rt up --seed 1")
    assert kernel.run("import rtwidgets as rt; print(len(prices.wait(rows=20)) >= 20)") == "True\n"
    kernel.run(
        "ada = rt.chat('lobby', name='ada'); ada.send('hello'); ada.wait(1)\n"
        "rt.serve(process=True)\n"
        "chart = prices.chart('size', by='symbol', window=None)\n"
        "status = rt.status()"
    )
    assert kernel.run("print(traces() != before)") == "True\n"
    kernel.run("%unload_ext rtwidgets")
    assert kernel.run("print(traces() == before or (before, traces()))") == "True\n"
    with pytest.raises(AssertionError, match="`%rt` not found"):
        kernel.run("%rt status")


def test_up_twice_has_one_server_and_one_stream(kernel: Kernel) -> None:
    """Running the cell with `%rt up` again starts nothing anew."""
    kernel.run("%load_ext rtwidgets\n%rt up --seed 1\nfirst = server, prices")
    kernel.run("%rt up --seed 1")
    assert kernel.run("print(first == (server, prices))\n%rt status") == (
        "True\n"
        "rtwidgets: healthy\n"
        "  server   echo, ws, prices, chat, accounts, documents, yjs, orders, inventory, auctions, scores, "
        "games: running\n"
        "  stream   prices: open\n"
    )


def test_magics_bind_variables_and_stop_ends_all(kernel: Kernel) -> None:
    """`serve` binds the server; `connect` the stream, named after the channel or as given with --as."""
    kernel.run("%load_ext rtwidgets\n%rt serve prices chat --seed 1")
    assert kernel.run("%rt connect prices") == "Stream('prices')\n"
    kernel.run("%rt connect chat/lobby\n%rt connect prices --as ticks --key symbol")
    assert kernel.run("print(server, prices, chat_lobby, ticks)") == (
        "Server(running) Stream('prices') Stream('chat/lobby') Stream('prices')\n"
    )
    kernel.run("%rt stop")
    assert (
        kernel.run("print(server, ticks.state.value)\n%rt status")
        == "Server(stopped) closed\nrtwidgets: healthy\n"
    )


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("%rt fly", "invalid choice: 'fly'"),
        ("%rt connect", "the following arguments are required: channel"),
        ("%rt connect prices", "no server runs in this kernel: start one with rt.serve() or %rt up"),
        ("%rt serve pizza", "there is no service 'pizza'; there is: echo, ws, prices, chat"),
        ("%rt connect 'unbalanced", "No closing quotation"),
    ],
)
def test_wrong_line_is_one_sentence_with_no_traceback(kernel: Kernel, line: str, sentence: str) -> None:
    """A mistake in a magic prints what to do and no traceback."""
    kernel.run("%load_ext rtwidgets")
    with pytest.raises(AssertionError) as caught:
        kernel.run(line)
    assert sentence in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_interrupting_a_cell_that_waits_leaves_the_stream_running(kernel: Kernel) -> None:
    """Ctrl-C ends `wait`, and nothing else: the stream goes on and nothing is reported."""
    kernel.run("%load_ext rtwidgets\n%rt up --seed 1\nimport rtwidgets as rt")
    request = kernel.client.execute("print('waiting', flush=True); prices.wait(rows=10**9, timeout=None)")

    def seen(kind: str) -> dict:
        while True:
            message = kernel.client.get_iopub_msg(timeout=30)
            if message["parent_header"].get("msg_id") == request and message["msg_type"] == kind:
                return message["content"]

    seen("stream")
    kernel.manager.interrupt_kernel()
    assert seen("error")["ename"] == "KeyboardInterrupt"
    assert seen("status")["execution_state"] == "idle"
    kernel.client.get_shell_msg(timeout=30)
    assert kernel.run("n = prices.frame.total; prices.wait(rows=n + 5); print(rt.health())") == "healthy\n"


def test_connecting_in_a_cell_with_a_running_loop_works(kernel: Kernel) -> None:
    """Blocking calls and `async for` both work at the top level of a cell, where a loop runs already."""
    kernel.run("import rtwidgets as rt\nserver = rt.serve(seed=1); prices = rt.connect('prices')")
    printed = kernel.run(
        "seen = 0\n"
        "async for batch in prices:\n"
        "    seen += len(batch)\n"
        "    if seen >= 20: break\n"
        "df = await prices.wait_async(rows=30)\n"
        "print(seen >= 20, len(df) >= 30)"
    )
    assert printed == "True True\n"


def test_failed_service_is_named_in_the_status_even_after_its_error_was_taken(kernel: Kernel) -> None:
    """The status says which service has failed for as long as it is not written anew."""
    kernel.run("import rtwidgets as rt, time\nserver = rt.serve(services=['echo'])")
    kernel.run(
        "@rt.service('/bad')\nasync def bad(channel):\n    raise ValueError('no')\nbad = rt.connect('bad')"
    )
    printed = kernel.run(
        "while not server.server.failed: time.sleep(0.01)\n"
        "try: rt.health()\nexcept rt.RtError as error: print(error)\n"
        "print(repr(rt.status()))"
    )
    assert printed == (
        "1 background error\n  service /bad: ValueError: no\n"
        "rtwidgets: healthy\n  server   echo, bad: running, but failed: bad\n  stream   bad: open\n"
    )


def test_dashboard_composes_streams_and_widgets_and_is_the_same_for_the_same_parts(kernel: Kernel) -> None:
    """`rt.dashboard` takes streams and widgets, and all streams of the kernel when none is named."""
    kernel.run("import rtwidgets as rt\nrt.serve(seed=1)\nprices = rt.connect('prices')")
    printed = kernel.run(
        "page = rt.dashboard(prices, prices.candles('1s'), columns=2)\n"
        "print(page, page is rt.dashboard(prices, prices.candles('1s'), columns=2))\n"
        "print(rt.dashboard())"
    )
    assert printed == ("Dashboard(Chart('prices'), Candles('prices 1s')) True\nDashboard(Chart('prices'))\n")
