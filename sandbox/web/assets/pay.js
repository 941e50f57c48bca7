// Makes the page live: countdown, polling, copy buttons, networks. Without it the page reloads itself.

import { draw, start } from "./wallet.js";

const POLL_MS = 2000;
const status = document.getElementById("status");
let live = document.getElementById("live");
let seconds = Number(live.dataset.seconds);

function face(s) {
  const h = Math.floor(s / 3600), m = Math.floor(s / 60) % 60, two = (n) => String(n).padStart(2, "0");
  return h ? h + ":" + two(m) + ":" + two(s % 60) : m + ":" + two(s % 60);
}

function addCopyButtons() {
  if (!navigator.clipboard) return;
  for (const code of live.querySelectorAll("dd code")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = live.dataset.copy;
    button.setAttribute("aria-label", live.dataset.copy + ": " + code.closest("div").querySelector("dt").textContent);
    button.addEventListener("click", () => {
      navigator.clipboard.writeText(code.textContent).then(() => {
        button.textContent = live.dataset.copied;
        setTimeout(() => { button.textContent = live.dataset.copy; }, 1500);
      }, () => {});
    });
    code.after(button);
  }
}

// The address keeps the choice, so that renewing, reloading and another language keep it too.
function choose(network) {
  const address = new URL(location.href);
  address.searchParams.set("network", network);
  history.replaceState(null, "", address);
  for (const link of live.querySelectorAll(".networks a")) {
    if (link.dataset.network === network) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  for (const way of live.querySelectorAll(".way")) way.hidden = way.dataset.network !== network;
  for (const link of document.querySelectorAll(".top nav a")) {
    const other = new URL(link.href);
    other.searchParams.set("network", network);
    link.href = other.search;
  }
}

document.addEventListener("click", (event) => {
  const link = event.target.closest(".networks a");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  choose(link.dataset.network);
});

async function renew() {
  const answer = await fetch(location.href, { cache: "no-store" });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const message = fresh.getElementById("status");
  // The live region itself stays, so that screen readers announce the new text.
  status.className = message.className;
  status.textContent = message.textContent;
  for (const part of [".amount", ".parts", ".time"]) {
    const old = document.querySelector(part), now = fresh.querySelector(part);
    if (old && now) old.replaceWith(now);
    else if (old) old.remove();
    else if (now) status.before(now);
  }
  const next = fresh.getElementById("live");
  live.replaceWith(next);
  live = next;
  seconds = Number(live.dataset.seconds);
  addCopyButtons();
  draw();
}

async function look() {
  const url = "/pay/" + live.dataset.session + "/state?lang=" + live.dataset.language;
  const answer = await fetch(url, { cache: "no-store" });
  if (!answer.ok) throw new Error(answer.status);
  const now = await answer.json();
  seconds = now.seconds_left;
  if (now.state !== live.dataset.state || now.left !== live.dataset.left) await renew();
  else if (!now.pending) live.dataset.running = "no";
}

async function poll() {
  try {
    await look();
  } catch (_) {
    // The next poll tries again.
  }
  if (live.dataset.running === "yes") setTimeout(poll, POLL_MS);
}

setInterval(() => {
  const countdown = document.getElementById("countdown");
  if (seconds > 0) seconds -= 1;
  if (countdown) countdown.textContent = face(seconds);
}, 1000);
addCopyButtons();
start(look);
if (live.dataset.running === "yes") setTimeout(poll, POLL_MS);
