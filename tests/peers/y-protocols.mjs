// The y-protocols package itself, driven through the standard streams: messages in, messages out, as lines of JSON.
//
//   node y-protocols.mjs
//   in:  {"read": BASE64}        a message, as it would come from a WebSocket
//        {"insert": TEXT}        at the start of the text "content"
//        {"awareness": STATE}    the state of this client, an object or null
//   out: {"text", "states": {CLIENT: STATE}, "client", "wrote": [BASE64, ...]}     after each line
import { createInterface } from "node:readline";
import * as decoding from "lib0/decoding";
import * as encoding from "lib0/encoding";
import * as awarenessProtocol from "y-protocols/awareness";
import * as syncProtocol from "y-protocols/sync";
import * as Y from "yjs";

const SYNC = 0;
const AWARENESS = 1;
const doc = new Y.Doc();
const text = doc.getText("content");
const awareness = new awarenessProtocol.Awareness(doc);
let wrote = [];

const write = (kind, fill) => {
  const encoder = encoding.createEncoder();
  encoding.writeVarUint(encoder, kind);
  fill(encoder);
  if (encoding.length(encoder) > 1) wrote.push(Buffer.from(encoding.toUint8Array(encoder)).toString("base64"));
};

doc.on("update", (update, origin) => {
  if (origin !== "peer") write(SYNC, (encoder) => syncProtocol.writeUpdate(encoder, update));
});
awareness.on("update", ({ added, updated, removed }, origin) => {
  if (origin === "peer") return;
  const clients = [...added, ...updated, ...removed];
  write(AWARENESS, (encoder) =>
    encoding.writeVarUint8Array(encoder, awarenessProtocol.encodeAwarenessUpdate(awareness, clients)),
  );
});

const commands = createInterface({ input: process.stdin });
commands.on("line", (line) => {
  const command = JSON.parse(line);
  if ("insert" in command) text.insert(0, command.insert);
  else if ("awareness" in command) awareness.setLocalState(command.awareness);
  else {
    const decoder = decoding.createDecoder(Buffer.from(command.read, "base64"));
    if (decoding.readVarUint(decoder) === SYNC)
      write(SYNC, (encoder) => syncProtocol.readSyncMessage(decoder, encoder, doc, "peer"));
    else awarenessProtocol.applyAwarenessUpdate(awareness, decoding.readVarUint8Array(decoder), "peer");
    if (decoding.hasContent(decoder)) throw new Error("bytes follow the message");
  }
  const states = Object.fromEntries(awareness.getStates());
  process.stdout.write(`${JSON.stringify({ text: text.toString(), states, client: doc.clientID, wrote })}\n`);
  wrote = [];
});
commands.on("close", () => process.exit());
