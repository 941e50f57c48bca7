"""A fork: a data directory of its own, complete and stopped, that begins with a snapshot.

Its first start finishes a restore of that snapshot (`recovery`).
"""

import asyncio
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sandbox.cli.world.control_db import Snapshot
from sandbox.cli.world.errors import BadForkTarget
from sandbox.devnets import datadir
from sandbox.devnets.postgres_cluster import Cluster, back_up

_PENDING: Final = "fork.json"
# What makes it the same sandbox; ports, logs and locks are its own.
_FILES: Final = ("version", "postgres.json", "prepared.json")
_FOLDERS: Final = ("keys", "wallets", "log")


def pending(data_dir: Path) -> int | None:
    """The number of the snapshot that a fork is to begin with; None when it has begun."""
    told = datadir.read_json(data_dir / _PENDING)
    return None if told is None else int(told["snapshot"])


def done(data_dir: Path) -> None:
    (data_dir / _PENDING).unlink(missing_ok=True)


async def write(
    data_dir: Path, cluster: Cluster, chains: Sequence[str], snapshot: Snapshot, to: str
) -> Path:
    """Make the folder `to`, which appears when it is whole; answers its absolute path.

    Raises `BadForkTarget`, OSError, PostgresBroken.
    """
    target = _target(to, data_dir)
    making = target.with_name(f".{target.name}.making")
    try:
        await asyncio.to_thread(_begin, making)
        await asyncio.to_thread(_copy_files, data_dir, making, chains, snapshot)
        await asyncio.to_thread(back_up, cluster, making)
        datadir.write_private(making / _PENDING, json.dumps({"snapshot": snapshot.id}) + "\n")
        if target.exists():
            target.rmdir()
        making.rename(target)
    except BaseException:
        await asyncio.to_thread(shutil.rmtree, making, ignore_errors=True)
        raise
    return target


def _target(to: str, data_dir: Path) -> Path:
    target = Path(to).absolute()
    if target.is_relative_to(data_dir):
        raise BadForkTarget(target, "lies in the data directory that is forked")
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise BadForkTarget(target, "exists and is not an empty folder")
    except OSError as error:
        raise BadForkTarget(target, f"cannot be used: {error.strerror}") from None
    return target


def _begin(making: Path) -> None:
    shutil.rmtree(making, ignore_errors=True)
    try:
        making.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise BadForkTarget(making, f"cannot be made: {error.strerror}") from None


def _copy_files(data_dir: Path, making: Path, chains: Sequence[str], snapshot: Snapshot) -> None:
    for name in _FILES:
        shutil.copy2(data_dir / name, making / name)
    folders = [*_FOLDERS, *(f"{chain}/snapshots/{snapshot.on_chains}" for chain in chains)]
    for name in folders:
        if (data_dir / name).is_dir():
            shutil.copytree(data_dir / name, making / name)
    for chain in chains:
        for folder in (making / chain, making / chain / "snapshots"):
            folder.chmod(0o700)
    # Of epochs that are not sealed yet there is nothing to wait for here.
    for marker in (making / "log").glob("*.sealing"):
        marker.unlink()
    for half in (making / "log").glob(".*.making"):
        shutil.rmtree(half)
