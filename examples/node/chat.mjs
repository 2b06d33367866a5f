// Takes part in a chat room: prints what is said, and says each line of its standard input.
//
//   node chat.mjs ws://127.0.0.1:8080/chat/lobby ada
import { createInterface } from "node:readline";
import { link } from "./link.mjs";

const [room, name] = process.argv.slice(2);
if (name === undefined) {
  console.error("usage: node chat.mjs ws://HOST:PORT/chat/ROOM NAME");
  process.exit(2);
}

let newest = 0; // the time of what was said last: after a break the history has it again
let lines = null;

/** Print a line without what would move the cursor or change its colour. */
const print = (line) => console.log(line.replace(/\p{Cc}/gu, " "));

function show({ user, text, time }) {
  if (time <= newest) return;
  newest = time;
  print(`${user}: ${text}`);
}

function hear(message) {
  if (message.type === "history") {
    message.messages.forEach(show);
    lines ??= listen();
  } else if (message.type === "message") show(message);
  else if (message.type === "joined" || message.type === "left") print(`* ${message.user} ${message.type}`);
  else if (message.type === "error") console.error(message.message);
}

const url = new URL(room);
url.searchParams.set("user", name);
const chat = link(url, hear, console.error);

// Ends with its input, and not before all of that is sent.
function listen() {
  return createInterface({ input: process.stdin })
    .on("line", (text) => {
      if (!chat.send({ type: "message", text })) console.error(`there is no connection now, so this was not sent: ${text}`);
    })
    .on("close", () => chat.close());
}

process.on("SIGINT", () => (lines ?? chat).close());
