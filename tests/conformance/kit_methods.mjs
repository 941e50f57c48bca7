// Every method of the Solana RPC that unmodified @solana/kit names, and its subscriptions.
// usage: node kit_methods.mjs <rpc> <ws>      prints {method: "ok" or what the client said}

import {
  airdropFactory, appendTransactionMessageInstruction, AccountRole, compileTransactionMessage,
  createSolanaRpc, createSolanaRpcSubscriptions, createSolanaRpcSubscriptions_UNSTABLE,
  createTransactionMessage, generateKeyPairSigner, getBase64Decoder,
  getBase64EncodedWireTransaction,
  getCompiledTransactionMessageEncoder, getSignatureFromTransaction, lamports, pipe,
  setTransactionMessageFeePayerSigner, setTransactionMessageLifetimeUsingBlockhash,
  signTransactionMessageWithSigners,
} from "@solana/kit";

const TOKEN = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";
const WRAPPED = "So11111111111111111111111111111111111111112";
const SYSTEM = "11111111111111111111111111111111";
const [rpcUrl, wsUrl] = process.argv.slice(2);
const rpc = createSolanaRpc(rpcUrl);
const rpcSubscriptions = createSolanaRpcSubscriptions(wsUrl);
const unstable = createSolanaRpcSubscriptions_UNSTABLE(wsUrl);
const commitment = "confirmed";
const payer = await generateKeyPairSigner();
const key = payer.address;
const funded = await airdropFactory({ rpc, rpcSubscriptions })({
  commitment, lamports: lamports(2_000_000_000n), recipientAddress: key,
});
const { value: [{ slot }] } = await rpc.getSignatureStatuses([funded]).send();
const { value: latest } = await rpc.getLatestBlockhash({ commitment }).send();
const compose = (blockhash) => pipe(
  createTransactionMessage({ version: 0 }),
  (m) => setTransactionMessageFeePayerSigner(payer, m),
  (m) => setTransactionMessageLifetimeUsingBlockhash(blockhash, m),
  (m) => appendTransactionMessageInstruction({
    programAddress: SYSTEM,
    accounts: [
      { address: key, role: AccountRole.WRITABLE_SIGNER, signer: payer },
      { address: key, role: AccountRole.WRITABLE },
    ],
    data: new Uint8Array([2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]),
  }, m),
);
const sign = async (blockhash) => signTransactionMessageWithSigners(compose(blockhash));
const wire = getBase64EncodedWireTransaction(await sign(latest));
const compiled = getCompiledTransactionMessageEncoder().encode(
  compileTransactionMessage(compose(latest)),
);
const v0 = { maxSupportedTransactionVersion: 0, commitment };
const parsed = { commitment, encoding: "jsonParsed" };

