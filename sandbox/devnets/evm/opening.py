"""How a chain begins: made new, or grown again from its journal."""

from __future__ import annotations

import dataclasses
import hashlib
import secrets
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandbox.devnets.evm.backend import Backend
from sandbox.devnets.evm.blocks import hex_of
from sandbox.devnets.evm.checkpoint import Checkpoints, Mark, Saved
from sandbox.devnets.evm.journal import (
    Block,
    Call,
    Genesis,
    Journal,
    NoRecordThere,
    Record,
    Tx,
    Unsigned,
)
from sandbox.devnets.evm.replay import Grown, JournalMismatch, Replay, Stop
from sandbox.devnets.evm.settings import Settings
from sandbox.devnets.json_rpc import RpcError

HARDFORK: Final = "prague"

# EIP-2935 keeps 8,191 block hashes in the state, which anvil copies for each block: 12 ms a block
# instead of 0.2. BLOCKHASH does not read it, so its code is taken out (ADR 11).
_HISTORY_CONTRACT: Final = "0x0000F90827F1C53a10cb7A02335B175320002935"


@dataclass(frozen=True, slots=True)
class Options:
    """What the process was asked for; the first four matter when the chain is made only."""

    chain_id: int
    gas_limit: int
    dev_accounts: bool
    first_stamp: int
    data_dir: Path
    engine: str  # `anvil` or `eth-tester`
    history: int  # blocks whose state can be asked
    start: Callable[[Genesis], Awaitable[Backend]]
    fund: tuple[str, ...] = ()
    seed: int | None = None


class ChainDiffers(Exception):
    """The chain in the data directory was made with other flags; the text says which."""


async def create(options: Options, journal: Journal) -> tuple[Genesis, Backend]:
    """A chain of its own: the genesis hash is a new one each time. Raises AnvilGone."""
    wanted = Genesis(
        chain_id=options.chain_id,
        hardfork=HARDFORK,
        gas_limit=options.gas_limit,
        timestamp=options.first_stamp,
        fees_to="0x" + _coinbase(options.seed).hex(),
        dev_accounts=options.dev_accounts,
        anvil="",
        hash="",
    )
    anvil = await options.start(wanted)
    try:
        found = await anvil.call("eth_getBlockByNumber", "0x0", False)
        version = await anvil.call("web3_clientVersion")
        without_history = Call("anvil_setCode", [_HISTORY_CONTRACT, "0x"])
        await anvil.call(without_history.method, *without_history.params)
        genesis = dataclasses.replace(wanted, hash=found["hash"], anvil=version)
        journal.begin([genesis, without_history])
    except BaseException:
        await anvil.stop()
        raise
    return genesis, anvil


def _coinbase(seed: int | None) -> bytes:
    if seed is None:
        return secrets.token_bytes(20)
    return hashlib.sha256(f"evm devnet coinbase {seed}".encode()).digest()[:20]


def engine_of(genesis: Genesis) -> str:
    """`anvil` or `eth-tester`: the one that made the chain is the one that can go on with it."""
    return genesis.anvil.partition("/")[0]


def check(options: Options, genesis: Genesis) -> None:
    """Raises ChainDiffers when the flags ask for another chain than there is."""
    engine = engine_of(genesis)
    for flag, asked, made in (
        ("--engine", options.engine, engine),
        ("--chain-id", options.chain_id, genesis.chain_id),
        ("--gas-limit", options.gas_limit, genesis.gas_limit),
        ("--dev-accounts", options.dev_accounts, genesis.dev_accounts),
    ):
        if asked != made:
            raise ChainDiffers(
                f"{options.data_dir} holds a chain made with {flag} {made}, not {asked}:"
                " start it as it was made, or choose an empty --data-dir"
            )


