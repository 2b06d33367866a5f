/**
 * Feeds bqplot marks in the browser, and draws what goes with them: legend, state, tools, exact values.
 *
 * The kernel sends only what is new. Each series keeps its window in a ring; once a frame the visible part is
 * thinned to what the pixels can show and set on its mark, and the kernel is told that it was painted.
 *
 * A frame is a custom message `{f: number, o: [[operation, series, rows], ...]}` with one buffer of float64,
 * for each operation the x of its rows and then their values. Operations: "a" appends; "r" empties the series
 * first; "u" replaces by x or appends (four values a row); "s" sets a mark's x and y as they are.
 */

const BLOCK = 64; // rows that an entry of a ring's overview stands for
const PADDING = 0.08; // of the y range, above and below the lines
const LATE = 2000; // milliseconds without a frame after which a live chart says that nothing comes

/** Rows of one series in order of x, with an overview of extremes to thin from. */
class Ring {
  constructor() {
    this.reserve(1024);
    this.clear();
  }

  clear() {
    this.start = 0; // slot of the oldest row
    this.end = 0; // slot after the newest
    this.first = 0; // number of the row in slot 0, a multiple of BLOCK
  }

  get length() {
    return this.end - this.start;
  }

  reserve(capacity) {
    const { x, y, low, high } = this;
    this.x = new Float64Array(capacity);
    this.y = new Float64Array(capacity);
    this.low = new Int32Array(capacity / BLOCK); // slot of each block's least value
    this.high = new Int32Array(capacity / BLOCK);
    if (x) {
      this.x.set(x);
      this.y.set(y);
      this.low.set(low);
      this.high.set(high);
    }
  }

  /** Put rows in; `x` is sorted, and is usually later than all that is here. */
  push(x, y) {
    this.makeRoom(x.length);
    let at = this.end;
    if (this.length && x.length && x[0] < this.x[this.end - 1]) {
      at = this.search(x[0]);
      [x, y] = merge(this.x.slice(at, this.end), this.y.slice(at, this.end), x, y);
    }
    this.x.set(x, at);
    this.y.set(y, at);
    this.end = at + x.length;
    this.overview(at);
  }

  /** Let go of what is older than `left`, but for the row that the line comes from. */
  drop(left) {
    this.start = Math.max(this.start, this.search(left) - 1);
  }

  /** Slot of the first row at or after `x`. */
  search(x) {
    let low = this.start;
    let high = this.end;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.x[middle] < x) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  makeRoom(rows) {
    if (this.end + rows <= this.x.length) return;
    const gone = this.start - (this.start % BLOCK);
    if (gone > this.x.length / 2) {
      this.x.copyWithin(0, gone, this.end);
      this.y.copyWithin(0, gone, this.end);
      this.start -= gone;
      this.end -= gone;
      this.first += gone;
      const blocks = gone / BLOCK;
      for (let block = 0; block * BLOCK < this.end; block++) {
        this.low[block] = this.low[block + blocks] - gone;
        this.high[block] = this.high[block + blocks] - gone;
      }
    }
    let capacity = this.x.length;
    while (this.end + rows > capacity) capacity *= 2;
    if (capacity > this.x.length) this.reserve(capacity);
  }

  overview(from) {
    const { y, low, high } = this;
    for (let block = Math.floor(from / BLOCK); block * BLOCK < this.end; block++) {
      const stop = Math.min(this.end, (block + 1) * BLOCK);
      let least = Math.max(this.start, block * BLOCK);
      let most = least;
      for (let slot = least + 1; slot < stop; slot++) {
        if (y[slot] < y[least]) least = slot;
        if (y[slot] > y[most]) most = slot;
      }
      low[block] = least;
      high[block] = most;
    }
  }

