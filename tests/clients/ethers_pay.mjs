// An ordinary customer: pays an ERC-681 URL with unmodified ethers and nothing of ours, and waits
// until nobody can take the payment back.
// usage: node ethers_pay.mjs <rpc> <secret-key-file> <url>      prints the transaction hash

import { readFileSync } from "node:fs";
import { Contract, JsonRpcProvider, Wallet, isCallException } from "ethers";

const URL_FORM = /^ethereum:(0x\w{40})@(\d+)\/transfer\?address=(0x\w{40})&uint256=(\d+)$/;
const ERC20 = ["function transfer(address to, uint256 value) returns (bool)"];
const CONFIRMATIONS = 2;
const DEADLINE_MS = 30_000;

async function untilFinal(provider, height) {
  const deadline = Date.now() + DEADLINE_MS;
  while ((await provider.getBlock("finalized")).number < height) {
    if (Date.now() > deadline) throw new Error(`block ${height} did not become final`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function pay(rpc, keyFile, url) {
  const found = URL_FORM.exec(url);
  if (found === null) throw new Error(`not a token transfer: ${url}`);
  const [, token, chainId, recipient, units] = found;
  // Refuses a node of another chain than the URL's.
  const provider = new JsonRpcProvider(rpc, Number(chainId), { pollingInterval: 20 });
  const wallet = new Wallet(readFileSync(keyFile, "utf8").trim(), provider);
  const sent = await new Contract(token, ERC20, wallet).transfer(recipient, BigInt(units));
  const receipt = await sent.wait(CONFIRMATIONS, DEADLINE_MS); // throws if it failed on chain
  if ((await receipt.confirmations()) < CONFIRMATIONS) throw new Error("not confirmed");
  await untilFinal(provider, receipt.blockNumber);
  provider.destroy();
  return receipt.hash;
}

try {
  console.log(await pay(...process.argv.slice(2)));
} catch (error) {
  console.error(isCallException(error) ? error.reason : error);
  process.exit(1);
}
