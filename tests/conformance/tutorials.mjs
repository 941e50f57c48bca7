// What the first pages of the official guides let a newcomer type, with nothing but the URL
// changed: the WebSocket address is left to the client where the guide leaves it.
// usage: node tutorials.mjs <rpc> <ws> <slot-ms>      prints what each ends with as JSON

import {
  Connection, Keypair, LAMPORTS_PER_SOL, SystemProgram, Transaction, sendAndConfirmTransaction,
} from "@solana/web3.js";
import {
  createMint, getAccount, getMint, getOrCreateAssociatedTokenAccount, mintTo, transfer,
} from "@solana/spl-token";
import {
  airdropFactory, createSolanaRpc, createSolanaRpcSubscriptions, generateKeyPairSigner, lamports,
} from "@solana/kit";

// As people type it, not as we print it.
const asTyped = (url) => url.replace("127.0.0.1", "localhost");
const [rpcUrl, wsUrl] = process.argv.slice(2, 4).map(asTyped);
// web3.js keeps a blockhash for 30 s: 150 blocks last that long only from 200 ms a slot on.
const isFast = Number(process.argv[4]) < 200;
const facts = {};

// solana.com, "Send SOL" with web3.js
{
  const connection = new Connection(rpcUrl, "confirmed");
  connection._disableBlockhashCaching = isFast;
  const sender = new Keypair();
  const receiver = new Keypair();
  const signature = await connection.requestAirdrop(sender.publicKey, LAMPORTS_PER_SOL);
  await connection.confirmTransaction(signature, "confirmed");
  const transferInstruction = SystemProgram.transfer({
    fromPubkey: sender.publicKey,
    toPubkey: receiver.publicKey,
    lamports: 0.01 * LAMPORTS_PER_SOL,
  });
  const transaction = new Transaction().add(transferInstruction);
  await sendAndConfirmTransaction(connection, transaction, [sender]);
  facts.send_sol = [
    await connection.getBalance(sender.publicKey),
    await connection.getBalance(receiver.publicKey),
  ];
}

// The guide of spl-token: create a token, mint some, hand some on
{
  const connection = new Connection(rpcUrl, "confirmed");
  connection._disableBlockhashCaching = isFast;
  const payer = Keypair.generate();
  const mintAuthority = Keypair.generate();
  const freezeAuthority = Keypair.generate();
  const airdropSignature = await connection.requestAirdrop(payer.publicKey, LAMPORTS_PER_SOL);
  await connection.confirmTransaction(airdropSignature);
  const mint = await createMint(
    connection, payer, mintAuthority.publicKey, freezeAuthority.publicKey, 9,
  );
  const tokenAccount = await getOrCreateAssociatedTokenAccount(
    connection, payer, mint, payer.publicKey,
  );
  await mintTo(connection, payer, mint, tokenAccount.address, mintAuthority, 100000000000);
  const toTokenAccount = await getOrCreateAssociatedTokenAccount(
    connection, payer, mint, Keypair.generate().publicKey,
  );
  await transfer(
    connection, payer, tokenAccount.address, toTokenAccount.address, payer.publicKey, 50,
  );
  const mintInfo = await getMint(connection, mint);
  const accountInfo = await getAccount(connection, toTokenAccount.address);
  facts.create_token = [String(mintInfo.supply), String(accountInfo.amount)];
}

// The quick start of kit: fund a wallet, watch the slots go by
{
  const rpc = createSolanaRpc(rpcUrl);
  const rpcSubscriptions = createSolanaRpcSubscriptions(wsUrl);
  const wallet = await generateKeyPairSigner();
  await airdropFactory({ rpc, rpcSubscriptions })({
    recipientAddress: wallet.address,
    lamports: lamports(1_000_000_000n),
    commitment: "confirmed",
  });
  const { value: balance } = await rpc
    .getBalance(wallet.address, { commitment: "confirmed" }).send();
  const abortController = new AbortController();
  const slots = await rpcSubscriptions
    .slotNotifications().subscribe({ abortSignal: abortController.signal });
  let seen = 0;
  for await (const slot of slots) {
    seen += Number(slot.slot > slot.parent);
    if (seen === 3) abortController.abort();
  }
  facts.quick_start = [String(balance), seen];
}
console.log(JSON.stringify(facts));
process.exit(0);