  /**
   * Rows from slot `from` to `to`, thinned to about two for each of `buckets`, extremes kept.
   *
   * Buckets begin at multiples of their width in row numbers, so that a line that moves on does not shimmer.
   */
  thin(from, to, buckets) {
    const rows = to - from;
    if (rows <= 2 * buckets) return [this.x.slice(from, to), this.y.slice(from, to)];
    let width = 2;
    while (width * buckets < rows) width *= 2;
    const kept = [from];
    for (let slot = from; slot < to; ) {
      const stop = Math.min(to, slot + width - ((this.first + slot) % width));
      const [least, most] = this.extremes(slot, stop);
      kept.push(Math.min(least, most));
      if (least !== most) kept.push(Math.max(least, most));
      slot = stop;
    }
    kept.push(to - 1);
    const x = new Float64Array(kept.length);
    const y = new Float64Array(kept.length);
    for (let n = 0; n < kept.length; n++) {
      x[n] = this.x[kept[n]];
      y[n] = this.y[kept[n]];
    }
    return [x, y];
  }

  extremes(from, to) {
    const { y, low, high } = this;
    let least = from;
    let most = from;
    const see = (a, b) => {
      if (y[a] < y[least]) least = a;
      if (y[b] > y[most]) most = b;
    };
    for (let slot = from; slot < to; ) {
      if (slot % BLOCK === 0 && slot + BLOCK <= to) {
        see(low[slot / BLOCK], high[slot / BLOCK]);
        slot += BLOCK;
      } else {
        see(slot, slot);
        slot++;
      }
    }
    return [least, most];
  }
}

/** Merge two runs that are sorted by x. */
function merge(ax, ay, bx, by) {
  const x = new Float64Array(ax.length + bx.length);
  const y = new Float64Array(x.length);
  for (let n = 0, a = 0, b = 0; n < x.length; n++) {
    const first = b >= bx.length || (a < ax.length && ax[a] <= bx[b]);
    x[n] = first ? ax[a] : bx[b];
    y[n] = first ? ay[a++] : by[b++];
  }
  return [x, y];
}

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

  near() {
    return null;
  }

  rows() {
    const { x, y } = this.data;
    return Array.from(y, (value, n) => [x[n], value]);
  }
}

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

/** What one chart is fed with, whatever views of it there are. */
class Feed {
  constructor(model) {
    this.model = model;
    this.client = Math.random().toString(36).slice(2, 10);
    this.views = new Set();
    this.series = [];
    this.last = 0; // number of the last frame taken
    this.held = false; // somebody zoomed: the axes stay where they are
    this.shown = null; // what the axes show: {left, right, low, high}
    this.totals = []; // [moment, rows ever] of the last seconds, for the rate
    this.range = null; // the oldest and newest x that the kernel keeps
    this.heard = 0; // when the last frame came
    this.visible = null; // not known yet
    this.words = new Words(model);
    this.work = this.resolve();
    const redo = () => {
      this.work = this.work.then(() => this.resolve());
    };
    model.on("change:series", redo);
    for (const name of ["at", "hidden", "window"]) model.on(`change:${name}`, () => this.schedule());
    for (const name of ["notice", "stopped"]) model.on(`change:${name}`, () => this.tell());
    model.on("msg:custom", (content, buffers) => {
      this.work = this.work.then(() => this.take(content, buffers)).catch((error) => console.error(error));
    });
    this.look = () => this.seen();
    document.addEventListener("visibilitychange", this.look);
    this.clock = setInterval(() => this.tell(), 500);
    this.work = this.work.then(() => this.say({ hello: this.client }));
  }

  close() {
    document.removeEventListener("visibilitychange", this.look);
    clearInterval(this.clock);
    this.words.close();
    cancelAnimationFrame(this.frame);
  }

  /** Tell the kernel something; of frames that were painted, the last one. */
  say(content) {
    this.words.say({ client: this.client, ...content }, "painted" in content ? "painted" : null);
  }

  async find(name) {
    const id = this.model.get(name);
    return id ? this.model.widget_manager.get_model(id.replace("IPY_MODEL_", "")) : null;
  }

  /** Find the models of what is to be fed. */
  async resolve() {
    if (!this.figure) {
      for (const name of ["figure", "x", "y", "x_axis", "y_axis", "zoom"]) this[name] = await this.find(name);
      this.x.on("change:min change:max", () => this.rescaled());
      this.y.on("change:min change:max", () => this.rescaled());
    }
    const kinds = { lines: Line, candles: Candles, whole: Whole };
    const specs = this.model.get("series");
    for (let n = this.series.length; n < specs.length; n++) {
      const mark = await this.model.widget_manager.get_model(specs[n].mark.replace("IPY_MODEL_", ""));
      this.series.push(new kinds[this.model.get("kind")](mark, 300));
    }
    specs.forEach((spec, n) => Object.assign(this.series[n], { name: spec.name, colour: spec.colour, dash: spec.dash }));
    for (const view of this.views) view.legend();
  }

