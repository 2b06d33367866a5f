// Follows the board of a price server and prints a line for each.
//
//   node prices.mjs ws://127.0.0.1:8080/prices
import { link } from "./link.mjs";

const [url] = process.argv.slice(2);
if (url === undefined) {
  console.error("usage: node prices.mjs ws://HOST:PORT/prices");
  process.exit(2);
}

function show(board) {
  if (board.type === "error") return console.error(board.message);
  const prices = Object.entries(board).map(([symbol, price]) => `${symbol} ${Number(price).toFixed(2)}`);
  return console.log(prices.join("  "));
}

const prices = link(url, show, console.error);
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => prices.close());
