const TYPED = 300; // milliseconds after the last key until the text is saved

/** Return how many characters two texts have in common at the beginning and, behind those, at the end. */
function common(one, other) {
  const most = Math.min(one.length, other.length);
  let head = 0;
  while (head < most && one[head] === other[head]) head += 1;
  let tail = 0;
  while (tail < most - head && one.at(-1 - tail) === other.at(-1 - tail)) tail += 1;
  return { head, tail };
}

/** Return a text as a text area has it, which knows one line end only. */
function plain(text) {
  return text.replace(/\r\n?/g, "\n");
}

/** Return what somebody has made of a text in a text area, with the line ends of the text where nothing was changed. */
function restored(text, value) {
  const before = plain(text);
  const { head, tail } = common(before, value);
  const place = (at) => {
    let found = 0;
    for (let n = 0; n < at; n += 1) found += text.startsWith("\r\n", found) ? 2 : 1;
    return found;
  };
  const made = value.slice(head, value.length - tail).replaceAll("\n", text.includes("\r\n") ? "\r\n" : "\n");
  return text.slice(0, place(head)) + made + text.slice(place(before.length - tail));
}

/** The plain editor of a document: whole texts, with the version that each was made from. */
export default {
  render({ model, el }) {
    const words = new Words(model);
    const bar = document.createElement("div");
    bar.className = "rtw-editor-bar";
    const area = document.createElement("textarea");
    area.className = "rtw-textarea";
    area.rows = 10;
    area.setAttribute("aria-label", `document ${model.get("name")}`);
    el.classList.add("rtw-editor");
    area.dataset.lmSuppressShortcuts = "true"; // or else JupyterLab takes keys for commands on cells
    el.append(bar, area);
    let version = null; // of the text that is shown; null before there is one
    let base = ""; // that version's text
    let timer = null;
    let unsaved = false;
    let alive = true;

    const send = () => {
      unsaved = false;
      return { text: restored(base, area.value), version };
    };
    const save = () => {
      clearTimeout(timer);
      timer = null;
      // While the kernel is busy it waits, and what is typed meanwhile goes with it.
      words.say(send, "text");
    };
    const show = (text) => {
      const { selectionStart: start, selectionEnd: end, value } = area;
      if (text === value) return;
      const { head, tail } = common(value, text);
      // What is before the change stays where it is, what is behind it moves along, what was in it goes to its end.
      const moved = (at) => (at <= head ? at : Math.max(at, value.length - tail) + text.length - value.length);
      const { scrollTop } = area;
      area.value = text;
      area.setSelectionRange(moved(start), moved(end));
      area.scrollTop = scrollTop;
    };
    const hear = (content) => {
      if (unsaved) return; // it is saved first, and comes back with the words of the others
      if (version !== null && content.version < version) return; // said before what is here, by another thread
      [base, version] = [content.text, content.version];
      show(plain(base));
      look();
    };
    const state = () => {
      if (model.get("stopped")) return "■ stopped";
      if (!alive) return "■ the kernel is gone: run the cell again";
      const word = model.get("state");
      return word !== "open" ? `○ ${word}` : version === null ? "… loading" : "● live";
    };
    const look = () => {
      const writable = model.get("writable");
      area.readOnly = model.get("stopped") || !alive || !writable || version === null;
      const name = document.createElement("b");
      name.textContent = model.get("name");
      const how = "plain editor: for the full one install Node.js with npm, then rtwidgets again";
      const said = ["", state(), writable ? "" : "read only", how].filter((part, at) => !at || part).join(" · ");
      if (bar.textContent !== name.textContent + said) bar.replaceChildren(name, said);
    };
    const names = ["writable", "stopped", "state"];
    area.addEventListener("input", () => {
      unsaved = true;
      clearTimeout(timer);
      timer = setTimeout(save, TYPED);
    });
    area.addEventListener("keydown", (event) => {
      // JupyterLab cancels the line break that the browser would make of it.
      if (event.key !== "Enter" || event.isComposing || area.readOnly) return;
      event.preventDefault();
      document.execCommand("insertText", false, "\n");
    });
    const lost = () => {
      alive = model.comm_live ?? false;
      look();
    };
    model.on("msg:custom", hear);
    model.on("comm_live_update", lost);
    for (const name of names) model.on(`change:${name}`, look);
    look();
    words.say({ hello: true });
    return () => {
      if (timer !== null) save();
      model.off("msg:custom", hear);
      model.off("comm_live_update", lost);
      for (const name of names) model.off(`change:${name}`, look);
      words.close();
    };
  },
};
