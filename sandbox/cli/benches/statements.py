"""A long statement of the bank, taken and reconciled, on a durable PostgreSQL of its own."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text

from sandbox import migrations
from sandbox.bank import calendar, inbox, registry
from sandbox.bank.accounts import RESERVE_IBAN
from sandbox.bank.iso20022 import statements
from sandbox.bank.models import Kind
from sandbox.core import clock
from sandbox.core.db import Database, compare_whole_tables
from sandbox.core.ids import new_id
from sandbox.devnets import postgres
from sandbox.eventlog.types import NewEvent
from sandbox.ledger import service as ledger
from sandbox.ledger.chart import accounts
from sandbox.ledger.journal import Changes, NewEntry, credit, debit
from sandbox.reserve import statement_checks

LINES = 100_000
BATCH = 1_000
DAY = date(2026, 11, 19)
Add = Callable[..., None]

# As the inbox writes a notice that was read; its XML is no part of what is compared.
_NOTICES = text(
    """
    INSERT INTO bank_message (direction, kind, ref, body, created_at, read_at)
    SELECT 'in', :kind, ref, jsonb_build_object('iban', CAST(:iban AS text), 'bank_reference', ref,
        'amount_tiyn', amount, 'currency', 'KZT', 'customer', 'bench', 'value_date',
        CAST(:day AS text), 'booked_at', CAST(:booked_at AS text)), :at, :at
    FROM unnest(CAST(:refs AS text[]), CAST(:amounts AS bigint[])) AS g (ref, amount)
    """
)
_BARE = text(
    "SELECT count(*) FROM bank_statement_line l FULL JOIN bank_message m ON m.ref = l.ref"
    " WHERE l.amount_tiyn IS DISTINCT FROM (m.body ->> 'amount_tiyn')::bigint"
)


def measure(add: Add, lines: int = LINES) -> None:
    """Seconds to take a day's statement of so many lines, and to reconcile it."""
    # Not under a closed folder: PostgreSQL may run as another user (see `postgres_cluster`).
    folder = Path(tempfile.mkdtemp(prefix="kzte-bench-statements-"))
    folder.chmod(0o711)
    server = postgres.start(folder / "data")
    try:
        migrations.upgrade(server.url)
        asyncio.run(_measure(add, server.app_url(), lines))
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def _measure(add: Add, url: str, lines: int) -> None:
    database = Database(url)
    at = calendar.ends_at(DAY) - timedelta(hours=12)
    try:
        async with database.transaction() as db:
            await db.execute(text("UPDATE clock SET frozen_at = :at"), {"at": at})
            await registry.ensure_accounts(db)
        for first in range(0, lines, BATCH):
            await _book(database, at, range(first, min(lines, first + BATCH)))
        xml = statements.build(_statement(at, lines), at)
        began = time.perf_counter()
        async with database.transaction() as db:
            await inbox.take_statement(db, RESERVE_IBAN, xml)
        add(f"statement of {lines:,} lines parsed and taken", time.perf_counter() - began, "s")
        async with database.transaction() as db:
            await compare_whole_tables(db)
            began = time.perf_counter()
            assert await db.scalar(_BARE) == 0
            bare = time.perf_counter() - began
            add(f"{lines:,} lines joined with their notices, bare", bare, "s")
            began = time.perf_counter()
            [found] = await statement_checks.statement_lines_match(db)
            took = time.perf_counter() - began
        assert found.ok, found.detail
        add(f"{lines:,} statement lines reconciled with notices and ledger", took, "s", bare)
    finally:
        await database.dispose()


def _ref(number: int) -> str:
    return f"BENCH-{number:07d}"


async def _book(database: Database, at: datetime, numbers: range) -> None:
    """Credits that the bank told of, that were read and posted."""
    changes = Changes()
    for number in numbers:
        entry_ref = f"bench_{number}"
        legs = (
            debit(accounts.reserve_bank(), number + 1),
            credit(accounts.unidentified(f"bench-{number % 50}"), number + 1),
        )
        cause = f"camt.054:{_ref(number)}"
        changes.entries.append(
            NewEntry(new_id("ent", at), "posted", "bench", entry_ref, None, at, cause, legs)
        )
        changes.events.append(
            NewEvent(new_id("evt", at), "bench.booked", at, {"id": entry_ref}, refs=(entry_ref,))
        )
    async with database.transaction() as db:
        await ledger.record(db, changes)
        await db.execute(
            _NOTICES,
            {
                "kind": Kind.credit_notice,
                "iban": RESERVE_IBAN,
                "day": DAY.isoformat(),
                "booked_at": clock.iso(at),
                "at": at,
                "refs": [_ref(number) for number in numbers],
                "amounts": [number + 1 for number in numbers],
            },
        )


def _statement(at: datetime, lines: int) -> dict[str, Any]:
    return {
        "iban": RESERVE_IBAN,
        "date": DAY.isoformat(),
        "opening_tiyn": 0,
        "closing_tiyn": lines * (lines + 1) // 2,
        "lines": [
            {
                "ref": _ref(number),
                "end_to_end_id": None,
                "amount_tiyn": number + 1,
                "side": "credit",
                "value_date": DAY.isoformat(),
                "booked_at": clock.iso(at),
            }
            for number in range(lines)
        ],
    }
