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
from sandbox.devnets.evm.journal import Block, Call, Genesis, Journal, NoRecordThere, Tx, Unsigned
from sandbox.devnets.evm.replay import Grown, JournalMismatch, Replay
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


async def grow(
    options: Options, genesis: Genesis, journal: Journal, checkpoints: Checkpoints
) -> tuple[Backend, Grown]:
    """A fresh anvil with the whole journal in it: from the checkpoint if there is one that fits,
    else from the genesis; each the quick way and, if that differs, the careful one.

    Raises JournalMismatch, JournalCorrupt and AnvilGone.
    """
    saved = checkpoints.load()
    if saved is not None and _fits(saved.mark, options, genesis):
        for careful in (False, True):
            try:
                return await _grow(options, genesis, journal, saved, careful=careful)
            except (JournalMismatch, NoRecordThere, RpcError) as error:
                why = str(error)
        sys.stderr.write(f"the checkpoint is of no use ({why}): replaying everything\n")
    checkpoints.forget()
    for careful in (False, True):
        try:
            return await _grow(options, genesis, journal, None, careful=careful)
        except (JournalMismatch, RpcError) as error:
            mismatch = str(error)
    raise JournalMismatch(
        f"the journal of {options.data_dir}, written with {genesis.anvil},"
        f" does not give the same chain again: {mismatch}"
    ) from None


def _fits(mark: Mark, options: Options, genesis: Genesis) -> bool:
    return mark.genesis == genesis.hash and mark.history >= options.history


async def _grow(
    options: Options, genesis: Genesis, journal: Journal, saved: Saved | None, *, careful: bool
) -> tuple[Backend, Grown]:
    anvil = await options.start(genesis)
    try:
        found = await anvil.call("eth_getBlockByNumber", "0x0", False)
        if found["hash"] != genesis.hash:
            raise JournalMismatch(f"genesis {genesis.hash} became {found['hash']}")
        if saved is None:
            records = journal.read()
            next(records)
            grown = Grown(Block(0, genesis.timestamp, bytes.fromhex(genesis.hash[2:]), ()))
        else:
            records = journal.read(saved.mark.offset)
            grown = await _loaded(anvil, genesis, saved)
        return anvil, await Replay(anvil, grown, careful=careful).run(records)
    except BaseException:
        await anvil.stop()
        raise


async def _loaded(anvil: Backend, genesis: Genesis, saved: Saved) -> Grown:
    await anvil.call("anvil_loadState", hex_of(saved.dump))
    found = await anvil.call("eth_getBlockByNumber", "latest", False)
    if found["hash"] != hex_of(saved.head.hash):
        raise JournalMismatch(f"the dump ends with {found['hash']}")
    await anvil.call("anvil_setCoinbase", genesis.fees_to)
    for call in saved.mark.settings:
        await anvil.call(call.method, *call.params)
    grown = Grown(saved.head, saved.mark.clock)
    grown.settings = Settings(saved.mark.settings, set(saved.mark.funded))
    for record in saved.pool:
        if isinstance(record, Tx):
            grown.pool[record.hash] = record
        elif isinstance(record, Unsigned):
            grown.pool[bytes.fromhex(record.hash[2:])] = record
    return grown
