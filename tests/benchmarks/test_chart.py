"""The benchmark of the charts counts what it says it counts, at a small scale and without a browser."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_kernel():
    """A frame of ours grows with the new rows, one of whole arrays with the window."""
    for name in ("bokeh", "jupyter_client"):
        pytest.importorskip(name)
    command = [sys.executable, "-m", "benchmarks.chart", "--json", "--quick", "--kernel-only"]
    ran = subprocess.run(
        [*command, "--only", "ours", "bqplot", "bokeh"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    found = {(p["contender"], p["window"]): p for p in json.loads(ran.stdout)["kernel"]}
    assert not any("error" in point for point in found.values()), found
    assert found["bqplot", 1_000_000]["bytes"] > 16_000_000
    for window in (10_000, 1_000_000):
        assert found["ours", window]["bytes"] <= 16_400
        assert found["bokeh", window]["bytes"] <= 18_000


def test_judge():
    """A row is as late as the first picture that has it; rows never shown count until the end."""
    pytest.importorskip("playwright")
    from benchmarks.chart import judge

    said = {
        "began": 0.0,
        "ended": 1_000.0,
        "ticks": [10.0 * n for n in range(90)],
        "paints": [{"at": 110.0, "newest": 100.0}, {"at": 900.0, "newest": 850.0}],
        "updates": [(500.0, 1)],
        "messages": [(500.0, 160)],
        "cpu_s": 0.002,
        "main_ms": 3.0,
        "cut": False,
        "hung": False,
    }
    point = judge({"contender": "bqplot", "window": 1, "series": 1, "rate": 5_000}, said)
    assert point["fps"] == 2.0
    assert point["delay_p50_ms"] == 900 - 550
    assert point["delay_p95_ms"] == 900 - 150
    assert (point["kernel_ms"], point["bytes"], point["cut_off"]) == (2.0, 160, False)
