"""What ``import rtwidgets`` adds to ``import pandas, bqplot, ipywidgets``, in milliseconds.

The median of several fresh interpreters. Names are loaded when they are first used, so `connect_ms` is the
more telling number: the import and the first look at ``rt.connect``, which loads nearly all of the package.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

from benchmarks._common import ROOT, arguments

PROGRAM = """
import time
import pandas, bqplot, ipywidgets
start = time.perf_counter()
import rtwidgets
imported = time.perf_counter()
rtwidgets.connect
print(imported - start, time.perf_counter() - start)
"""


def measure(times: int) -> dict[str, float]:
    both = []
    for _ in range(times + 1):
        ran = subprocess.run(
            [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, cwd=ROOT
        )
        both.append([float(part) * 1e3 for part in ran.stdout.split()])
    del both[0]  # wrote the bytecode
    added, connected = (statistics.median(column) for column in zip(*both, strict=True))
    return {"added_ms": round(added, 2), "connect_ms": round(connected, 1)}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--times", type=int, default=7, help="fresh interpreters")
    given = parser.parse_args()
    found = measure(given.times)
    if given.json:
        print(json.dumps(found))
        return
    print(
        f"import rtwidgets adds {found['added_ms']} ms; "
        f"with the first use of rt.connect, {found['connect_ms']} ms"
    )


if __name__ == "__main__":
    main()
