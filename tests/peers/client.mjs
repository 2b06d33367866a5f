// A client of Node's `ws` package, driven through its standard streams: commands in, events out, as lines of JSON.
//
//   node client.mjs URL [SUBPROTOCOL]
//   in:  {"text": "..."} | {"binary": BASE64} | {"close": true}
//   out: {"event": "open", "protocol"} | {"event": "message", "text"} | {"event": "message", "binary": BASE64}
//        | {"event": "close", "code", "reason"} | {"event": "refused", "status", "body"}
import { createInterface } from "node:readline";
import WebSocket from "ws";

const [url, ...subprotocols] = process.argv.slice(2);
const tell = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);
const socket = new WebSocket(url, subprotocols);
const commands = createInterface({ input: process.stdin });

socket.on("open", () => tell({ event: "open", protocol: socket.protocol }));
socket.on("message", (data, isBinary) =>
  tell({ event: "message", ...(isBinary ? { binary: data.toString("base64") } : { text: data.toString() }) }),
);
socket.on("close", (code, reason) => {
  tell({ event: "close", code, reason: reason.toString() });
  commands.close();
});
socket.on("unexpected-response", async (_, response) => {
  let body = "";
  for await (const piece of response) body += piece;
  tell({ event: "refused", status: response.statusCode, body });
  commands.close();
});
socket.on("error", (error) => {
  tell({ event: "error", message: error.message });
  commands.close();
});

commands.on("line", (line) => {
  const command = JSON.parse(line);
  if ("text" in command) socket.send(command.text);
  else if ("binary" in command) socket.send(Buffer.from(command.binary, "base64"));
  else socket.close();
});
