// Every read of unmodified @solana/web3.js, which checks each answer against the shape it expects.
// usage: node web3_methods.mjs <rpc> <ws> <slot-ms>
// prints {method: "ok" or what the client said}

import {
  Connection, Keypair, LAMPORTS_PER_SOL, SystemProgram, Transaction, TransactionMessage,
  VersionedTransaction, sendAndConfirmTransaction,
} from "@solana/web3.js";
import {
  TOKEN_PROGRAM_ID, createMint, createAssociatedTokenAccount, mintTo,
} from "@solana/spl-token";

const [rpcUrl, wsUrl, slotMs] = process.argv.slice(2);
const connection = new Connection(rpcUrl, { commitment: "confirmed", wsEndpoint: wsUrl });
// The client keeps a blockhash for 30 s: 150 blocks last that long only from 200 ms a slot on.
connection._disableBlockhashCaching = Number(slotMs) < 200;
const payer = Keypair.generate();
const key = payer.publicKey;
const funded = await connection.requestAirdrop(key, 2 * LAMPORTS_PER_SOL);
const first = await connection.getLatestBlockhash();
await connection.confirmTransaction({ signature: funded, ...first });
const mint = await createMint(connection, payer, key, key, 9);
const account = await createAssociatedTokenAccount(connection, payer, mint, key);
const minted = await mintTo(connection, payer, mint, account, key, 5_000_000_000n);
const { value: status } = await connection.getSignatureStatus(minted);
const { blockhash } = await connection.getLatestBlockhash();
const transfer = SystemProgram.transfer({ fromPubkey: key, toPubkey: key, lamports: 1 });
const content = { payerKey: key, recentBlockhash: blockhash, instructions: [transfer] };
const message = new TransactionMessage(content).compileToV0Message();
const versioned = new VersionedTransaction(message);
const legacy = new Transaction().add(transfer);
const v0 = { maxSupportedTransactionVersion: 0 };