def saved(options: Options, genesis: Genesis, journal_bytes: int, grown: Grown, dump: str) -> Saved:
    """A checkpoint of the chain as it is at that place of the journal; `dump` as anvil gave it."""
    pool: list[Record] = [*grown.pool.values()]
    mark = Mark(
        genesis=genesis.hash,
        offset=journal_bytes,
        history=options.history,
        clock=grown.clock,
        settings=grown.settings.calls(),
        funded=sorted(grown.settings.funded),
        waiting=len(pool),
    )
    return Saved(mark, grown.head, pool, bytes.fromhex(dump[2:]))


async def grow(
    options: Options,
    genesis: Genesis,
    journal: Journal,
    checkpoints: Checkpoints,
    dump_at: int | None = None,
) -> tuple[Backend, Grown]:
    """A fresh anvil with the whole journal in it: from the checkpoint if there is one that fits,
    else from the genesis; each the quick way and, if that differs, the careful one. On the way a
    checkpoint is written of block `dump_at`, which has as many above it as are asked for.

    Raises JournalMismatch, JournalCorrupt and AnvilGone.
    """
    growing = _Growing(options, genesis, journal, checkpoints, dump_at)
    found = checkpoints.load()
    if found is not None and _fits(found.mark, options, genesis):
        for careful in (False, True):
            try:
                return await growing.run(found, careful=careful)
            except (JournalMismatch, NoRecordThere, RpcError) as error:
                why = str(error)
        sys.stderr.write(f"the checkpoint is of no use ({why}): replaying everything\n")
    checkpoints.forget()
    for careful in (False, True):
        try:
            return await growing.run(None, careful=careful)
        except (JournalMismatch, RpcError) as error:
            mismatch = str(error)
    raise JournalMismatch(
        f"the journal of {options.data_dir}, written with {genesis.anvil},"
        f" does not give the same chain again: {mismatch}"
    ) from None


def _fits(mark: Mark, options: Options, genesis: Genesis) -> bool:
    return mark.genesis == genesis.hash and mark.history >= options.history


@dataclass(frozen=True, slots=True)
class _Growing:
    options: Options
    genesis: Genesis
    journal: Journal
    checkpoints: Checkpoints
    dump_at: int | None

    async def run(self, found: Saved | None, *, careful: bool) -> tuple[Backend, Grown]:
        genesis = self.genesis
        anvil = await self.options.start(genesis)
        try:
            first = await anvil.call("eth_getBlockByNumber", "0x0", False)
            if first["hash"] != genesis.hash:
                raise JournalMismatch(f"genesis {genesis.hash} became {first['hash']}")
            if found is None:
                records = self.journal.read()
                next(records)
                grown = Grown(Block(0, genesis.timestamp, bytes.fromhex(genesis.hash[2:]), ()))
            else:
                records = self.journal.read(found.mark.offset)
                grown = await _loaded(anvil, genesis, found)
            replay = Replay(anvil, grown, careful=careful, stop=self._stop(anvil))
            return anvil, await replay.run(records)
        except BaseException:
            await anvil.stop()
            raise

    def _stop(self, anvil: Backend) -> Stop | None:
        if self.dump_at is None or not anvil.can_dump:
            return None

        async def dump(grown: Grown) -> None:
            state = await anvil.call("anvil_dumpState")
            here = saved(self.options, self.genesis, self.journal.reached, grown, state)
            self.checkpoints.put(here)

        return Stop(self.dump_at, dump)


async def _loaded(anvil: Backend, genesis: Genesis, found: Saved) -> Grown:
    await anvil.call("anvil_loadState", hex_of(found.dump))
    last = await anvil.call("eth_getBlockByNumber", "latest", False)
    if last["hash"] != hex_of(found.head.hash):
        raise JournalMismatch(f"the dump ends with {last['hash']}")
    await anvil.call("anvil_setCoinbase", genesis.fees_to)
    for call in found.mark.settings:
        await anvil.call(call.method, *call.params)
    grown = Grown(found.head, found.mark.clock)
    grown.settings = Settings(found.mark.settings, set(found.mark.funded))
    for record in found.pool:
        if isinstance(record, Tx):
            grown.pool[record.hash] = record
        elif isinstance(record, Unsigned):
            grown.pool[bytes.fromhex(record.hash[2:])] = record
    return grown
