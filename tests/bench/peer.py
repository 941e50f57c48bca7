"""`make peer`: our books and django-hordak's on one durable PostgreSQL, with the same work.

The first argument is the Python that has django-hordak (`tests/bench/peer.lock`).
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from sandbox import migrations
from sandbox.cli.benches import books as bench_books
from sandbox.cli.benches.measure import percentile
from sandbox.core.db import Database
from sandbox.devnets import postgres
from sandbox.ledger import accounts
from sandbox.ledger import service as ledger
from tests.bench import hordak_peer as peer

NAMES = {
    "single": "entries with four legs, one a commit, 1/s",
    "bulk": "entries with four legs, 1,000 a commit, 1/s",
    "read_p99_ms": "balance read p99, ms",
}


async def _ours(url: str) -> dict[str, float]:
    database = Database(url)
    try:
        await bench_books.entries_per_second(database, 10, 1)
        single = await bench_books.entries_per_second(database, 1, peer.SINGLE)
        bulk = await bench_books.entries_per_second(database, peer.BULK, peer.BATCHES)
        took = []
        for number in range(peer.READS):
            began = time.perf_counter()
            async with database.transaction() as db:
                account = accounts.merchant("solana", f"mch_{number % peer.MERCHANTS}")
                assert (await ledger.balance(db, account)).posted > 0
            took.append(time.perf_counter() - began)
        return {"single": single, "bulk": bulk, "read_p99_ms": percentile(took, 0.99) * 1000}
    finally:
        await database.dispose()


def main(python: str) -> None:
    # Not under a closed folder: PostgreSQL may run as another user (see `devnets.postgres`).
    folder = Path(tempfile.mkdtemp(prefix="kzte-peer-"))
    folder.chmod(0o711)
    server = postgres.start(folder / "data")
    try:
        answer = subprocess.run(
            [python, peer.__file__, server.owner_url("postgres")], capture_output=True, check=True
        )
        theirs = json.loads(answer.stdout)
        postgres.execute(server.url, "CREATE DATABASE ours")
        migrations.upgrade(server.owner_url("ours"))
        ours = uvloop.run(_ours(server.app_url("ours")))
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    table = Table("the same work", "sandbox", "django-hordak")
    for key, name in NAMES.items():
        table.add_row(name, f"{ours[key]:,.1f}", f"{theirs[key]:,.1f}")
    Console().print(table)


if __name__ == "__main__":
    main(sys.argv[1])
