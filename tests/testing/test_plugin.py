"""The pytest plugin, in runs of pytest of its own."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from nbval.plugin import get_sanitize_patterns

import rtwidgets.testing
from tests.feeding import feeding, rows

pytest_plugins = ["pytester"]

# By its path, also where the package is installed and pytest would load it by its name.
PLUGIN = ["-p", "no:rtwidgets", "-p", "rtwidgets.testing.plugin"]
NBVAL = ["--nbval", "--nbval-current-env"]

SANITIZER = Path(rtwidgets.testing.__file__).with_name("sanitize.cfg")

SHOW = "import os; print(os.environ.get('RTWIDGETS_REPLAY'), os.environ.get('RTWIDGETS_RECORD'))"
WRITE = """
import os
from pathlib import Path

def write(text):
    folder = Path(os.environ["RTWIDGETS_RECORD"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "feed.rtlog").write_text(text)
"""
FAIL_OUT_OF_SIGHT = "from rtwidgets.loop import report; report('the feed', OSError('it is gone'))"


def cell(source, printed="", *, tags=()):
    """Return a cell that was run, and what it printed."""
    outputs = [new_output("stream", name="stdout", text=printed)] if printed else []
    return new_code_cell(source, execution_count=1, outputs=outputs, metadata={"tags": list(tags)})


def write(path, *cells):
    """Write a notebook of cells, or of sources that print nothing."""
    made = [each if isinstance(each, dict) else cell(each) for each in cells]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=made), path)


@pytest.fixture
def run(pytester):
    """Runs pytest in an empty folder, with the plugin."""

    def run(*arguments):
        return pytester.runpytest_subprocess(*PLUGIN, "-p", "no:cacheprovider", *arguments, timeout=100)

    return run


def text(path):
    return (path / "feed.rtlog").read_text()


# Where recordings are


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rt-replay=here", "--rt-record=here"], "exclude each other: record first"),
        (["--rt-replay=nowhere"], "--rt-replay: there is no folder */nowhere: make the recordings"),
        (["-o", "rt_replay=nowhere"], "rt_replay: there is no folder */nowhere: make the recordings"),
        (["--rt-record=a-file"], "--rt-record: */a-file is a file: name a folder"),
    ],
)
def test_options_that_make_no_sense(run, pytester, arguments, words):
    """Are refused before anything runs, in words."""
    pytester.mkdir("here")
    pytester.makefile("", **{"a-file": ""})
    result = run("-p", "no:nbval", *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: *{words}*"])


UNTOUCHED = """
import os

def test_it():
    assert os.environ["RTWIDGETS_RECORD"] == "what the user has"
    assert "RTWIDGETS_REPLAY" not in os.environ
"""


def test_each_notebook_and_each_test_reads_a_folder_of_its_own(run, pytester):
    """Relative to where pytest was started; on workers too. The ini option is for notebooks, and relative to
    the root."""
    pytester.makepyfile(
        test_here="""
        import os
        import pytest

        def place():
            return os.path.relpath(os.environ["RTWIDGETS_REPLAY"], os.environ["ROOT"])

        @pytest.fixture
        def early():
            return place()

        def test_plain(early):
            assert place() == early == "tapes/test_here/test_plain"
            assert "RTWIDGETS_RECORD" not in os.environ

        @pytest.mark.parametrize("url", ["wss://feed.example/ws?a=1"])
        def test_slug(url):
            assert place() == "tapes/test_here/test_slug-wss-feed.example-ws-a-1"

        @pytest.mark.parametrize("count", [1, 2], ids=["x" * 300, "x" * 301])
        def test_long(count):
            assert 100 < len(place().rpartition("/")[2]) < 120
            names.add(place())
            assert len(names) == count

        names = set()

        class TestInside:
            def test_plain(self):
                assert place() == "tapes/test_here/TestInside-test_plain"
        """,
    )
    pytester.mkdir("tapes")
    write(pytester.path / "notes/live.ipynb", "x = 1", cell(SHOW, f"{pytester.path}/tapes/live None\n"))
    write(pytester.path / "notes/other.ipynb", cell(SHOW, f"{pytester.path}/tapes/other None\n"))
    pytester.makeconftest(
        """
        import os
        os.environ["RTWIDGETS_RECORD"] = "what the user has"

        def pytest_sessionfinish():
            assert os.environ["RTWIDGETS_RECORD"] == "what the user has"
            assert "RTWIDGETS_REPLAY" not in os.environ
        """
    )
    pytester.makeini("[pytest]\nrt_replay = tapes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROOT", str(pytester.path))
        run(*NBVAL, "notes").assert_outcomes(passed=3)
        pytester.path.joinpath("test_untouched.py").write_text(UNTOUCHED)
        run("test_untouched.py").assert_outcomes(passed=1)
        pytester.path.joinpath("test_untouched.py").unlink()
        patch.chdir(pytester.path / "notes")
        run(*NBVAL, "..", "--rt-replay=../tapes", "-n2", "--dist=loadfile").assert_outcomes(passed=8)


def test_without_the_options_nothing_is_set(run, pytester):
    """Also where the ini option is taken back on the command line."""
    pytester.makeini("[pytest]\nrt_replay = tapes")
    write(pytester.path / "live.ipynb", cell(SHOW, "None None\n"))
    run(*NBVAL, "-o", "rt_replay=").assert_outcomes(passed=1)


def test_a_recording_is_replaced_by_one_of_a_run_that_passed(run, pytester):
    """What failed is kept beside, and what recorded nothing leaves everything as it was; on workers too."""
    pytester.makepyfile(
        writing=WRITE,
        test_tests="""
        import pytest
        from writing import write

        def test_passes():
            write("new")

        def test_fails():
            write("new")
            assert False

        def test_fails_at_its_end(ends_badly):
            write("new")

        @pytest.fixture
        def ends_badly():
            yield
            assert False

        def test_says_nothing():
            pass
        """,
    )
    tapes, tests = pytester.path / "tapes", pytester.path / "tapes/test_tests"
    names = ("test_passes", "test_fails", "test_fails_at_its_end", "test_says_nothing")
    for folder in (
        *(tests / name for name in names),
        tests / "test_fails.failed",
        tapes / "good",
        tapes / "bad",
    ):
        folder.mkdir(parents=True)
        (folder / "feed.rtlog").write_text("old")
        (folder / "feed-2.rtlog").write_text("old")
    write(pytester.path / "good.ipynb", WRITE, "write('new')", "2 + 2")
    write(pytester.path / "bad.ipynb", WRITE, "write('new')", "1 / 0", "2 + 2")
    write(pytester.path / "fresh.ipynb", WRITE, "write('new')")
    result = run(*NBVAL, "--rt-record=tapes", "-n2", "--dist=loadfile", "-o", "rt_replay=elsewhere")
    result.assert_outcomes(passed=3 + 3 + 2 + 3, failed=2, errors=1)
    for place in (tapes / "good", tapes / "fresh", tests / "test_passes"):
        assert [path.name for path in place.iterdir()] == ["feed.rtlog"]
        assert text(place) == "new"
    for place in (tapes / "bad", tests / "test_fails", tests / "test_fails_at_its_end"):
        assert text(place) == "old"
        assert text(place.with_name(place.name + ".failed")) == "new"
    assert text(tests / "test_says_nothing") == "old"
    assert not list(tapes.rglob("*.new"))
    result.stdout.fnmatch_lines([f"what was recorded is in {tapes}/bad.failed; {tapes}/bad is as it was"])


def test_a_run_that_ends_early_leaves_recordings_as_they_were(run, pytester):
    """As one that fails does; the next one that passes tidies up."""
    write(pytester.path / "live.ipynb", WRITE, "write('new')", "1 / 0", "2 + 2")
    run(*NBVAL, "--rt-record=tapes", "-x").assert_outcomes(passed=2, failed=1)
    assert [path.name for path in (pytester.path / "tapes").iterdir()] == ["live.failed"]
    write(pytester.path / "live.ipynb", WRITE, "write('newer')")
    run(*NBVAL, "--rt-record=tapes", "-x").assert_outcomes(passed=2)
    assert [path.name for path in (pytester.path / "tapes").iterdir()] == ["live"]


def test_outputs_are_compared_in_a_replay_only(run, pytester):
    """What was stored is of another day than what is recorded."""
    write(pytester.path / "live.ipynb", cell("print('today')  # NBVAL_CHECK_OUTPUT", "yesterday\n"))
    run(*NBVAL, "--rt-record=tapes").assert_outcomes(passed=1)
    pytester.mkdir("tapes")
    run(*NBVAL, "--rt-replay=tapes").assert_outcomes(failed=1)


def test_files_of_one_name_cannot_both_be_recorded(run, pytester):
    """The error names both; they may be of one name when one of them records nothing."""
    for folder, source in (("one", "write('1')"), ("two", "write('2')"), ("three", "x = 1")):
        write(pytester.path / folder / "live.ipynb", WRITE, source)
    result = run(*NBVAL, "--rt-record=tapes", "one", "two", "three")
    result.assert_outcomes(passed=6, errors=2)
    result.stdout.fnmatch_lines(
        ["*one/live.ipynb and *three/live.ipynb and *two/live.ipynb would both be in *"]
    )
    run(*NBVAL, "--rt-record=tapes", "two").assert_outcomes(passed=2)
    assert text(pytester.path / "tapes/live") == "2"


def test_a_live_feed_is_recorded_and_replayed(run, pytester):
    """For a notebook and for a test; then it is not needed, and a changed request is shown."""
    live = "import rtwidgets as rt\nfeed = rt.connect({!r}, subscribe={{'to': {!r}}}, key='symbol')"
    with feeding(*rows(range(5))) as feed:
        pytester.makepyfile(
            test_live=f"""
            import rtwidgets as rt

            def test_it(rt_kernel):
                feed = rt.connect({feed.url!r}, subscribe={{"to": "A"}}, key="symbol")
                assert len(feed.wait(rows=5)) == 5
            """
        )
        write(pytester.path / "live.ipynb", live.format(feed.url, "A"), "feed.wait(rows=5).size")
        run(*NBVAL, "--rt-record=tapes").assert_outcomes(passed=3)
    shown = cell("print(len(feed.wait(rows=4)))", "4\n")
    write(pytester.path / "live.ipynb", live.format(feed.url, "A"), shown, "feed.stop()")
    write(pytester.path / "other/live.ipynb", live.format(feed.url, "B"))
    result = run(*NBVAL, "--rt-replay=tapes")
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(["*ConnectError*the request is not the one*", '-*"to": "A"', '+*"to": "B"'])


# What failed out of sight


def test_an_error_in_the_background_fails_the_cell(run, pytester):
    """With its words, once; the cells after it pass, and `rt.health()` knows of it still."""
    write(
        pytester.path / "live.ipynb",
        "x = 1",
        FAIL_OUT_OF_SIGHT,
        "y = 2",
        "from rtwidgets.loop import peek_errors, take_errors\n[error] = peek_errors()",
        "assert take_errors()[0][1].args == ('it is gone',)",
        FAIL_OUT_OF_SIGHT.replace("gone", "gone again"),
    )
    result = run(*NBVAL)
    result.assert_outcomes(passed=4, failed=2)
    result.stdout.fnmatch_lines(
        [
            "*Cell 1: Something failed in the background, in this cell or since the one before*",
            "the feed: OSError: it is gone",
            "*Cell 5: Something failed in the background*",
            "the feed: OSError: it is gone again",
        ]
    )


def test_an_error_of_a_thread_fails_the_next_cell(run, pytester):
    """Wherever it happens between two looks."""
    later = f"import os, threading, time\n{FAIL_OUT_OF_SIGHT.partition(';')[0]}\ngo = threading.Event()\n"
    later += "threading.Thread(target=lambda: go.wait() and report('a thread', OSError('late'))).start()"
    write(pytester.path / "live.ipynb", later, "go.set(); time.sleep(0.2)", "y = 2")
    result = run(*NBVAL)
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*Cell 1: Something failed in the background*", "a thread: OSError: late"])


def test_errors_that_are_expected(run, pytester):
    """A tag on the cell, or on the one after it, says so; an error that the cell took itself is none."""
    health = "import rtwidgets as rt\nfrom rtwidgets.loop import take_errors\nassert take_errors()"
    write(
        pytester.path / "live.ipynb",
        cell(FAIL_OUT_OF_SIGHT, tags=["rt-errors-expected"]),
        health,
        FAIL_OUT_OF_SIGHT,
        cell(health, tags=["rt-errors-expected"]),
        FAIL_OUT_OF_SIGHT,
        cell(f"# NBVAL_IGNORE_OUTPUT\n{health}\n1 / 0", tags=["raises-exception"]),
        f"{FAIL_OUT_OF_SIGHT}\n{health}",
    )
    run(*NBVAL).assert_outcomes(passed=7)


def test_a_cell_that_fails_shows_what_failed_in_the_background(run, pytester):
    """It may be the reason; the next cell has nothing to do with it."""
    write(pytester.path / "live.ipynb", f"{FAIL_OUT_OF_SIGHT}\n1 / 0", "y = 2")
    result = run(*NBVAL)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["*ZeroDivisionError*", "*rtwidgets: in the background*", "*OSError: it is gone"]
    )


def test_a_kernel_does_not_notice_the_question(run, pytester):
    """Nothing is imported for it, nothing counted, shown or remembered."""
    counted = "get_ipython().execution_count, {name for name in dir() if name[0] != '_'}, globals().get('_')"
    write(
        pytester.path / "live.ipynb",
        f"before = {counted}; before = None\nbefore = {counted}",
        "x = 1",
        f"del x; after = 0; after = {counted}\nassert after == (1, before[1] | {{'after'}}, before[2])",
        "import sys\nassert not [name for name in sys.modules if name.startswith('rtwidgets')]",
        "import rtwidgets.loop",
        "assert 'pandas' not in sys.modules and 'websockets' not in sys.modules",
    )
    run(*NBVAL).assert_outcomes(passed=6)


def test_skipped_and_slow_cells(run, pytester):
    """Are told of as they are: one is not run, the other one has what failed in the background beside it."""
    write(
        pytester.path / "live.ipynb",
        f"# NBVAL_SKIP\n{FAIL_OUT_OF_SIGHT}",
        f"{FAIL_OUT_OF_SIGHT}\nimport time; time.sleep(60)",
    )
    result = run(*NBVAL, "--nbval-cell-timeout=3")
    result.assert_outcomes(skipped=1, failed=1)
    result.stdout.fnmatch_lines(["*Timeout of 3 seconds exceeded*", "the feed: OSError: it is gone"])


# What is compared


def sanitized(text):
    for regex, replacement in get_sanitize_patterns(SANITIZER.read_text("ascii")):
        text = re.sub(regex, replacement, text)
    return text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ws://127.0.0.1:40123/prices", "ws://127.0.0.1:8765/prices"),
        ("http://localhost:1 [::1]:22", "http://localhost:65535 [::1]:23"),
        ("?token=abcDEF_1-2&x=1", "?token=another&x=1"),
        ("Server(token='abc', api_key=\"x\")", "Server(token='longer', api_key=\"y\")"),
        ("eyJhbGciOi.eyJzdWIi.sig-1_2 is yours", "eyJhbGciOi.eyJzdWIx.other is yours"),
        ("in /tmp/tmpab12/logs.db.", "in /tmp/tmpzz/pytest-3/logs.db."),
        ("'/private/var/folders/ab/cd_1/T/tmp1/x'", "'/var/folders/zz/yy/T/tmp22/x'"),
        (r"C:\Users\ada\AppData\Local\Temp\tmp1\x", r"C:\Users\bob\AppData\Local\Temp\tmp2\x"),
        ("<object at 0x7f00aa11bb22>", "<object at 0x7fffffff0000>"),
        ("2026-01-02T14:30:00Z", "2026-11-12T04:03:09.123456+02:00"),
        ("2026-01-02 14:30:00+00:00", "2026-01-03 14:30:00.5+00:00"),
        ("at 14:30:00.25, 9:05:01 pm", "at 4:03:09, 12:00:00 am"),
        ("0 days 00:00:01.234567", "0 days 00:00:00.5"),
        ("1,234 messages/s and 5.2 MB/s", "99 messages/s and 12 MB/s"),
        ("3e4 rows/sec, 7/s", "1.5e+04 rows/sec, 12.5/s"),
        ("round trip: 1.23 ms", "round trip: 12 ms"),
        ("in 0.05 s (open)", "in 12 s (open)"),
        ("CPU times: user 1.2 us, total: 1min 3s", "CPU times: user 250 ns, total: 12min 43.5s"),
        ("5.1 ns ± 2 \u00b5s per loop", "17 ns ± 31 \u00b5s per loop"),
        ("  key   2 ms\n0  A  10 ms", "  key  213 ms\n0  A    1 ms"),
    ],
)
def test_what_varies_is_not_compared(one, other):
    """Two runs that differ in it are the same."""
    assert sanitized(one) == sanitized(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("64250.5", "64251.5"),
        ("2026-01-02", "2026-01-03"),
        ("candles 10s", "candles 20s"),
        ("AAPL 150.1", "MSFT 150.1"),
        ("host:8080", "host:8081"),
        ("key='symbol'", "key='market'"),
        ("rows: 100", "rows: 101"),
        ("0x1f", "0x2f"),
        ("bid/size 1", "bid/size 2"),
        ("healthy", "1 background error"),
        ("price, s", "size, s"),
        ("/home/ada/data", "/home/bob/data"),
    ],
)
def test_what_matters_is_compared(one, other):
    """What a notebook is about stays."""
    assert sanitized(one) != sanitized(other)


def test_the_sanitizer_is_switched_on(run, pytester):
    """By an ini option, beside patterns of the user's own; and it is a file for nbval as well."""
    write(
        pytester.path / "live.ipynb",
        cell("print('port 127.0.0.1:1234')", "port 127.0.0.1:9\n"),
        cell("print('chosen: b')", "chosen: a\n"),
    )
    pytester.makefile(".cfg", own="regex: chosen: .\nreplace: chosen")
    run(*NBVAL, "-o", "rt_sanitize=true", "--nbval-sanitize-with=own.cfg").assert_outcomes(passed=2)
    run(*NBVAL, f"--nbval-sanitize-with={SANITIZER}").assert_outcomes(passed=1, failed=1)


# What it costs others


def test_it_costs_little_where_it_is_not_used():
    """It is loaded in every run of pytest."""
    code = "import sys, pytest\nbefore = set(sys.modules)\nimport rtwidgets.testing.plugin\n"
    code += "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))\n"
    code += "print(*sorted(name for name in sys.modules if name.startswith('rtwidgets')))"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    roots, ours = answer.stdout.splitlines()
    assert roots == "rtwidgets"
    assert ours.split() == [
        "rtwidgets",
        "rtwidgets.testing",
        "rtwidgets.testing.fixtures",
        "rtwidgets.testing.plugin",
    ]


def test_it_needs_no_nbval(run, pytester):
    """Tests have their recordings all the same."""
    pytester.makepyfile("import os\ndef test_it(): assert os.environ['RTWIDGETS_REPLAY'].endswith('test_it')")
    pytester.mkdir("tapes")
    run("-p", "no:nbval", "--rt-replay=tapes").assert_outcomes(passed=1)
