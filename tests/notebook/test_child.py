import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from rtwidgets.errors import PortInUse, ServeError, UsageError
from rtwidgets.loop import take_errors
from rtwidgets.notebook import child as child_
from rtwidgets.notebook.child import Child
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("tidy")
CONFIG = {"host": "127.0.0.1", "port": 0, "token": None, "seed": 1, "options": None, "origins": ()}


def scripted(monkeypatch, tmp_path, text):
    """Let the child run a script instead."""
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(text))
    popen = subprocess.Popen
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    monkeypatch.setattr(
        child_.subprocess, "Popen", lambda _, **options: popen([sys.executable, script], **options)
    )


def test_a_child_serves_and_ends():
    """It says its URL and token, and ends with status 0; stopping twice is harmless."""
    from datetime import UTC, datetime

    child = Child(["prices"], CONFIG | {"options": {"prices": {"start": datetime(2026, 1, 1, tzinfo=UTC)}}})
    assert child.url.startswith("ws://127.0.0.1:")
    assert len(child.token) >= 32
    assert child.running
    with socket.create_connection(("127.0.0.1", int(child.url.rpartition(":")[2]))):
        pass
    child.stop()
    child.stop()
    assert not child.running
    assert child._process.returncode == 0


def test_what_a_child_cannot_do():
    """Its errors are the ones that a server in this process has."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortInUse, match=f"port {port} on 127.0.0.1"):
            Child(None, CONFIG | {"port": port})
    with pytest.raises(UsageError, match="It has: rate, symbols, start"):
        Child(None, CONFIG | {"options": {"prices": {"speed": 1}}})
    with pytest.raises(ServeError, match=r"203\.0\.113\.9"):
        Child(None, CONFIG | {"host": "203.0.113.9"})


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("raise ImportError('half installed')", "the server process ended: ImportError: half installed"),
        ("raise SystemExit(3)", "the server process ended: exit code 3"),
        ("import sys; sys.stdin.close(); sys.exit(4)", "the server process ended: exit code 4"),
    ],
)
def test_a_child_that_ends_at_once(monkeypatch, tmp_path, script, sentence):
    """Its last words are in the error; nothing of it is left."""
    scripted(monkeypatch, tmp_path, script)
    with pytest.raises(ServeError) as caught:
        Child(None, CONFIG)
    assert str(caught.value) == sentence


def test_a_child_that_says_nothing(monkeypatch, tmp_path):
    """It is given up."""
    monkeypatch.setattr(child_, "START_TIMEOUT", 0.3)
    scripted(monkeypatch, tmp_path, "import time; time.sleep(1000)")
    with pytest.raises(ServeError, match="the server process ended: exit code -9"):
        Child(None, CONFIG)


def test_background_errors_of_a_child_are_reported(monkeypatch, tmp_path):
    """They come to this process, where `health` finds them."""
    scripted(
        monkeypatch,
        tmp_path,
        """
        from rtwidgets.notebook import child
        from rtwidgets.services import Prices
        async def run(self):
            raise RuntimeError("the exchange is closed")
        Prices.run = run
        child.main()
        """,
    )
    child = Child(None, CONFIG)
    errors = []
    until(lambda: errors.extend(take_errors()) or errors)
    assert [(where, str(error)) for where, error in errors] == [
        ("the server process: service /prices", "RuntimeError: the exchange is closed")
    ]
    assert child.running
    child.stop()
    assert take_errors() == []


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_does_not_reach_a_child():
    """Jupyter interrupts a kernel's whole process group."""
    child = Child(["echo"], CONFIG)
    assert os.getpgid(child._process.pid) != os.getpgid(0)
    child.stop()


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_child_that_does_not_end_is_killed(monkeypatch, tmp_path):
    """Stopping does not wait for ever."""
    scripted(
        monkeypatch,
        tmp_path,
        """
        import sys, time
        sys.stdin.readline()
        print('{"url": "ws://x:1", "token": "t"}', flush=True)
        time.sleep(1000)
        """,
    )
    child = Child(None, CONFIG)
    wait = child._process.wait
    monkeypatch.setattr(child._process, "wait", lambda timeout=None: wait(timeout and 0.1))
    child.stop()
    assert child._process.returncode == -signal.SIGKILL
