// The life of a token with unmodified @solana/kit, which has no Token-2022 package of its own yet:
// instructions are written here byte by byte.
// usage: node kit.mjs <rpc> <ws>      prints the facts of test_clients.py as JSON

import {
  AccountRole,
  address,
  appendTransactionMessageInstructions,
  assertIsTransactionWithBlockhashLifetime,
  compressTransactionMessageUsingAddressLookupTables,
  createSolanaRpc,
  createSolanaRpcSubscriptions,
  createTransactionMessage,
  estimateAndSetResourceLimitsFactory,
  estimateResourceLimitsFactory,
  fetchAddressesForLookupTables,
  fetchJsonParsedAccount,
  generateKeyPairSigner,
  getAddressEncoder,
  getBase64EncodedWireTransaction,
  getProgramDerivedAddress,
  getSignatureFromTransaction,
  isSolanaError,
  lamports,
  pipe,
  sendAndConfirmTransactionFactory,
  setTransactionMessageFeePayerSigner,
  setTransactionMessageLifetimeUsingBlockhash,
  signTransactionMessageWithSigners,
  SOLANA_ERROR__BLOCK_HEIGHT_EXCEEDED,
  SOLANA_ERROR__INSTRUCTION_ERROR__CUSTOM,
  SOLANA_ERROR__JSON_RPC__SERVER_ERROR_SEND_TRANSACTION_PREFLIGHT_FAILURE as PREFLIGHT_FAILURE,
  SOLANA_ERROR__TRANSACTION_ERROR__BLOCKHASH_NOT_FOUND as BLOCKHASH_NOT_FOUND,
  airdropFactory,
} from "@solana/kit";

const T22 = address("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb");
const ATA = address("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL");
const MEMO = address("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr");
const SYSTEM = address("11111111111111111111111111111111");
const TABLES = address("AddressLookupTab1e1111111111111111111111111");
const [rpcUrl, wsUrl] = process.argv.slice(2);
const rpc = createSolanaRpc(rpcUrl);
const rpcSubscriptions = createSolanaRpcSubscriptions(wsUrl);
const sendAndConfirm = sendAndConfirmTransactionFactory({ rpc, rpcSubscriptions });
const airdrop = airdropFactory({ rpc, rpcSubscriptions });
const commitment = "confirmed";
const facts = { refused: {}, heard: {} };

// --- instructions -----------------------------------------------------------------------------

const encodeKey = (key) => [...getAddressEncoder().encode(key)];
const little = (value, bytes) =>
  Array.from({ length: bytes }, (_, at) => Number((BigInt(value) >> BigInt(8 * at)) & 255n));
const text = (value) => {
  const utf8 = [...new TextEncoder().encode(value)];
  return [...little(utf8.length, 4), ...utf8];
};
const hex = (digits) => digits.match(/../g).map((pair) => parseInt(pair, 16));
const writable = (key) => ({ address: key, role: AccountRole.WRITABLE });
const readonly = (key) => ({ address: key, role: AccountRole.READONLY });
const signs = (signer) => ({ address: signer.address, role: AccountRole.READONLY_SIGNER, signer });
const pays = (signer) => ({ address: signer.address, role: AccountRole.WRITABLE_SIGNER, signer });
const call = (programAddress, data, ...accounts) => ({
  programAddress, data: new Uint8Array(data), accounts,
});
const token = (data, ...accounts) => call(T22, data, ...accounts);
const checked = (tag, units, decimals) => [tag, ...little(units, 8), decimals];

async function tokenAccount(owner, mint) {
  const encode = getAddressEncoder().encode;
  const seeds = [encode(owner), encode(T22), encode(mint)];
  return (await getProgramDerivedAddress({ programAddress: ATA, seeds }))[0];
}

// --- sending ----------------------------------------------------------------------------------