  /** Whether any view of the chart can be seen; the kernel sends nothing when none can. */
  seen() {
    const visible = !document.hidden && [...this.views].some((view) => view.inSight);
    if (visible !== this.visible) {
      this.visible = visible;
      this.say({ visible });
    }
  }

  take(content, buffers) {
    if (!content.f) return;
    if (this.model.get("kind") === "whole" && this.model.get("at") !== null && this.heard) {
      this.last = content.f;
      this.schedule(content.f); // painted as it was: there is no past of it to show
      return;
    }
    if (content.full) {
      for (const series of this.series) series.take("r", new Float64Array(0), new Float64Array(0));
    } else if (content.f !== this.last + 1) {
      if (this.last) this.say({ lost: true });
      this.last = 0; // frames mean nothing until a full one comes
      return;
    }
    this.last = content.f;
    this.heard = performance.now();
    if (content.r) this.range = content.r;
    this.totals.push([this.heard, content.t]);
    while (this.totals.length > 2 && this.heard - this.totals[1][0] > 2000) this.totals.shift();
    const buffer = buffers[0];
    const numbers = buffer
      ? new Float64Array(buffer.buffer.slice(buffer.byteOffset, buffer.byteOffset + buffer.byteLength))
      : new Float64Array(0);
    const width = this.model.get("kind") === "candles" ? 4 : 1;
    let at = 0;
    for (const [operation, n, rows] of content.o) {
      const x = numbers.subarray(at, at + rows);
      const values = numbers.subarray(at + rows, at + rows * (1 + width));
      this.series[n].take(operation, x, values, content.labels);
      at += rows * (1 + width);
    }
    const window = this.model.get("window");
    const left = window === null ? this.range?.[0] : this.newest - this.unit(window);
    if (this.model.get("at") === null && left !== undefined) for (const series of this.series) series.drop(left);
    this.schedule(content.f);
  }

  /** Whether x is a time, in Unix milliseconds. */
  get timed() {
    return this.model.get("timed") && this.model.get("kind") !== "whole";
  }

  unit(window) {
    return this.timed ? window * 1000 : window;
  }

  get newest() {
    return Math.max(...this.series.map((series) => series.newest).filter((x) => !Number.isNaN(x)));
  }

  get oldest() {
    return Math.min(...this.series.map((series) => series.oldest).filter((x) => !Number.isNaN(x)));
  }

