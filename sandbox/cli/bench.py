"""`sandbox bench`: what the sandbox does on this machine, against what the parts alone can do.

Every figure is taken in one run, so that ratios mean something on a shared and noisy machine.
"""

import asyncio
import json
import os
import platform
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from rich.table import Table

from sandbox.cli import bench_books, bench_growth, bench_latency, measure, pay, show
from sandbox.cli.bench_limits import litesvm_transfers_per_second
from sandbox.cli.bench_limits_evm import anvil_transfers_per_second
from sandbox.cli.bench_payers import EvmPayer, Payer, SolanaPayer
from sandbox.cli.endpoints import Running
from sandbox.devnets.evm import process as evm

PRICE_TIYN = 1_000
CONNECTIONS = 16
SLOT_MS = 100
LIMIT_TRANSFERS = 2_000
EVM_TRANSFERS = 10_000
LATENCIES = 100
RAW = {"solana": "raw LiteSVM transfers", "evm": "raw anvil transfers"}


@dataclass(slots=True)
class Figures:
    """The table that a run gives."""

    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, name: str, value: float, unit: str, limit: float | None = None) -> None:
        ratio = round(value / limit, 4) if limit else None
        self.rows.append({"name": name, "value": round(value, 2), "unit": unit, "ratio": ratio})

    def value(self, name: str) -> float:
        found: float = next(row["value"] for row in self.rows if row["name"] == name)
        return found


def run(payments: int, most: int, as_json: bool) -> int:
    """Start a sandbox of its own, measure, stop it; another one grows to `most` payments."""
    folder = Path(tempfile.mkdtemp(prefix="kzte-bench-"))
    figures = Figures()
    try:
        show.err.print("limits: raw LiteSVM, raw anvil")
        figures.add(RAW["solana"], litesvm_transfers_per_second(LIMIT_TRANSFERS), "1/s")
        figures.add(RAW["evm"], asyncio.run(anvil_transfers_per_second(LIMIT_TRANSFERS)), "1/s")
        show.err.print("books and log alone")
        bench_books.measure(figures.add)
        process, running, payable_s = _start(folder)
        try:
            figures.add("start to first payable checkout", payable_s, "s")
            _memory(figures, process.pid, "PSS of all processes, idle")
            asyncio.run(_load(figures, running, folder, payments))
            _memory(figures, process.pid, "PSS of all processes, after the load")
            for name, pids in _processes(folder).items():
                figures.add(f"PSS of {name}, after the load", measure.pss_bytes(pids) / 1e6, "MB")
        finally:
            process.terminate()
            process.wait(30)
        again_process, _, again_s = _start(folder)
        again_process.terminate()
        again_process.wait(30)
        figures.add("start again on the same data", again_s, "s")
        restarted_s = asyncio.run(_evm_start(folder))
        figures.add(f"EVM devnet's start after {EVM_TRANSFERS:,} transfers", restarted_s, "s")
        shutil.rmtree(folder / "sandbox")
        process, running, _ = _start(folder)
        try:
            asyncio.run(_grow(figures, running, folder, most))
            _memory(figures, process.pid, f"PSS of all processes, after {most:,} payments")
        finally:
            process.terminate()
            process.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    if as_json:
        print(  # noqa: T201 - the command's answer
            json.dumps({"machine": machine, "payments": payments, "figures": figures.rows})
        )
    else:
        _print(figures, machine, payments)
    return 0


def _start(folder: Path) -> tuple[subprocess.Popen[str], Running, float]:
    began = time.monotonic()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "sandbox.cli", "up", "--json"),
            *("--data-dir", str(folder / "sandbox"), "--port", "0", "--solana-port", "0"),
            *("--evm-port", "0"),
            *("--slot-ms", str(SLOT_MS), "--evm-block-ms", str(SLOT_MS)),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    running = Running(json.loads(process.stdout.readline()))
    running.post(
        "/v1/checkout/sessions", {"amount_tiyn": PRICE_TIYN, "currency": "KZT"}, "merchant"
    )
    return process, running, time.monotonic() - began


def _memory(figures: Figures, pid: int, name: str) -> None:
    figures.add(name, measure.pss_bytes(measure.family(pid)) / 1e6, "MB")


def _processes(folder: Path) -> dict[str, list[int]]:
    children = json.loads((folder / "sandbox" / "children.json").read_text())
    return {child["name"]: measure.family(child["pid"]) for child in children}


async def _load(figures: Figures, running: Running, folder: Path, payments: int) -> None:
    async with _client(running) as http:
        await _empty_route(figures, http)
        sessions, _ = await _sessions(figures, http, payments, "session creation")
        payers: list[Payer] = [SolanaPayer(running.endpoints), EvmPayer(running.endpoints)]
        for payer in payers:
            await _paid(figures, http, running, folder, payer, sessions)
            sessions, _ = await _sessions(None, http, payments, "")
        await bench_latency.waits(figures.add, running, payers, LATENCIES)
        await _fill_up(payers[1], 2 * payments)


async def _grow(figures: Figures, running: Running, folder: Path, most: int) -> None:
    async with _client(running) as http:
        payer = SolanaPayer(running.endpoints)
        needed_tiyn = most * PRICE_TIYN
        await asyncio.to_thread(pay.fund, running, payer.chain, payer.address, needed_tiyn)

        async def create(count: int) -> list[dict[str, Any]]:
            return (await _sessions(None, http, count, ""))[0]

        async def complete(sessions: list[dict[str, Any]]) -> None:
            await _sequenced(http, sessions)

        _sequenced_cursor.clear()
        await bench_growth.grow(
            figures.add, running, payer, most, create, complete, lambda: _cpu(folder)
        )


