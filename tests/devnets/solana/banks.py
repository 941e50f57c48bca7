"""Driving a bank in this process: payments, a short history, and all that must outlive it."""

from __future__ import annotations

from typing import Any

from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from sandbox.devnets.solana import execution
from sandbox.devnets.solana.bank import Bank, Depths
from sandbox.devnets.solana.records import Record
from tests.devnets.solana.chain import SOL, move

DEPTHS = Depths(confirmed=1, finality=4)


def pay(bank: Bank, receiver: Pubkey, lamports: int) -> Record:
    faucet = bank.faucets[0]
    message = Message.new_with_blockhash(
        [move(faucet, receiver, lamports)], faucet.pubkey(), Hash(bank.tip.hash)
    )
    incoming = execution.decode(bytes(VersionedTransaction(message, [faucet])))
    assert execution.is_signed(incoming)
    done = bank.execute(incoming, keep_failed=True)
    assert isinstance(done, Record)
    return done


def new_keys(count: int = 5) -> list[Pubkey]:
    """The same ones each time."""
    return [Keypair.from_seed(bytes([7] * 31 + [n])).pubkey() for n in range(count)]


def play(bank: Bank) -> None:
    """Sixty slots with payments to `new_keys`, a reorg, a checkpoint and a move of the clock."""
    keys = new_keys()
    for step in range(60):
        for key in keys[: step % 6]:
            pay(bank, key, SOL + step)
        bank.seal()
        if step in (22, 52):
            bank.reorg(3)
        if step == 35:
            bank.checkpoint()
            bank.set_clock(5, 2_000_000_000_000)


def content(bank: Bank, keys: list[Pubkey]) -> Any:
    """Everything that must not differ between two openings of one chain."""
    levels = (None, bank.slot_at("confirmed"), bank.slot_at("finalized"))
    slots = bank.history.slots(0, bank.open_slot, 10_000)
    blocks = [bank.history.block(slot) for slot in slots]
    return (
        [[bank.accounts.at(bytes(key), slot) for slot in levels] for key in keys],
        [(b.slot, b.parent, b.height, b.time, b.hash, b.tx_total) for b in blocks if b],
        [[bytes(r) for r in bank.history.records_of(b)] for b in blocks if b],
        [[r.signature for r in bank.history.listed(bytes(k), 2**62, 999)] for k in keys],
        bank.open_slot,
    )
