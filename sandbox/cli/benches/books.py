"""Books and log alone, on a durable PostgreSQL of their own, beside what that can do at most."""

import asyncio
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import uvloop
from sqlalchemy import text

from sandbox import migrations
from sandbox.cli.benches.measure import percentile
from sandbox.core.db import Database, compare_whole_tables
from sandbox.core.ids import new_id
from sandbox.devnets import postgres
from sandbox.eventlog import keys as log_keys
from sandbox.eventlog import sequencer
from sandbox.eventlog.types import NewEvent
from sandbox.ledger import accounts, checks
from sandbox.ledger import service as ledger
from sandbox.ledger.journal import Changes, NewEntry, Resolution, credit, debit

ORIGIN = "bench.local/log"
MERCHANTS = 50
BULK, SINGLE, BATCHES = 1_000, 500, 20
CLIENTS = 8
LEGS = 1_000_000
READS = 500
Add = Callable[..., None]


def measure(add: Add) -> None:
    """Rows, entries and events per second; `add(name, value, unit, limit)` takes each."""
    # Not under a closed folder: PostgreSQL may run as another user (see `postgres_cluster`).
    folder = Path(tempfile.mkdtemp(prefix="kzte-bench-books-"))
    folder.chmod(0o711)
    server = postgres.start(folder / "data")
    try:
        bulk, single = uvloop.run(_limits(server.url))
        add("PostgreSQL: rows inserted, 1,000 a commit", bulk, "1/s")
        add("PostgreSQL: rows inserted, one a commit", single, "1/s")
        migrations.upgrade(server.url)
        uvloop.run(_books(add, server.app_url(), folder / "keys", bulk, single))
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def _books(add: Add, url: str, keys_dir: Path, bulk: float, single: float) -> None:
    database = Database(url)
    try:
        await _ledger(add, database, bulk, single)
        await _sequencer(add, database, keys_dir)
        add("the ledger's part of the audit, 1,000,000 legs", await _audit(database), "s")
    finally:
        await database.dispose()


