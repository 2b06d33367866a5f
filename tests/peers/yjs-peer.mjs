// An editor as a browser has one: Yjs with y-websocket's provider, driven through the standard streams by lines
// of JSON. Indices count UTF-16 units, as Yjs does in JavaScript.
//
//   node yjs-peer.mjs URL ROOM [TOKEN]
//   in:  {"insert": [INDEX, TEXT]} | {"delete": [INDEX, LENGTH]} | {"undo": 1} | {"awareness": STATE}
//        | {"disconnect": 1} | {"connect": 1} | {"get": ID}
//   out: {"event": "synced", "synced"} | {"event": "status", "status"}       as the provider tells of them
//        | {"event": "connection-close", "code", "reason"}   code null when it was closed from here
//        | {"event": "closed", "code", "reason"}             it will not try again
//        | {"event": "connection-error", "message"}
//        | {"got": ID, "text", "states": {CLIENT: STATE}, "client", "synced"}
import { createInterface } from "node:readline";
import WebSocket from "ws";
import { WebsocketProvider } from "y-websocket";
import * as Y from "yjs";

const [url, room, token] = process.argv.slice(2);
const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const doc = new Y.Doc();
const text = doc.getText("content");
const undo = new Y.UndoManager(text, { captureTimeout: 0 }); // each edit is a step of its own
const provider = new WebsocketProvider(url, room, doc, {
  connect: false,
  WebSocketPolyfill: WebSocket,
  params: token ? { token } : {},
  disableBc: true, // or editors in one process would reach each other past the server
  maxBackoffTime: 200,
});

provider.on("synced", (synced) => tell({ event: "synced", synced }));
provider.on("status", ({ status }) => tell({ event: "status", status }));
provider.on("connection-close", (event) =>
  tell({ event: "connection-close", code: event?.code ?? null, reason: event?.reason ?? "" }),
);
provider.on("closed", ({ code, reason }) => tell({ event: "closed", code, reason }));
provider.on("connection-error", ({ message }) => tell({ event: "connection-error", message }));
provider.connect();

const answer = (id) => ({
  got: id,
  text: text.toString(),
  states: Object.fromEntries(provider.awareness.getStates()),
  client: doc.clientID,
  synced: provider.synced,
});
const commands = {
  insert: ([index, piece]) => text.insert(index, piece),
  delete: ([index, length]) => text.delete(index, length),
  undo: () => undo.undo(),
  awareness: (state) => provider.awareness.setLocalState(state),
  disconnect: () => provider.disconnect(),
  connect: () => provider.connect(),
  get: (id) => tell(answer(id)),
};

const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
  for (const [name, argument] of Object.entries(JSON.parse(line))) commands[name](argument);
});
lines.on("close", () => process.exit());