const calls = {
  getAccountInfo: () => connection.getAccountInfo(mint),
  getAccountInfo_slice: () =>
    connection.getAccountInfo(mint, { dataSlice: { offset: 0, length: 4 } }),
  getAccountInfoAndContext: () => connection.getAccountInfoAndContext(key),
  getAccountInfo_unknown: () => connection.getAccountInfo(Keypair.generate().publicKey),
  getBalance: () => connection.getBalance(key),
  getBalanceAndContext: () => connection.getBalanceAndContext(key),
  getBlock: () => connection.getBlock(status.slot, v0),
  getBlock_accounts: () =>
    connection.getBlock(status.slot, { ...v0, transactionDetails: "accounts" }),
  getBlock_none: () => connection.getBlock(status.slot, { ...v0, transactionDetails: "none" }),
  getBlock_no_rewards: () => connection.getBlock(status.slot, { ...v0, rewards: false }),
  getParsedBlock: () => connection.getParsedBlock(status.slot, v0),
  getParsedBlock_accounts: () =>
    connection.getParsedBlock(status.slot, { ...v0, transactionDetails: "accounts" }),
  getBlockHeight: () => connection.getBlockHeight(),
  getBlockProduction: () => connection.getBlockProduction(),
  getBlocks: () => connection.getBlocks(0, 5),
  getBlockSignatures: () => connection.getBlockSignatures(status.slot),
  getBlockTime: () => connection.getBlockTime(status.slot),
  getClusterNodes: () => connection.getClusterNodes(),
  getEpochInfo: () => connection.getEpochInfo(),
  getEpochSchedule: () => connection.getEpochSchedule(),
  getFeeForMessage: () => connection.getFeeForMessage(message),
  getFirstAvailableBlock: () => connection.getFirstAvailableBlock(),
  getGenesisHash: () => connection.getGenesisHash(),
  getInflationGovernor: () => connection.getInflationGovernor(),
  getInflationRate: () => connection.getInflationRate(),
  getInflationReward: () => connection.getInflationReward([key]),
  getLargestAccounts: () => connection.getLargestAccounts(),
  getLargestAccounts_circulating: () => connection.getLargestAccounts({ filter: "circulating" }),
  getLatestBlockhashAndContext: () => connection.getLatestBlockhashAndContext(),
  getLeaderSchedule: () => connection.getLeaderSchedule(),
  getMinimumBalanceForRentExemption: () => connection.getMinimumBalanceForRentExemption(100),
  getMinimumLedgerSlot: () => connection.getMinimumLedgerSlot(),
  getMultipleAccountsInfo: () => connection.getMultipleAccountsInfo([key, mint, account]),
  getMultipleParsedAccounts: () => connection.getMultipleParsedAccounts([key, mint, account]),
  getParsedAccountInfo: () => connection.getParsedAccountInfo(account),
  getParsedProgramAccounts: () =>
    connection.getParsedProgramAccounts(TOKEN_PROGRAM_ID, { filters: [{ dataSize: 165 }] }),
  getParsedTokenAccountsByOwner: () =>
    connection.getParsedTokenAccountsByOwner(key, { programId: TOKEN_PROGRAM_ID }),
  getParsedTransaction: () => connection.getParsedTransaction(minted, v0),
  getParsedTransactions: () => connection.getParsedTransactions([minted, funded], v0),
  getProgramAccounts: () => connection.getProgramAccounts(TOKEN_PROGRAM_ID),
  getProgramAccounts_context: () =>
    connection.getProgramAccounts(TOKEN_PROGRAM_ID, { withContext: true, filters: [] }),
  getRecentPerformanceSamples: () => connection.getRecentPerformanceSamples(4),
  getRecentPrioritizationFees: () => connection.getRecentPrioritizationFees(),
  getRecentPrioritizationFees_of: () =>
    connection.getRecentPrioritizationFees({ lockedWritableAccounts: [account] }),
  getSignatureStatus: () =>
    connection.getSignatureStatus(minted, { searchTransactionHistory: true }),
  getSignatureStatuses: () => connection.getSignatureStatuses([minted, funded]),
  getSignaturesForAddress: () => connection.getSignaturesForAddress(account, { limit: 1 }),
  getSlot: () => connection.getSlot(),
  getSlotLeader: () => connection.getSlotLeader(),
  getSlotLeaders: () => connection.getSlotLeaders(1, 3),
  getStakeMinimumDelegation: () => connection.getStakeMinimumDelegation(),
  getSupply: () => connection.getSupply({ excludeNonCirculatingAccountsList: true }),
  getTokenAccountBalance: () => connection.getTokenAccountBalance(account),
  getTokenAccountsByOwner: () => connection.getTokenAccountsByOwner(key, { mint }),
  getTokenLargestAccounts: () => connection.getTokenLargestAccounts(mint),
  getTokenSupply: () => connection.getTokenSupply(mint),
  getTransaction: () => connection.getTransaction(minted, v0),
  getTransaction_unknown: () => connection.getTransaction("1".repeat(64), v0),
  getTransactions: () => connection.getTransactions([minted, funded], v0),
  getTransactionCount: () => connection.getTransactionCount(),
  getVersion: () => connection.getVersion(),
  getVoteAccounts: () => connection.getVoteAccounts(),
  isBlockhashValid: () => connection.isBlockhashValid(blockhash),
  simulateTransaction: () =>
    connection.simulateTransaction(versioned, { replaceRecentBlockhash: true }),
  simulateTransaction_accounts: () =>
    connection.simulateTransaction(versioned, {
      innerInstructions: true, accounts: { encoding: "base64", addresses: [key.toBase58()] },
    }),
  simulateTransaction_legacy: () => connection.simulateTransaction(legacy, [payer], [key]),
};
const facts = {};
for (const [name, call] of Object.entries(calls)) {
  facts[name] = await call().then(() => "ok", (error) => String(error.message));
}

// Subscriptions that a token's life did not need.
const once = (listen) => new Promise((resolve) => listen(resolve));
const told = once((tell) => connection.onLogs("all", tell));
const seen = once((tell) => connection.onAccountChange(key, tell, { encoding: "jsonParsed" }));
// Once the last of them tells something all are there: they are asked for in order, on one socket.
await once((tell) => connection.onSlotUpdate(tell));
facts.onSlotUpdate = "ok";
await sendAndConfirmTransaction(connection, new Transaction().add(transfer), [payer]);
await Promise.all([told, seen]);
facts.onLogs_all = "ok";
facts.onAccountChange_parsed = "ok";
console.log(JSON.stringify(facts));
process.exit(0);
