// A shop and a wallet with unmodified @solana/pay, and the token's life with the @solana-program
// packages that it brings.
// usage: node pay.mjs <rpc> <ws>      prints the facts of test_clients.py as JSON

import { createServer } from "node:http";
import {
  airdropFactory,
  appendTransactionMessageInstructions,
  assertIsSendableTransaction,
  assertIsTransactionWithBlockhashLifetime,
  compileTransaction,
  createTransactionMessage,
  generateKeyPairSigner,
  getBase64EncodedWireTransaction,
  getSignatureFromTransaction,
  isSolanaError,
  lamports,
  partiallySignTransaction,
  pipe,
  sendAndConfirmTransactionFactory,
  setTransactionMessageFeePayerSigner,
  setTransactionMessageLifetimeUsingBlockhash,
  SOLANA_ERROR__INSTRUCTION_ERROR__CUSTOM,
} from "@solana/kit";
import { getCreateAccountInstruction } from "@solana-program/system";
import {
  AccountState,
  AuthorityType,
  extension,
  fetchMint,
  fetchToken,
  findAssociatedTokenPda,
  getBurnCheckedInstruction,
  getCreateAssociatedTokenIdempotentInstruction,
  getFreezeAccountInstruction,
  getInitializeMint2Instruction,
  getMintSize,
  getMintToCheckedInstruction,
  getPauseInstruction,
  getPostInitializeInstructionsForMintExtensions,
  getPreInitializeInstructionsForMintExtensions,
  getResumeInstruction,
  getSetAuthorityInstruction,
  getThawAccountInstruction,
  getTransferCheckedInstruction,
  getTransferInstruction,
  TOKEN_2022_PROGRAM_ADDRESS,
} from "@solana-program/token-2022";
import { createMerchantClient, createSolanaPayClient } from "@solana/pay";

const [rpcUrl, wsUrl] = process.argv.slice(2);
const rpcSubscriptionsConfig = { url: wsUrl };
const commitment = "confirmed";
const facts = { refused: {} };
const [issuer, customer, shop, next, mintKey, referenceKey, second] = await Promise.all(
  Array.from({ length: 7 }, () => generateKeyPairSigner()),
);
const [mint, reference] = [mintKey.address, referenceKey.address];
const client = (payer) => createSolanaPayClient({ rpcUrl, rpcSubscriptionsConfig, payer });
const [bank, wallet, till] = [issuer, customer, shop].map(client);
const merchant = createMerchantClient({ rpcUrl, rpcSubscriptionsConfig });
const { rpc, rpcSubscriptions } = merchant;

async function refusal(doing) {
  let logs;
  try {
    await doing;
  } catch (error) {
    for (let cause = error; cause; cause = cause.cause) {
      logs ??= cause.context?.logs;
      if (isSolanaError(cause, SOLANA_ERROR__INSTRUCTION_ERROR__CUSTOM)) {
        const failed = logs.filter((line) => line.includes("failed"));
        return { code: cause.context.code, logs: failed.length };
      }
    }
    throw error;
  }
  throw new Error("it was not refused");
}

