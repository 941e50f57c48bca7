"""The seed of a data directory: kept from its first start on, and never another one."""

from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.cli import seeds
from sandbox.cli.seeds import PREPARED
from sandbox.cli.stack import Plan
from sandbox.cli.wallets import EvmPerson, SolanaPerson
from sandbox.core.seeding import OtherSeed


def test_another_seed_on_the_same_data_is_refused(tmp_path: Path) -> None:
    plan = Plan(tmp_path / "sandbox", seed=42)
    seeds.kept(plan)
    with pytest.raises(OtherSeed, match="made with the seed 42, not with 43"):
        seeds.kept(replace(plan, seed=43))


def test_a_world_without_a_seed_gets_none(tmp_path: Path) -> None:
    plan = Plan(tmp_path / "sandbox")
    assert seeds.kept(plan).seed is None
    plan.data_dir.mkdir(exist_ok=True)
    (plan.data_dir / PREPARED).write_text("{}")
    with pytest.raises(OtherSeed, match="made without a seed"):
        seeds.kept(replace(plan, seed=42))


def test_the_next_start_needs_not_be_told(tmp_path: Path) -> None:
    plan = Plan(tmp_path / "sandbox", seed=0)
    assert seeds.kept(plan).seed == 0
    assert seeds.kept(replace(plan, seed=None)).seed == 0
    assert (plan.data_dir / seeds.FILE).stat().st_mode & 0o777 == 0o600


def test_wallets_of_one_seed_are_the_same_and_of_none_are_not(tmp_path: Path) -> None:
    for kind in (SolanaPerson, EvmPerson):
        found = []
        for place, seed in (("a", 42), ("b", 42), ("c", 43), ("d", None), ("e", None)):
            folder = tmp_path / kind.__name__ / place
            (folder / "wallets").mkdir(parents=True)
            if seed is not None:
                (folder / seeds.FILE).write_text(f"{seed}\n")
            found.append(kind("", folder / "wallets", "resident").address)
        assert found[0] == found[1]
        assert len(set(found)) == 4
