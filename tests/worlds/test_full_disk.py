"""A disk that is full before or in the middle of a snapshot or a restore: nothing is lost."""

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from merchants.client import MerchantClient
from sandbox.cli.endpoints import Running
from sandbox.cli.world.control_db import CONTROL, SNAP, database_of
from tests.journeys.stack import Stack
from tests.worlds.doing import SNAPSHOTS, names, raw, red, restore, save, sessions

MB = 1_000_000


@contextmanager
def disk(folder: Path, size_bytes: int) -> Iterator[Path]:
    """A disk of its own, in memory, at this folder."""
    folder.mkdir(mode=0o711, exist_ok=True)
    size = f"size={size_bytes},mode=0711"
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)])
    if done.returncode != 0:
        pytest.skip("nobody may mount a disk here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A sandbox on a disk of its own."""
    with disk(tmp_path_factory.mktemp("small") / "disk", 700 * MB) as folder:
        made = Stack(folder / "sandbox", slot_ms=20)
        made.up()
        yield made
        made.down()


@contextmanager
def filled(folder: Path, left_bytes: int) -> Iterator[None]:
    filler = folder.parent / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(folder).free - left_bytes)
    try:
        yield
    finally:
        filler.unlink()


async def databases(stack: Stack) -> list[str]:
    assert stack.running is not None
    password = json.loads((stack.data_dir / "postgres.json").read_text())["owner"]
    server = str(stack.running.endpoints["database"]).partition("@")[2]
    url = database_of(f"postgresql://sbx_owner:{password}@{server}", CONTROL)
    owner = await asyncpg.connect(url)
    try:
        rows = await owner.fetch("SELECT datname FROM pg_database")
        return sorted(row["datname"] for row in rows if row["datname"].startswith(SNAP))
    finally:
        await owner.close()


def parts(stack: Stack, chain: str) -> set[str]:
    """The names of a chain's parts of snapshots."""
    return {path.name for path in (stack.data_dir / chain / "snapshots").iterdir()}


def test_without_room_nothing_is_begun_and_the_world_goes_on(
    stack: Stack, sandbox: Running, shop: MerchantClient
) -> None:
    save(sandbox, "before")
    first = shop.create_session(700)["id"]
    epoch = sandbox.get("/v1/sandbox/clock")["epoch"]
    with filled(stack.data_dir, 50 * MB):
        for path, body in ((SNAPSHOTS, {"name": "late"}), (f"{SNAPSHOTS}/before/restore", {})):
            answer = raw(sandbox, "POST", path, json=body)
            assert (answer.status_code, answer.json()["code"]) == (507, "no_room")
            assert answer.json()["free_bytes"] < answer.json()["needed_bytes"]
        second = shop.create_session(800)["id"]
    assert sandbox.get("/v1/sandbox/clock")["epoch"] == epoch
    assert {first, second} <= set(sessions(shop))
    assert "late" not in names(sandbox)
    sandbox.quiesce()
    assert red(sandbox) == []
    restore(sandbox, "before")
    assert {first, second}.isdisjoint(sessions(shop))


@pytest.mark.parametrize("chain", ["solana", "evm"])
def test_a_disk_that_is_full_in_the_middle_of_a_snapshot_leaves_no_half_of_it(
    stack: Stack, sandbox: Running, shop: MerchantClient, chain: str
) -> None:
    other = "evm" if chain == "solana" else "solana"
    session = shop.create_session(900)["id"]
    kept, kept_there = asyncio.run(databases(stack)), parts(stack, other)
    with disk(stack.data_dir / chain / "snapshots", 4096):
        answer = raw(sandbox, "POST", SNAPSHOTS, json={"name": f"half-{chain}"})
    assert (answer.status_code, answer.json()["code"]) == (507, "no_room"), answer.text
    assert f"half-{chain}" not in names(sandbox)
    assert asyncio.run(databases(stack)) == kept
    assert parts(stack, other) == kept_there
    assert session in sessions(shop)
    sandbox.quiesce()
    assert red(sandbox) == []
    save(sandbox, f"half-{chain}")
