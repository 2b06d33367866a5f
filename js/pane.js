/** One view of a document: its header line, and CodeMirror. */
import { defaultKeymap } from "@codemirror/commands";
import { Compartment, EditorState } from "@codemirror/state";
import { EditorView, drawSelection, keymap } from "@codemirror/view";
import { yCollab, yUndoManagerKeymap } from "y-codemirror.next";

import { cursors, personOf } from "./cursors.js";
import { returns } from "./returns.js";

const NAMES = 12; // people that are named above the text
const KEYS = [
  ...defaultKeymap,
  // All is kept as it is typed: the browser need not offer to save the page.
  { key: "Mod-s", run: () => true, preventDefault: true },
];

const theme = EditorView.theme({
  "&": {
    color: "var(--jp-content-font-color1, #222)",
    backgroundColor: "var(--jp-layout-color0, #fff)",
    fontSize: "var(--jp-code-font-size, 13px)",
    maxHeight: "calc(24 * 1.7em)",
  },
  "&.cm-focused": { outline: "2px solid var(--jp-brand-color1, #1976d2)", outlineOffset: "-1px" },
  ".cm-scroller": {
    fontFamily: "var(--jp-code-font-family, monospace)",
    lineHeight: "1.7",
    overflow: "auto",
  },
  ".cm-content": {
    caretColor: "var(--jp-content-font-color1, #222)",
    minHeight: "calc(8 * 1.7em)",
    padding: "4px 0",
    boxSizing: "border-box",
  },
  ".cm-cursor": { borderLeftColor: "var(--jp-content-font-color1, #222)", borderLeftWidth: "2px" },
  ".cm-line": { padding: "0 10px" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    background: "color-mix(in srgb, var(--jp-brand-color1, #1976d2) 30%, transparent)",
  },
});

export class Pane {
  constructor(session, el) {
    this.session = session;
    this.bar = document.createElement("div");
    this.bar.className = "rtw-editor-bar";
    this.bar.setAttribute("role", "status");
    this.body = document.createElement("div");
    this.body.className = "rtw-editor-body";
    this.body.dataset.lmSuppressShortcuts = "true"; // or else JupyterLab takes keys for commands on cells
    el.classList.add("rtw-editor");
    el.append(this.bar, this.body);
    this.locks = new Compartment();
    session.panes.add(this);
    this.edit();
  }

  /** Begin with the text as the session has it now. */
  edit() {
    const focused = this.view?.hasFocus;
    this.view?.destroy();
    const { text, awareness, undo, model, lock } = this.session;
    this.lock = lock;
    this.view = new EditorView({
      parent: this.body,
      state: EditorState.create({
        doc: text.toString(),
        extensions: [
          // The text's line ends stay as they are, and places in it are the same here and in Yjs.
          EditorState.lineSeparator.of("\n"),
          EditorView.lineWrapping,
          EditorView.clipboardInputFilter.of((pasted) => pasted.replace(/\r\n?/g, "\n")),
          EditorView.contentAttributes.of({ "aria-label": `document ${model.get("name")}`, "aria-multiline": "true" }),
          this.locks.of(this.limits()),
          drawSelection(),
          keymap.of(KEYS),
          yCollab(text, null, { undoManager: undo }),
          cursors(text, awareness),
          returns,
          theme,
        ],
      }),
    });
    if (focused) this.view.focus();
    this.show();
  }

  /** Bring the lock and the header up to date. */
  show() {
    const { lock } = this.session;
    if (lock !== this.lock) {
      this.lock = lock;
      this.view.dispatch({ effects: this.locks.reconfigure(this.limits()) });
    }
    this.head();
  }

  limits() {
    if (this.lock === null) return keymap.of(yUndoManagerKeymap);
    // While the text is on its way the focus stays: only what lasts makes it no place to type into.
    const focusable = EditorView.contentAttributes.of({ tabindex: "0" }); // it is still read with the keyboard
    // The browser would undo what was typed before.
    const still = keymap.of(yUndoManagerKeymap.map((binding) => ({ ...binding, run: () => true })));
    return [EditorState.readOnly.of(true), EditorView.editable.of(this.lock !== "lasting"), focusable, still];
  }

  head() {
    const { awareness, doc, model, state } = this.session;
    const here = new Map();
    for (const [client, { user }] of awareness.getStates()) {
      const { name, color } = personOf(user);
      const you = client === doc.clientID || here.get(name)?.you;
      here.set(name, { color, you });
    }
    const people = [...here].sort(([one], [other]) => (one < other ? -1 : 1));
    const words = [state, model.get("writable") ? "" : "read only"].filter(Boolean).join(" · ");
    const told = JSON.stringify([people, words]);
    if (told === this.told) return; // or else it would be read aloud at each move of a cursor
    this.told = told;
    const name = document.createElement("b");
    name.textContent = model.get("name");
    this.bar.replaceChildren(name);
    people.slice(0, NAMES).forEach(([person, { color, you }], number) => {
      const dot = document.createElement("span");
      dot.className = "rtw-editor-dot";
      dot.style.backgroundColor = color;
      this.bar.append(number ? ", " : " · ", dot, you ? `${person} (you)` : person);
    });
    const more = people.length - NAMES;
    this.bar.append(`${more > 0 ? ` and ${more} more` : ""} · ${words}`);
  }

  destroy() {
    this.session.panes.delete(this);
    this.view.destroy();
  }
}
