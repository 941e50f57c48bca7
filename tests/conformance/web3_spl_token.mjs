// The life of a token with unmodified @solana/web3.js and @solana/spl-token.
// usage: node web3_spl_token.mjs <rpc> <ws> <slot-ms>
// prints the facts of test_clients.py as JSON

import {
  AddressLookupTableProgram,
  ComputeBudgetProgram,
  Connection,
  Keypair,
  LAMPORTS_PER_SOL,
  PublicKey,
  SendTransactionError,
  SystemProgram,
  Transaction,
  TransactionExpiredBlockheightExceededError,
  TransactionInstruction,
  TransactionMessage,
  VersionedTransaction,
  sendAndConfirmTransaction,
} from "@solana/web3.js";
import {
  AuthorityType,
  ExtensionType,
  LENGTH_SIZE,
  TOKEN_2022_PROGRAM_ID,
  TYPE_SIZE,
  burnChecked,
  createAssociatedTokenAccountIdempotent,
  createInitializeMetadataPointerInstruction,
  createInitializeMint2Instruction,
  createInitializePausableConfigInstruction,
  createInitializePermanentDelegateInstruction,
  createTransferCheckedInstruction,
  createTransferInstruction,
  freezeAccount,
  getAccount,
  getExtensionTypes,
  getMint,
  getMintLen,
  getPausableConfig,
  getPermanentDelegate,
  getTokenMetadata,
  mintToChecked,
  pause,
  resume,
  setAuthority,
  thawAccount,
  transferChecked,
} from "@solana/spl-token";
import { createInitializeInstruction, pack } from "@solana/spl-token-metadata";

const MEMO = new PublicKey("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr");
const [rpcUrl, wsUrl, slotMs] = process.argv.slice(2);
const connection = new Connection(rpcUrl, { commitment: "confirmed", wsEndpoint: wsUrl });
// The client keeps a blockhash for 30 s: 150 blocks last that long only from 200 ms a slot on.
connection._disableBlockhashCaching = Number(slotMs) < 200;
const T22 = TOKEN_2022_PROGRAM_ID;
const facts = { refused: {}, heard: {} };

const [issuer, customer, shop, next] = [1, 2, 3, 4].map(() => Keypair.generate());
const mintKey = Keypair.generate();
const mint = mintKey.publicKey;
const reference = Keypair.generate().publicKey;

async function fund(key) {
  const latest = await connection.getLatestBlockhash();
  const signature = await connection.requestAirdrop(key, LAMPORTS_PER_SOL);
  await connection.confirmTransaction({ signature, ...latest });
}

const send = (signers, ...instructions) =>
  sendAndConfirmTransaction(connection, new Transaction().add(...instructions), signers);

async function refusal(doing) {
  try {
    await doing;
  } catch (error) {
    if (!(error instanceof SendTransactionError)) throw error;
    const code = /custom program error: (0x[0-9a-f]+)/.exec(error.transactionError.message);
    const failed = error.logs.filter((line) => line.includes("failed"));
    return { code: Number(code[1]), logs: failed.length };
  }
  throw new Error("it was not refused");
}

await Promise.all([issuer, customer, shop].map((key) => fund(key.publicKey)));
const doomed = await connection.getLatestBlockhash("finalized");

// The mint: four extensions, metadata in the mint itself.
const metadata = {
  mint, name: "Test Tenge", symbol: "TKZT", uri: "https://example.test/t.json",
  additionalMetadata: [],
};
const extensions = [
  ExtensionType.MetadataPointer, ExtensionType.PermanentDelegate, ExtensionType.PausableConfig,
];
const space = getMintLen(extensions);
const lamports = await connection.getMinimumBalanceForRentExemption(
  space + TYPE_SIZE + LENGTH_SIZE + pack(metadata).length,
);
await send(
  [issuer, mintKey],
  SystemProgram.createAccount({
    fromPubkey: issuer.publicKey, newAccountPubkey: mint, space, lamports, programId: T22,
  }),
  createInitializeMetadataPointerInstruction(mint, issuer.publicKey, mint, T22),
  createInitializePermanentDelegateInstruction(mint, issuer.publicKey, T22),
  createInitializePausableConfigInstruction(mint, issuer.publicKey, T22),
  createInitializeMint2Instruction(mint, 2, issuer.publicKey, issuer.publicKey, T22),
  createInitializeInstruction({
    programId: T22, metadata: mint, updateAuthority: issuer.publicKey, mint,
    mintAuthority: issuer.publicKey, name: metadata.name, symbol: metadata.symbol,
    uri: metadata.uri,
  }),
);
const made = await getMint(connection, mint, undefined, T22);
const told = await getTokenMetadata(connection, mint);
facts.mint = {
  decimals: made.decimals,
  supply: Number(made.supply),
  name: told.name,
  symbol: told.symbol,
  paused: getPausableConfig(made).paused,
  delegate: getPermanentDelegate(made).delegate.equals(issuer.publicKey),
  extensions: getExtensionTypes(made.tlvData).map((kind) => ExtensionType[kind]).sort(),
};

