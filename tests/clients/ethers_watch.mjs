// An ordinary shop: follows blocks and a token's transfers to one address with unmodified ethers
// over WebSocket. Prints "ready", then the first transfer, with the block that it saw come, as JSON.
// usage: node ethers_watch.mjs <ws> <token> <recipient>

import { Contract, WebSocketProvider } from "ethers";

const ERC20 = ["event Transfer(address indexed from, address indexed to, uint256 value)"];
const [ws, token, recipient] = process.argv.slice(2);
const provider = new WebSocketProvider(ws);
const contract = new Contract(token, ERC20, provider);
const seen = new Set();

await provider.on("block", (height) => seen.add(height));
let hear;
const transferred = new Promise((resolve) => (hear = resolve));
await contract.on(contract.filters.Transfer(null, recipient), (event) => hear(event));
// ethers does not say when a subscription stands. It has asked for it once the first of these is
// answered, and has it once the second is: one socket, answered in order.
await provider.send("eth_chainId", []);
await provider.send("eth_chainId", []);
console.log("ready");
const { args, log } = await transferred;
while (!seen.has(log.blockNumber)) await new Promise((resolve) => setTimeout(resolve, 20));
console.log(JSON.stringify({
  tx: log.transactionHash,
  from: args.from,
  to: args.to,
  units: String(args.value),
  height: log.blockNumber,
  removed: log.removed,
}));
process.exit(0);
