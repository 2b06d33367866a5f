"""The fixtures of the pytest plugin, in runs of pytest of its own."""

import json
import re
from pathlib import Path

import pytest

from rtwidgets.recording import Kind, Writer

pytest_plugins = ["pytester"]

PLUGIN = ["-p", "no:rtwidgets", "-p", "rtwidgets.testing.plugin", "-p", "no:nbval", "-p", "no:cacheprovider"]
DOCS = Path(__file__).parents[2] / "docs/testing.md"

NOTHING_RUNS = """
import threading

from rtwidgets.loop import peek_errors
from rtwidgets.notebook.running import running

def nothing_runs():
    names = [thread.name for thread in threading.enumerate()]
    return not running.describe() and not [name for name in names if name.startswith("rtwidgets")]
"""


@pytest.fixture
def run(pytester):
    """Runs some tests with the plugin."""

    def run(source, *arguments):
        pytester.makepyfile(rest=NOTHING_RUNS, test_it=source)
        return pytester.runpytest_subprocess(*PLUGIN, *arguments, timeout=100)

    return run


def record(path, *rows):
    """Make a recording of messages, one a second."""
    with Writer(path) as writer:
        for second, row in enumerate(rows):
            writer.write((1767364200 + second) * 10**9, Kind.TEXT, [json.dumps(row).encode()])


def test_a_server(run):
    """Is there with all its services, says the same each time, and is gone after the test."""
    result = run(
        """
        import pytest
        import rtwidgets as rt
        from rest import nothing_runs

        first = []

        @pytest.mark.parametrize("time", [1, 2])
        def test_prices(rt_server, time):
            assert {"prices", "chat", "orders"} <= {*rt_server.describe().name.split(", ")}
            prices = rt.connect("prices", server=rt_server)
            first.append(prices.wait(rows=3)["price"].head(3).tolist())
            assert first[0] == first[-1]

        def test_afterwards():
            assert nothing_runs()
        """
    )
    result.assert_outcomes(passed=3)


def test_what_fails_out_of_sight_is_an_error(run):
    """Of the test in which it happened, also when that does not wait for it; not of the one after it."""
    result = run(
        """
        import pytest
        import rtwidgets as rt
        from rtwidgets.loop import report

        def test_before():
            report("somewhere", OSError("nobody looked"))

        @pytest.mark.parametrize("fixture", ["rt_server", "rt_stream", "rt_faults", "rt_kernel"])
        def test_error(request, fixture):
            request.getfixturevalue(fixture)
            report("the feed", OSError(f"gone with {fixture}"))

        def test_expected(rt_server):
            report("the feed", OSError("expected"))
            with pytest.raises(rt.RtError, match="expected"):
                rt.health()
        """
    )
    result.assert_outcomes(passed=6, errors=4)
    for fixture in ("rt_server", "rt_stream", "rt_faults", "rt_kernel"):
        result.stdout.fnmatch_lines([f"*the feed: OSError: gone with {fixture}"])
    result.stdout.no_fnmatch_line("*nobody looked*")


def test_a_stream_of_messages(run, pytester):
    """They come over a real connection, as the test says; no recording is read in their place."""
    pytester.mkdir("tapes")
    result = run(
        """
        import pytest
        import rtwidgets as rt
        from rest import nothing_runs

        def test_rows(rt_stream):
            stream = rt_stream([{"symbol": "A", "price": 1}, {"symbol": "B", "price": 2}], key="symbol")
            assert stream.wait(rows=2)["price"].tolist() == [1, 2]
            stream.feed([{"symbol": "A", "price": 3}])
            stream.wait(rows=3)
            assert stream.latest["price"].to_dict() == {"A": 3, "B": 2}
            assert repr(stream) == "Stream('stream 1')"

        def test_text_and_bytes(rt_stream):
            stream = rt_stream(['{"n": 1}', b'{"n": 2}', "no JSON"], name="odd")
            assert stream.wait(rows=2)["n"].tolist() == [1, 2]
            stream.feed([{"n": n} for n in range(3, 2001)])
            assert stream.wait(rows=2000)["n"].tolist() == list(range(1, 2001))
            assert len(stream.rejected) == 1
            assert repr(stream) == "Stream('odd')"

        def test_two(rt_stream):
            one, two = rt_stream([{"n": 1}]), rt_stream([{"in": [{"n": 2}, {"n": 3}]}], records="in")
            assert one.wait()["n"].tolist() == [1]
            assert two.wait(rows=2)["n"].tolist() == [2, 3]

        def test_what_is_no_use(rt_stream):
            with pytest.raises(rt.RtError, match="a_dtype"):
                rt_stream([{"n": 1}], schema={"n": "a_dtype"})

        def test_afterwards():
            assert nothing_runs()
        """,
        "--rt-replay=tapes",
    )
    result.assert_outcomes(passed=5)


def test_a_stream_of_a_recording(run, pytester):
    """Is all there at once."""
    record(pytester.path / "morning.rtlog", {"n": 1}, {"n": 2})
    result = run(
        """
        from pathlib import Path
        import pytest

        @pytest.mark.parametrize("kind", [str, Path])
        def test_rows(rt_stream, kind):
            assert rt_stream(kind("morning.rtlog")).df["n"].tolist() == [1, 2]
        """
    )
    result.assert_outcomes(passed=2)


def test_faults(run):
    """Are made between a stream and its server."""
    result = run(
        """
        import rtwidgets as rt
        from rest import nothing_runs

        def test_a_cut(rt_server, rt_faults):
            link = rt_faults(rt_server.url)
            prices = rt.connect("prices", server=link.url, token=rt_server.token)
            prices.wait(rows=3)
            link.cut()
            prices.wait(rows=prices.frame.total + 10)
            assert prices.states["state"].tolist()[1:3] == ["open", "waiting"]
            assert prices.gaps.empty

        def test_afterwards():
            assert nothing_runs()
        """
    )
    result.assert_outcomes(passed=2)


def test_the_samples_of_the_docs(run, pytester):
    """The tests that docs/testing.md shows pass."""
    samples = re.findall(r"^```python\n(.*?)^```$", DOCS.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    tests = [sample for sample in samples if "def test_" in sample]
    assert len(tests) >= 3
    rows = [{"symbol": "AB"[n % 2], "price": n, "ts": 1767364200 + n} for n in range(100)]
    record(pytester.path / "morning.rtlog", *rows)
    result = run("\n\n".join(tests))
    assert result.ret == 0
    result.assert_outcomes(passed="\n".join(tests).count("def test_"))
