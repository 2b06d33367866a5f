const LATE = 2000; // milliseconds by which the server's clock may seem to have gone back and was only told late

/**
 * Something that is decided row by row, on this page, for all its views: how it stands, what is asked for here, and
 * the server's clock.
 *
 * The kernel tells how it stands (`picture`) with the server's time of that moment (`now`), and answers what was asked
 * for here: `answers` has the key of each request, and why it was refused or nothing.
 */
export class Play {
  constructor(model) {
    this.model = model;
    this.words = new Words(model);
    this.views = new Set();
    this.pending = new Map(); // the view that has asked, by the request's key
    this.page = Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(36)).join("");
    this.asked = 0;
    this.ahead = Number.NEGATIVE_INFINITY; // the server's clock, of this page's
    this.alive = true;
    this.hear = ({ answers }) => {
      for (const [key, reason] of answers) this.answered(key, reason);
    };
    this.look = () => {
      for (const view of this.views) view.look();
    };
    this.tell = () => {
      this.sync();
      for (const view of this.views) view.show(this.get("picture"));
      this.look();
    };
    this.sync = () => {
      const ahead = this.get("now") - performance.now();
      if (ahead > this.ahead || ahead < this.ahead - LATE) this.ahead = ahead; // what was told late says too little
    };
    this.lost = () => {
      this.alive = model.comm_live ?? false;
      if (!this.alive) this.forget();
      this.look();
    };
    this.linked = (_, status) => {
      if (status !== "connected") return;
      this.forget(); // answers that were told meanwhile may be lost
      this.words.say({ ask: true }, "ask");
    };
    this.seen = () => {
      if (document.visibilityState === "visible") this.words.say({ ask: true }, "ask"); // the page may have slept
    };
    this.sync();
    model.on("msg:custom", this.hear);
    model.on("change:now", this.sync);
    model.on("change:picture", this.tell);
    model.on("comm_live_update", this.lost);
    for (const name of LOOKED_AT) model.on(`change:${name}`, this.look);
    this.words.kernel?.connectionStatusChanged?.connect(this.linked);
    document.addEventListener("visibilitychange", this.seen);
  }

  get(name) {
    return this.model.get(name);
  }

  /** The server's time, in Unix milliseconds. */
  now() {
    return performance.now() + this.ahead;
  }

  /** Why one cannot take part any more, or at all; or null. */
  get lock() {
    if (this.get("stopped") || this.get("state") === "closed") return this.get("reason") || "stopped";
    if (!this.alive) return "the kernel is gone: run the cell again";
    return this.get("writable") ? null : "read only";
  }

  /** Whether nothing new comes any more. */
  get over() {
    return this.lock !== null && this.lock !== "read only";
  }

  /** How things stand with the connection, in a word or two. */
  get state() {
    const { lock } = this;
    const state = this.get("state");
    if (this.over) return `■ ${lock}`;
    if (state === "open") return lock === null ? "● live" : `● live · ${lock}`;
    const reason = this.get("reason");
    return `○ ${state}${reason ? `: ${reason}` : ""}`;
  }

  own(user) {
    return user === this.get("user");
  }

  /** Ask for something; the answer goes to the view that did. */
  ask(request, view) {
    this.asked += 1;
    const key = `${this.page}-${this.asked}`;
    this.pending.set(key, view);
    this.words.say({ do: request, key });
    view.look();
  }

  answered(key, reason) {
    const view = this.pending.get(key);
    if (!view) return; // another page's
    this.pending.delete(key);
    if (!this.views.has(view)) return;
    view.complain(reason);
    view.look();
  }

  forget() {
    this.pending.clear();
    this.look();
  }

  destroy() {
    this.model.off("msg:custom", this.hear);
    this.model.off("change:now", this.sync);
    this.model.off("change:picture", this.tell);
    this.model.off("comm_live_update", this.lost);
    for (const name of LOOKED_AT) this.model.off(`change:${name}`, this.look);
    this.words.kernel?.connectionStatusChanged?.disconnect(this.linked);
    document.removeEventListener("visibilitychange", this.seen);
    this.words.close();
  }
}

const LOOKED_AT = ["state", "reason", "writable", "stopped"];

/** Base of one view: a heading, what a subclass puts into `body`, and why something was refused. */
class PlayView {
  constructor(play, el, kind) {
    this.play = play;
    this.heading = element("bdi", "rtw-play-heading", nameOf(play.get("name")));
    this.kind = element("span", "rtw-play-dim", kind);
    this.state = element("span", "rtw-play-dim");
    this.state.setAttribute("role", "status");
    this.body = element("div", "rtw-play-body");
    this.note = element("span", "rtw-play-dim");
    this.reason = element("div", "rtw-play-reason");
    this.reason.setAttribute("role", "alert");
    el.classList.add("rtw-play");
    el.dataset.lmSuppressShortcuts = "true"; // or else JupyterLab takes keys for commands on cells
    el.append(element("div", "rtw-play-bar", this.heading, this.kind, this.state), this.body, this.reason);
  }

  /** Show it; a subclass calls this once it is made. */
  begin() {
    this.play.views.add(this);
    this.show(this.play.get("picture"));
    this.look();
  }

  /** Whether something can be asked for here now. */
  get ready() {
    return this.play.lock === null && !this.asking;
  }

  /** Whether something was asked for here and not answered yet. */
  get asking() {
    return [...this.play.pending.values()].includes(this);
  }

  ask(request) {
    if (!this.ready) return;
    this.complain("");
    this.play.ask(request, this);
  }

  complain(words) {
    write(this.reason, words);
  }

  look() {
    write(this.state, this.play.state);
    const held = this.play.words.free ? "…" : "waits until the cell has ended";
    write(this.note, this.asking ? held : "");
  }

  button(words, request) {
    const button = element("button", "rtw-play-button", words);
    button.type = "button";
    button.addEventListener("click", () => this.ask(request));
    return button;
  }

  destroy() {
    this.play.views.delete(this);
  }
}

/** Write words into an element, where they are others: what is the same is not read aloud again. */
function write(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

/** Return a title as one line, with what would not be seen made visible. */
function titleOf(text) {
  return seen(text).replace(/\s+/g, " ").replace(/\p{Bidi_Control}/gu, "\ufffd");
}

/** Return somebody's name as an element, with a word for oneself. */
function who(play, user) {
  return play.own(user) ? element("span", "", nameElement(user), " (you)") : nameElement(user);
}

const plays = new Map();

/** Return a widget of this kind of view. */
function widget(View) {
  return {
    initialize({ model }) {
      const play = new Play(model);
      plays.set(model.get("uid"), play);
      return () => {
        plays.delete(model.get("uid"));
        play.destroy();
      };
    },
    render({ model, el }) {
      const view = new View(plays.get(model.get("uid")), el);
      return () => view.destroy();
    },
  };
}
