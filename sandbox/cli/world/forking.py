"""A fork: a data directory of its own, complete and stopped, that begins with a snapshot.

Its first start finishes a restore of that snapshot (`recovery`).
"""

import asyncio
import errno
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sandbox.cli.world.control_db import Snapshot
from sandbox.devnets import datadir
from sandbox.devnets.postgres_cluster import Cluster, back_up
from sandbox.lab.world_errors import BadForkTarget, ForkOutside

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
    data_dir: Path, cluster: Cluster, chains: Sequence[str], snapshot: Snapshot, target: Path
) -> None:
    """Make the folder `target`, as `placed` answers it; it appears when it is whole.

    Raises `BadForkTarget`, OSError, PostgresBroken.
    """
    making = target.with_name(f".{target.name}.making")
    try:
        await asyncio.to_thread(_begin, making, cluster)
        await asyncio.to_thread(_copy_files, data_dir, making, chains, snapshot)
        await back_up(cluster, making)
        datadir.write_private(making / _PENDING, json.dumps({"snapshot": snapshot.id}) + "\n")
        _appear(making, target)
    except BaseException:
        await asyncio.to_thread(shutil.rmtree, making, ignore_errors=True)
        raise


def placed(asked: str, forks_dir: Path) -> Path:
    """The folder that is asked for, directly in `forks_dir` with links and `..` resolved.

    Raises `ForkOutside`, `BadForkTarget`.
    """
    forks_dir = forks_dir.resolve()
    try:
        target = (forks_dir / asked).resolve()
    except (OSError, RuntimeError):  # a link to itself
        raise ForkOutside(asked, forks_dir) from None
    # A dot begins the names of those in the making, which are swept away.
    if target.parent != forks_dir or target.name.startswith("."):
        raise ForkOutside(asked, forks_dir)
    check_free(target)
    return target


def check_free(target: Path) -> None:
    """Raises `BadForkTarget` unless nothing or an empty folder is there."""
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise BadForkTarget(target, "exists and is not an empty folder")
    except OSError as error:
        raise BadForkTarget(target, f"cannot be used: {error.strerror}") from None


def move(fork: Path, target: Path) -> None:
    """Have a fork elsewhere, also on another disk; `target` appears when it is whole.

    Raises `BadForkTarget`; the fork stays where it is then.
    """
    making = target.with_name(f".{target.name}.making")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            _appear(fork, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _copy(fork, making)
            _appear(making, target)
            shutil.rmtree(fork)
    except (OSError, shutil.Error) as error:
        shutil.rmtree(making, ignore_errors=True)
        raise BadForkTarget(target, f"cannot be made: {error}") from None


def _appear(making: Path, target: Path) -> None:
    if target.exists():
        target.rmdir()
    making.rename(target)


def _copy(fork: Path, making: Path) -> None:
    shutil.rmtree(making, ignore_errors=True)
    shutil.copytree(fork, making, symlinks=True, copy_function=_copy_with_owner)
    for folder in (fork, *(path for path in fork.rglob("*") if path.is_dir())):
        _give_to_owner_of(folder, making / folder.relative_to(fork))


def _copy_with_owner(from_: str, to: str) -> None:
    shutil.copy2(from_, to, follow_symlinks=False)
    _give_to_owner_of(Path(from_), Path(to))


def _give_to_owner_of(from_: Path, to: Path) -> None:
    """Where root runs the sandbox, the database's files are somebody else's."""
    found = from_.lstat()
    if (found.st_uid, found.st_gid) != (to.lstat().st_uid, to.lstat().st_gid):
        os.chown(to, found.st_uid, found.st_gid, follow_symlinks=False)


def _begin(making: Path, cluster: Cluster) -> None:
    forks_dir = making.parent
    shutil.rmtree(making, ignore_errors=True)
    try:
        if not forks_dir.exists():
            forks_dir.mkdir(mode=0o700, parents=True)
            if cluster.identity == "nobody":
                forks_dir.chmod(0o711)  # a fork's own PostgreSQL passes through
        making.mkdir(mode=0o700)
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
