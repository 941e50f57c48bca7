"""A Solana devnet with a long past: how it starts, what it finds and how much memory it takes.

The past is made through the devnet's own bank: one real payment is repeated with other signatures,
references and payers, sealed slot by slot, so that a million go through journal and archive in a
minute or two. Only their execution is left out.
"""

import secrets
import time
from collections.abc import Callable
from pathlib import Path

from solders.account import Account
from solders.pubkey import Pubkey
from solders.signature import Signature

from sandbox.cli import show
from sandbox.cli.benches import measure, rpc
from sandbox.cli.benches.rpc import Connection
from sandbox.cli.benches.solana_payers import Payers
from sandbox.devnets.running import Running, start
from sandbox.devnets.solana.bank import Bank, Depths
from sandbox.devnets.solana.history import first_position
from sandbox.devnets.solana.process import command
from sandbox.devnets.solana.records import SIGNATURE_AT, Record

TRANSACTIONS, ACCOUNTS = 1_000_000, 100_000
PER_SLOT = 500
RARE = 1_100  # payments of the rare payer in half of the past: its newest thousand are far apart
ASKED = 50
Add = Callable[..., None]


async def measured(add: Add, folder: Path, transactions: int) -> None:
    """Half of the past, then all of it: start, memory, and the longest lists that one can ask."""
    past = await _Past.begin(folder, every=transactions // 2 // RARE)
    for count in (transactions // 2, transactions):
        show.err.print(f"Solana devnet: {count:,} transactions of history")
        began = time.perf_counter()
        past.grow(count)
        rate = count / 2 / (time.perf_counter() - began)
        add(f"payments repeated into journal and archive, to {count:,}", rate, "1/s")
        await _look(add, past, f"after {count:,} transactions")


class _Past:
    """A data directory, and the payment that it repeats."""

    def __init__(
        self, folder: Path, every: int, paid: Record, payer: Pubkey, account: Pubkey
    ) -> None:
        self.folder, self._every, self._made, self._body = folder, every, 0, bytes(paid)
        keys, pays = paid.all_keys(), paid.transaction.message.instructions[-1]
        self._payer, self._account = bytes(payer), bytes(account)
        self.treasury, self._reference = (keys[pays.accounts[at]] for at in (2, 4))
        # Owner and token account of each; the first one is the rare payer.
        self.holders = [(secrets.token_bytes(32), secrets.token_bytes(32)) for _ in range(ACCOUNTS)]

    @classmethod
    async def begin(cls, folder: Path, every: int) -> "_Past":
        """A devnet process makes the first payment; its files are where the past goes on."""
        devnet = await start(command(folder, slot_ms=50))
        payers = Payers(devnet.rpc)
        await payers.fund()
        [signed] = await payers.sign(1)
        await payers.ask("sendTransaction", signed.raw, {"encoding": "base64"})
        await devnet.stop()
        bank = Bank.open(folder, Depths())
        paid = bank.history.record(bytes(Signature.from_string(signed.signature)))
        bank.close()
        assert paid is not None
        payer = payers.wallets[0].pubkey()
        return cls(folder, every, paid, payer, payers.account_of(payer))

    def grow(self, transactions: int) -> None:
        """Until there are so many payments; the accounts come with the first of them."""
        bank = Bank.open(self.folder, Depths())
        while self._made < transactions:
            if self._made < ACCOUNTS:
                self._hold(bank, self.holders[self._made : self._made + PER_SLOT])
            for _ in range(min(PER_SLOT, transactions - self._made)):
                self._repeat(bank)
            bank.seal()
        bank.close()

    def _hold(self, bank: Bank, holders: list[tuple[bytes, bytes]]) -> None:
        """Token accounts, as the open slot would have made them."""
        pattern = bank.accounts.current(self._account)
        assert pattern is not None
        for owner, key in holders:
            made = Account(
                lamports=pattern.lamports,
                data=pattern.data[:32] + owner + pattern.data[64:],
                owner=pattern.owner,
            )
            bank.accounts.touched(bank.open_slot, key, None, made)
            bank.accounts.put(key, made)

    def _repeat(self, bank: Bank) -> None:
        number, opened = self._made, bank.history.open_records
        self._made += 1
        owner, account = self.holders[0 if number % self._every == 0 else number % ACCOUNTS]
        body = self._body.replace(self._payer, owner).replace(self._account, account)
        body = body.replace(self._reference, secrets.token_bytes(32))
        position = (first_position(bank.open_slot) + len(opened)).to_bytes(8, "little")
        signature = secrets.token_bytes(64)
        record = Record(position + body[8:SIGNATURE_AT] + signature + body[SIGNATURE_AT + 64 :])
        opened.append(record)
        bank.history.add(record)


async def _look(add: Add, past: _Past, when: str) -> None:
    began = time.perf_counter()
    devnet = await start(command(past.folder))
    add(f"start of the Solana devnet {when}, {ACCOUNTS:,} accounts", _since(began), "s")
    try:
        _memory(add, devnet, when)
        connection = await Connection.to(devnet.rpc)
        rare, _ = past.holders[0]
        for whose, key in (("the treasury", past.treasury), ("a payer far between", rare)):
            took = [await _list(devnet, connection, key) for _ in range(ASKED)]
            name = f"getSignaturesForAddress of {whose}, limit 1,000, {when}"
            add(f"{name}, first", took[0] * 1000, "ms")
            add(f"{name}, p99", measure.percentile(took, 0.99) * 1000, "ms")
        _memory(add, devnet, f"{when} and reads")
        await connection.close()
    finally:
        await devnet.stop()


async def _list(devnet: Running, connection: Connection, key: bytes) -> float:
    """Seconds of one answer that is as long as it can be."""
    asked = (str(Pubkey(key)), {"limit": 1_000, "commitment": "confirmed"})
    request = rpc.call(devnet.rpc, "getSignaturesForAddress", *asked)
    began = time.perf_counter()
    answer = await connection.ask(request)
    took = _since(began)
    assert answer.count(b'"signature":') == 1_000, answer.count(b'"signature":')
    return took


def _memory(add: Add, devnet: Running, when: str) -> None:
    add(f"PSS of the Solana devnet, {when}", measure.pss_bytes([devnet.pid]) / 1e6, "MB")


def _since(began: float) -> float:
    return time.perf_counter() - began
