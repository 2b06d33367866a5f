/**
 * The editor of a shared document: CodeMirror on a Yjs text, synced through the kernel.
 *
 * Each page has one Y.Doc for all views of a widget. It speaks y-protocols with the kernel's replica, as y-websocket
 * does with a server: a custom message's buffer is one such message, and its content says which page says it, so that the
 * kernel passes it on to the others. An empty one from the kernel says that the document was begun anew.
 */
import * as decoding from "lib0/decoding";
import * as encoding from "lib0/encoding";
import { Awareness, applyAwarenessUpdate, encodeAwarenessUpdate, removeAwarenessStates } from "y-protocols/awareness";
import { messageYjsSyncStep2, readSyncMessage, writeSyncStep1, writeUpdate } from "y-protocols/sync";
import * as Y from "yjs";

import { Words } from "../rtwidgets/widgets/browser/kernel.js";
import { Pane } from "./pane.js";

const SYNC = 0;
const AWARENESS = 1;
const ASK_AWARENESS = 3;
const GATHER = 10; // milliseconds that edits are gathered for one message: less than a frame

/** The document on this page. */
class Session {
  constructor(model) {
    this.model = model;
    this.words = new Words(model);
    this.panes = new Set();
    this.alive = true;
    this.hear = (_, buffers) => this.take(bytes(buffers[0]));
    this.look = () => {
      // The others are not heard any more, so they are not shown as if they were here.
      if (model.get("stopped")) removeAwarenessStates(this.awareness, this.others(), this);
      this.show();
    };
    this.lost = () => {
      this.alive = model.comm_live ?? false;
      this.show();
    };
    this.leave = () => {
      const { clientID } = this.doc;
      removeAwarenessStates(this.awareness, [clientID], this);
      this.words.say([{ page: clientID, left: true }, [presence(this.awareness, [clientID])]]);
    };
    this.back = () => {
      if (this.awareness.getLocalState() === null) this.introduce();
    };
    model.on("msg:custom", this.hear);
    this.linked = (_, status) => {
      if (status === "connected") this.ask(); // what was said meanwhile may be lost
    };
    model.on("comm_live_update", this.lost);
    this.words.kernel?.connectionStatusChanged?.connect(this.linked);
    for (const name of LOOKED_AT) model.on(`change:${name}`, this.look);
    window.addEventListener("pagehide", this.leave);
    window.addEventListener("pageshow", this.back);
    this.open();
  }

  open() {
    this.doc = new Y.Doc();
    this.text = this.doc.getText("content");
    this.undo = new Y.UndoManager(this.text);
    this.awareness = new Awareness(this.doc);
    this.synced = false;
    this.updates = [];
    this.clients = new Set();
    const { doc } = this;
    const mine = (origin) => origin !== this && doc === this.doc; // a document that is thrown away has nothing to tell
    doc.on("update", (update, origin) => {
      if (!mine(origin)) return;
      this.updates.push(update);
      this.soon();
    });
    this.awareness.on("update", ({ added, updated, removed }, origin) => {
      if (!mine(origin)) return;
      for (const client of [...added, ...updated, ...removed]) this.clients.add(client);
      this.soon();
    });
    this.awareness.on("change", () => {
      if (doc === this.doc) this.show();
    });
    this.introduce();
    this.ask();
  }

  /** Ask for what is not here; the kernel asks in its turn for what it does not have. */
  ask() {
    this.say(() => encoded(SYNC, (encoder) => writeSyncStep1(encoder, this.doc)), "step 1");
  }

  introduce() {
    const color = this.model.get("colour");
    this.awareness.setLocalState({ user: { name: this.model.get("user"), color, colorLight: `${color}40` } });
  }

  others() {
    return [...this.awareness.getStates().keys()].filter((client) => client !== this.doc.clientID);
  }

  /** Why nothing can be typed: it is to be "lasting" or "passing"; or null. */
  get lock() {
    if (!this.alive || this.model.get("stopped") || !this.model.get("writable")) return "lasting";
    return this.synced ? null : "passing";
  }

  /** How things stand, in a word or two. */
  get state() {
    if (this.model.get("stopped")) return "■ stopped";
    if (!this.alive) return "■ the kernel is gone: run the cell again";
    const state = this.model.get("state");
    return state !== "open" ? `○ ${state}` : this.synced ? "● live" : "… loading";
  }

  show() {
    for (const pane of this.panes) pane.show();
  }

  /** Throw the copy away and get another. */
  renew() {
    this.leave();
    this.close();
    this.open();
    for (const pane of this.panes) pane.edit();
  }

  close() {
    clearTimeout(this.timer);
    this.timer = null;
    const { doc } = this;
    this.doc = null;
    doc.destroy(); // and the awareness and the undo manager with it
  }

  destroy() {
    window.removeEventListener("pagehide", this.leave);
    window.removeEventListener("pageshow", this.back);
    this.model.off("msg:custom", this.hear);
    this.model.off("comm_live_update", this.lost);
    this.words.kernel?.connectionStatusChanged?.disconnect(this.linked);
    for (const name of LOOKED_AT) this.model.off(`change:${name}`, this.look);
    this.words.close();
    this.close();
  }

  soon() {
    this.timer ??= setTimeout(() => this.flush(), GATHER);
  }

  flush() {
    clearTimeout(this.timer);
    this.timer = null;
    if (!this.alive) return;
    // Made when they are sent: while the kernel is busy, more is gathered for the same message.
    if (this.updates.length) {
      this.say(() => {
        const update = Y.mergeUpdates(this.updates.splice(0));
        return encoded(SYNC, (encoder) => writeUpdate(encoder, update));
      }, "updates");
    }
    if (this.clients.size) {
      this.say(() => {
        const clients = [...this.clients];
        this.clients.clear();
        return presence(this.awareness, clients);
      }, "awareness");
    }
  }

  say(make, name = null) {
    this.words.say(() => [{ page: this.doc.clientID }, [make()]], name);
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
      const step = readSyncMessage(decoder, answer, this.doc, this);
      if (encoding.length(answer) > 1) this.say(() => encoding.toUint8Array(answer));
      if (step === messageYjsSyncStep2 && !this.synced) {
        this.synced = true;
        this.show();
      }
    } else if (kind === ASK_AWARENESS) {
      this.clients.add(this.doc.clientID);
      this.soon();
    }
  }
}

function encoded(kind, write) {
  const encoder = encoding.createEncoder();
  encoding.writeVarUint(encoder, kind);
  write(encoder);
  return encoding.toUint8Array(encoder);
}

function presence(awareness, clients) {
  const update = encodeAwarenessUpdate(awareness, clients);
  return encoded(AWARENESS, (encoder) => encoding.writeVarUint8Array(encoder, update));
}

const LOOKED_AT = ["writable", "stopped", "state"];

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
