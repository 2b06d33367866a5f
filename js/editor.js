/**
 * The editor of a shared document: CodeMirror on a Yjs text, synced through the kernel.
 *
 * Each page has one Y.Doc for all views of a widget. It speaks y-protocols with the kernel's replica, as y-websocket
 * does with a server: a custom message's buffer is one such message. An empty one says that the document was begun anew.
 */
import { defaultKeymap } from "@codemirror/commands";
import { Compartment, EditorState } from "@codemirror/state";
import { EditorView, drawSelection, keymap } from "@codemirror/view";
import * as decoding from "lib0/decoding";
import * as encoding from "lib0/encoding";
import { yCollab, yUndoManagerKeymap } from "y-codemirror.next";
import { Awareness, applyAwarenessUpdate, encodeAwarenessUpdate, removeAwarenessStates } from "y-protocols/awareness";
import { readSyncMessage, writeSyncStep1, writeUpdate } from "y-protocols/sync";
import * as Y from "yjs";

import { Words } from "../rtwidgets/widgets/browser/kernel.js";

const SYNC = 0;
const AWARENESS = 1;
const ASK_AWARENESS = 3;
const GATHER = 10; // milliseconds that edits are gathered for one message: less than a frame

const theme = EditorView.theme({
  "&": {
    color: "var(--jp-content-font-color1, #222)",
    backgroundColor: "var(--jp-layout-color0, #fff)",
    minHeight: "12em",
    maxHeight: "36em",
  },
  "&.cm-focused": { outline: "2px solid var(--jp-brand-color1, #1976d2)", outlineOffset: "-1px" },
  ".cm-scroller": {
    fontFamily: "var(--jp-code-font-family, monospace)",
    fontSize: "var(--jp-code-font-size, 13px)",
    lineHeight: "1.6",
    overflow: "auto",
    minHeight: "12em",
  },
  ".cm-content": { caretColor: "var(--jp-content-font-color1, #222)", padding: "1.5em 0 0.5em" },
  ".cm-cursor": { borderLeftColor: "var(--jp-content-font-color1, #222)" },
  ".cm-line": { padding: "0 10px" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    background: "color-mix(in srgb, var(--jp-brand-color1, #1976d2) 30%, transparent)",
  },
  ".cm-ySelectionInfo": {
    opacity: 1,
    top: "-1.35em",
    padding: "0 4px",
    borderRadius: "3px 3px 3px 0",
    fontFamily: "var(--jp-ui-font-family, sans-serif)",
    fontSize: "11px",
    fontWeight: "normal",
    lineHeight: "1.35",
    color: "#fff",
  },
});

/** The document on this page. */
class Session {
  constructor(model) {
    this.model = model;
    this.words = new Words(model);
    this.panes = new Set();
    this.updates = [];
    this.clients = new Set();
    this.hear = (_, buffers) => this.take(bytes(buffers[0]));
    this.leave = () => {
      removeAwarenessStates(this.awareness, [this.doc.clientID], "page");
      this.flush();
    };
    model.on("msg:custom", this.hear);
    window.addEventListener("pagehide", this.leave);
    this.open();
  }

  open() {
    this.doc = new Y.Doc();
    this.text = this.doc.getText("content");
    this.undo = new Y.UndoManager(this.text);
    this.awareness = new Awareness(this.doc);
    this.synced = false;
    this.doc.on("update", (update, origin) => {
      if (origin === this) return;
      this.updates.push(update);
      this.soon();
    });
    this.awareness.on("update", ({ added, updated, removed }, origin) => {
      for (const pane of this.panes) pane.head();
      if (origin === this) return;
      for (const client of [...added, ...updated, ...removed]) this.clients.add(client);
      this.soon();
    });
    this.awareness.setLocalStateField("user", {
      name: this.model.get("user"),
      color: this.model.get("colour"),
      colorLight: `${this.model.get("colour")}40`,
    });
    this.say((encoder) => {
      encoding.writeVarUint(encoder, SYNC);
      writeSyncStep1(encoder, this.doc);
    });
  }

  /** Throw the copy away and get another. */
  renew() {
    this.close();
    this.open();
    for (const pane of this.panes) pane.edit();
  }

  close() {
    this.updates = [];
    this.clients.clear();
    this.awareness.destroy();
    this.doc.destroy();
  }

  destroy() {
    window.removeEventListener("pagehide", this.leave);
    this.model.off("msg:custom", this.hear);
    this.leave();
    this.close();
    this.words.close();
  }

  soon() {
    this.timer ??= setTimeout(() => this.flush(), GATHER);
  }

