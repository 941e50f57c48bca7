"""Growing the chain of a journal in a fresh anvil: same transactions, same stamps, same hashes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from sandbox.devnets.evm.backend import Backend
from sandbox.devnets.evm.journal import (
    Block,
    Call,
    Clock,
    Drop,
    Record,
    Reorg,
    Tx,
    Unsigned,
)
from sandbox.devnets.evm.settings import Settings
from sandbox.devnets.json_rpc import RpcError

_SENT_AT_ONCE: Final = 500
_CHECKED_EACH: Final = 1_000
_KEPT: Final = 4_096  # more than a reorg can reach back


class JournalMismatch(Exception):
    """anvil made another chain of the journal than the one that was answered."""


@dataclass(slots=True)
class Grown:
    """What a journal comes to: the pool in order of arrival, and the settings that stay."""

    head: Block
    clock: Clock = field(default_factory=lambda: Clock(0, None))
    pool: dict[bytes, Tx | Unsigned] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)
    replayed: int = 0  # blocks and transactions


@dataclass(frozen=True, slots=True)
class Stop:
    """At each block of this number `then` is told what the records have come to so far."""

    number: int
    then: Callable[[Grown], Awaitable[None]]


class Replay:
    """One pass over the records that follow `grown`; `careful` sends transactions one at a time,
    so their order is beyond doubt.
    """

    def __init__(
        self, anvil: Backend, grown: Grown, *, careful: bool, stop: Stop | None = None
    ) -> None:
        self._anvil, self._careful, self._stop = anvil, careful, stop
        self._grown = grown
        self._chain = [grown.head]
        self._unchecked = 0

    async def run(self, records: Iterable[Record]) -> Grown:
        """Raises JournalMismatch, RpcError (a mismatch too) and AnvilGone."""
        for record in records:
            await self._step(record)
        await self._check()
        await self._refill()
        self._grown.head = self._chain[-1]
        return self._grown

    async def _step(self, record: Record) -> None:
        pool = self._grown.pool
        if isinstance(record, Tx):
            pool[record.hash] = record
        elif isinstance(record, Unsigned):
            pool[bytes.fromhex(record.hash[2:])] = record
        elif isinstance(record, Block):
            await self._mine(record)
        elif isinstance(record, Call):
            await self._anvil.call(record.method, *record.params)
            self._grown.settings.note(record)
        elif isinstance(record, Clock):
            self._grown.clock = record
        elif isinstance(record, Reorg):
            await self._check()
            await self._anvil.call("anvil_rollback", record.depth)
            await self._anvil.call("anvil_setCoinbase", record.fees_to)
            del self._chain[-record.depth :]
            self._grown.settings.note_reorg(record)
        elif isinstance(record, Drop):
            pool.pop(bytes.fromhex(record.hash[2:]), None)

    async def _mine(self, block: Block) -> None:
        try:
            sent = [self._grown.pool.pop(tx) for tx in block.txs]
        except KeyError:
            raise JournalMismatch(
                f"block {block.number} has a transaction that the journal lacks"
            ) from None
        await self._send(sent)
        # Never in a batch: anvil takes all stamps of a batch before it makes the first block.
        await self._anvil.call("evm_mine", {"timestamp": block.timestamp})
        self._note(block)
        if self._careful or self._unchecked > _CHECKED_EACH:
            await self._check()
        if self._stop is not None and self._stop.number == block.number:
            await self._check()
            self._grown.head = block
            await self._stop.then(self._grown)

    async def _send(self, sent: list[Tx | Unsigned]) -> None:
        batch: list[tuple[str, tuple[Any, ...]]] = []
        for tx in sent:
            if isinstance(tx, Tx):
                batch.append(("eth_sendRawTransaction", ("0x" + tx.raw.hex(),)))
                if len(batch) < (1 if self._careful else _SENT_AT_ONCE):
                    continue
            await self._anvil.call_many(batch)
            batch = []
            if isinstance(tx, Unsigned):
                await self._send_unsigned(tx)
        await self._anvil.call_many(batch)

    async def _send_unsigned(self, tx: Unsigned) -> None:
        sender = str(tx.request["from"])
        is_set = sender.lower() in self._grown.settings.impersonated
        if not is_set:
            await self._anvil.call("anvil_impersonateAccount", sender)
        try:
            await self._anvil.call("eth_sendTransaction", tx.request)
        finally:
            if not is_set:
                await self._anvil.call("anvil_stopImpersonatingAccount", sender)

    def _note(self, block: Block) -> None:
        self._chain.append(block)
        if len(self._chain) > 2 * _KEPT:
            del self._chain[:-_KEPT]
        self._grown.settings.note_block()
        self._grown.replayed += 1 + len(block.txs)
        self._unchecked += 1

    async def _check(self) -> None:
        """The hash of the youngest block vouches for all before it."""
        self._unchecked = 0
        block = self._chain[-1]
        found = await self._anvil.call("eth_getBlockByNumber", "latest", False)
        if found["hash"] != "0x" + block.hash.hex():
            raise JournalMismatch(
                f"block {block.number} should be 0x{block.hash.hex()},"
                f" anvil made {int(found['number'], 16)} {found['hash']}"
            )

    async def _refill(self) -> None:
        """Put what was waiting back into anvil's pool; what anvil no longer takes is over."""
        for tx_hash, tx in list(self._grown.pool.items()):
            try:
                await self._send([tx])
            except RpcError:
                del self._grown.pool[tx_hash]
