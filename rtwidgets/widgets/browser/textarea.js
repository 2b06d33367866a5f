const TYPED = 300; // milliseconds after the last key until the text is saved

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
    el.dataset.lmSuppressShortcuts = "true";
    el.append(bar, area);
    let version = 0;
    let timer = null;

    const save = () => {
      timer = null;
      words.say({ text: area.value, version }, "text");
    };
    const show = (text) => {
      if (text === area.value) return;
      const { selectionStart: start, selectionEnd: end, value } = area;
      let head = 0;
      while (head < start && text[head] === value[head]) head += 1;
      const moved = head === start ? 0 : text.length - value.length;
      area.value = text;
      area.setSelectionRange(start + moved, end + moved);
    };
    const hear = (content) => {
      if (timer !== null) return; // what is typed here is saved first, and comes back with the others' words
      version = content.version;
      show(content.text);
    };
    const look = () => {
      area.readOnly = model.get("stopped") || !model.get("writable");
      const state = model.get("stopped") ? "stopped" : model.get("state");
      const rights = model.get("writable") ? "" : " · read only";
      const name = document.createElement("b");
      name.textContent = model.get("name");
      bar.replaceChildren(name, ` · ${state}${rights} · plain editor: install Node.js, then rtwidgets again, for the full one`);
    };
    const names = ["writable", "stopped", "state"];
    area.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(save, TYPED);
    });
    model.on("msg:custom", hear);
    for (const name of names) model.on(`change:${name}`, look);
    look();
    words.say({ hello: true });
    return () => {
      if (timer !== null) {
        clearTimeout(timer);
        save();
      }
      model.off("msg:custom", hear);
      for (const name of names) model.off(`change:${name}`, look);
      words.close();
    };
  },
};