def _client(running: Running) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        base_url=running.endpoints["api"],
        headers={"Authorization": f"Bearer {running.key('merchant')}"},
        timeout=60,
        limits=httpx2.Limits(max_connections=CONNECTIONS),
    )


async def _paid(
    figures: Figures,
    http: httpx2.AsyncClient,
    running: Running,
    folder: Path,
    payer: Payer,
    sessions: list[dict[str, Any]],
) -> None:
    """Sessions made before, and as many with their creation, from the wallet to the log."""
    chain, payments = payer.chain, len(sessions)
    needed_tiyn = (2 * payments + LATENCIES) * PRICE_TIYN + EVM_TRANSFERS
    await asyncio.to_thread(pay.fund, running, chain, payer.address, needed_tiyn)
    limit = figures.value(RAW[chain])
    raws = await payer.sign(sessions)
    began, before = time.monotonic(), _cpu(folder)
    await payer.send(raws)
    await _sequenced(http, sessions)
    seconds, after = time.monotonic() - began, _cpu(folder)
    figures.add(f"payments on {chain}, sessions made before", payments / seconds, "1/s", limit)
    for name, used in after.items():
        cpu_ms = (used - before[name]) * 1000 / payments
        figures.add(f"CPU per payment on {chain}: {name}", cpu_ms, "ms")
    began = time.monotonic()
    sessions, _ = await _sessions(None, http, payments, "")
    await payer.send(await payer.sign(sessions))
    await _sequenced(http, sessions)
    seconds = time.monotonic() - began
    figures.add(f"payments on {chain}, with HTTP creation", payments / seconds, "1/s", limit)


async def _fill_up(payer: Payer, made: int) -> None:
    """People pay each other until the EVM chain has 10,000 transfers."""
    assert isinstance(payer, EvmPayer)
    missing = EVM_TRANSFERS - made
    for first in range(0, missing, LIMIT_TRANSFERS):
        count = min(LIMIT_TRANSFERS, missing - first)
        to = [("0x" + secrets.token_hex(20), 1) for _ in range(count)]
        await payer.send(await payer.sign_transfers(to))


async def _evm_start(folder: Path) -> float:
    began = time.monotonic()
    devnet = await evm.start(evm.command(folder / "sandbox" / "evm"))
    seconds = time.monotonic() - began
    await devnet.stop()
    return seconds


def _cpu(folder: Path) -> dict[str, float]:
    used = {name: measure.cpu_seconds(pids) for name, pids in _processes(folder).items()}
    used["load generator"] = time.process_time()
    return used


async def _empty_route(figures: Figures, http: httpx2.AsyncClient) -> None:
    async def worker(count: int) -> None:
        for _ in range(count):
            (await http.get("/healthz")).raise_for_status()

    began = time.monotonic()
    await asyncio.gather(*(worker(50) for _ in range(CONNECTIONS)))
    figures.add("empty route", 50 * CONNECTIONS / (time.monotonic() - began), "1/s")


async def _sessions(
    figures: Figures | None, http: httpx2.AsyncClient, count: int, name: str
) -> tuple[list[dict[str, Any]], float]:
    made: list[dict[str, Any]] = []
    took: list[float] = []

    async def worker(share: int) -> None:
        for _ in range(share):
            began = time.monotonic()
            answer = await http.post(
                "/v1/checkout/sessions",
                json={"amount_tiyn": PRICE_TIYN, "currency": "KZT"},
                headers={"Idempotency-Key": secrets.token_hex(12)},
            )
            took.append((time.monotonic() - began) * 1000)
            made.append(answer.raise_for_status().json())

    began = time.monotonic()
    shares = [count // CONNECTIONS + (i < count % CONNECTIONS) for i in range(CONNECTIONS)]
    await asyncio.gather(*(worker(share) for share in shares))
    seconds = time.monotonic() - began
    if figures is not None:
        figures.add(f"{name}, {CONNECTIONS} connections", count / seconds, "1/s",
                    figures.value("empty route"))  # fmt: skip
        figures.add(f"{name} p50", measure.percentile(took, 0.50), "ms")
        figures.add(f"{name} p99", measure.percentile(took, 0.99), "ms")
    return made, seconds


async def _sequenced(http: httpx2.AsyncClient, sessions: list[dict[str, Any]]) -> None:
    """Until every session is complete and its completion stands in the log."""
    last = [sessions[0]["id"], sessions[-1]["id"]]
    missing = {session["id"] for session in sessions}
    deadline = time.monotonic() + 120
    after = _sequenced_cursor.get("after", 0)
    while missing and time.monotonic() < deadline:
        page = (
            (
                await http.get(
                    "/v1/events",
                    params={"after": after, "limit": 100, "type": "checkout.session.completed"},
                )
            )
            .raise_for_status()
            .json()
        )
        for event in page["data"]:
            missing.discard(event["data"]["id"])
            after = event["sequence"]
        if not page["has_more"]:
            await asyncio.sleep(0.02)
    _sequenced_cursor["after"] = after
    if missing:
        raise TimeoutError(f"{len(missing)} sessions of {last} were not completed")


_sequenced_cursor: dict[str, int] = {}


def _print(figures: Figures, machine: str, payments: int) -> None:
    table = Table(title=f"KZTE Sandbox bench: {payments} payments, {machine}", title_justify="left")
    for column in ("figure", "value", "unit", "ratio to limit"):
        table.add_column(column, justify="left" if column in ("figure", "unit") else "right")
    for row in figures.rows:
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.4f}"
        table.add_row(row["name"], f"{row['value']:,.2f}", row["unit"], ratio)
    show.out.print(table)
