// Pays with a wallet in the browser (EIP-1193, found by EIP-6963). Its own words are never shown.

const CHAIN_WAIT_MS = 300, CHAIN_TRIES = 10, RECEIPT_MS = 2000, RECEIPT_TRIES = 300;
const UNNAMED = "window", MAX_WALLETS = 8, LATE_WALLET_MS = 1500;
const REFUSALS = { 4001: "rejected", 4100: "locked", 4900: "offline", 4901: "offline", [-32002]: "busy" };

const wallets = new Map(); // id → {name, provider}
let refresh = async () => {};
let told = null; // {network, key, busy, hash}: what is said now, and where
let sent = null; // {payment, seen}: a transaction that is on its way

class Told extends Error {
  constructor(key) { super(key); this.key = key; }
}

const pause = (ms) => new Promise((done) => { setTimeout(done, ms); });
const live = () => document.getElementById("live");
const boxOf = (network) => live().querySelector('.browser[data-network="' + CSS.escape(network) + '"]');

function refusal(error) {
  return REFUSALS[error && error.code] || REFUSALS[error && error.data && error.data.originalError && error.data.originalError.code];
}

function say(network, key, busy = false, hash = "") {
  told = { network, key, busy, hash };
  draw();
}

// The buttons and the note of every way that a browser wallet can pay.
export function draw() {
  const texts = JSON.parse(live().dataset.texts);
  for (const box of live().querySelectorAll(".browser")) {
    if (sent && sent.seen && sent.payment !== box.dataset.payment) sent = told = null;
    for (const button of box.querySelectorAll("button")) {
      if (!wallets.has(button.dataset.wallet)) button.remove();
    }
    for (const [id, { name, provider }] of wallets) {
      if ([...box.querySelectorAll("button")].some((button) => button.dataset.wallet === id)) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "button";
      button.dataset.wallet = id;
      button.textContent = name ? texts.pay_with.replace("{wallet}", () => name) : texts.pay;
      button.addEventListener("click", () => pay(provider, box));
      box.append(button);
    }
    if (!wallets.size) continue;
    let note = box.querySelector(".note");
    if (!note) {
      note = document.createElement("p");
      note.className = "note";
      note.setAttribute("role", "status");
    }
    box.append(note);
    const mine = told && told.network === box.dataset.network ? told : null;
    const payment = JSON.parse(box.dataset.payment);
    const words = mine ? texts[mine.key] : "";
    note.textContent = words
      .replace("{network}", () => box.dataset.title)
      .replace("{chain_id}", () => payment.chain_id);
    note.classList.toggle("bad", Boolean(mine) && !mine.busy);
    if (mine && mine.hash) {
      const code = document.createElement("code");
      code.textContent = mine.hash;
      note.append(" ", code);
    }
    for (const button of box.querySelectorAll("button")) {
      button.setAttribute("aria-disabled", String(Boolean(told && told.busy)));
    }
  }
}

async function useChain(provider, payment) {
  const isHere = async () => Number(await provider.request({ method: "eth_chainId" })) === payment.chain_id;
  if (await isHere()) return;
  try {
    const chainId = "0x" + payment.chain_id.toString(16);
    await provider.request({ method: "wallet_switchEthereumChain", params: [{ chainId }] });
  } catch (error) {
    if (refusal(error)) throw error;
    if (!payment.network) throw new Told("network");
    await provider.request({ method: "wallet_addEthereumChain", params: [payment.network] });
  }
  // Some wallets answer before they have switched, and adding need not switch.
  for (let tries = 0; tries < CHAIN_TRIES; tries += 1) {
    if (await isHere()) return;
    await pause(CHAIN_WAIT_MS);
  }
  throw new Told("network");
}

async function hasEnough(provider, payment, account) {
  const data = payment.balance_of + account.slice(2).padStart(64, "0");
  try {
    const units = await provider.request({ method: "eth_call", params: [{ to: payment.to, data }, "latest"] });
    return BigInt(units) >= BigInt(payment.amount_units);
  } catch (_) {
    return true; // The wallet itself will look.
  }
}

async function pay(provider, box) {
  if (told && told.busy) return;
  const network = box.dataset.network, asked = box.dataset.payment, payment = JSON.parse(asked);
  let isAsked = false;
  say(network, "asking", true);
  try {
    const [account] = await provider.request({ method: "eth_requestAccounts" });
    if (!account) throw new Told("locked");
    await useChain(provider, payment);
    if (!(await hasEnough(provider, payment, account))) throw new Told("short");
    // The wallet may have taken its time: nobody pays what is paid, over, or another amount now.
    await refresh();
    const now = boxOf(network);
    if (!now) { told = null; return; }
    if (now.dataset.payment !== asked) throw new Told("changed");
    const chainId = "0x" + payment.chain_id.toString(16);
    isAsked = true;
    const hash = await provider.request({
      method: "eth_sendTransaction",
      params: [{ from: account, to: payment.to, data: payment.data, value: "0x0", chainId }],
    });
    sent = { payment: asked, seen: false };
    say(network, "sent", true, String(hash));
    await follow(provider, network, hash);
  } catch (error) {
    say(network, error.key || refusal(error) || (isAsked ? "unknown" : "error"));
  }
}

// Until it is in a block; what it did there is for the page to say, unless it failed.
async function follow(provider, network, hash) {
  for (let tries = 0; tries < RECEIPT_TRIES; tries += 1) {
    await pause(RECEIPT_MS);
    let receipt = null;
    try {
      receipt = await provider.request({ method: "eth_getTransactionReceipt", params: [hash] });
    } catch (_) {
      continue;
    }
    if (!receipt) continue;
    if (Number(receipt.status) === 0) {
      sent = null;
      say(network, "reverted", false, String(hash));
    } else {
      sent.seen = true;
      draw();
    }
    return;
  }
}

function found(id, name, provider) {
  if (!provider || typeof provider.request !== "function" || wallets.has(id) || wallets.size >= MAX_WALLETS) return;
  wallets.set(id, { name, provider });
  draw();
}

// `look` asks the server for the state of the session, and renews the page if it is another one.
export function start(look) {
  refresh = look;
  addEventListener("eip6963:announceProvider", ({ detail }) => {
    if (!detail || !detail.info) return;
    wallets.delete(UNNAMED); // most likely the same one
    found(String(detail.info.uuid), String(detail.info.name || "").slice(0, 30), detail.provider);
  });
  dispatchEvent(new Event("eip6963:requestProvider"));
  const lookOnce = () => { if (!wallets.size) found(UNNAMED, "", window.ethereum); };
  lookOnce();
  setTimeout(lookOnce, LATE_WALLET_MS); // wallets' own browsers may be slower than the page
}
