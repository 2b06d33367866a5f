"""The notebooks on feeds from outside, where there is no outside."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = ["notebooks/08-a-real-feed.ipynb", "notebooks/09-record-replay-test.ipynb"]

# In every Python process, kernels included: who looks for another machine is noted, and fails.
GUARD = """
import os, sys

HERE = ("127.0.0.1", "::1", "localhost", "0.0.0.0", "", None)


def guard(event, arguments):
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host not in HERE:
        with open(os.environ["GUARD_LOG"], "a") as log:
            log.write(f"{event} {host}\\n")
        raise OSError(f"there is no network in this test, and {host} is outside")


sys.addaudithook(guard)
"""


@pytest.fixture
def guarded(tmp_path):
    """The environment of processes that reach this machine only, and where they leave what they tried."""
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard" / "sitecustomize.py").write_text(GUARD, "utf-8")
    path = os.pathsep.join([str(tmp_path / "guard"), str(ROOT), os.environ.get("PYTHONPATH", "")])
    log = tmp_path / "log"
    return {**os.environ, "PYTHONPATH": path.rstrip(os.pathsep), "GUARD_LOG": str(log)}, log


def test_the_guard_guards(guarded):
    """Another machine is refused and noted; this one is not."""
    environment, log = guarded
    code = "import socket; socket.getaddrinfo('127.0.0.1', 80); socket.create_connection(('192.0.2.1', 80))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert "192.0.2.1 is outside" in done.stderr
    assert log.read_text("utf-8") == "socket.getaddrinfo 192.0.2.1\n"


@pytest.mark.timeout(300)  # one of them runs pytest several times
def test_notebooks_pass_without_a_network(guarded):
    """They pass in either order, both at the same time, with outputs compared, and nobody looks outside."""
    environment, log = guarded
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["--nbval", "--nbval-current-env", "--nbval-cell-timeout=120"]
    runs = [
        subprocess.Popen(
            [*command, *order],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for order in (NOTEBOOKS, NOTEBOOKS[::-1])
    ]
    outputs = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], "\n".join(outputs)
    assert not log.exists(), log.read_text("utf-8")
