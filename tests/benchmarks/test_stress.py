"""What `make stress` says, in short: its last line is the verdict, and it did break what it says it broke."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_whatever_is_broken_nothing_is_lost_and_nothing_is_there_twice():
    """Within a few seconds there are faults, kills and reconnects; the log and all frames are whole."""
    command = [sys.executable, "-m", "benchmarks.stress", "--seconds=4", "--seed=1"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert ran.stdout.splitlines()[-1] == "lost 0 duplicated 0", ran.stdout + ran.stderr
    assert ran.returncode == 0
    assert ran.stdout.startswith("seed 1\n")
    for what in ("server killed", "messages", "reconnects", "asked again"):
        assert int(re.search(rf"\b{what} ([\d,]+)", ran.stdout)[1].replace(",", "")) > 0
    faults = re.search("faults: (.*)", ran.stdout)[1]
    assert sum(map(int, re.findall(r"\d+", faults))) > 2
    assert "gaps 0" in ran.stdout
