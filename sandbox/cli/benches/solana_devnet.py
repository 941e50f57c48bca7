"""The Solana devnet, against LiteSVM alone in the same process and run (`sandbox bench`)."""

import asyncio
import itertools
import secrets
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import uvloop

from sandbox.cli import show
from sandbox.cli.benches import measure, rpc, solana_history, solana_subscriptions
from sandbox.cli.benches.limits import litesvm_transfers_per_second
from sandbox.cli.benches.rpc import Connection
from sandbox.cli.benches.solana_payers import Payers, Signed
from sandbox.devnets.running import Running, start
from sandbox.devnets.solana.process import command

CONNECTIONS, BATCH, ROUNDS = 16, 50, 3
TRANSACTIONS = 6_000  # per round and way of sending
RAW_TRANSACTIONS = 3_000
READ_LOAD = 30_000
READERS, READ_EACH_S = 4, 0.020  # of each method
SLOT_MS = 400
LIMIT = "raw LiteSVM with its signature check"
Add = Callable[..., None]
WAYS = {
    "skip": "sendTransaction, preflight off, 16 connections",
    "preflight": "sendTransaction with preflight, 16 connections",
    "batch": f"sendTransaction, batches of {BATCH}, 16 connections",
}


def run(add: Add, history: int) -> None:
    """Speed, reads under load and subscriptions on one devnet; another gets a long past."""
    folder = Path(tempfile.mkdtemp(prefix="kzte-bench-solana-"))
    try:
        uvloop.run(_load(add, folder / "load"))
        uvloop.run(solana_history.measured(add, folder / "history", history))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _load(add: Add, folder: Path) -> None:
    devnet = await start(command(folder, slot_ms=SLOT_MS))
    try:
        payers = Payers(devnet.rpc)
        await payers.fund()
        add("PSS of the Solana devnet, started", measure.pss_bytes([devnet.pid]) / 1e6, "MB")
        await _speed(add, devnet, payers)
        await _reads(add, devnet, payers)
        name = f"PSS of the Solana devnet, right after {payers.signed:,} payments"
        add(name, measure.pss_bytes([devnet.pid]) / 1e6, "MB")
        show.err.print("Solana devnet: subscriptions")
        await solana_subscriptions.served(add, devnet, payers, SLOT_MS)
        found = await payers.received()
        assert found == payers.signed, f"{payers.signed} payments were sent, {found} arrived"
    finally:
        await devnet.stop()


async def _speed(add: Add, devnet: Running, payers: Payers) -> None:
    """Rounds of raw and of each way to send, in turn; the median of each counts."""
    rates: dict[str, list[float]] = {way: [] for way in ("raw", *WAYS)}
    used: dict[str, float] = {}
    generator_s = 0.0
    for number in range(ROUNDS):
        show.err.print(f"Solana devnet: round {number + 1} of {ROUNDS}")
        rates["raw"].append(litesvm_transfers_per_second(RAW_TRANSACTIONS))
        for way in WAYS:
            requests = _requests(devnet.rpc, await payers.sign(TRANSACTIONS), way)
            cpu, own = measure.cpu_seconds([devnet.pid]), time.process_time()
            began = time.perf_counter()
            await rpc.pour(devnet.rpc, CONNECTIONS, requests)
            rates[way].append(TRANSACTIONS / (time.perf_counter() - began))
            used[way] = used.get(way, 0) + measure.cpu_seconds([devnet.pid]) - cpu
            if way == "skip":
                generator_s += time.process_time() - own
    raw = statistics.median(rates["raw"])
    add(LIMIT, raw, "1/s")
    sent = ROUNDS * TRANSACTIONS
    for way, name in WAYS.items():
        add(name, statistics.median(rates[way]), "1/s", raw)
        add(f"CPU of the devnet: {name}", used[way] * 1e6 / sent, "µs")
    add(f"CPU of the load generator: {WAYS['skip']}", generator_s * 1e6 / sent, "µs")


def _requests(url: str, signed: list[Signed], way: str) -> list[bytes]:
    options = {"encoding": "base64", "skipPreflight": way != "preflight"}
    if way != "batch":
        return [rpc.call(url, "sendTransaction", one.raw, options) for one in signed]
    asked = [rpc.one("sendTransaction", one.raw, options) for one in signed]
    return [rpc.post(url, asked[at : at + BATCH]) for at in range(0, len(asked), BATCH)]


async def _reads(add: Add, devnet: Running, payers: Payers) -> None:
    """Readers of three methods while all connections send as fast as they are answered."""
    show.err.print("Solana devnet: reads under load")
    url, signed = devnet.rpc, await payers.sign(READ_LOAD)
    account = (str(payers.paid_to), {"encoding": "base64", "commitment": "confirmed"})
    asked = {
        "getLatestBlockhash": [rpc.call(url, "getLatestBlockhash")],
        "getAccountInfo": [rpc.call(url, "getAccountInfo", *account)],
        "getSignatureStatuses": [
            rpc.call(url, "getSignatureStatuses", [one.signature]) for one in signed[::100]
        ],
    }
    sending = asyncio.create_task(rpc.pour(url, CONNECTIONS, _requests(url, signed, "skip")))
    reading = {
        name: [asyncio.create_task(_read(url, requests, sending)) for _ in range(READERS)]
        for name, requests in asked.items()
    }
    sent = await sending
    for name, tasks in reading.items():
        took = list(itertools.chain.from_iterable(await asyncio.gather(*tasks)))
        add(f"{name} p99 under that load", measure.percentile(took, 0.99) * 1000, "ms")
        add(f"{name}, the slowest of {len(took):,}", max(took) * 1000, "ms")
    add("sendTransaction p99 of that load", measure.percentile(sent, 0.99) * 1000, "ms")


async def _read(url: str, requests: list[bytes], load: asyncio.Task[list[float]]) -> list[float]:
    """Seconds of each answer until the load has ended, from when it was due to be asked for.

    So a pause of the server counts for each reader who would have come meanwhile.
    """
    connection = await Connection.to(url)
    await asyncio.sleep(secrets.randbelow(1_000) / 1_000 * READ_EACH_S)
    took, due = list[float](), time.perf_counter()
    while not load.done():
        await connection.ask(requests[len(took) % len(requests)])
        took.append(time.perf_counter() - due)
        due += READ_EACH_S
        await asyncio.sleep(max(0, due - time.perf_counter()))
    await connection.close()
    return took
