// A WebSocket that is opened again when it ends, with the `ws` package.
import WebSocket from "ws";

const SILENCE = 15_000; // milliseconds after which a link is dead: the server pings every 7 seconds
const STABLE = 10_000; // that a connection has to last for the waits to start over

/** Return how many milliseconds to wait after so many failures: full jitter, of 0.2 to 20 seconds. */
function backoff(failures) {
  const bound = Math.min(20, 1.6 ** failures);
  const least = Math.max(0.2, bound / 8);
  return 1000 * (least + Math.random() * (bound - least));
}

/**
 * Keep a connection to a server, until `close()`.
 *
 * `hear(message)` is called with each message, of JSON; `tell(sentence)` with what is to be known of the link.
 * The token is taken from the variable RTWIDGETS_TOKEN, if the URL has none. A refusal ends the program.
 * `send(message)` returns whether there was a connection to send it on.
 */
export function link(url, hear, tell) {
  const token = process.env.RTWIDGETS_TOKEN;
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  let socket = null;
  let failures = 0;
  let closed = false;
  let waiting = null;

  function connect() {
    let opened = null;
    let reason = "";
    let refused = false;
    let watchdog = null;
    const alive = () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => socket.terminate(), SILENCE);
    };
    socket = new WebSocket(url, { headers, handshakeTimeout: 10_000 });
    socket.on("open", () => {
      opened = Date.now();
      alive();
    });
    socket.on("ping", alive);
    socket.on("message", (data) => {
      alive();
      hear(JSON.parse(data.toString()));
    });
    socket.on("unexpected-response", async (_, response) => {
      let body = "";
      for await (const piece of response) body += piece;
      reason = `${response.statusCode}: ${body.trim()}`;
      refused = response.statusCode < 500; // it will be the same next time
      socket.terminate();
    });
    socket.on("error", (error) => {
      reason ||= error.message;
    });
    socket.on("close", (code, text) => {
      clearTimeout(watchdog);
      if (closed) return;
      reason ||= text.toString() || `closed with ${code}`;
      if (refused) {
        tell(`refused: ${reason}`);
        process.exit(1);
      }
      if (opened !== null && Date.now() - opened >= STABLE) failures = 0;
      const wait = backoff(failures);
      failures += 1;
      tell(`lost: ${reason}; again in ${(wait / 1000).toFixed(1)} s`);
      waiting = setTimeout(connect, wait);
    });
  }

  connect();
  return {
    send(message) {
      if (socket.readyState !== WebSocket.OPEN) return false;
      socket.send(JSON.stringify(message));
      return true;
    },
    close() {
      closed = true;
      clearTimeout(waiting);
      socket.close(); // what was sent goes first
    },
  };
}
