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

const PADDING = 0.08; // of the y range, above and below the lines
const ANSWER = 250; // milliseconds between two answers while painting is easy
const EASY = 50; // milliseconds from the arrival of a frame to its picture that are little
const TOGETHER = 3; // frames that the network may bring at once, at the most
const TELL = 100; // milliseconds between two changes of the words while the picture moves
const LATE = 2000; // milliseconds without a frame after which a live chart says that nothing comes

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
    this.arrived = null; // when the first frame came that is not painted yet
    this.waiting = 0; // how many such frames there are
    this.told = 0; // when the words were written last
    this.answered = { at: -Infinity, easy: false }; // when the kernel was told last that a frame was painted
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
    const hello = () => ({ client: this.client, hello: this.client, last: this.last });
    this.work = this.work.then(() => this.words.say(hello));
  }

  close() {
    document.removeEventListener("visibilitychange", this.look);
    clearInterval(this.clock);
    clearTimeout(this.answering);
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
      this.told = 0; // so that the words go with this picture
      for (const series of this.series) series.take("r", new Float64Array(0), new Float64Array(0));
    } else if (content.f !== this.last + 1) {
      if (this.last) this.say({ lost: true });
      this.last = 0; // frames mean nothing until a full one comes
      return;
    }
    this.last = content.f;
    this.heard = performance.now();
    this.arrived ??= this.heard;
    this.waiting += 1;
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
      this.answer(frame);
    }
    if (began - this.told > TELL) this.tell();
    const detail = { frame, newest: this.newest, took: performance.now() - began };
    document.dispatchEvent(new CustomEvent("rtwidgets:painted", { detail }));
  }

  /** Tell the kernel that a frame was painted; now and then only, while that is easy. */
  answer(painted) {
    const now = performance.now();
    const easy = this.waiting <= TOGETHER && now - (this.arrived ?? now) < EASY;
    this.arrived = null;
    this.waiting = 0;
    clearTimeout(this.answering);
    const tell = () => {
      this.answered = { at: performance.now(), easy };
      this.say({ painted, easy });
    };
    const due = this.answered.at + ANSWER - now;
    // A kernel that was told otherwise waits for this answer.
    if (easy && this.answered.easy && due > 0) this.answering = setTimeout(tell, due);
    else tell();
  }

  /** Draw bars or steps; their values begin at 0, and their x may be words. */
  drawWhole(drawn) {
    const places = drawn.flatMap((series) => Array.from(series.data.x));
    if (!places.length) return;
    const worded = drawn.some((series) => series.worded);
    if (!this.held) this.shown = this.around(drawn, places, worded);
    const { left, right, low, high } = this.shown;
    this.setting = true;
    this.y.set({ min: low, max: high });
    if (!worded) this.x.set({ min: left, max: right });
    this.setting = false;
    this.ticks(left, right, low, high, !worded);
    for (const series of drawn) series.mark.set(series.cut().set);
  }

  /** What the axes have to show of bars or steps. */
  around(drawn, places, worded) {
    const values = drawn.flatMap((series) => Array.from(series.data.y));
    const low = Math.min(0, ...values);
    let high = Math.max(0, ...values);
    const old = this.shown;
    if (old && high <= old.high && high > 0.8 * old.high) high = old.high;
    else high += (high - low || 1) * PADDING;
    if (worded) return { left: 0, right: places.length, low, high };
    // Half a bar more on both sides, where bars are drawn around their x.
    const { x } = drawn[0].data;
    const more = drawn.length === 1 && x.length > 1 ? (x[1] - x[0]) / 2 : 0;
    const [left, right] = [Math.min(...places) - more, Math.max(...places) + more];
    return left < right ? { left, right, low, high } : { left: left - 0.5, right: right + 0.5, low, high };
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
    this.ticks(left, right, low, high);
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

  ticks(left, right, low, high, numbered = true) {
    const ticks = this.timed ? timeTicks : numberTicks;
    const [x, xForm] = ticks(left, right, this.room(), false);
    if (numbered && !same(this.x_axis.get("tick_values"), x)) this.x_axis.set({ tick_values: x, tick_format: xForm });
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
    this.told = performance.now();
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
