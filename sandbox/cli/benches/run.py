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

from rich.table import Table

from sandbox.cli import pay, show
from sandbox.cli.benches import (
    books,
    door,
    growth,
    latency,
    measure,
    solana_devnet,
    statements,
    town,
    webhooks,
    worlds,
)
from sandbox.cli.benches.limits import litesvm_transfers_per_second
from sandbox.cli.benches.limits_evm import anvil_transfers_per_second
from sandbox.cli.benches.payers import EvmPayer, Payer, SolanaPayer
from sandbox.cli.benches.shop import CONNECTIONS, Shop, open_shop
from sandbox.cli.endpoints import Running
from sandbox.devnets.evm import process as evm

PRICE_TIYN = 1_000
EMPTY_ROUTES, AT_ONCE = 1_600, 100
SLOT_MS = 100
LIMIT_TRANSFERS = 2_000
EVM_TRANSFERS = 10_000
LATENCIES = 100
DEVNETS = {"solana": solana_devnet.run}
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


def run(payments: int, most: int, history: int, as_json: bool) -> int:
    """Start a sandbox of its own, measure, stop it; another one grows to `most` payments."""
    folder = Path(tempfile.mkdtemp(prefix="kzte-bench-"))
    figures = Figures()
    try:
        show.err.print("limits: raw LiteSVM, raw anvil")
        figures.add(RAW["solana"], litesvm_transfers_per_second(LIMIT_TRANSFERS), "1/s")
        figures.add(RAW["evm"], asyncio.run(anvil_transfers_per_second(LIMIT_TRANSFERS)), "1/s")
        for measured in DEVNETS.values():
            measured(figures.add, history)
        show.err.print("books and log alone")
        books.measure(figures.add)
        show.err.print("a long statement of the bank")
        statements.measure(figures.add)
        process, running, payable_s = _start(folder)
        try:
            figures.add("start to first payable checkout", payable_s, "s")
            _memory(figures, process.pid, "PSS of all processes, idle")
            asyncio.run(worlds.measure(figures.add, running, "without payments"))
            asyncio.run(_load(figures, running, folder, payments))
            asyncio.run(town.settle(figures.add, running, SolanaPayer(running.endpoints)))
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
    _say(figures, as_json, payments=payments, past_transactions=history)
    return 0


def reconcile(lines: int, as_json: bool) -> int:
    """Take and reconcile one statement of so many lines, and nothing else."""
    figures = Figures()
    statements.measure(figures.add, lines)
    _say(figures, as_json, statement_lines=lines)
    return 0


def one_devnet(chain: str, history: int, as_json: bool) -> int:
    """A devnet under load, and with so many past transactions, and nothing else."""
    figures = Figures()
    DEVNETS[chain](figures.add, history)
    _say(figures, as_json, past_transactions=history)
    return 0


def _say(figures: Figures, as_json: bool, **counts: int) -> None:
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    if as_json:
        print(json.dumps({"machine": machine, **counts, "figures": figures.rows}))
    else:
        _print(figures, machine, counts)


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
    async with open_shop(running, PRICE_TIYN) as shop:
        figures.add("empty route", await shop.ask_nothing(EMPTY_ROUTES), "1/s")
        began = time.monotonic()
        sessions = await shop.create(payments)
        rate = payments / (time.monotonic() - began)
        name, limit = f"session creation, {CONNECTIONS} connections", figures.value("empty route")
        figures.add(name, rate, "1/s", limit)
        figures.add("session creation p50", shop.took(0.50), "ms")
        figures.add("session creation p99", shop.took(0.99), "ms")
        payers: list[Payer] = [SolanaPayer(running.endpoints), EvmPayer(running.endpoints)]
        for payer in payers:
            await _paid(figures, shop, running, folder, payer, sessions)
            sessions = await shop.create(payments)
        await latency.waits(figures.add, running, payers, LATENCIES)
        await door.costs(figures.add, running)
        await _webhooks(figures, running, shop)
        await _fill_up(payers[1], 2 * payments)