const open = (owner) =>
  createAssociatedTokenAccountIdempotent(connection, issuer, mint, owner, undefined, T22);
const from = await open(customer.publicKey);
const to = await open(shop.publicKey);
await mintToChecked(connection, issuer, mint, from, issuer, 10_000, 2, [], undefined, T22);
facts.account_bytes = (await connection.getAccountInfo(from)).data.length;

// What is heard of the payment.
const heard = (name, listen) =>
  new Promise((resolve) => listen((value) => resolve((facts.heard[name] ??= value))));
const hearing = [
  heard("account", (tell) =>
    connection.onAccountChange(to, ({ data }) => tell(Number(data.readBigUInt64LE(64))))),
  heard("logs", (tell) =>
    connection.onLogs(reference, ({ signature, err }) => tell([err, signature]))),
  heard("program", (tell) =>
    connection.onProgramAccountChange(
      T22,
      ({ accountId }) => accountId.equals(to) && tell(true),
      { filters: [{ dataSize: 174 }, { memcmp: { offset: 0, bytes: mint.toBase58() } }] },
    )),
  heard("root", (tell) => connection.onRootChange((root) => tell(root > 0))),
];

const checked = (units) =>
  createTransferCheckedInstruction(from, mint, to, customer.publicKey, units, 2, [], T22);
const transfer = checked(1250);
transfer.keys.push({ pubkey: reference, isSigner: false, isWritable: false });
const text = Buffer.from("order 7 №");
const memo = new TransactionInstruction({ keys: [], programId: MEMO, data: text });
// Once the last of them tells something all are there: they are asked for in order, on one socket.
await heard("slot", (tell) => connection.onSlotChange(({ slot, parent }) => tell(parent < slot)));
const price = ComputeBudgetProgram.setComputeUnitPrice({ microLamports: 5 });
const paid = await send([customer], price, memo, transfer);
await heard("signature", (tell) =>
  connection.onSignature(paid, ({ err }) => tell(err), "finalized"));
await Promise.all(hearing);
facts.heard.logs = facts.heard.logs[0] === null && facts.heard.logs[1] === paid;

// Find and validate.
const found = await connection.getSignaturesForAddress(reference, {}, "finalized");
const [seen] = await connection.getTransactions([found[0].signature], {
  maxSupportedTransactionVersion: 0, commitment: "finalized",
});
const keys = seen.transaction.message.getAccountKeys().staticAccountKeys.map(String);
const held = (balances) =>
  Number(balances.find((row) => keys[row.accountIndex] === String(to)).uiTokenAmount.amount);
const parsed = await connection.getParsedTransaction(paid, { maxSupportedTransactionVersion: 0 });
facts.payment = {
  found: found.map((row) => row.signature === paid),
  memo: found[0].memo,
  received: held(seen.meta.postTokenBalances) - held(seen.meta.preTokenBalances),
  parsed: parsed.transaction.message.instructions
    .filter((one) => one.parsed).map((one) => one.parsed.type ?? one.parsed),
};

// What must not go through.
const pay = (units, decimals = 2) =>
  transferChecked(
    connection, customer, from, mint, to, customer, units, decimals, [], undefined, T22,
  );
facts.refused.decimals = await refusal(pay(100, 3));
facts.refused.short = await refusal(pay(1_000_000));
facts.refused.plain_transfer = await refusal(
  send([customer], createTransferInstruction(from, to, customer.publicKey, 1, [], T22)),
);
await freezeAccount(connection, issuer, from, mint, issuer, [], undefined, T22);
facts.frozen = (await getAccount(connection, from, undefined, T22)).isFrozen;
facts.refused.frozen = await refusal(pay(100));
await thawAccount(connection, issuer, from, mint, issuer, [], undefined, T22);
await pause(connection, issuer, mint, issuer, [], undefined, T22);
facts.paused = getPausableConfig(await getMint(connection, mint, undefined, T22)).paused;
facts.refused.paused = await refusal(pay(100));
await resume(connection, issuer, mint, issuer, [], undefined, T22);

