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

// All the digits that a value has, but not those that floating-point arithmetic put behind them.
const exact = (value) => String(Number(value.toPrecision(15)));

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
    if (model.get("windows").length) tools.append(this.span);
    if (model.get("kind") !== "whole") tools.append(this.scrub);
    if (model.get("zoom")) tools.append(this.zoom);
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
    this.described = "";
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
    if (model.get("kind") === "whole") this.describe();
    const range = feed.range;
    if (range && document.activeElement !== this.scrub) {
      this.scrub.min = range[0];
      this.scrub.max = range[1];
      this.scrub.value = model.get("at") ?? range[1];
      const moment = model.get("at") ?? range[1];
      this.scrub.setAttribute("aria-valuetext", model.get("timed") ? clockTime(moment) : String(moment));
    }
  }

  /** Write the bars or steps into the table for those who do not see them. */
  describe() {
    const rows = this.feed.series.flatMap((series) => series.rows().map(([x, value]) => [series.name, x, value]));
    const text = JSON.stringify(rows);
    if (text === this.described) return;
    this.described = text;
    const cell = (value) => element("td", {}, typeof value === "number" ? exact(value) : value);
    this.table.replaceChildren(
      element("caption", {}, `Latest values of ${this.feed.model.get("title")}`),
      ...rows.map((row) => element("tr", {}, ...row.map(cell))),
    );
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
      box && feed.shown && event.clientX >= box.left && event.clientX <= box.right &&
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
    let words = null;
    for (const series of feed.series) {
      const found = series.name === null || hidden.has(series.name) ? null : series.near(x);
      if (!found) continue;
      if (nearest === null || Math.abs(found[0] - x) < Math.abs(nearest - x)) [nearest, , words] = found;
      lines.push([found[0], `${series.name}  ${found[1].map(exact).join("  ")}`]);
    }
    if (nearest === null) return;
    const moment = (at) => words ?? (feed.timed ? clockTime(at) : exact(at));
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

export default { initialize, render };