async def _limits(url: str) -> tuple[float, float]:
    """Rows as an entry with four legs would need them, without anything that checks them."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "CREATE TABLE bench_row (id text PRIMARY KEY, line int, account bigint, amount bigint)"
        )
        insert = (
            "INSERT INTO bench_row SELECT * FROM"
            " unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[])"
        )

        async def rows(count: int) -> None:
            ids = [secrets.token_hex(15) for _ in range(count)]
            await connection.execute(insert, ids, [1] * count, [7] * count, [1_000] * count)

        began = time.perf_counter()
        for _ in range(BATCHES):
            await rows(BULK)
        bulk = BATCHES * BULK / (time.perf_counter() - began)
        began = time.perf_counter()
        for _ in range(SINGLE):
            await rows(1)
        return bulk, SINGLE / (time.perf_counter() - began)
    finally:
        await connection.close()


def _changes(count: int) -> Changes:
    """Units that reach the treasury, each for one of fifty merchants: reserved and made final."""
    at = datetime.now(UTC)
    changes = Changes()
    for index in range(count):
        ref = f"bench_{secrets.token_hex(8)}"
        legs = (
            debit(accounts.treasury("solana"), 1_000),
            credit(accounts.external("solana"), 1_000),
            debit(accounts.custody("solana"), 1_000),
            credit(accounts.merchant("solana", f"mch_{index % MERCHANTS}"), 1_000),
        )
        entry = new_id("ent", at)
        changes.entries.append(NewEntry(entry, "pending", "bench", ref, "solana", at, ref, legs))
        told = NewEvent(
            new_id("evt", at),
            "payment.final",
            at,
            {"object": "payment", "id": ref, "amount_units": 1_000, "chain_state": "final"},
            refs=(ref,),
        )
        changes.events.append(told)
        changes.resolutions.append(Resolution(ref, "posted", told.id, index))
    return changes


async def entries_per_second(database: Database, count: int, times: int) -> float:
    """The rate of `times` commits of `count` entries, each with four legs and an event."""
    prepared = [_changes(count) for _ in range(times)]
    began = time.perf_counter()
    for changes in prepared:
        async with database.transaction() as db:
            await ledger.record(db, changes)
    return count * times / (time.perf_counter() - began)


async def _ledger(add: Add, database: Database, bulk: float, single: float) -> None:
    await entries_per_second(database, 100, 2)
    batched = await entries_per_second(database, BULK, BATCHES)
    add("entries with four legs and an event, 1,000 a commit", batched, "1/s", bulk)
    add(
        "entries with four legs and an event, one a commit",
        await entries_per_second(database, 1, SINGLE),
        "1/s",
        single,
    )
    for name, hot in (("accounts of their own", False), ("one account between them", True)):
        rate = await _together(database, hot)
        add(f"entries one a commit, {CLIENTS} clients, {name}", rate, "1/s", single)
    add("balance read p99 at half the batched rate", await _reads(database, batched / 2), "ms")


async def _together(database: Database, hot: bool) -> float:
    """Entries per second of several clients at once, one a commit, each waiting for its own.

    `hot`: they all move one account; otherwise each has accounts of its own.
    """

    async def client(number: int) -> None:
        bank = "eurasian" if hot else f"bench-{number}"
        for _ in range(SINGLE // CLIENTS):
            at, ref = datetime.now(UTC), f"bench_{secrets.token_hex(8)}"
            legs = (
                debit(accounts.reserve_bank(bank), 100),
                credit(accounts.unidentified(f"bench-{number}"), 100),
            )
            entry = NewEntry(new_id("ent", at), "posted", "bench", ref, None, at, ref, legs)
            told = NewEvent(new_id("evt", at), "bench.booked", at, {"id": ref}, refs=(ref,))
            async with database.transaction() as db:
                await ledger.record(db, Changes(entries=[entry], events=[told]))

    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    began = time.perf_counter()
    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    return SINGLE // CLIENTS * CLIENTS / (time.perf_counter() - began)


async def _reads(database: Database, per_second: float) -> float:
    """p99 of reading a balance, in ms, while another process writes entries at `per_second`."""
    took: list[float] = []
    arguments = ("-c", _WRITER, database.url, str(per_second))
    writer = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE
    )
    assert writer.stdout is not None
    await writer.stdout.readline()
    for number in range(READS):
        began = time.perf_counter()
        async with database.transaction() as db:
            await ledger.balance(db, accounts.merchant("solana", f"mch_{number % MERCHANTS}"))
        took.append(time.perf_counter() - began)
        await asyncio.sleep(0.005)
    assert writer.returncode is None, "nobody wrote meanwhile"
    writer.terminate()
    await writer.wait()
    return percentile(took, 0.99) * 1000


_WRITER = "import sys; from sandbox.cli.benches.books import write; write(sys.argv[1], sys.argv[2])"


def write(url: str, per_second: str) -> None:
    """Write entries at that rate until somebody ends this process; a line says that it began."""

    async def forever() -> None:
        database = Database(url)
        await entries_per_second(database, 100, 1)
        sys.stdout.write("writing\n")
        sys.stdout.flush()
        began, written = time.perf_counter(), 0
        while True:
            await entries_per_second(database, 100, 1)
            written += 100
            await asyncio.sleep(max(0.0, began + written / float(per_second) - time.perf_counter()))

    uvloop.run(forever())


async def _audit(database: Database) -> float:
    """Seconds to recompute everything the ledger promises, from a million legs."""
    async with database.transaction() as db:
        legs = await db.scalar(text("SELECT count(*) FROM leg"))
    while legs < LEGS:
        await entries_per_second(database, BULK, 1)
        legs += 4 * BULK
    began = time.perf_counter()
    for check in (
        checks.entries_balance,
        checks.days_stay_sealed,
        checks.balances_are_sums,
        checks.entries_are_told,
        checks.funds_stay_apart,
    ):
        async with database.transaction() as db:
            await compare_whole_tables(db)
            assert all(found.ok for found in await check(db)), check
    return time.perf_counter() - began


async def _sequencer(add: Add, database: Database, keys_dir: Path) -> None:
    key = log_keys.load_or_create(keys_dir, ORIGIN)
    async with database.transaction() as db:
        await sequencer.open_epoch(db, key)
        waiting = await db.scalar(text("SELECT count(*) FROM event_queue"))
    leader = database.leader("sequence", "bench")
    began, done = time.perf_counter(), 0
    while took := await sequencer.Sequencer(database, leader, key).turn():
        done += took
    assert done == waiting, f"{done} of {waiting} events were sequenced"
    add("events sequenced and signed", done / (time.perf_counter() - began), "1/s")