  schedule(frame) {
    if (frame) this.unpainted = frame;
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.paint();
    });
  }

  paint() {
    const began = performance.now();
    const hidden = new Set(this.model.get("hidden"));
    const drawn = this.series.filter((series) => series.name !== null && !hidden.has(series.name));
    if (this.model.get("kind") === "whole") this.drawWhole(drawn);
    else if (Number.isFinite(this.newest)) this.draw(drawn);
    for (const series of this.series) {
      if (series.mark.get("visible") !== drawn.includes(series)) series.mark.set("visible", !series.mark.get("visible"));
    }
    const frame = this.unpainted;
    if (frame) {
      this.unpainted = 0;
      this.say({ painted: frame });
    }
    const detail = { frame, newest: this.newest, took: performance.now() - began };
    document.dispatchEvent(new CustomEvent("rtwidgets:painted", { detail }));
  }

  /** Draw bars or steps; their values begin at 0, and their x may be words. */
  drawWhole(drawn) {
    const values = drawn.flatMap((series) => Array.from(series.data.y));
    if (!values.length) return;
    const low = Math.min(0, ...values);
    let high = Math.max(0, ...values);
    const old = this.shown;
    if (old && high <= old.high && high > 0.8 * old.high) high = old.high;
    else high += (high - low || 1) * PADDING;
    this.shown = { left: -Infinity, right: Infinity, low, high };
    this.setting = true;
    this.y.set({ min: low, max: high });
    const [y, yForm] = numberTicks(low, high, 7, false);
    if (!same(this.y_axis.get("tick_values"), y)) this.y_axis.set({ tick_values: y, tick_format: yForm });
    const places = drawn.flatMap((series) => Array.from(series.data.x));
    if (places.every((x) => typeof x === "number")) {
      // Half a bar more on both sides, where bars are drawn around their x.
      const { x } = drawn[0].data;
      const more = drawn.length === 1 && x.length > 1 ? (x[1] - x[0]) / 2 : 0;
      const [left, right] = [Math.min(...places) - more, Math.max(...places) + more];
      if (left < right) {
        this.x.set({ min: left, max: right });
        const [ticks, form] = numberTicks(left, right, this.room(), false);
        if (!same(this.x_axis.get("tick_values"), ticks)) this.x_axis.set({ tick_values: ticks, tick_format: form });
      }
    }
    this.setting = false;
    for (const series of drawn) series.mark.set(series.cut().set);
  }

  draw(drawn) {
    const { timed } = this;
    let { left, right, low, high } = this.shown ?? {};
    if (!this.held) {
      const window = this.model.get("window");
      right = this.model.get("at") ?? this.newest;
      left = this.oldest;
      if (window !== null) left = Math.max(left, right - this.unit(window));
      if (this.model.get("kind") === "candles") {
        const bar = this.model.get("bar") * 1000;
        left -= bar * 0.7;
        right += bar * 0.7;
      }
      if (left >= right) left = right - 1;
    }
    // bqplot takes its time for each point: with many lines two pixels of one more are not missed.
    const pixels = this.pixels() / (drawn.length > 4 ? 4 : 2);
    const cuts = drawn.map((series) => series.cut(left, right, pixels, this.model.get("relative")));
    if (!this.held) {
      [low, high] = this.fit(Math.min(...cuts.map((cut) => cut.low)), Math.max(...cuts.map((cut) => cut.high)));
    }
    this.shown = { left, right, low, high };
    this.ticks(left, right, low, high, timed);
    // A mark redraws itself at each change of its scales, unless it is about to change itself.
    for (const series of drawn) series.mark.dirty = true;
    this.setting = true;
    this.x.set(timed ? { min: new Date(left), max: new Date(right) } : { min: left, max: right });
    this.y.set({ min: low, max: high });
    this.setting = false;
    drawn.forEach((series, n) => {
      series.mark.dirty = false;
      series.mark.set(cuts[n].set);
    });
  }

  /** The y range: room above and below, and no change for a trifle. */
  fit(low, high) {
    if (!(low <= high)) return [this.shown?.low ?? 0, this.shown?.high ?? 1];
    const span = high - low || Math.abs(high) * 0.002 || 1;
    const old = this.shown;
    if (old && low >= old.low && high <= old.high && span > 0.6 * (old.high - old.low)) return [old.low, old.high];
    return [low - span * PADDING, high + span * PADDING];
  }

  ticks(left, right, low, high, timed) {
    const [x, xForm] = timed ? timeTicks(left, right, this.room()) : numberTicks(left, right, this.room(), false);
    if (!same(this.x_axis.get("tick_values"), x)) this.x_axis.set({ tick_values: x, tick_format: xForm });
    const [y, yForm] = numberTicks(low, high, 7, this.model.get("relative"));
    if (!same(this.y_axis.get("tick_values"), y)) this.y_axis.set({ tick_values: y, tick_format: yForm });
  }

  /** How many labels the x axis has room for. */
  room() {
    return Math.max(2, Math.min(8, Math.floor(this.pixels() / 90)));
  }

  pixels() {
    for (const view of this.views) {
      const width = view.plot()?.getBoundingClientRect().width;
      if (width) return width;
    }
    return 800;
  }

  /** The axes were moved: by us, or by somebody who zooms. */
  rescaled() {
    if (this.setting) return;
    const ends = [this.x.get("min"), this.x.get("max"), this.y.get("min"), this.y.get("max")];
    if (ends.some((end) => end === null)) return;
    const [left, right, low, high] = ends.map(Number);
    if (![left, right, low, high].every(Number.isFinite)) return;
    this.held = true;
    this.shown = { left, right, low, high };
    this.schedule();
    this.tell();
  }

  /** Follow the newest rows again. */
  live() {
    this.held = false;
    this.shown = null;
    this.show(null);
  }

  /** Show the window that ends at a place of the past; null follows the newest rows. */
  show(at) {
    this.model.set("at", at);
    this.model.save_changes();
    this.schedule();
    this.tell();
  }

  get state() {
    if (this.model.get("stopped")) return "■ stopped";
    if (this.held) return "⤢ zoomed";
    if (this.model.get("at") !== null) return "❚❚ paused";
    if (!this.heard) return "… waiting for rows";
    const quiet = performance.now() - this.heard;
    return quiet > LATE ? `○ no new rows for ${Math.round(quiet / 1000)} s` : "● live";
  }

  get rate() {
    const [first, last] = [this.totals[0], this.totals[this.totals.length - 1]];
    return first && last[0] > first[0] ? ((last[1] - first[1]) / (last[0] - first[0])) * 1000 : NaN;
  }

  tell() {
    const words = [this.state];
    if (this.state === "● live" && Number.isFinite(this.rate)) {
      words.push(`${Math.round(this.rate).toLocaleString("en")} rows/s`);
      const lag = Date.now() - this.newest;
      if (this.model.get("kind") === "lines" && this.model.get("timed") && lag >= 0 && lag < 60000) words.push(`lag ${Math.round(lag)} ms`);
    }
    if (this.model.get("notice")) words.push(this.model.get("notice"));
    for (const view of this.views) view.tell(words.join(" · "));
  }

  value(series) {
    if (this.model.get("relative") && Number.isFinite(series.change))
      return `${series.change < 0 ? "" : "+"}${series.change.toFixed(2)} %`;
    return Number.isFinite(series.last) ? series.last.toLocaleString("en", { maximumSignificantDigits: 8 }) : "–";
  }
}

