const SECOND = 1000;
const STEPS = [
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500],
  ...[1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200].map((s) => s * SECOND),
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000].map((days) => days * 86400 * SECOND),
];

/** Round times between two, at the most `most`, and a d3 format that tells them apart. */
function timeTicks(left, right, most) {
  const step = STEPS.find((step) => (right - left) / step < most) ?? right - left;
  let form = "%d %b %Y";
  if (step < SECOND) form = "%H:%M:%S.%L";
  else if (step < 60 * SECOND) form = "%H:%M:%S";
  else if (step < 86400 * SECOND) form = right - left <= 86400 * SECOND ? "%H:%M" : "%d %b %H:%M";
  return [multiples(step, left, right), form];
}

/** Round numbers between two, and a d3 format with the digits they need. */
function numberTicks(low, high, most, sign) {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((step) => step >= rough);
  if (!Number.isFinite(step)) return [new Float64Array(0), ","];
  const digits = Math.min(12, Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
  return [multiples(step, low, high), `${sign ? "+" : ""},.${digits}f`];
}

function multiples(step, from, to) {
  const ticks = [];
  const first = Math.ceil(from / step);
  // Counted from nought: where numbers are so large that one more changes nothing, this ends all the same.
  for (let n = 0; n < 100 && (first + n) * step <= to; n++) ticks.push((first + n) * step);
  return Float64Array.from(ticks);
}

const same = (a, b) => a && a.length === b.length && a.every((value, n) => value === b[n]);

export { numberTicks, timeTicks };
