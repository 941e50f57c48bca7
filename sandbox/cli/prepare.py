"""The one-shot child that makes a world ready: databases, roles, migrations, contracts, seeds.

Safe to run at every start: what exists is checked and left as it is.
"""

import asyncio
import gc
import json
import os
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

if __name__ == "__main__":
    gc.disable()  # it ends before a collection would pay

import asyncpg

from sandbox import migrations, wiring
from sandbox.cli.world import recovery
from sandbox.cli.world.chains import ChainRefused, ChainSilent
from sandbox.cli.world.control_db import CONTROL, WORLD, control, database_of
from sandbox.core import log as logging
from sandbox.core.errors import SandboxError
from sandbox.core.settings import Settings

APP = "sbx_app"


class BadDatabaseUrl(SandboxError):
    """The settings do not lead to a database that a world can live in."""

    code = "bad_database_url"


def check(settings: Settings) -> None:
    """Refuse settings with which the world would be made for somebody who cannot open it."""
    if not settings.owner_url:
        raise BadDatabaseUrl("set SANDBOX_OWNER_URL to a role that may make databases and roles")
    app = urlsplit(settings.database_url)
    if app.username != APP or app.path != f"/{WORLD}" or not app.password:
        raise BadDatabaseUrl(
            f"set SANDBOX_DATABASE_URL to the database {WORLD} as the role {APP}, with a password"
        )


async def _databases(owner_url: str, app_password: str) -> None:
    """The world's database, the control database beside it (CONTRACT 6), and who uses them."""
    server = await asyncpg.connect(owner_url)
    try:
        if not await server.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", APP):
            # DDL takes no parameters: the server quotes the word itself.
            word = await server.fetchval("SELECT quote_literal($1::text)", app_password)
            await server.execute(f"CREATE ROLE {APP} LOGIN PASSWORD {word}")
        existing = {row["datname"] for row in await server.fetch("SELECT datname FROM pg_database")}
        for name in (WORLD, CONTROL):
            if name not in existing:
                await server.execute(f"CREATE DATABASE {name}")
    finally:
        await server.close()
    async with control(owner_url) as db:
        await db.make_tables()


async def _try_app(url: str) -> None:
    """Whether API and worker will get in; their own failure would come later and say less."""
    try:
        await (await asyncpg.connect(url)).close()
    except asyncpg.InvalidPasswordError:
        raise BadDatabaseUrl(
            f"the password of {APP} in SANDBOX_DATABASE_URL is not the one that this database"
            " knows: give the one it was made with"
        ) from None


class CannotGoOn(SandboxError):
    """What was chosen before the last end cannot be finished yet."""

    code = "world_unfinished"


async def _recovered(settings: Settings) -> None:
    """Finish or forget what the last end has interrupted, where the chains are our devnets."""
    if settings.keeps_worlds:
        try:
            await recovery.recover(settings)
        except (ChainSilent, ChainRefused) as error:
            raise CannotGoOn(f"a restore cannot be finished: {error}; start again") from None


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
    try:
        check(settings)
        app_password = unquote(urlsplit(settings.database_url).password or "")
        asyncio.run(_databases(settings.owner_url, app_password))
        asyncio.run(_recovered(settings))
        migrations.upgrade(database_of(settings.owner_url, WORLD))
        if settings.keeps_worlds:
            asyncio.run(recovery.upgrade_snapshots(settings))
        asyncio.run(_try_app(settings.database_url))
        prepared = asyncio.run(wiring.prepare(settings))
    except SandboxError as error:
        print(error.detail, file=sys.stderr)
        sys.exit(1)
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(settings.data_dir / "prepared.json", json.dumps(prepared) + "\n")


if __name__ == "__main__":
    main()
