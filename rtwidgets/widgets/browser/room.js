const KEPT = 300; // messages that are kept for a view that comes; those that are there keep more while they are read
const READ_ONLY = "read only";
const TYPES = 3000; // milliseconds after a key in which somebody is thought to type

/**
 * A chat room on this page, for all its views: what was said, and what is on its way there.
 *
 * The kernel has told all there was with the widget's state (`past`), and tells what is new: `rows`, `after` which
 * number they come, the `total` after them, and `answers` to what was said here, which are reasons why it was not sent.
 */
export class Room {
  constructor(model) {
    this.model = model;
    this.words = new Words(model);
    this.views = new Set();
    this.rows = [];
    this.total = 0;
    this.pending = new Map(); // what was said here and not answered yet, by its key
    this.draft = ""; // for the next view
    this.page = Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(36)).join("");
    this.said = 0;
    this.refused = null; // the text and the key of what could not be sent
    this.typedAt = this.toldAt = Number.NEGATIVE_INFINITY;
    this.alive = true;
    this.hear = (content) => this.take(content);
    this.look = () => {
      if (this.lock) this.giveAllBack();
      for (const view of this.views) view.look();
    };
    this.lost = () => {
      this.alive = model.comm_live ?? false;
      if (!this.alive) this.words.kept = []; // nobody would hear it
      this.look();
    };
    this.linked = (_, status) => {
      if (status === "connected" && this.alive) this.ask(); // what was told meanwhile may be lost
    };
    this.leave = () => this.types(false);
    model.on("msg:custom", this.hear);
    model.on("comm_live_update", this.lost);
    for (const name of LOOKED_AT) model.on(`change:${name}`, this.look);
    this.words.kernel?.connectionStatusChanged?.connect(this.linked);
    window.addEventListener("pagehide", this.leave);
    const past = model.get("past");
    if (past) this.take(past);
  }

  get(name) {
    return this.model.get(name);
  }

  own(row) {
    return row[1] === this.get("user");
  }

  /** Why nothing can be said here any more, or at all; or null. */
  get lock() {
    if (this.get("stopped") || this.get("state") === "closed") return this.get("reason") || "stopped";
    if (!this.alive) return "the kernel is gone: run the cell again";
    return this.get("writable") ? null : READ_ONLY;
  }

  /** How things stand, in a word or two. */
  get state() {
    const { lock } = this;
    const state = this.get("state");
    if (lock !== null && lock !== READ_ONLY) return `■ ${lock}`;
    if (state === "open") return lock === null ? "● live" : `● live · ${lock}`;
    const reason = this.get("reason");
    return `○ ${state}${reason ? `: ${reason}` : ""}`;
  }

  ask() {
    this.words.say({ ask: true }, "ask");
  }

  take({ rows, after, total, answers = [] }) {
    const whole = after === 0;
    if (after > this.total) this.ask(); // something was lost on the way
    const news = whole ? rows : rows.filter(([number]) => number >= this.total);
    this.rows = whole ? rows : [...this.rows, ...news].slice(-KEPT);
    this.total = Math.max(this.total, total);
    for (const view of this.views) {
      if (whole) view.fill();
      else view.add(news);
    }
    for (const [key, reason] of answers) this.answered(key, reason);
  }

  // What is said here

  /** Say something. Without an answer it is given back, with the reason, to where it was written. */
  say(text, view) {
    const again = this.refused?.text === text; // it may have landed: said with the same key it lands once
    this.said += again ? 0 : 1;
    const key = again ? this.refused.key : `${this.page}-${this.said}`;
    this.refused = null;
    this.types(false);
    this.pending.set(key, { text, view });
    this.words.say({ say: text, key });
    for (const each of this.views) each.wait();
  }

  answered(key, reason) {
    const said = this.pending.get(key);
    if (!said) return; // another page's
    this.pending.delete(key);
    if (reason) {
      this.refused = { text: said.text, key };
      this.giveBack(said, reason);
    }
    for (const view of this.views) view.wait();
  }

  giveBack({ text, view }, reason) {
    const there = this.views.has(view) ? view : [...this.views][0];
    if (there) there.giveBack(text, reason);
    else this.draft = [text, this.draft].filter(Boolean).join("\n");
  }

  giveAllBack() {
    for (const key of [...this.pending.keys()]) this.answered(key, this.lock);
  }

  /** Tell the others that somebody types here, now and then, or does so no longer. */
  types(typing) {
    const now = performance.now();
    const telling = now - this.toldAt < TYPES;
    this.typedAt = typing ? now : Number.NEGATIVE_INFINITY;
    if (typing ? telling || this.lock || this.get("state") !== "open" : this.toldAt < 0) return;
    this.toldAt = typing ? now : Number.NEGATIVE_INFINITY;
    // Worked out when it is said: while a cell runs it waits.
    this.words.say(() => ({ typing: performance.now() - this.typedAt < TYPES }), "typing");
  }

  destroy() {
    this.leave();
    window.removeEventListener("pagehide", this.leave);
    this.model.off("msg:custom", this.hear);
    this.model.off("comm_live_update", this.lost);
    for (const name of LOOKED_AT) this.model.off(`change:${name}`, this.look);
    this.words.kernel?.connectionStatusChanged?.disconnect(this.linked);
    this.words.close();
  }
}

const LOOKED_AT = ["state", "reason", "writable", "stopped", "present", "people", "typing"];
