"""The rings of `ring.js` against plain arrays, and the ticks of `ticks.js`, in Node."""

import json

import pytest

RING = """
import assert from "node:assert";
import { Ring } from "./chart.mjs";

let state = SEED;
const random = () => ((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32);
const below = (n) => Math.floor(random() * n);

const ring = new Ring();
let rows = []; // [x, y, moment of arrival]
let newest = 0;
let grown = 0;
for (let round = 0; round < 400; round++) {
  const late = below(5) === 0;
  const count = below(10) === 0 ? below(3000) : below(150);
  const x = Array.from({ length: count }, () => (late ? newest - below(800) : (newest += below(3))));
  x.sort((a, b) => a - b);
  const y = x.map(() => (below(50) ? random() : 1000 * random() - 500));
  ring.push(Float64Array.from(x), Float64Array.from(y));
  rows.push(...x.map((at, n) => [at, y[n], round]));
  rows.sort((a, b) => a[0] - b[0] || a[2] - b[2]);
  if (below(3) === 0) {
    const left = newest - below(4000);
    ring.drop(left);
    const at = rows.findIndex((row) => row[0] >= left);
    rows = rows.slice(Math.max(0, (at < 0 ? rows.length : at) - 1));
  }
  if (below(100) === 0) {
    ring.clear();
    rows = [];
  }
  assert.strictEqual(ring.length, rows.length);
  assert.deepStrictEqual(Array.from(ring.x.slice(ring.start, ring.end)), rows.map((row) => row[0]));
  assert.deepStrictEqual(Array.from(ring.y.slice(ring.start, ring.end)), rows.map((row) => row[1]));
  grown = Math.max(grown, rows.length);

  const somewhere = newest - below(5000);
  const found = rows.findIndex((row) => row[0] >= somewhere);
  assert.strictEqual(ring.search(somewhere) - ring.start, found < 0 ? rows.length : found);

  if (!rows.length) continue;
  const from = below(rows.length);
  const to = from + 1 + below(rows.length - from);
  const buckets = 1 + below(300);
  const [thinX, thinY] = ring.thin(ring.start + from, ring.start + to, buckets);
  const part = rows.slice(from, to);
  assert.ok(thinX.length === thinY.length && thinX.length <= Math.min(2 * buckets + 6, part.length + 2));
  assert.ok(thinX.every((at, n) => !n || thinX[n - 1] <= at));
  const seen = new Set(part.map((row) => `${row[0]} ${row[1]}`));
  assert.ok(thinX.every((at, n) => seen.has(`${at} ${thinY[n]}`)));
  const values = part.map((row) => row[1]);
  assert.strictEqual(Math.min(...thinY), Math.min(...values));
  assert.strictEqual(Math.max(...thinY), Math.max(...values));
  assert.deepStrictEqual([thinX[0], thinX.at(-1)], [part[0][0], part.at(-1)[0]]);
}
assert.ok(ring.x.length <= 16 * Math.max(1024, grown));
console.log(JSON.stringify("same"));
"""

STEADY = """
import { Ring } from "./chart.mjs";

// The same rows are kept while the window moves on, but for those at its ends.
const ring = new Ring();
const kept = [];
for (let x = 0; x < 30000; x += 10) {
  const xs = Float64Array.from({ length: 10 }, (_, n) => x + n);
  ring.push(xs, xs.map((at) => Math.sin(at * at)));
  ring.drop(x - 4000);
  if (x >= 20000 && x < 20400) kept.push(new Set(ring.thin(ring.start, ring.end, 300)[0]));
}
const middle = (set) => [...set].filter((x) => x > 17000 && x < 19000).join();
console.log(JSON.stringify(new Set(kept.map(middle)).size));
"""

TICKS = """
import { numberTicks, timeTicks } from "./chart.mjs";

const functions = { numberTicks, timeTicks };
const plain = ([ticks, form]) => [Array.from(ticks), form];
console.log(JSON.stringify(CALL.map(([name, ...given]) => plain(functions[name](...given)))));
"""


@pytest.mark.parametrize("seed", range(1, 7))
def test_ring_holds_what_an_array_would_and_thins_it_true(node, seed: int) -> None:
    """After any pushes, late rows and drops a ring is a sorted array, and a thinned part has its extremes."""
    assert node(RING.replace("SEED", str(seed))) == "same"


def test_line_that_moves_on_keeps_its_points(node) -> None:
    """The middle of a thinned line stays the same while rows come and go at its ends."""
    assert node(STEADY) == 1


def ticks(node, *calls: tuple) -> list:
    return node(TICKS.replace("CALL", json.dumps(calls)))


def test_number_ticks_are_round_and_have_the_digits_they_need(node) -> None:
    """Ticks are multiples of 1, 2 or 5, within the range, with a format that tells them apart."""
    (small, form), (large, plain), (_, signed) = ticks(
        node,
        ("numberTicks", 0.12, 0.33, 7),
        ("numberTicks", -3_000, 4_000, 7),
        ("numberTicks", -1, 1, 7, True),
    )
    assert small == pytest.approx([0.15, 0.2, 0.25, 0.3])
    assert form == ",.2f"
    assert large == [float(n) for n in range(-3_000, 4_001, 1_000)]
    assert plain == ",.0f"
    assert signed == "+,.1f"


def test_number_ticks_end_whatever_the_numbers(node) -> None:
    """Numbers too large to count by one, or too far apart to subtract, give few ticks and a format."""
    for found, form in ticks(
        node,
        ("numberTicks", 1e17, 1e17 + 16, 7),
        ("numberTicks", -1.7e308, 1.7e308, 7),
        ("numberTicks", 5, 5, 7),
    ):
        assert len(found) <= 100
        assert "NaN" not in form


def test_time_ticks_are_round_moments(node) -> None:
    """Ticks of time fall on seconds, minutes and days, no more than asked for, with a format to match."""
    start, second = 1_700_000_000_000, 1_000
    calls = [
        ("timeTicks", start, start + span * second, 8) for span in (0.1, 10, 600, 86_400, 3 * 86_400, 1e9)
    ]
    found = ticks(node, *calls)
    assert [form for _, form in found] == [
        "%H:%M:%S.%L",
        "%H:%M:%S",
        "%H:%M",
        "%H:%M",
        "%d %b %H:%M",
        "%d %b %Y",
    ]
    for (_, left, right, most), (moments, _) in zip(calls, found, strict=True):
        assert 1 <= len(moments) <= most
        assert all(left <= moment <= right for moment in moments)
    assert all(moment % (2 * second) == 0 for moment in found[1][0])