  flush() {
    clearTimeout(this.timer);
    this.timer = null;
    // Made when they are sent: while the kernel is busy, more is gathered for the same message.
    if (this.updates.length) {
      this.say((encoder) => {
        encoding.writeVarUint(encoder, SYNC);
        writeUpdate(encoder, Y.mergeUpdates(this.updates.splice(0)));
      }, "updates");
    }
    if (this.clients.size) {
      this.say((encoder) => {
        encoding.writeVarUint(encoder, AWARENESS);
        encoding.writeVarUint8Array(encoder, encodeAwarenessUpdate(this.awareness, [...this.clients]));
        this.clients.clear();
      }, "awareness");
    }
  }

  say(write, name = null) {
    this.words.say(() => {
      const encoder = encoding.createEncoder();
      write(encoder);
      return [{}, [encoding.toUint8Array(encoder)]];
    }, name);
  }

  take(message) {
    if (message.length === 0) {
      this.renew();
      return;
    }
    const decoder = decoding.createDecoder(message);
    const kind = decoding.readVarUint(decoder);
    if (kind === AWARENESS) {
      applyAwarenessUpdate(this.awareness, decoding.readVarUint8Array(decoder), this);
    } else if (kind === SYNC) {
      const answer = encoding.createEncoder();
      encoding.writeVarUint(answer, SYNC);
      readSyncMessage(decoder, answer, this.doc, this);
      if (encoding.length(answer) > 1) this.words.say([{}, [encoding.toUint8Array(answer)]]);
      if (!this.synced) {
        this.synced = true;
        for (const pane of this.panes) pane.head();
      }
    } else if (kind === ASK_AWARENESS) {
      this.clients.add(this.doc.clientID);
      this.flush();
    }
  }
}

/** One view of it. */
class Pane {
  constructor(session, el) {
    this.session = session;
    const { model } = session;
    this.bar = document.createElement("div");
    this.bar.className = "rtw-editor-bar";
    this.bar.setAttribute("role", "status");
    this.body = document.createElement("div");
    this.body.className = "rtw-editor-body";
    this.body.dataset.lmSuppressShortcuts = "true"; // or else JupyterLab takes keys for commands on cells
    el.classList.add("rtw-editor");
    el.append(this.bar, this.body);
    this.editable = new Compartment();
    this.change = () => this.lock();
    for (const name of ["writable", "stopped", "state"]) model.on(`change:${name}`, this.change);
    session.panes.add(this);
    this.edit();
  }

  get locked() {
    const { model } = this.session;
    return model.get("stopped") || !model.get("writable");
  }

  edit() {
    this.view?.destroy();
    const { text, awareness, undo, model } = this.session;
    this.view = new EditorView({
      parent: this.body,
      state: EditorState.create({
        doc: text.toString(),
        extensions: [
          // The text's line ends stay as they are, and places in it are the same here and in Yjs.
          EditorState.lineSeparator.of("\n"),
          EditorView.lineWrapping,
          EditorView.contentAttributes.of({ "aria-label": `document ${model.get("name")}` }),
          this.editable.of(this.locks()),
          drawSelection(),
          keymap.of([...yUndoManagerKeymap, ...defaultKeymap]),
          yCollab(text, awareness, { undoManager: undo }),
          theme,
        ],
      }),
    });
    this.head();
  }

  locks() {
    return [EditorState.readOnly.of(this.locked), EditorView.editable.of(!this.locked)];
  }

  lock() {
    this.view.dispatch({ effects: this.editable.reconfigure(this.locks()) });
    this.head();
  }

  head() {
    const { awareness, model, synced } = this.session;
    const names = [...awareness.getStates().values()].map((state) => state.user?.name).filter(Boolean);
    const state = model.get("stopped") ? "stopped" : synced ? model.get("state") : "loading";
    const words = [state, model.get("writable") ? "" : "read only"].filter(Boolean);
    const name = document.createElement("b");
    name.textContent = model.get("name");
    this.bar.replaceChildren(name, ` · ${[...new Set(names)].sort().join(", ")} · ${words.join(" · ")}`);
  }

  destroy() {
    for (const name of ["writable", "stopped", "state"]) this.session.model.off(`change:${name}`, this.change);
    this.session.panes.delete(this);
    this.view.destroy();
  }
}

function bytes(view) {
  return view instanceof DataView ? new Uint8Array(view.buffer, view.byteOffset, view.byteLength) : new Uint8Array(view);
}

const sessions = new Map();

export default {
  initialize({ model }) {
    const session = new Session(model);
    sessions.set(model.get("uid"), session);
    return () => {
      sessions.delete(model.get("uid"));
      session.destroy();
    };
  },
  render({ model, el }) {
    const pane = new Pane(sessions.get(model.get("uid")), el);
    return () => pane.destroy();
  },
};
