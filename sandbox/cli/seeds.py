"""The seed of a data directory: written before its first start, and never another one after."""

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.devnets.datadir import open_data_dir, write_private

if TYPE_CHECKING:  # every wallet asks for the seed, and starts nothing
    from sandbox.cli.stack import Plan

FILE = "seed"
PREPARED = "prepared.json"


def of(data_dir: Path) -> int | None:
    """The seed that this directory's world was made with; None: it has none."""
    with contextlib.suppress(FileNotFoundError):
        return int((data_dir / FILE).read_text())
    return None


def kept(plan: "Plan") -> "Plan":
    """The plan with the directory's seed, which is written down if it is a new one's.

    Raises `OtherSeed` for another seed than that, and for a seed where a world has none; and what
    `open_data_dir` raises.
    """
    from sandbox.core.seeding import OtherSeed

    home = open_data_dir(plan.data_dir)
    there = of(home)
    if plan.seed is None or plan.seed == there:
        return replace(plan, seed=there)
    if there is not None or (plan.data_dir / PREPARED).exists():
        raise OtherSeed(there, plan.seed)
    write_private(home / FILE, f"{plan.seed}\n")
    return plan