const SWATCHES = { solid: "", dashed: "10 5", dotted: "2 5", dash_dotted: "10 5 2 5" };

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

const clockTime = (x) => new Date(x).toISOString().slice(0, 23).replace("T", " ");

function save(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

/** One place where a chart's words and tools are shown. */
class View {
  constructor(feed, el) {
    this.feed = feed;
    this.el = el;
    const { model } = feed;
    el.classList.add("rtw-feeder");
    this.pause = element("button", { type: "button", class: "rtw-tool", onclick: () => this.togglePause() });
    this.span = element("select", { class: "rtw-tool", title: "How much time the chart shows", onchange: () => this.respan() });
    for (const [label, seconds] of model.get("windows"))
      this.span.append(element("option", { value: seconds ?? "all" }, label));
    this.zoom = element(
      "button",
      { type: "button", class: "rtw-tool", title: "Zoom with the wheel, pan by dragging", "aria-pressed": "false", onclick: () => this.toggleZoom() },
      "⤢ Zoom",
    );
    const png = element("button", { type: "button", class: "rtw-tool", title: "Save the picture", onclick: () => this.savePng() }, "PNG");
    const csv = element("button", { type: "button", class: "rtw-tool", title: "Save the rows that are shown", onclick: () => this.saveCsv() }, "CSV");
    this.words = element("span", { class: "rtw-dim", role: "status", "aria-live": "off" });
    this.scrub = element("input", {
      type: "range", class: "rtw-scrub", step: "any", "aria-label": "Show the past", title: "Show the past",
      oninput: () => this.scrubbed(),
    });
    this.keys = element("div", { class: "rtw-legend", role: "group", "aria-label": "Lines" });
    this.table = element("table", { class: "rtw-only-read" });
    this.tip = element("div", { class: "rtw-tip" });
    this.rule = element("div", { class: "rtw-rule" });
    const tools = element("div", { class: "rtw-tools" }, this.pause);
    if (model.get("kind") !== "whole") tools.append(this.span, this.scrub, this.zoom);
    tools.append(png, csv, element("span", { class: "rtw-words" }, element("b", {}, model.get("title")), " ", this.words));
    el.append(tools, this.keys, this.table);
    this.moved = (event) => this.point(event);
    this.sight = new IntersectionObserver((entries) => {
      this.inSight = entries[entries.length - 1].isIntersecting;
      feed.seen();
      // The picture may be in sight where the tools are not.
      const root = el.closest(".rtw-chart");
      if (root && root !== this.watched) {
        this.watched = root;
        this.sight.disconnect();
        this.sight.observe(root);
      }
    });
    this.sight.observe(el);
    feed.views.add(this);
    this.legend();
    feed.schedule();
    feed.tell();
  }

  remove() {
    this.sight.disconnect();
    this.root?.removeEventListener("pointermove", this.moved);
    this.tip.remove();
    this.rule.remove();
    this.feed.views.delete(this);
    this.feed.seen();
  }

  /** The chart around this view, and the rectangle that its marks are drawn in. */
  plot() {
    const root = this.el.closest(".rtw-chart");
    if (root && root !== this.root) {
      this.root = root;
      root.append(this.tip, this.rule);
      root.addEventListener("pointermove", this.moved);
      root.addEventListener("pointerleave", () => this.unpoint());
    }
    return root?.querySelector(".bqplot .plotarea_background");
  }

  legend() {
    const { feed } = this;
    const hidden = new Set(feed.model.get("hidden"));
    this.values = [];
    this.cells = [];
    const keys = [];
    const rows = [];
    for (const series of feed.series) {
      if (series.name === null || feed.model.get("kind") === "whole") continue;
      const value = element("span", { class: "rtw-dim" });
      const swatch = element("span", { "aria-hidden": "true" });
      swatch.innerHTML =
        '<svg width="26" height="8" style="vertical-align:middle"><line x1="1" y1="4" x2="25" y2="4" stroke-width="2.5"/></svg>';
      swatch.querySelector("line").setAttribute("stroke", series.colour);
      swatch.querySelector("line").setAttribute("stroke-dasharray", SWATCHES[series.dash] ?? "");
      keys.push(
        element(
          "button",
          {
            type: "button", class: "rtw-key", "aria-pressed": String(!hidden.has(series.name)),
            title: `Show or hide ${series.name}`, onclick: (event) => this.toggle(series.name, event.currentTarget),
          },
          swatch, " ", series.name, " ", value,
        ),
      );
      const cell = element("td");
      rows.push(element("tr", {}, element("th", { scope: "row" }, series.name), cell));
      this.values.push([series, value]);
      this.cells.push([series, cell]);
    }
    this.keys.replaceChildren(...keys);
    this.table.replaceChildren(element("caption", {}, `Latest values of ${feed.model.get("title")}`), ...rows);
  }

  tell(words) {
    const { feed } = this;
    const { model } = feed;
    if (this.words.textContent !== words) this.words.textContent = words;
    const stopped = feed.held || model.get("at") !== null;
    this.pause.textContent = stopped ? "▶ Live" : "❚❚ Pause";
    this.pause.title = stopped ? "Follow the newest rows" : "Hold the picture; the stream goes on";
    this.pause.disabled = model.get("stopped") && !stopped;
    const span = String(model.get("window") ?? "all");
    if (this.span.value !== span) this.span.value = span;
    for (const [series, value] of this.values ?? []) {
      const text = feed.value(series);
      if (value.textContent !== text) value.textContent = text;
    }
    for (const [series, cell] of this.cells ?? []) cell.textContent = feed.value(series);
    const range = feed.range;
    if (range && document.activeElement !== this.scrub) {
      this.scrub.min = range[0];
      this.scrub.max = range[1];
      this.scrub.value = model.get("at") ?? range[1];
      const moment = model.get("at") ?? range[1];
      this.scrub.setAttribute("aria-valuetext", model.get("timed") ? clockTime(moment) : String(moment));
    }
  }

  togglePause() {
    const { feed } = this;
    if (feed.held || feed.model.get("at") !== null) feed.live();
    else if (feed.model.get("kind") === "whole") feed.show(Date.now());
    else feed.show(Number.isFinite(feed.newest) ? feed.newest : null);
  }

  respan() {
    const { feed } = this;
    feed.model.set("window", this.span.value === "all" ? null : Number(this.span.value));
    feed.model.save_changes();
    feed.shown = null;
    feed.held = false;
    feed.schedule();
  }

  scrubbed() {
    const { feed } = this;
    const at = Number(this.scrub.value);
    feed.held = false;
    const end = at >= Number(this.scrub.max) ? null : at;
    clearTimeout(this.scrubbing);
    feed.schedule();
    this.scrubbing = setTimeout(() => feed.show(end), 40);
  }

  toggleZoom() {
    const { feed } = this;
    const on = feed.figure.get("interaction") !== feed.zoom;
    feed.figure.set("interaction", on ? feed.zoom : null);
    for (const view of feed.views) view.zoom.setAttribute("aria-pressed", String(on));
  }

  toggle(name, button) {
    const { model } = this.feed;
    const hidden = new Set(model.get("hidden"));
    if (!hidden.delete(name)) hidden.add(name);
    button.setAttribute("aria-pressed", String(!hidden.has(name)));
    model.set("hidden", [...hidden]);
    model.save_changes();
    this.feed.shown = null;
    this.feed.schedule();
  }

  savePng() {
    this.feed.figure.trigger("save_png", `${this.feed.model.get("title") || "chart"}.png`, 2);
  }

  saveCsv() {
    const { feed } = this;
    const quote = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    const { left, right } = feed.shown ?? { left: -Infinity, right: Infinity };
    const { timed } = feed;
    const lines = [`${timed ? "time" : "x"},key,${feed.model.get("columns").join(",")}`];
    for (const series of feed.series) {
      if (series.name === null) continue;
      for (const [x, ...values] of series.rows(left, right))
        lines.push([timed ? new Date(x).toISOString() : quote(String(x)), quote(series.name), ...values].join(","));
    }
    save(`${feed.model.get("title") || "chart"}.csv`, "text/csv", lines.join("\n") + "\n");
  }

  /** Show the exact values nearest to the pointer. */
  point(event) {
    const { feed } = this;
    const box = this.plot()?.getBoundingClientRect();
    const inside =
      box && feed.shown && feed.model.get("kind") !== "whole" && event.clientX >= box.left && event.clientX <= box.right &&
      event.clientY >= box.top && event.clientY <= box.bottom;
    if (!inside) {
      this.unpoint();
      return;
    }
    const { left, right } = feed.shown;
    const x = left + ((event.clientX - box.left) / box.width) * (right - left);
    const hidden = new Set(feed.model.get("hidden"));
    const lines = [];
    let nearest = null;
    for (const series of feed.series) {
      const found = series.name === null || hidden.has(series.name) ? null : series.near(x);
      if (!found) continue;
      if (nearest === null || Math.abs(found[0] - x) < Math.abs(nearest - x)) nearest = found[0];
      lines.push([found[0], `${series.name}  ${found[1].join("  ")}`]);
    }
    if (nearest === null) return;
    const moment = (at) => (feed.timed ? clockTime(at) : String(at));
    const texts = lines.map(([at, text]) => element("div", {}, at === nearest ? text : `${text}  (${moment(at)})`));
    this.tip.replaceChildren(element("div", { class: "rtw-dim" }, moment(nearest)), ...texts);
    const root = this.root.getBoundingClientRect();
    const across = box.left - root.left + ((nearest - left) / (right - left)) * box.width;
    const flip = across > root.width / 2;
    Object.assign(this.tip.style, {
      display: "block", top: `${box.top - root.top + 8}px`,
      left: flip ? "" : `${across + 10}px`, right: flip ? `${root.width - across + 10}px` : "",
    });
    Object.assign(this.rule.style, {
      display: "block", left: `${across}px`, top: `${box.top - root.top}px`, height: `${box.height}px`,
    });
  }

  unpoint() {
    this.tip.style.display = "none";
    this.rule.style.display = "none";
  }
}

const feeds = new Map();

function initialize({ model }) {
  const feed = new Feed(model);
  feeds.set(model.get("uid"), feed);
  return () => {
    feed.close();
    feeds.delete(model.get("uid"));
  };
}

function render({ model, el }) {
  const view = new View(feeds.get(model.get("uid")), el);
  return () => view.remove();
}

export { Ring, numberTicks, timeTicks };
export default { initialize, render };
