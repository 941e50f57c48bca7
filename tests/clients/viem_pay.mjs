// An ordinary customer: pays an ERC-681 URL with unmodified viem and nothing of ours, and waits
// until nobody can take the payment back.
// usage: node viem_pay.mjs <rpc> <secret-key-file> <url>      prints the transaction hash

import { readFileSync } from "node:fs";
import {
  BaseError,
  ContractFunctionRevertedError,
  createPublicClient,
  createWalletClient,
  defineChain,
  erc20Abi,
  http,
} from "viem";
import { privateKeyToAccount } from "viem/accounts";

const URL_FORM = /^ethereum:(0x\w{40})@(\d+)\/transfer\?address=(0x\w{40})&uint256=(\d+)$/;
const CONFIRMATIONS = 2;
const DEADLINE_MS = 30_000;

async function untilFinal(client, height) {
  const deadline = Date.now() + DEADLINE_MS;
  while ((await client.getBlock({ blockTag: "finalized" })).number < height) {
    if (Date.now() > deadline) throw new Error(`block ${height} did not become final`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function pay(rpc, keyFile, url) {
  const found = URL_FORM.exec(url);
  if (found === null) throw new Error(`not a token transfer: ${url}`);
  const [, token, chainId, recipient, units] = found;
  const chain = defineChain({
    id: Number(chainId),
    name: "named by the URL",
    nativeCurrency: { name: "Coin", symbol: "COIN", decimals: 18 },
    rpcUrls: { default: { http: [rpc] } },
  });
  const options = { chain, transport: http(rpc), pollingInterval: 20, cacheTime: 0 };
  const client = createPublicClient(options);
  // viem signs for the node's chain where it holds the key itself, whatever it was configured for.
  const here = await client.getChainId();
  if (here !== chain.id) throw new Error(`this is chain ${here}, the request is for ${chainId}`);
  const account = privateKeyToAccount(readFileSync(keyFile, "utf8").trim());
  const wallet = createWalletClient({ ...options, account });
  const { request } = await client.simulateContract({
    account,
    address: token,
    abi: erc20Abi,
    functionName: "transfer",
    args: [recipient, BigInt(units)],
  });
  const hash = await wallet.writeContract(request);
  const receipt = await client.waitForTransactionReceipt({
    hash,
    confirmations: CONFIRMATIONS,
    timeout: DEADLINE_MS,
  });
  if (receipt.status !== "success") throw new Error("failed on chain");
  const head = await client.getBlockNumber();
  if (head < receipt.blockNumber + BigInt(CONFIRMATIONS - 1)) throw new Error("not confirmed");
  await untilFinal(client, receipt.blockNumber);
  return hash;
}

try {
  console.log(await pay(...process.argv.slice(2)));
} catch (error) {
  const revert =
    error instanceof BaseError && error.walk((e) => e instanceof ContractFunctionRevertedError);
  console.error(revert ? revert.reason : error);
  process.exit(1);
}
