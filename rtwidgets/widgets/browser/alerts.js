/** One view of an alert: how it stands, and a table of the rows with which it came true, the newest first. */
export class AlertView {
  constructor(model, el) {
    this.model = model;
    this.newest = -1; // number of the newest row that is shown
    this.columns = "";
    const name = seen(model.get("name"));

    this.count = element("span", "rtw-alerts-count");
    this.state = element("span", "rtw-alerts-state");
    this.state.setAttribute("role", "status");
    const bar = element("div", "rtw-alerts-bar", element("b", "", name), this.count, this.state);
    this.head = element("tr", "");
    this.body = element("tbody", "");
    const caption = element("caption", "rtw-alerts-unseen", `alerts of ${name}, the newest first`);
    const table = element("table", "rtw-alerts-table", caption, element("thead", "", this.head), this.body);
    this.scroller = element("div", "rtw-alerts-scroller", table);
    this.scroller.tabIndex = 0; // or else nobody could scroll it with keys
    this.scroller.setAttribute("role", "group");
    this.scroller.setAttribute("aria-label", `alerts of ${name}`);
    keepKeys(this.scroller);
    this.none = element("div", "rtw-alerts-none", "none yet");
    this.news = element("div", "rtw-alerts-unseen"); // what is read aloud: a table that changes would be too much
    this.news.setAttribute("aria-live", "polite");
    el.classList.add("rtw-alerts");
    el.append(bar, this.none, this.scroller, this.news);

    this.look = () => this.tell();
    this.fill = () => this.show(true);
    for (const each of LOOKED_AT) model.on(each, this.look);
    model.on("change:rows", this.fill);
    this.tell();
    this.show(false);
  }

  /** Say how it stands, in a sign and a word. */
  tell() {
    const get = (name) => this.model.get(name);
    const total = get("total");
    this.count.textContent = total ? `⚑ ${total} alert${total === 1 ? "" : "s"}` : "";
    const reason = get("reason");
    const state = get("state");
    let words = state === "open" ? "● live" : `○ ${state}${reason ? `: ${reason}` : ""}`;
    if (get("stopped") || state === "closed") words = `■ ${reason || "stopped"}`;
    else if (this.model.comm_live === false) words = "■ the kernel is gone: run the cell again";
    if (this.state.textContent !== words) this.state.textContent = words;
  }

  /** Put the rows that are new on top, and leave those that are there as they are. */
  show(aloud) {
    const rows = this.model.get("rows");
    const columns = this.model.get("columns");
    if (columns.join("\n") !== this.columns) {
      this.columns = columns.join("\n");
      this.head.replaceChildren(...columns.map((name) => heading(name)));
      this.body.replaceChildren();
      this.newest = -1;
    }
    const news = rows.filter(([number]) => number > this.newest);
    this.body.prepend(...news.map(([, ...texts]) => element("tr", "", ...texts.map((text) => cell(text)))));
    while (this.body.rows.length > rows.length) this.body.deleteRow(-1);
    this.newest = rows.length ? rows[0][0] : -1;
    this.none.hidden = rows.length > 0;
    this.scroller.hidden = !rows.length;
    if (aloud && news.length) {
      const words = columns.map((name, n) => `${seen(name)} ${seen(news[0][n + 1])}`).join(", ");
      this.news.textContent = news.length === 1 ? `alert: ${words}` : `${news.length} alerts, the newest: ${words}`;
    }
  }

  destroy() {
    for (const each of LOOKED_AT) this.model.off(each, this.look);
    this.model.off("change:rows", this.fill);
  }
}

const LOOKED_AT = ["change:state", "change:reason", "change:stopped", "change:total", "comm_live_update"];

function heading(name) {
  const made = element("th", "", seen(name));
  made.scope = "col";
  return made;
}

function cell(text) {
  return element("td", "", element("bdi", "", seen(text)));
}

export default {
  render({ model, el }) {
    const view = new AlertView(model, el);
    return () => view.destroy();
  },
};