async function signed(payer, instructions, { lifetime, finish = (m) => m } = {}) {
  const value = lifetime ?? (await rpc.getLatestBlockhash({ commitment }).send()).value;
  const message = pipe(
    createTransactionMessage({ version: 0 }),
    (m) => setTransactionMessageFeePayerSigner(payer, m),
    (m) => setTransactionMessageLifetimeUsingBlockhash(value, m),
    (m) => appendTransactionMessageInstructions(instructions, m),
  );
  const transaction = await signTransactionMessageWithSigners(await finish(message));
  assertIsTransactionWithBlockhashLifetime(transaction);
  return transaction;
}

async function send(payer, ...instructions) {
  const transaction = await signed(payer, instructions);
  await sendAndConfirm(transaction, { commitment });
  return getSignatureFromTransaction(transaction);
}

async function refusal(doing) {
  try {
    await doing;
  } catch (error) {
    if (!isSolanaError(error, PREFLIGHT_FAILURE)) throw error;
    if (!isSolanaError(error.cause, SOLANA_ERROR__INSTRUCTION_ERROR__CUSTOM)) throw error.cause;
    const failed = error.context.logs.filter((line) => line.includes("failed"));
    return { code: error.cause.context.code, logs: failed.length };
  }
  throw new Error("it was not refused");
}

// --- the mint ---------------------------------------------------------------------------------

const [issuer, customer, shop, next, mintKey, referenceKey] = await Promise.all(
  Array.from({ length: 6 }, () => generateKeyPairSigner()),
);
const [mint, reference] = [mintKey.address, referenceKey.address];
for (const { address: recipientAddress } of [issuer, customer, shop]) {
  await airdrop({ commitment, lamports: lamports(1_000_000_000n), recipientAddress });
}
const doomed = (await rpc.getLatestBlockhash({ commitment: "finalized" }).send()).value;

const boss = encodeKey(issuer.address);
const [name, symbol, uri] = ["Test Tenge", "TKZT", "https://example.test/t.json"];
const metadata = [...text(name), ...text(symbol), ...text(uri)];
const fullSpace = BigInt(307 + 4 + 64 + metadata.length + 4);
const rent = await rpc.getMinimumBalanceForRentExemption(fullSpace).send();
await send(
  issuer,
  call(
    SYSTEM,
    [...little(0, 4), ...little(rent, 8), ...little(307, 8), ...encodeKey(T22)],
    pays(issuer), pays(mintKey),
  ),
  token([0x27, 0, ...boss, ...encodeKey(mint)], writable(mint)),
  token([0x23, ...boss], writable(mint)),
  token([0x2c, 0, ...boss], writable(mint)),
  token([0x14, 2, ...boss, 1, ...boss], writable(mint)),
  token(
    [...hex("d2e11ea258b84d8d"), ...metadata],
    writable(mint), readonly(issuer.address), readonly(mint), signs(issuer),
  ),
);
const readMint = async () => (await fetchJsonParsedAccount(rpc, mint, { commitment })).data;
const state = (data, kind) => data.extensions.find(({ extension }) => extension === kind).state;
const made = await readMint();
facts.mint = {
  decimals: made.decimals,
  supply: Number(made.supply),
  name: state(made, "tokenMetadata").name,
  symbol: state(made, "tokenMetadata").symbol,
  paused: state(made, "pausableConfig").paused,
  delegate: state(made, "permanentDelegate").delegate === issuer.address,
  extensions: made.extensions
    .map(({ extension }) => extension[0].toUpperCase() + extension.slice(1)).sort(),
};

const from = await tokenAccount(customer.address, mint);
const to = await tokenAccount(shop.address, mint);
for (const [owner, account] of [[customer, from], [shop, to]]) {
  await send(issuer, call(
    ATA, [1],
    pays(issuer), writable(account), readonly(owner.address), readonly(mint), readonly(SYSTEM),
    readonly(T22),
  ));
}
const issue = (authority, units) =>
  token(checked(0x0e, units, 2), writable(mint), writable(from), signs(authority));
await send(issuer, issue(issuer, 10_000));
const opened = (await rpc.getAccountInfo(from, { commitment, encoding: "base64" }).send()).value;
facts.account_bytes = Number(opened.space);

// --- the payment, and what is heard of it -------------------------------------------------------

