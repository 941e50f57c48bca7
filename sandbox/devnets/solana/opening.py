"""What must hold of a chain's files before anything is made of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.devnets.journal_file import JournalCorrupt
from sandbox.devnets.solana.archive import Archive, ArchiveUnusable
from sandbox.devnets.solana.journal import Head
from sandbox.devnets.solana.records import Block


@dataclass(frozen=True, slots=True)
class Facts:
    """What the archive says of its chain."""

    genesis_hash: bytes
    faucet_seed: bytes
    final_slot: int
    clock_offset_ms: int
    clock_frozen_at_ms: int | None


def facts_of(archive: Archive) -> Facts:
    """Raises ArchiveUnusable."""
    archive.check_facts()
    genesis_hash, seed = archive.fact("genesis_hash"), archive.fact("faucet_seed")
    final = archive.fact("final_slot")
    offset, frozen = archive.fact("clock_offset_ms"), archive.fact("clock_frozen_at_ms")
    if (
        not isinstance(genesis_hash, bytes)
        or not isinstance(seed, bytes)
        or not isinstance(final, int)
        or not isinstance(offset, int)
        or not isinstance(frozen, int | None)
    ):
        raise ArchiveUnusable(f"{archive.path}: a fact about the chain is missing")
    return Facts(genesis_hash, seed, final, offset, frozen)


def check_blocks(archive: Archive, facts: Facts, newest: Sequence[Block]) -> None:
    """What the archive's checksums do not cover: its parts fit together. Raises ArchiveUnusable."""
    first = archive.block(0)
    if (
        first is None
        or not newest
        or first.previous != facts.genesis_hash
        or newest[-1].slot != facts.final_slot
        or any(b.previous != a.hash for a, b in itertools.pairwise(newest))
    ):
        raise ArchiveUnusable(f"{archive.path}: its parts do not fit together")


def check_head(path: Path, head: Head, facts: Facts) -> None:
    """Journal and archive are of one chain and of one time. Raises JournalCorrupt."""
    if head.genesis != facts.genesis_hash:
        raise JournalCorrupt(f"{path}: it is another chain's")
    if head.since > facts.final_slot:
        raise JournalCorrupt(
            f"{path}: it begins at slot {head.since}, and chain.db ends at {facts.final_slot}"
        )
