"""The one-shot child that makes a world ready: databases, migrations, contracts, seeds.

Safe to run at every start: what exists is checked and left as it is.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

import asyncpg

from sandbox import migrations, wiring
from sandbox.core import log as logging
from sandbox.core.errors import SandboxError
from sandbox.core.settings import Settings

WORLD = "sbx_world"
CONTROL = "sbx_control"


async def _databases(owner_url: str) -> None:
    """The world's database and the control database beside it (CONTRACT 6, Supervisor)."""
    server = await asyncpg.connect(owner_url)
    try:
        existing = {row["datname"] for row in await server.fetch("SELECT datname FROM pg_database")}
        for name in (WORLD, CONTROL):
            if name not in existing:
                await server.execute(f"CREATE DATABASE {name}")
    finally:
        await server.close()
    control = await asyncpg.connect(_database(owner_url, CONTROL))
    try:
        await control.execute(
            "CREATE TABLE IF NOT EXISTS world (name text PRIMARY KEY, epoch int NOT NULL,"
            " snapshot text, command text, changed_at timestamptz NOT NULL DEFAULT now())"
        )
        await control.execute(
            "INSERT INTO world (name, epoch) VALUES ($1, 1) ON CONFLICT DO NOTHING", WORLD
        )
    finally:
        await control.close()


def _database(server_url: str, name: str) -> str:
    return server_url.rsplit("/", 1)[0] + "/" + name


def _write(path: Path, text: str) -> None:
    partial = path.with_suffix(".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    partial.replace(path)


def main() -> None:
    """`python -m sandbox.cli.prepare`, with the owner's URL in SANDBOX_OWNER_URL."""
    settings = Settings()
    logging.configure(settings.log_level)
    owner_url = os.environ["SANDBOX_OWNER_URL"]
    try:
        asyncio.run(_databases(owner_url))
        migrations.upgrade(_database(owner_url, WORLD))
        prepared = asyncio.run(wiring.prepare(settings))
    except SandboxError as error:
        print(error.detail, file=sys.stderr)  # noqa: T201 - the supervisor shows the last line
        sys.exit(1)
    _write(settings.data_dir / "prepared.json", json.dumps(prepared) + "\n")


if __name__ == "__main__":
    main()
