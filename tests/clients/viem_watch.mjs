// An ordinary shop: follows blocks and a token's transfers to one address with unmodified viem over
// WebSocket. Prints "ready", then the first transfer, with the block that it saw come, as JSON.
// usage: node viem_watch.mjs <ws> <token> <recipient>

import { createPublicClient, parseAbiItem, webSocket } from "viem";

const TRANSFER = parseAbiItem(
  "event Transfer(address indexed from, address indexed to, uint256 value)",
);
const [ws, token, recipient] = process.argv.slice(2);
const client = createPublicClient({ transport: webSocket(ws) });
const seen = new Map();

function fail(error) {
  console.error(error);
  process.exit(1);
}

function done(transfer) {
  console.log(JSON.stringify(transfer));
  process.exit(0);
}

const transferred = new Promise((resolve) => {
  client.watchEvent({
    address: token,
    event: TRANSFER,
    args: { to: recipient },
    onLogs: ([log]) => resolve(log),
    onError: fail,
  });
});
const headed = new Promise((resolve) => {
  client.watchBlocks({
    onBlock: (block) => {
      seen.set(block.hash, Number(block.number));
      resolve();
    },
    onError: fail,
  });
});
// Asked on the same socket after the subscriptions, so answered after them.
await client.getChainId();
console.log("ready");
const log = await transferred;
await headed;
while (!seen.has(log.blockHash)) await new Promise((resolve) => setTimeout(resolve, 20));
done({
  tx: log.transactionHash,
  from: log.args.from,
  to: log.args.to,
  units: String(log.args.value),
  height: seen.get(log.blockHash),
  removed: log.removed,
});