def only_webhooks(as_json: bool) -> int:
    """Webhooks and event streams, and nothing else."""
    folder = Path(tempfile.mkdtemp(prefix="kzte-bench-"))
    figures = Figures()

    async def measured(running: Running) -> None:
        async with open_shop(running, PRICE_TIYN) as shop:
            payer = SolanaPayer(running.endpoints)
            needed_tiyn = LATENCIES * 10 * PRICE_TIYN
            await asyncio.to_thread(pay.fund, running, payer.chain, payer.address, needed_tiyn)
            began = time.monotonic()
            await shop.completed(await _bought(shop, payer, LATENCIES * 5))
            rate = LATENCIES * 5 / (time.monotonic() - began)
            figures.add(f"payments on {payer.chain}, with HTTP creation", rate, "1/s")
            await _webhooks(figures, running, shop)

    try:
        process, running, _ = _start(folder)
        try:
            asyncio.run(measured(running))
        finally:
            process.terminate()
            process.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    _say(figures, as_json, deliveries=webhooks.DELIVERIES)
    return 0


async def _webhooks(figures: Figures, running: Running, shop: Shop) -> None:
    """What webhooks do, alone and at half of the rate of payments that was measured before."""
    await webhooks.measure_all(figures.add, running, shop)
    load, probe = SolanaPayer(running.endpoints), SolanaPayer(running.endpoints)
    half = figures.value(f"payments on {load.chain}, with HTTP creation") / 2
    for payer in (load, probe):
        needed_tiyn = round(half * webhooks.LONGEST_LOAD_S) * PRICE_TIYN
        await asyncio.to_thread(pay.fund, running, payer.chain, payer.address, needed_tiyn)
    await webhooks.under_load(figures.add, running, shop, load, probe, half)


async def _grow(figures: Figures, running: Running, folder: Path, most: int) -> None:
    payer = SolanaPayer(running.endpoints)
    await asyncio.to_thread(pay.fund, running, payer.chain, payer.address, most * PRICE_TIYN)
    async with open_shop(running, PRICE_TIYN) as shop:
        await growth.grow(figures.add, running, payer, most, shop, lambda: _cpu(folder))


async def _paid(
    figures: Figures,
    shop: Shop,
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
    await shop.completed(sessions)
    seconds, after = time.monotonic() - began, _cpu(folder)
    figures.add(f"payments on {chain}, sessions made before", payments / seconds, "1/s", limit)
    _used(figures, f"CPU per payment on {chain}", before, after, payments)
    began, before = time.monotonic(), _cpu(folder)
    await shop.completed(await _bought(shop, payer, payments))
    seconds, after = time.monotonic() - began, _cpu(folder)
    figures.add(f"payments on {chain}, with HTTP creation", payments / seconds, "1/s", limit)
    _used(figures, f"CPU per payment on {chain} with its creation", before, after, payments)


async def _bought(shop: Shop, payer: Payer, payments: int) -> list[dict[str, Any]]:
    """New sessions, paid while the next are made."""

    async def pay_all(made: list[dict[str, Any]]) -> None:
        if made:
            await payer.send(await payer.sign(made))

    sessions: list[dict[str, Any]] = []
    paying = asyncio.create_task(pay_all([]))
    while len(sessions) < payments:
        made = await shop.create(min(AT_ONCE, payments - len(sessions)))
        sessions += made
        await paying
        paying = asyncio.create_task(pay_all(made))
    await paying
    return sessions


def _used(
    figures: Figures, what: str, before: dict[str, float], after: dict[str, float], payments: int
) -> None:
    for name, used in after.items():
        figures.add(f"{what}: {name}", (used - before[name]) * 1000 / payments, "ms")


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


def _print(figures: Figures, machine: str, counts: dict[str, int]) -> None:
    said = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items())
    table = Table(title=f"KZTE Sandbox bench: {said}, {machine}", title_justify="left")
    for column in ("figure", "value", "unit", "ratio to limit"):
        table.add_column(column, justify="left" if column in ("figure", "unit") else "right")
    for row in figures.rows:
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.4f}"
        table.add_row(row["name"], f"{row['value']:,.2f}", row["unit"], ratio)
    show.out.print(table)
