// A price server as one writes it with Node's `ws` package: the whole board to everybody, again and again.
// Prices count ticks, so that a reader can tell whether one is missing: AAPL is 150.1 at tick 0, 151.1 at tick 1.
//
//   node prices.mjs PORT      prints the port when it listens; 0 takes a free one
import { WebSocketServer } from "ws";

const server = new WebSocketServer({ host: "127.0.0.1", port: Number(process.argv[2]) });
let tick = 0;

const board = () => JSON.stringify({ AAPL: 150.1 + tick, GOOGL: 2800.25 + tick, MSFT: 300 + tick });

server.on("listening", () => console.log(server.address().port));
server.on("connection", (socket) => socket.send(board()));
setInterval(() => {
  tick += 1;
  for (const socket of server.clients) socket.send(board());
}, 50);