const hearing = [];
async function listen(name, subscription, read) {
  const notifications = await subscription.subscribe({ abortSignal: new AbortController().signal });
  hearing.push((async () => {
    for await (const notification of notifications) {
      const told = read(notification);
      if (told !== undefined) {
        facts.heard[name] = told;
        return;
      }
    }
  })());
}
const amount = (account) => {
  const data = Buffer.from(account.data[0], "base64");
  return Number(data.readBigUInt64LE(64));
};
await listen(
  "account",
  rpcSubscriptions.accountNotifications(to, { commitment, encoding: "base64" }),
  ({ value }) => amount(value),
);
await listen("logs", rpcSubscriptions.logsNotifications({ mentions: [reference] }, { commitment }),
  ({ value }) => [value.err, value.signature]);
await listen(
  "program",
  rpcSubscriptions.programNotifications(T22, {
    commitment, encoding: "base64",
    filters: [{ dataSize: 174n }, { memcmp: { offset: 0n, bytes: mint, encoding: "base58" } }],
  }),
  ({ value }) => (value.pubkey === to ? true : undefined),
);
await listen("slot", rpcSubscriptions.slotNotifications(), ({ slot, parent }) => parent < slot);
await listen("root", rpcSubscriptions.rootNotifications(), (root) => root > 0n);

const pay = (owner, units, decimals = 2, ...references) =>
  token(
    checked(0x0c, units, decimals),
    writable(from), readonly(mint), writable(to), signs(owner), ...references.map(readonly),
  );
const memo = call(MEMO, new TextEncoder().encode("order 7 №"));
const transaction = await signed(customer, [memo, pay(customer, 1250, 2, reference)]);
const paid = getSignatureFromTransaction(transaction);
await listen(
  "signature",
  rpcSubscriptions.signatureNotifications(paid, { commitment: "finalized" }),
  ({ value }) => value.err,
);
await sendAndConfirm(transaction, { commitment });
await Promise.all(hearing);
facts.heard.logs = facts.heard.logs[0] === null && facts.heard.logs[1] === paid;

const found = await rpc.getSignaturesForAddress(reference).send();
const reading = { maxSupportedTransactionVersion: 0, commitment: "finalized" };
const seen = await rpc.getTransaction(found[0].signature, { ...reading, encoding: "json" }).send();
const parsed = await rpc.getTransaction(paid, { ...reading, encoding: "jsonParsed" }).send();
const keys = seen.transaction.message.accountKeys;
const held = (balances) =>
  Number(balances.find((row) => keys[row.accountIndex] === to).uiTokenAmount.amount);
facts.payment = {
  found: found.map((row) => row.signature === paid),
  memo: found[0].memo,
  received: held(seen.meta.postTokenBalances) - held(seen.meta.preTokenBalances),
  parsed: parsed.transaction.message.instructions
    .filter((one) => one.parsed).map((one) => one.parsed.type ?? one.parsed),
};

// --- what must not go through -------------------------------------------------------------------

facts.refused.decimals = await refusal(send(customer, pay(customer, 100, 3)));
facts.refused.short = await refusal(send(customer, pay(customer, 1_000_000)));
facts.refused.plain_transfer = await refusal(
  send(customer, token([3, ...little(1, 8)], writable(from), writable(to), signs(customer))),
);
const freeze = (tag) => token([tag], writable(from), readonly(mint), signs(issuer));
await send(issuer, freeze(0x0a));
facts.frozen = (await fetchJsonParsedAccount(rpc, from, { commitment })).data.state === "frozen";
facts.refused.frozen = await refusal(send(customer, pay(customer, 100)));
await send(issuer, freeze(0x0b));
await send(issuer, token([0x2c, 1], writable(mint), signs(issuer)));
facts.paused = state(await readMint(), "pausableConfig").paused;
facts.refused.paused = await refusal(send(customer, pay(customer, 100)));
await send(issuer, token([0x2c, 2], writable(mint), signs(issuer)));