// A failure that lands pays its fee.
const short = checked(10 ** 6);
const lost = await connection.sendTransaction(new Transaction().add(short), [customer], {
  skipPreflight: true,
});
const latest = await connection.getLatestBlockhash();
const landed = await connection.confirmTransaction({ signature: lost, ...latest }).then(
  ({ value }) => value.err,
  (error) => error,
);
// The client tells of a failure as soon as it is processed.
let failed = null;
while (failed === null) {
  failed = await connection.getTransaction(lost, { maxSupportedTransactionVersion: 0 });
}
facts.failed = {
  code: landed.InstructionError[1].Custom,
  read: failed.meta.err.InstructionError[1].Custom,
  fee: failed.meta.fee,
};

// The permanent delegate seizes, the mint authority moves on, the shop burns.
await transferChecked(connection, issuer, from, mint, to, issuer, 500, 2, [], undefined, T22);
await setAuthority(
  connection, issuer, mint, issuer, AuthorityType.MintTokens, next.publicKey, [], undefined, T22,
);
facts.refused.former_authority = await refusal(
  mintToChecked(connection, issuer, mint, from, issuer, 1, 2, [], undefined, T22),
);
const handed = await getMint(connection, mint, undefined, T22);
facts.new_authority = handed.mintAuthority.equals(next.publicKey);
await burnChecked(connection, shop, to, mint, shop, 250, 2, [], undefined, T22);
facts.left = {
  customer: (await connection.getTokenAccountBalance(from)).value.uiAmountString,
  shop: (await connection.getTokenAccountBalance(to)).value.uiAmountString,
  supply: (await connection.getTokenSupply(mint)).value.uiAmountString,
};
const owned = await connection.getParsedTokenAccountsByOwner(shop.publicKey, { mint });
facts.owned = owned.value.map((row) => row.account.data.parsed.info.tokenAmount.uiAmountString);

// A lookup table, and a payment through it.
const recentSlot = await connection.getSlot("finalized");
const [create, table] = AddressLookupTableProgram.createLookupTable({
  authority: issuer.publicKey, payer: issuer.publicKey, recentSlot,
});
const extend = AddressLookupTableProgram.extendLookupTable({
  payer: issuer.publicKey, authority: issuer.publicKey, lookupTable: table,
  addresses: [from, to, mint],
});
await send([issuer], create, extend);
const lookup = (await connection.getAddressLookupTable(table)).value;
// A table serves from the slot after its extension on.
while ((await connection.getSlot("processed")) <= lookup.state.lastExtendedSlot);
const through = await connection.getLatestBlockhash();
const packed = new VersionedTransaction(
  new TransactionMessage({
    payerKey: customer.publicKey,
    recentBlockhash: through.blockhash,
    instructions: [checked(1)],
  }).compileToV0Message([lookup]),
);
packed.sign([customer]);
const looked = await connection.sendTransaction(packed);
await connection.confirmTransaction({ signature: looked, ...through });
const loaded = await connection.getTransaction(looked, { maxSupportedTransactionVersion: 0 });
facts.lookup = {
  writable: loaded.meta.loadedAddresses.writable.length,
  readonly: loaded.meta.loadedAddresses.readonly.length,
};

// An expired blockhash: refused by preflight; without it the client gives up by itself.
while ((await connection.getBlockHeight("confirmed")) <= doomed.lastValidBlockHeight) {
  await new Promise((resolve) => setTimeout(resolve, 100));
}
const late = new Transaction({ feePayer: customer.publicKey, ...doomed }).add(
  SystemProgram.transfer({ fromPubkey: customer.publicKey, toPubkey: shop.publicKey, lamports: 1 }),
);
late.sign(customer);
facts.expired = { valid: (await connection.isBlockhashValid(doomed.blockhash)).value };
try {
  await connection.sendRawTransaction(late.serialize());
} catch (error) {
  facts.expired.refused = error.transactionError.message.includes("Blockhash not found");
}
try {
  const signature = await connection.sendRawTransaction(late.serialize(), { skipPreflight: true });
  await connection.confirmTransaction({ signature, ...doomed });
} catch (error) {
  facts.expired.gave_up = error instanceof TransactionExpiredBlockheightExceededError;
}
console.log(JSON.stringify(facts));
process.exit(0);