async function final(signature) {
  for (;;) {
    const { value: [status] } = await rpc.getSignatureStatuses([signature]).send();
    if (status?.confirmationStatus === "finalized") return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const airdrop = airdropFactory({ rpc, rpcSubscriptions });
for (const { address: recipientAddress } of [issuer, customer, shop]) {
  await airdrop({ commitment, lamports: lamports(1_000_000_000n), recipientAddress });
}

// The mint, as the generated client of Token-2022 makes one.
const metadata = extension("TokenMetadata", {
  updateAuthority: issuer.address, mint, name: "Test Tenge", symbol: "TKZT",
  uri: "https://example.test/t.json", additionalMetadata: new Map(),
});
const fixed = [
  extension("MetadataPointer", { authority: issuer.address, metadataAddress: mint }),
  extension("PermanentDelegate", { delegate: issuer.address }),
  extension("PausableConfig", { authority: issuer.address, paused: false }),
];
const fullSpace = BigInt(getMintSize([...fixed, metadata]));
const rent = await rpc.getMinimumBalanceForRentExemption(fullSpace).send();
await bank.sendTransaction([
  getCreateAccountInstruction({
    payer: issuer, newAccount: mintKey, lamports: rent, space: getMintSize(fixed),
    programAddress: TOKEN_2022_PROGRAM_ADDRESS,
  }),
  ...getPreInitializeInstructionsForMintExtensions(mint, fixed),
  getInitializeMint2Instruction({
    mint, decimals: 2, mintAuthority: issuer.address, freezeAuthority: issuer.address,
  }),
  ...getPostInitializeInstructionsForMintExtensions(mint, issuer, [metadata]),
]);
const readMint = async () => (await fetchMint(rpc, mint, { commitment })).data;
const state = (data, kind) => data.extensions.value.find(({ __kind }) => __kind === kind);
const made = await readMint();
facts.mint = {
  decimals: made.decimals,
  supply: Number(made.supply),
  name: state(made, "TokenMetadata").name,
  symbol: state(made, "TokenMetadata").symbol,
  paused: state(made, "PausableConfig").paused,
  delegate: state(made, "PermanentDelegate").delegate === issuer.address,
  extensions: made.extensions.value.map(({ __kind }) => __kind).sort(),
};

const tokenProgram = TOKEN_2022_PROGRAM_ADDRESS;
const [[from], [to]] = await Promise.all(
  [customer, shop].map(
    (owner) => findAssociatedTokenPda({ owner: owner.address, tokenProgram, mint }),
  ),
);
const open = (owner, ata) =>
  getCreateAssociatedTokenIdempotentInstruction({
    payer: issuer, owner: owner.address, ata, mint, tokenProgram,
  });
const issue = (units) => getMintToCheckedInstruction({
  mint, token: from, mintAuthority: issuer, amount: units, decimals: 2,
});
const issued = await bank.sendTransaction([open(customer, from), open(shop, to), issue(10_000n)]);
const opened = await rpc.getAccountInfo(from, { commitment, encoding: "base64" }).send();
facts.account_bytes = Number(opened.value.space);
await final(issued.context.signature);

// The shop asks, the wallet pays, the shop finds and validates.
const memo = "order 7 №";
const asked = { recipient: shop.address, amount: 12.5, splToken: mint, reference, memo };
const url = merchant.pay.encodeURL(asked);
const watched = merchant.pay.watchReference(reference, { commitment });
// The watching is there once another subscription of the same socket's kind has told something.
const slots = await rpcSubscriptions
  .slotNotifications().subscribe({ abortSignal: new AbortController().signal });
for await (const _ of slots) break;
const parsed = wallet.pay.parseURL(url);
const sent = await wallet.sendTransaction(await wallet.pay.createTransfer(parsed));
const paid = sent.context.signature;
await final(paid);
const found = await merchant.pay.findReference(reference);
const valid = await merchant.pay.validateTransfer(found.signature, asked);
const held = (balances) => {
  const row = balances.find(({ owner }) => owner === shop.address);
  return Number(row.uiTokenAmount.amount);
};
const shown = await rpc.getTransaction(paid, {
  commitment, maxSupportedTransactionVersion: 0, encoding: "jsonParsed",
}).send();
facts.payment = {
  found: [found.signature === paid],
  memo: found.memo,
  received: held(valid.meta.postTokenBalances) - held(valid.meta.preTokenBalances),
  parsed: shown.transaction.message.instructions
    .filter((one) => one.parsed).map((one) => one.parsed.type ?? one.parsed),
};
const told = await watched;
facts.watched = told.err === null && told.signature === paid;
const invalid = async (fields) =>
  merchant.pay.validateTransfer(paid, { ...asked, ...fields }).then(
    () => "valid",
    (error) => error.message,
  );
facts.invalid = {
  amount: await invalid({ amount: 12.51 }),
  memo: await invalid({ memo: "order 8" }),
  reference: await invalid({ reference: second.address }),
  recipient: await invalid({ recipient: customer.address }),
  unknown: await merchant.pay.findReference(second.address).catch((error) => error.message),
};

// A transaction request: the shop's server makes the transaction, the wallet signs it.
const compose = async () => {
  const value = (await rpc.getLatestBlockhash({ commitment }).send()).value;
  const message = pipe(
    createTransactionMessage({ version: 0 }),
    (m) => setTransactionMessageFeePayerSigner(customer, m),
    (m) => setTransactionMessageLifetimeUsingBlockhash(value, m),
    (m) => appendTransactionMessageInstructions([move(customer, 1n)], m),
  );
  return getBase64EncodedWireTransaction(compileTransaction(message));
};
const move = (authority, amount, decimals = 2) => getTransferCheckedInstruction({
  source: from, mint, destination: to, authority, amount, decimals,
});
const server = createServer(async (_, response) => {
  response.end(JSON.stringify({ transaction: await compose() }));
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const link = `http://127.0.0.1:${server.address().port}/`;
const offered = await wallet.pay.fetchTransaction(customer.address, link);
server.close();
const requested = await partiallySignTransaction([customer.keyPair], {
  ...offered,
  lifetimeConstraint: offered.lifetimeConstraint,
});
assertIsSendableTransaction(requested);
assertIsTransactionWithBlockhashLifetime(requested);
await sendAndConfirmTransactionFactory({ rpc, rpcSubscriptions })(requested, { commitment });
const request = getSignatureFromTransaction(requested);
facts.request = (await rpc.getSignatureStatuses([request]).send()).value[0].err === null;

// What must not go through.
const pay = (amount, decimals) => wallet.sendTransaction([move(customer, amount, decimals)]);
facts.refused.decimals = await refusal(pay(100n, 3));
facts.refused.short = await refusal(pay(1_000_000n));
facts.refused.plain_transfer = await refusal(
  wallet.sendTransaction([
    getTransferInstruction({ source: from, destination: to, authority: customer, amount: 1n }),
  ]),
);
await bank.sendTransaction([getFreezeAccountInstruction({ account: from, mint, owner: issuer })]);
facts.frozen = (await fetchToken(rpc, from, { commitment })).data.state === AccountState.Frozen;
facts.refused.frozen = await refusal(pay(100n));
await bank.sendTransaction([getThawAccountInstruction({ account: from, mint, owner: issuer })]);
await bank.sendTransaction([getPauseInstruction({ mint, authority: issuer })]);
facts.paused = state(await readMint(), "PausableConfig").paused;
facts.refused.paused = await refusal(pay(100n));
await bank.sendTransaction([getResumeInstruction({ mint, authority: issuer })]);

// Seize, rotate, burn.
await bank.sendTransaction([move(issuer, 499n)]);
await bank.sendTransaction([getSetAuthorityInstruction({
  owned: mint, owner: issuer, authorityType: AuthorityType.MintTokens, newAuthority: next.address,
})]);
facts.refused.former_authority = await refusal(bank.sendTransaction([issue(1n)]));
facts.new_authority = (await readMint()).mintAuthority.value === next.address;
await till.sendTransaction([getBurnCheckedInstruction({
  account: to, mint, authority: shop, amount: 250n, decimals: 2,
})]);
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
console.log(JSON.stringify(facts));
process.exit(0);
