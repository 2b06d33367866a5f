"""Whether memory stays flat: a gigabyte of messages through a frame that keeps 100 000 rows.

The messages come over a socket from another process; a snapshot is taken twice a second, as a chart would.
Resident memory of this process is compared between a tenth of the way and the end. Ends with exit code 1 when
that is 50 MB or more.
"""

from __future__ import annotations

import gc
import json
import sys
import time

import psutil

import rtwidgets as rt
from benchmarks._common import Feed, arguments, encoded_rows

DISTINCT = 100_000
LIMIT_MB = 50.0


def measure(megabytes: float) -> dict[str, float]:
    size = sum(map(len, encoded_rows(DISTINCT))) / DISTINCT
    rows = int(megabytes * 1e6 / size)
    process = psutil.Process()

    def rss() -> float:
        return float(process.memory_info().rss) / 1e6

    with Feed("plain", DISTINCT) as feed:
        start = time.perf_counter()
        stream = rt.connect(f"{feed.url}/{rows}", key="symbol", time="time", max_rows=100_000)
        warm = peak = 0.0
        while stream.frame.total < rows:
            frame = stream.df
            time.sleep(0.5)
            if stream.frame.total < rows / 10:
                continue
            warm, peak = warm or rss(), max(peak, rss())
        spent = time.perf_counter() - start
        frame = stream.df
        assert len(frame) == 100_000
        assert stream.frame.rejected_count == 0
        gc.collect()
        end = rss()
        stream.stop()
    rt.health()
    found = {"megabytes": megabytes, "rows": rows, "seconds": spent, "warm_mb": warm, "peak_mb": peak}
    found |= {"end_mb": end, "growth_mb": end - warm}
    return {name: round(value, 1) for name, value in found.items()}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--megabytes", type=float, default=1000.0, help="of JSON")
    given = parser.parse_args()
    found = measure(given.megabytes)
    if given.json:
        print(json.dumps(found))
    else:
        print(
            f"{found['megabytes']:,.0f} MB in {found['rows']:,.0f} rows took {found['seconds']} s: resident "
            f"memory {found['warm_mb']} MB after a tenth, {found['peak_mb']} MB at the most, "
            f"{found['end_mb']} MB at the end"
        )
    sys.exit(abs(found["growth_mb"]) >= LIMIT_MB)


if __name__ == "__main__":
    main()
