"""The first block: a chain of its own (random hash), funded faucets and the native mint."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from solders.account import Account
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from sandbox.devnets.solana.records import Block
from sandbox.devnets.solana.tokens import NATIVE_MINT, native_mint

FAUCETS = 8  # equal airdrops under one blockhash need different senders to differ
FAUCET_LAMPORTS = 10**17


@dataclass(frozen=True, slots=True)
class Genesis:
    hash: bytes
    faucet_seed: bytes
    block: Block
    accounts: list[tuple[bytes, Account | None]]


def faucet_keys(seed: bytes) -> list[Keypair]:
    return [
        Keypair.from_seed(hashlib.sha256(seed + index.to_bytes(1, "little")).digest())
        for index in range(FAUCETS)
    ]


def _drawn(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"solana devnet {name} {seed}".encode()).digest()


def make(time_s: int, from_seed: int | None = None) -> Genesis:
    """A new chain; `time_s` is the Unix time of block 0. With a seed, always the same one."""
    genesis_hash, seed = (
        secrets.token_bytes(32) if from_seed is None else _drawn(from_seed, name)
        for name in ("genesis", "faucets")
    )
    system = Pubkey.default()
    accounts: list[tuple[bytes, Account | None]] = [
        (bytes(key.pubkey()), Account(lamports=FAUCET_LAMPORTS, data=b"", owner=system))
        for key in faucet_keys(seed)
    ]
    accounts.append((bytes(NATIVE_MINT), native_mint()))
    block = Block(
        slot=0,
        parent=0,
        height=0,
        time=time_s,
        hash=hashlib.sha256(genesis_hash).digest(),
        previous=genesis_hash,
        tx_total=0,
        records=[],
    )
    return Genesis(genesis_hash, seed, block, accounts)
