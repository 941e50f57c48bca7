// An ordinary customer: pays a Solana Pay URL with unmodified @solana/kit and nothing of ours.
// usage: node kit_pay.mjs <rpc> <ws> <secret-key-json-file> <url>      prints the signature

import { readFileSync } from "node:fs";
import {
  AccountRole,
  address,
  appendTransactionMessageInstructions,
  createKeyPairSignerFromBytes,
  createSolanaRpc,
  createSolanaRpcSubscriptions,
  createTransactionMessage,
  assertIsTransactionWithBlockhashLifetime,
  getAddressEncoder,
  getProgramDerivedAddress,
  getSignatureFromTransaction,
  pipe,
  sendAndConfirmTransactionFactory,
  setTransactionMessageFeePayerSigner,
  setTransactionMessageLifetimeUsingBlockhash,
  signTransactionMessageWithSigners,
} from "@solana/kit";

const TOKEN_2022 = address("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb");
const ATA_PROGRAM = address("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL");
const MEMO = address("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr");
const TRANSFER_CHECKED = 12;

function parse(url) {
  const { protocol, pathname, searchParams } = new URL(url);
  if (protocol !== "solana:") throw new Error(`not a solana: URL: ${url}`);
  return {
    recipient: address(pathname),
    mint: address(searchParams.get("spl-token")),
    amount: searchParams.get("amount"),
    references: searchParams.getAll("reference").map((key) => address(key)),
    memo: searchParams.get("memo"),
  };
}

function toUnits(amount, decimals) {
  const [whole, rest = ""] = amount.split(".");
  if (rest.length > decimals) throw new Error(`${amount} has more than ${decimals} places`);
  return BigInt(whole + rest.padEnd(decimals, "0"));
}

async function tokenAccount(owner, mint) {
  const encode = getAddressEncoder().encode;
  const seeds = [encode(owner), encode(TOKEN_2022), encode(mint)];
  const [account] = await getProgramDerivedAddress({ programAddress: ATA_PROGRAM, seeds });
  return account;
}

function transferChecked({ source, mint, destination, owner, units, decimals, references }) {
  const data = new Uint8Array(10);
  const view = new DataView(data.buffer);
  view.setUint8(0, TRANSFER_CHECKED);
  view.setBigUint64(1, units, true);
  view.setUint8(9, decimals);
  return {
    programAddress: TOKEN_2022,
    data,
    accounts: [
      { address: source, role: AccountRole.WRITABLE },
      { address: mint, role: AccountRole.READONLY },
      { address: destination, role: AccountRole.WRITABLE },
      { address: owner.address, role: AccountRole.READONLY_SIGNER, signer: owner },
      ...references.map((key) => ({ address: key, role: AccountRole.READONLY })),
    ],
  };
}

const [rpcUrl, wsUrl, keyFile, url] = process.argv.slice(2);
const request = parse(url);
const rpc = createSolanaRpc(rpcUrl);
const rpcSubscriptions = createSolanaRpcSubscriptions(wsUrl);
const owner = await createKeyPairSignerFromBytes(
  new Uint8Array(JSON.parse(readFileSync(keyFile, "utf8"))),
);

const { value: supply } = await rpc.getTokenSupply(request.mint, { commitment: "confirmed" }).send();
const memo = request.memo === null ? [] : [
  { programAddress: MEMO, data: new TextEncoder().encode(request.memo), accounts: [] },
];
const transfer = transferChecked({
  source: await tokenAccount(owner.address, request.mint),
  mint: request.mint,
  destination: await tokenAccount(request.recipient, request.mint),
  owner,
  units: toUnits(request.amount, supply.decimals),
  decimals: supply.decimals,
  references: request.references,
});

const { value: blockhash } = await rpc.getLatestBlockhash({ commitment: "confirmed" }).send();
const message = pipe(
  createTransactionMessage({ version: 0 }),
  (m) => setTransactionMessageFeePayerSigner(owner, m),
  (m) => setTransactionMessageLifetimeUsingBlockhash(blockhash, m),
  (m) => appendTransactionMessageInstructions([...memo, transfer], m),
);
const signed = await signTransactionMessageWithSigners(message);
assertIsTransactionWithBlockhashLifetime(signed);
const sendAndConfirm = sendAndConfirmTransactionFactory({ rpc, rpcSubscriptions });
await sendAndConfirm(signed, { commitment: "confirmed" });
console.log(getSignatureFromTransaction(signed));
process.exit(0);