const calls = {
  getAccountInfo: () => rpc.getAccountInfo(key, parsed),
  getAccountInfo_zstd: () => rpc.getAccountInfo(WRAPPED, { commitment, encoding: "base64+zstd" }),
  getBalance: () => rpc.getBalance(key),
  getBlock: () => rpc.getBlock(slot, v0),
  getBlock_parsed: () => rpc.getBlock(slot, { ...v0, encoding: "jsonParsed" }),
  getBlock_signatures: () => rpc.getBlock(slot, { ...v0, transactionDetails: "signatures" }),
  getBlockCommitment: () => rpc.getBlockCommitment(slot),
  getBlockHeight: () => rpc.getBlockHeight(),
  getBlockProduction: () => rpc.getBlockProduction(),
  getBlocks: () => rpc.getBlocks(0n, slot, { commitment }),
  getBlocksWithLimit: () => rpc.getBlocksWithLimit(0n, 3, { commitment }),
  getBlockTime: () => rpc.getBlockTime(slot),
  getClusterNodes: () => rpc.getClusterNodes(),
  getEpochInfo: () => rpc.getEpochInfo(),
  getEpochSchedule: () => rpc.getEpochSchedule(),
  getFeeForMessage: () => rpc.getFeeForMessage(getBase64Decoder().decode(compiled)),
  getFirstAvailableBlock: () => rpc.getFirstAvailableBlock(),
  getGenesisHash: () => rpc.getGenesisHash(),
  getHealth: () => rpc.getHealth(),
  getHighestSnapshotSlot: () => rpc.getHighestSnapshotSlot(),
  getIdentity: () => rpc.getIdentity(),
  getInflationGovernor: () => rpc.getInflationGovernor(),
  getInflationRate: () => rpc.getInflationRate(),
  getInflationReward: () => rpc.getInflationReward([key]),
  getLargestAccounts: () => rpc.getLargestAccounts(),
  getLatestBlockhash: () => rpc.getLatestBlockhash(),
  getLeaderSchedule: () => rpc.getLeaderSchedule(),
  getMaxRetransmitSlot: () => rpc.getMaxRetransmitSlot(),
  getMaxShredInsertSlot: () => rpc.getMaxShredInsertSlot(),
  getMinimumBalanceForRentExemption: () => rpc.getMinimumBalanceForRentExemption(174n),
  getMultipleAccounts: () => rpc.getMultipleAccounts([key, WRAPPED], parsed),
  getProgramAccounts: () => rpc.getProgramAccounts(TOKEN, parsed),
  getRecentPerformanceSamples: () => rpc.getRecentPerformanceSamples(2),
  getRecentPrioritizationFees: () => rpc.getRecentPrioritizationFees([key]),
  getSignaturesForAddress: () => rpc.getSignaturesForAddress(key, { commitment, limit: 3 }),
  getSignatureStatuses: () =>
    rpc.getSignatureStatuses([funded], { searchTransactionHistory: true }),
  getSlot: () => rpc.getSlot(),
  getSlotLeader: () => rpc.getSlotLeader(),
  getSlotLeaders: () => rpc.getSlotLeaders(1n, 3),
  getStakeMinimumDelegation: () => rpc.getStakeMinimumDelegation(),
  getSupply: () => rpc.getSupply({ excludeNonCirculatingAccountsList: false }),
  getTokenAccountsByDelegate: () =>
    rpc.getTokenAccountsByDelegate(key, { programId: TOKEN }, parsed),
  getTokenAccountsByOwner: () => rpc.getTokenAccountsByOwner(key, { mint: WRAPPED }, parsed),
  getTokenLargestAccounts: () => rpc.getTokenLargestAccounts(WRAPPED),
  getTokenSupply: () => rpc.getTokenSupply(WRAPPED),
  getTransaction: () => rpc.getTransaction(funded, { ...v0, encoding: "base64" }),
  getTransactionCount: () => rpc.getTransactionCount(),
  getVersion: () => rpc.getVersion(),
  getVoteAccounts: () => rpc.getVoteAccounts(),
  isBlockhashValid: () => rpc.isBlockhashValid(latest.blockhash, { commitment }),
  minimumLedgerSlot: () => rpc.minimumLedgerSlot(),
  simulateTransaction: () => rpc.simulateTransaction(wire, {
    encoding: "base64", commitment, innerInstructions: true, replaceRecentBlockhash: true,
    accounts: { addresses: [key], encoding: "jsonParsed" },
  }),
};
const facts = {};
for (const [name, call] of Object.entries(calls)) {
  facts[name] = await call().send().then(() => "ok", (error) => String(error.message));
}

const { value: fresh } = await rpc.getLatestBlockhash({ commitment }).send();
const transaction = await sign(fresh);
const signature = getSignatureFromTransaction(transaction);
const subscriptions = {
  signature: rpcSubscriptions.signatureNotifications(signature, {
    commitment, enableReceivedNotification: true,
  }),
  account: rpcSubscriptions.accountNotifications(key, parsed),
  program: rpcSubscriptions.programNotifications(SYSTEM, { commitment, encoding: "base64" }),
  logs: rpcSubscriptions.logsNotifications("all", { commitment }),
  block: unstable.blockNotifications(
    { mentionsAccountOrProgram: key },
    { commitment, encoding: "jsonParsed", maxSupportedTransactionVersion: 0, showRewards: false },
  ),
  slotsUpdates: unstable.slotsUpdatesNotifications(),
};
async function listen(name, notifications) {
  for await (const { value } of notifications) {
    facts[name] = "ok";
    if (name !== "signature") return;
    facts.received ??= value === "receivedSignature" ? "ok" : JSON.stringify(value);
    if (value?.err === null) return;
  }
}
const abortSignal = new AbortController().signal;
const heard = [];
for (const [name, subscription] of Object.entries(subscriptions)) {
  heard.push(listen(name, await subscription.subscribe({ abortSignal })));
}
await rpc.sendTransaction(getBase64EncodedWireTransaction(transaction), {
  encoding: "base64", preflightCommitment: commitment,
}).send();
await Promise.all(heard);
console.log(JSON.stringify(facts));
process.exit(0);
