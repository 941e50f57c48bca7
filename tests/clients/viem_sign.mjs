// Signs EIP-2612 permits and EIP-3009 authorizations with unmodified viem, under the domain that
// the token itself names (EIP-5267), and sends them from an account of its own.
// usage: node viem_sign.mjs <rpc> <jobs-file>      prints what became of each step, as JSON

import { readFileSync } from "node:fs";
import {
  ContractFunctionRevertedError,
  createPublicClient,
  createWalletClient,
  defineChain,
  http,
  parseSignature,
  serializeCompactSignature,
  serializeSignature,
  signatureToCompactSignature,
  toHex,
} from "viem";
import { privateKeyToAccount } from "viem/accounts";

const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const GAS = 200_000n;
const [rpc, jobsFile] = process.argv.slice(2);
const { token, abi, types, signerKey, senderKey, steps } = JSON.parse(
  readFileSync(jobsFile, "utf8"),
);

const bare = createPublicClient({ transport: http(rpc) });
const chain = defineChain({
  id: await bare.getChainId(),
  name: "asked of the node",
  nativeCurrency: { name: "Coin", symbol: "COIN", decimals: 18 },
  rpcUrls: { default: { http: [rpc] } },
});
const options = { chain, transport: http(rpc), pollingInterval: 20, cacheTime: 0 };
const client = createPublicClient(options);
const signer = privateKeyToAccount(signerKey);
const sender = createWalletClient({ ...options, account: privateKeyToAccount(senderKey) });

const { domain: named, fields, extensions } = await client.getEip712Domain({ address: token });
if (fields !== "0x0f" || extensions.length !== 0) throw new Error(`other fields: ${fields}`);
// The salt that is returned too is no field of this domain: signed with it, nothing is valid.
const { salt: _, ...domain } = named;

function twin({ r, s, yParity }) {
  const other = ORDER - BigInt(s);
  return serializeSignature({ r, s: toHex(other, { size: 32 }), yParity: 1 - yParity });
}

const SPOILT = {
  none: (signature) => signature,
  "high s": (signature) => twin(parseSignature(signature)),
  zero: () => `0x${"00".repeat(65)}`,
  compact: (signature) =>
    serializeCompactSignature(signatureToCompactSignature(parseSignature(signature))),
};

function tail(form, signature) {
  if (form === "bytes") return [signature];
  return [Number(`0x${signature.slice(130)}`), signature.slice(0, 66), `0x${signature.slice(66, 130)}`];
}

async function play({ struct, form, message, spoil, nonce }) {
  const values = Object.fromEntries(
    Object.entries(message).map(([name, text]) => [name, /^\d+$/.test(text) ? BigInt(text) : text]),
  );
  if (struct === "Permit") {
    const next = { address: token, abi, functionName: "nonces", args: [signer.address] };
    values.nonce = BigInt(nonce ?? (await client.readContract(next)));
  }
  const signed = await signer.signTypedData({
    domain, types: { [struct]: types[struct] }, primaryType: struct, message: values,
  });
  const terms = types[struct].filter(({ name }) => name in message).map(({ name }) => values[name]);
  const call = {
    address: token,
    abi,
    functionName: struct[0].toLowerCase() + struct.slice(1),
    args: [...terms, ...tail(form, SPOILT[spoil](signed))],
    gas: GAS,
  };
  let refusal = null;
  try {
    await client.simulateContract({ ...call, account: sender.account });
  } catch (error) {
    refusal = error.walk((e) => e instanceof ContractFunctionRevertedError)?.reason ?? String(error);
  }
  const hash = await sender.writeContract(call);
  const { status } = await client.waitForTransactionReceipt({ hash, timeout: 30_000 });
  return { refusal, succeeded: status === "success" };
}

const outcomes = [];
for (const step of steps) outcomes.push(await play(step));
console.log(JSON.stringify({ domain, outcomes }));
