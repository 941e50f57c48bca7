"""The chain: one anvil, its journal, and every change of it, one after the other.

What anvil says while a change is not yet on disk is held back, so nobody sees what a kill undoes.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final, NoReturn, Protocol

from sandbox.core import failpoints
from sandbox.devnets.chain_clock import START_MS, ChainClock
from sandbox.devnets.evm import opening
from sandbox.devnets.evm.backend import Backend, Calls
from sandbox.devnets.evm.blocks import block_of, done, hex_of, sends
from sandbox.devnets.evm.checkpoint import Checkpoints
from sandbox.devnets.evm.errors import AnvilGone, Unavailable
from sandbox.devnets.evm.journal import (
    Block,
    Call,
    Clock,
    Drop,
    Genesis,
    Journal,
    Record,
    Reorg,
    Tx,
    Unsigned,
)
from sandbox.devnets.evm.opening import Options
from sandbox.devnets.evm.pool import Pool
from sandbox.devnets.evm.replay import Grown, JournalMismatch
from sandbox.devnets.evm.settings import Settings
from sandbox.devnets.evm.snapshots import JOURNAL, Restored, Snapshots
from sandbox.devnets.json_rpc import RpcError

FINAL_DEPTH: Final = 2  # anvil's `finalized` with one slot in an epoch
FUNDS_WEI: Final = 10**24
_MINED_AT_ONCE: Final = 50
_FORGOTTEN_KEPT: Final = 1_000


class Observer(Protocol):
    """Who wants to know what can be seen now."""

    async def on_block(self, block: dict[str, Any]) -> None: ...
    async def on_pending(self, tx_hash: str) -> None: ...
    async def on_restore(self, head: dict[str, Any]) -> None: ...
    def __len__(self) -> int: ...


class Node:
    """`open` makes it usable; `anvil_ended` and `restart` keep it alive; `close` ends it."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._journal = Journal(options.data_dir / JOURNAL)
        self.snapshots = Snapshots(options)
        self._checkpoints = Checkpoints(options.data_dir, options.history)
        self._genesis: Genesis | None = None
        self._anvil: Backend | None = None
        self._turn = asyncio.Lock()
        self._settled = asyncio.Event()
        self._settled.set()
        self._failed = asyncio.Event()
        self.pool = Pool()
        self.clock = ChainClock()
        self.head = Block(0, 0, b"", ())
        self.settings = Settings()
        self.replayed, self.replay_seconds = 0, 0.0  # at the last start
        self.held_final: int | None = None
        self.observer: Observer | None = None
        self.work = asyncio.Event()  # something came since the youngest block
        self.forgotten: deque[Tx | Unsigned] = deque(maxlen=_FORGOTTEN_KEPT)
        self.left_over = 0  # transactions that are ready, but not in the youngest block
        self._unwritable: asyncio.Future[OSError] = asyncio.get_running_loop().create_future()

    # -- life

    @property
    def genesis(self) -> Genesis:
        assert self._genesis is not None
        return self._genesis

    async def open(self, restore: str | None = None) -> None:
        """Make the chain, or grow it from its journal, or begin with a snapshot.

        Raises ChainDiffers, JournalMismatch, JournalCorrupt, AnvilGone and OSError, and
        SnapshotRefused.
        """
        if restore is not None:
            self.become(await self.snapshots.load(restore))
        elif (found := self._journal.genesis()) is not None:
            opening.check(self._options, found)
            self._genesis = found
            await self._grow()
        elif self._journal.size:
            raise JournalMismatch("the journal does not begin with a genesis")
        else:
            self._genesis, self._anvil = await opening.create(self._options, self._journal)
            genesis_hash = bytes.fromhex(self.genesis.hash[2:])
            self.head = Block(0, self.genesis.timestamp, genesis_hash, ())
            if self._options.seed is not None:
                await self.set_clock(0, START_MS)
        await self.fund()

    async def _grow(self) -> None:
        started = time.monotonic()
        anvil, grown = await opening.grow(
            self._options, self.genesis, self._journal, self._checkpoints
        )
        self._take(anvil, grown)
        self.replay_seconds = time.monotonic() - started

    def _take(self, anvil: Backend, grown: Grown) -> None:
        self.head, self.left_over = grown.head, len(grown.pool)
        self.pool.reset(grown.pool)
        self.clock.offset_ms = grown.clock.offset_ms
        self.clock.frozen_at_ms = grown.clock.frozen_at_ms
        self.settings, self.replayed = grown.settings, grown.replayed
        self._checkpoints.started(grown.replayed)
        self._failed.clear()
        self._anvil = anvil

    async def fund(self) -> None:
        """Native coin for the given addresses, once in the life of the chain."""
        for address in self._options.fund:
            if address.lower() not in self.settings.funded:
                await self.change("anvil_setBalance", [address, hex(FUNDS_WEI)])

    async def anvil_ended(self) -> None:
        """Wait until anvil must be replaced."""
        while (anvil := self._anvil) is not None:
            ends = [asyncio.create_task(anvil.ended()), asyncio.create_task(self._failed.wait())]
            try:
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in ends:
                    task.cancel()
            if self._anvil is anvil:  # otherwise a restore has let go of it
                return

    async def restart(self) -> None:
        """Replace anvil by a fresh one with the same chain and pool. Raises as `open` does."""
        async with self._turn:
            await self._discard()
            await self._grow()
        self.work.set()

    async def _discard(self) -> None:
        anvil, self._anvil = self._anvil, None
        if anvil is not None:
            await anvil.stop()

    async def close(self) -> None:
        async with self._turn:
            await self.snapshots.close()
            await self._discard()
            self._journal.close()

    # -- snapshots

    @contextlib.asynccontextmanager
    async def still(self) -> AsyncIterator[int]:
        """A turn in which nothing is changed; gives the bytes of the journal, which are on disk."""
        async with self._turn:
            self._journal.sync()
            yield self._journal.size

    def become(self, restored: Restored) -> Backend | None:
        """In a turn: go on with another chain. Gives the node of the former one, which is the
        caller's to stop. Raises OSError, after which only a start can go on.
        """
        failpoints.passed("evm.restore.loaded")
        self.snapshots.choose()
        failpoints.passed("evm.restore.chosen")
        former, gone = self._anvil, self._journal
        self._journal = Journal(self._options.data_dir / JOURNAL)
        gone.close()
        self._genesis = restored.genesis
        self._take(restored.anvil, restored.grown)
        self.left_over, self.held_final = restored.ready, None
        self.forgotten.clear()
        self.work.clear()
        if self.left_over:
            self.work.set()
        return former

    # -- reading

    @property
    def up(self) -> bool:
        return self._anvil is not None and not self._failed.is_set()

    @property
    def can_go_back(self) -> bool:
        return self._anvil is None or self._anvil.can_go_back

    @property
    def journal_bytes(self) -> int:
        return self._journal.size

    @property
    def anvil_pid(self) -> int | None:
        return self._anvil.pid if self._anvil is not None else None

    @property
    def resident_mb(self) -> int:
        return self._anvil.resident_mb() if self._anvil is not None else 0

    @property
    def final_number(self) -> int:
        number = max(0, self.head.number - FINAL_DEPTH)
        return number if self.held_final is None else min(number, self.held_final)

    async def read(self, body: bytes) -> bytes:
        """Pass a JSON-RPC body to anvil; the answer holds nothing that is not on disk."""
        # What is read half-way through a turn depends on how fast the reader was.
        while self._options.seed is not None and not self._settled.is_set():
            await self._settled.wait()
        anvil = self._ready()
        try:
            answer = await anvil.post(body)
        except AnvilGone:
            self._gone(anvil)
            raise Unavailable from None
        while not self._settled.is_set():
            await self._settled.wait()
        if self._anvil is not anvil or self._failed.is_set():
            raise Unavailable
        return answer

    def _ready(self) -> Backend:
        if self._anvil is None or self._failed.is_set():
            raise Unavailable
        return self._anvil

    def _gone(self, anvil: Backend) -> None:
        if self._anvil is anvil:
            self._failed.set()

    # -- sending

    async def send(self, raws: list[bytes]) -> list[str | RpcError]:
        """Give signed transactions to the pool; each gets its hash or its refusal.

        What was taken is in the journal when its hash is answered, and comes back after a kill.
        """
        anvil, journal = self._ready(), self._journal
        answers: list[str | RpcError] = []
        fresh: dict[int, Tx] = {}
        for at, raw in enumerate(raws):
            try:
                fresh[at] = self.pool.arrive(raw)
                answers.append("0x" + fresh[at].hash.hex())
            except RpcError as error:
                answers.append(error)
        refused: list[RpcError | None] = []
        try:
            refused = await anvil.try_many(sends(fresh.values()))
        except AnvilGone:
            self._gone(anvil)
            raise Unavailable from None
        finally:
            unwritten = {at for at, tx in fresh.items() if self.pool.arrived(tx)}
        if self._journal is not journal:
            raise Unavailable  # the chain that took them is gone
        errors = {at: error for at, error in zip(fresh, refused, strict=True) if error is not None}
        taken = [fresh[at] for at in fresh if at in unwritten and at not in errors]
        if taken:
            if self._anvil is not anvil:
                raise Unavailable
            failpoints.passed("evm.taken")
            self.write(taken, sync=False)
            failpoints.passed("evm.taken.written")
            for tx in taken:
                self.pool.take(tx)
        if len(errors) < len(fresh):
            self.work.set()
            if self.observer is not None:
                for at in fresh.keys() - errors.keys():
                    await self.observer.on_pending(str(answers[at]))
        return [errors.get(at, answer) for at, answer in enumerate(answers)]

    # -- changing

    @contextlib.asynccontextmanager
    async def changing(self) -> AsyncIterator[Backend]:
        """A turn: others wait, and what anvil answers meanwhile is shown only after it.

        A refusal by anvil (RpcError) must mean that nothing was changed. Whatever else ends a turn
        half-way leaves anvil with what is not in the journal, so it is replaced.
        """
        async with self._turn:
            anvil = self._ready()
            self._settled.clear()
            try:
                yield anvil
            except AnvilGone:
                self._gone(anvil)
                raise Unavailable from None
            except RpcError:
                raise
            except BaseException:
                self._gone(anvil)
                raise
            finally:
                self._settled.set()

    async def unwritable(self) -> NoReturn:
        """Wait until the journal cannot be written, and raise why (OSError)."""
        raise await self._unwritable

    def write(self, records: Iterable[Record], *, sync: bool = True) -> None:
        """What cannot be written must not be shown; there is nothing to go on with."""
        try:
            self._journal.write(records, sync=sync)
        except OSError as error:
            self.give_up(error)
            raise AnvilGone(f"the journal cannot be written: {error}") from None

    def give_up(self, error: OSError) -> None:
        """Nothing can be written down any more: the process ends by name."""
        if not self._unwritable.done():
            self._unwritable.set_result(error)

    def went_back(self, gone: Reorg) -> None:
        """In a turn, after a rollback: `head` is the block that stays."""
        self._checkpoints.went_back(self.head.number)
        self.settings.note_reorg(gone)

    async def change(self, method: str, params: list[Any]) -> Any:
        """A control method of anvil, journalled; what it answered survives a kill."""
        async with self.changing() as anvil:
            result = await anvil.call(method, *params)
            self.write([Call(method, params)])
            self.settings.note(Call(method, params))
            return result

    async def set_clock(self, offset_ms: int, frozen_at_ms: int | None) -> None:
        async with self.changing():
            self.write([Clock(offset_ms, frozen_at_ms)])
            self.clock.offset_ms, self.clock.frozen_at_ms = offset_ms, frozen_at_ms
        if self._options.seed is None:
            self.work.set()  # a block shows the new time

    def forget(self, tx_hashes: Iterable[bytes]) -> None:
        """What anvil has let go without a block must not come again after a restart."""
        gone = [tx for each in tx_hashes if (tx := self.pool.drop(each)) is not None]
        self.forgotten.extend(gone)
        if gone:
            hashes = [tx.hash if isinstance(tx, Unsigned) else hex_of(tx.hash) for tx in gone]
            self.write(map(Drop, hashes), sync=False)

    async def look(self, calls: Calls) -> list[Any]:
        """Ask the node for our own needs. Raises Unavailable, and RpcError as it refused."""
        anvil = self._ready()
        try:
            return await anvil.call_many(calls)
        except AnvilGone:
            self._gone(anvil)
            raise Unavailable from None

    async def drop(self, tx_hash: str) -> bool:
        """Take a transaction out of the pool, as if no node had ever seen it."""
        async with self.changing() as anvil:
            found = await anvil.call("anvil_dropTransaction", tx_hash)
            if found is not None:
                self.write([Drop(tx_hash)])
                self.pool.drop(bytes.fromhex(tx_hash[2:]))
            return found is not None

    async def mine(self, count: int = 1) -> int:
        """Make `count` blocks on the clock; gives how many transactions they hold."""
        mined, journal = 0, self._journal
        while count > 0:
            async with self.changing() as anvil:
                if self._journal is not journal:
                    raise Unavailable  # it was another chain that was to grow
                self.work.clear()
                shown = await self.mine_in_turn(anvil, min(count, _MINED_AT_ONCE))
            count -= len(shown)
            mined += sum(len(block["transactions"]) for block in shown)
            await self.show(shown)
        return mined

    async def mine_in_turn(
        self, anvil: Backend, count: int, before: Iterable[Record] = ()
    ) -> list[dict[str, Any]]:
        """Mine inside a turn, write it down, and give the blocks."""
        parent, records = self.head, list(before)
        stamp = max(parent.timestamp, self.clock.now_s())
        for _ in range(count):  # a batch would take the stamp for its first block only
            await done(anvil.call("evm_mine", {"timestamp": stamp}))
        numbers = range(parent.number + 1, parent.number + count + 1)
        found = await done(
            anvil.call_many([("eth_getBlockByNumber", (hex(n), False)) for n in numbers])
        )
        for block in found:
            if block is None or block["parentHash"] != "0x" + parent.hash.hex():
                raise AnvilGone("anvil lost a block that it had made")
            parent = block_of(block)
            early = [tx for each in parent.txs if (tx := self.pool.mined(each)) is not None]
            records += [*early, parent]
        settled = self.pool.hashes()
        status = await done(anvil.call("txpool_status"))
        if any(block["transactions"] for block in found):
            failpoints.passed("evm.mined")
        self.write(records)
        if any(block["transactions"] for block in found):
            failpoints.passed("evm.mined.written")
        self.head, self.left_over = parent, int(status["pending"], 16)
        self.settings.note_block()
        self._checkpoints.made(
            parent.number, sum(1 + len(block["transactions"]) for block in found)
        )
        if not self.left_over and not int(status["queued"], 16):
            # Replaced or no longer payable: anvil forgot them, so nothing waits for them.
            self.forget(settled)
        return found

    async def show(self, blocks: list[dict[str, Any]]) -> None:
        if self.observer is not None:
            for block in blocks:
                await self.observer.on_block(block)

    async def save_if_due(self, *, is_idle: bool) -> None:
        """Write a checkpoint when enough has been made since the last one."""
        if not self._checkpoints.is_due(self.head.number, is_idle=is_idle):
            return
        async with self._turn:
            anvil = self._anvil
            if anvil is None or not self.up or not anvil.can_dump or self.settings.next_fee_is_set:
                return
            clock = Clock(self.clock.offset_ms, self.clock.frozen_at_ms)
            here = Grown(self.head, clock, self.pool.held(), self.settings)
            size = self._journal.size  # sends go on while anvil dumps
            try:
                dump = await anvil.call("anvil_dumpState")
                failpoints.passed("evm.dumped")
                saved = opening.saved(self._options, self.genesis, size, here, dump)
                await asyncio.to_thread(self._checkpoints.write, saved)
            except AnvilGone:
                self._gone(anvil)
            except (RpcError, OSError) as error:
                sys.stderr.write(f"no checkpoint was written, starts take longer: {error}\n")
                self._checkpoints.put_off()
