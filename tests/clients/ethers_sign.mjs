// Signs EIP-2612 permits and EIP-3009 authorizations with unmodified ethers, under the domain that
// the token itself names (EIP-5267), and sends them from an account of its own.
// usage: node ethers_sign.mjs <rpc> <jobs-file>      prints what became of each step, as JSON

import { readFileSync } from "node:fs";
import { Contract, JsonRpcProvider, Signature, Wallet, concat, isCallException, toBeHex } from "ethers";

const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const GAS = 200_000n;
const [rpc, jobsFile] = process.argv.slice(2);
const { token, abi, types, signerKey, senderKey, steps } = JSON.parse(
  readFileSync(jobsFile, "utf8"),
);

const provider = new JsonRpcProvider(rpc, undefined, { pollingInterval: 20, cacheTimeout: -1 });
const signer = new Wallet(signerKey);
const contract = new Contract(token, abi, new Wallet(senderKey, provider));

const [fields, name, version, chainId, verifyingContract, , extensions] =
  await contract.eip712Domain();
if (fields !== "0x0f" || extensions.length !== 0) throw new Error(`other fields: ${fields}`);
const domain = { name, version, chainId: Number(chainId), verifyingContract };

const SPOILT = {
  none: (signature) => signature,
  "high s": (signature) => {
    const { r, s, v } = Signature.from(signature);
    return concat([r, toBeHex(ORDER - BigInt(s), 32), toBeHex(55 - v)]);
  },
  zero: () => `0x${"00".repeat(65)}`,
  compact: (signature) => Signature.from(signature).compactSerialized,
};

function tail(form, signature) {
  if (form === "bytes") return [signature];
  return [Number(`0x${signature.slice(130)}`), signature.slice(0, 66), `0x${signature.slice(66, 130)}`];
}

// ethers cannot tell overloads apart by their number of arguments when the last one is an object.
function method(struct, form) {
  const name = struct[0].toLowerCase() + struct.slice(1);
  const last = form === "bytes" ? "bytes" : "bytes32";
  return abi
    .filter((entry) => entry.type === "function" && entry.name === name)
    .map(({ inputs }) => inputs.map(({ type }) => type))
    .filter((kinds) => kinds.at(-1) === last)
    .map((kinds) => contract.getFunction(`${name}(${kinds.join(",")})`))[0];
}

async function play({ struct, form, message, spoil, nonce }) {
  const values = { ...message };
  if (struct === "Permit") values.nonce = nonce ?? (await contract.nonces(signer.address));
  const signed = await signer.signTypedData(domain, { [struct]: types[struct] }, values);
  const terms = types[struct].filter(({ name }) => name in message).map(({ name }) => message[name]);
  const args = [...terms, ...tail(form, SPOILT[spoil](signed))];
  const call = method(struct, form);
  let refusal = null;
  try {
    await call.staticCall(...args);
  } catch (error) {
    refusal = isCallException(error) ? error.reason : String(error);
  }
  const sent = await call.send(...args, { gasLimit: GAS });
  const receipt = await provider.waitForTransaction(sent.hash, 1, 30_000);
  return { refusal, succeeded: receipt.status === 1 };
}

const outcomes = [];
for (const step of steps) outcomes.push(await play(step));
console.log(JSON.stringify({ domain, outcomes }));
provider.destroy();