// A failure that lands pays its fee.
const short = await signed(customer, [pay(customer, 1_000_000)]);
facts.failed = {};
try {
  await sendAndConfirm(short, { commitment, skipPreflight: true });
} catch (error) {
  facts.failed.code = error.context.code;
}
let failed = null;
while (failed === null) {
  failed = await rpc.getTransaction(getSignatureFromTransaction(short), {
    maxSupportedTransactionVersion: 0, commitment, encoding: "json",
  }).send();
}
facts.failed.read = Number(failed.meta.err.InstructionError[1].Custom);
facts.failed.fee = Number(failed.meta.fee);

// --- seize, rotate, burn ------------------------------------------------------------------------

await send(issuer, pay(issuer, 500));
await send(
  issuer, token([6, 0, 1, ...encodeKey(next.address)], writable(mint), signs(issuer)),
);
facts.refused.former_authority = await refusal(send(issuer, issue(issuer, 1)));
facts.new_authority = (await readMint()).mintAuthority === next.address;
await send(shop, token(checked(0x0f, 250, 2), writable(to), writable(mint), signs(shop)));
const balance = async (account) =>
  (await rpc.getTokenAccountBalance(account, { commitment }).send()).value.uiAmountString;
facts.left = {
  customer: await balance(from),
  shop: await balance(to),
  supply: (await rpc.getTokenSupply(mint, { commitment }).send()).value.uiAmountString,
};
const owned = await rpc
  .getTokenAccountsByOwner(shop.address, { mint }, { commitment, encoding: "jsonParsed" }).send();
facts.owned = owned.value.map((row) => row.account.data.parsed.info.tokenAmount.uiAmountString);

// --- a lookup table -----------------------------------------------------------------------------

const recentSlot = await rpc.getSlot({ commitment: "finalized" }).send();
const [table, bump] = await getProgramDerivedAddress({
  programAddress: TABLES,
  seeds: [getAddressEncoder().encode(issuer.address), new Uint8Array(little(recentSlot, 8))],
});
await send(
  issuer,
  call(
    TABLES, [...little(0, 4), ...little(recentSlot, 8), bump],
    writable(table), signs(issuer), pays(issuer), readonly(SYSTEM),
  ),
  call(
    TABLES, [...little(2, 4), ...little(3, 8), ...[from, to, mint].flatMap(encodeKey)],
    writable(table), signs(issuer), pays(issuer), readonly(SYSTEM),
  ),
);
const addresses = await fetchAddressesForLookupTables([table], rpc, { commitment });
const extendedIn = await rpc.getSlot({ commitment: "processed" }).send();
while ((await rpc.getSlot({ commitment: "processed" }).send()) <= extendedIn);
const setLimits = estimateAndSetResourceLimitsFactory(estimateResourceLimitsFactory({ rpc }));
const packed = await signed(customer, [pay(customer, 1)], {
  finish: (m) => setLimits(compressTransactionMessageUsingAddressLookupTables(m, addresses)),
});
await sendAndConfirm(packed, { commitment });
const loaded = await rpc.getTransaction(getSignatureFromTransaction(packed), {
  maxSupportedTransactionVersion: 0, commitment, encoding: "json",
}).send();
facts.lookup = {
  writable: loaded.meta.loadedAddresses.writable.length,
  readonly: loaded.meta.loadedAddresses.readonly.length,
};

// --- an expired blockhash -----------------------------------------------------------------------

while ((await rpc.getBlockHeight({ commitment }).send()) <= doomed.lastValidBlockHeight) {
  await new Promise((resolve) => setTimeout(resolve, 100));
}
const late = await signed(customer, [pay(customer, 1)], { lifetime: doomed });
const asked = await rpc.isBlockhashValid(doomed.blockhash, { commitment }).send();
facts.expired = { valid: asked.value };
try {
  await rpc.sendTransaction(getBase64EncodedWireTransaction(late), { encoding: "base64" }).send();
} catch (error) {
  facts.expired.refused = isSolanaError(error.cause, BLOCKHASH_NOT_FOUND);
}
try {
  await sendAndConfirm(late, { commitment, skipPreflight: true });
} catch (error) {
  facts.expired.gave_up = isSolanaError(error, SOLANA_ERROR__BLOCK_HEIGHT_EXCEEDED);
}
console.log(JSON.stringify(facts));
process.exit(0);
