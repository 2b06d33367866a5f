// What a chart draws: a series is what the browser keeps of it, and the bqplot mark that shows it.

/** A line: a ring and a bqplot Lines mark. */
class Line {
  constructor(mark) {
    this.mark = mark;
    this.ring = new Ring();
  }

  take(operation, x, values) {
    if (operation === "r") this.ring.clear();
    this.ring.push(x, values);
  }

  drop(left) {
    this.ring.drop(left);
  }

  get oldest() {
    return this.ring.length ? this.ring.x[this.ring.start] : NaN;
  }

  get newest() {
    return this.ring.length ? this.ring.x[this.ring.end - 1] : NaN;
  }

  get last() {
    return this.ring.length ? this.ring.y[this.ring.end - 1] : NaN;
  }

  /** What is visible between two places of the x axis: `{set, low, high}`. */
  cut(left, right, pixels, relative) {
    const { ring } = this;
    const from = Math.max(ring.start, ring.search(left) - 1);
    let to = ring.search(right);
    while (to < ring.end && ring.x[to] <= right) to++;
    const [x, y] = ring.thin(from, to, Math.max(50, pixels));
    if (relative && y.length) {
      const base = ring.y[Math.min(ring.search(left), to - 1)] || 1;
      for (let n = 0; n < y.length; n++) y[n] = (y[n] / base - 1) * 100;
      this.change = (ring.y[to - 1] / base - 1) * 100;
    }
    let low = Infinity;
    let high = -Infinity;
    for (let n = 0; n < y.length; n++) {
      if (y[n] < low) low = y[n];
      if (y[n] > high) high = y[n];
    }
    return { set: { x, y, marker: x.length === 1 ? "circle" : null }, low, high };
  }

  /** The row nearest to a place of the x axis: `[x, value]`. */
  near(x) {
    const { ring } = this;
    if (!ring.length) return null;
    let slot = Math.min(ring.search(x), ring.end - 1);
    if (slot > ring.start && x - ring.x[slot - 1] < ring.x[slot] - x) slot--;
    return [ring.x[slot], [ring.y[slot]]];
  }

  rows(left, right) {
    const { ring } = this;
    const rows = [];
    for (let slot = ring.search(left); slot < ring.end && ring.x[slot] <= right; slot++)
      rows.push([ring.x[slot], ring.y[slot]]);
    return rows;
  }
}

/** Candles: bars of open, high, low and close by the time they begin, and a bqplot OHLC mark. */
class Candles {
  constructor(mark, most) {
    this.mark = mark;
    this.most = most;
    this.bars = [];
  }

  take(operation, x, values) {
    if (operation === "r") this.bars = [];
    for (let n = 0; n < x.length; n++) {
      const bar = [x[n], ...values.subarray(4 * n, 4 * n + 4)];
      let at = this.bars.length;
      while (at > 0 && this.bars[at - 1][0] > bar[0]) at--;
      if (at > 0 && this.bars[at - 1][0] === bar[0]) this.bars[at - 1] = bar;
      else this.bars.splice(at, 0, bar);
    }
    this.bars = this.bars.slice(-this.most);
  }

  drop() {}

  get oldest() {
    return this.bars.length ? this.bars[0][0] : NaN;
  }

  get newest() {
    return this.bars.length ? this.bars[this.bars.length - 1][0] : NaN;
  }

  get last() {
    return this.bars.length ? this.bars[this.bars.length - 1][4] : NaN;
  }

  cut(left, right) {
    const bars = this.bars.filter((bar) => bar[0] >= left && bar[0] <= right);
    return {
      set: { x: Float64Array.from(bars, (bar) => bar[0]), y: bars.map((bar) => Float64Array.from(bar.slice(1))) },
      low: Math.min(...bars.map((bar) => bar[3])),
      high: Math.max(...bars.map((bar) => bar[2])),
    };
  }

  near(x) {
    let best = null;
    for (const bar of this.bars) if (!best || Math.abs(bar[0] - x) < Math.abs(best[0] - x)) best = bar;
    return best && [best[0], best.slice(1)];
  }

  rows(left, right) {
    return this.bars.filter((bar) => bar[0] >= left && bar[0] <= right);
  }
}

/** Marks whose x and y are sent whole: bars, histograms, depth. */
class Whole {
  constructor(mark) {
    this.mark = mark;
    this.data = { x: new Float64Array(0), y: new Float64Array(0) };
  }

  take(operation, x, values, labels) {
    this.data = { x: labels ?? x.slice(), y: values.slice() };
  }

  drop() {}

  get oldest() {
    return NaN;
  }

  get newest() {
    return NaN;
  }

  get last() {
    const { y } = this.data;
    return y.length ? y[y.length - 1] : NaN;
  }

  cut() {
    return { set: this.data, low: Infinity, high: -Infinity };
  }

  /** Whether the x are words, each of which has as much room on the axis as any other. */
  get worded() {
    return typeof this.data.x[0] === "string";
  }

  near(x) {
    const { y } = this.data;
    if (!y.length) return null;
    if (this.worded) {
      const n = Math.max(0, Math.min(y.length - 1, Math.floor(x)));
      return [n + 0.5, [y[n]], this.data.x[n]];
    }
    let best = 0;
    this.data.x.forEach((at, n) => {
      if (Math.abs(at - x) < Math.abs(this.data.x[best] - x)) best = n;
    });
    return [this.data.x[best], [y[best]]];
  }

  rows() {
    const { x, y } = this.data;
    return Array.from(y, (value, n) => [x[n], value]);
  }
}
