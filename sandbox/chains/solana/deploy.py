"""Puts the token on a Solana node, once; later starts only make sure that it is the same chain."""

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from sqlalchemy.dialects.postgresql import insert as upsert

from contracts.solana_mint import create_mint, final_size
from contracts.token import TokenSpec
from sandbox.chains.errors import WrongChain
from sandbox.chains.models import ChainDeployment
from sandbox.chains.port import ChainUnavailable, Signed
from sandbox.chains.service import Deployment
from sandbox.chains.solana import tx
from sandbox.chains.solana.errors import reason
from sandbox.chains.solana.keys import (
    FILE,
    SPONSOR_FILE,
    UNREADABLE,
    SolanaKeys,
    load,
    load_or_create,
    load_or_create_sponsor,
)
from sandbox.chains.solana.rpc import Rpc
from sandbox.chains.solana.state import account_data, parse_mint
from sandbox.core import chance, clock
from sandbox.core.db import Database
from sandbox.core.errors import SandboxError

CHAIN = "solana"
FEE_PAYER_SOL, LEAST_SOL = 100_000, 10_000
# What anybody may use up by asking: little enough to lose.
SPONSOR_SOL, SPONSOR_LEAST_SOL = 1_000, 100
WAIT_S = 60
_POLL_S = 0.02
_CONFIRMED: dict[str, Any] = {"commitment": "confirmed"}
_FINAL: dict[str, Any] = {"commitment": "finalized"}
_HISTORY: dict[str, Any] = {"searchTransactionHistory": True}


class WrongKeys(SandboxError):
    """Keys that did not make this world's token: everything they sign would fail."""

    status, code = 409, "wrong_keys"

    def __init__(self, chain: str, path: Path, role: str = "") -> None:
        missing = f"the {role} that the mint names" if role else "the keys of this world's token"
        super().__init__(
            f"{chain}: {path} does not hold {missing};"
            " put them back, or begin with an empty data directory",
            chain=chain,
        )


class SponsorKeyDamaged(SandboxError):
    """The sponsor's key file cannot be read."""

    status, code = 409, "sponsor_key_damaged"

    def __init__(self, chain: str, path: Path) -> None:
        super().__init__(
            f"{chain}: {path} holds no key: put it back, or delete it and a new sponsor is made",
            chain=chain,
        )


class DeploymentFailed(Exception):
    """The node refused a transaction of the deployment; the text says which, and why."""


async def deploy(
    database: Database, rpc_url: str, keys_dir: Path, spec: TokenSpec, *, chain: str = CHAIN
) -> tuple[Deployment, SolanaKeys]:
    """The token on the node at `rpc_url`, made there if it is not yet; may be called at each start.

    Makes the keys in `keys_dir` on the first call. Raises `WrongChain` when this world was
    deployed on another chain, `WrongKeys` when by other keys, `SponsorKeyDamaged`,
    `ChainUnavailable`, `DeploymentFailed`.
    """
    rpc = Rpc(rpc_url, chain)
    try:
        genesis = str(await rpc.call("getGenesisHash"))
        async with database.transaction() as db:
            row = await db.get(ChainDeployment, chain)
        if row is not None and row.genesis != genesis:
            raise WrongChain(chain, row.genesis, genesis)
        keys = load_or_create(keys_dir, spec) if row is None else _kept(keys_dir, spec, row)
        sponsor = _sponsor(chain, keys_dir)
        if row is not None:
            await _check_authorities(rpc, row, keys, keys_dir / FILE)
        payers = (
            ("the fee payer", keys.fee_payer, FEE_PAYER_SOL, LEAST_SOL),
            ("the sponsor", sponsor, SPONSOR_SOL, SPONSOR_LEAST_SOL),
        )
        if chance.is_sown():
            # Side by side either may be first, and every block after them differs.
            for payer in payers:
                await _fund(rpc, *payer)
        else:
            await asyncio.gather(*(_fund(rpc, *payer) for payer in payers))
        if row is not None:
            return Deployment(chain, row.genesis, row.config), keys
        config = await _put(rpc, spec, keys)
    finally:
        await rpc.aclose()
    async with database.transaction() as db:
        await db.execute(
            upsert(ChainDeployment)
            .values(chain=chain, genesis=genesis, config=config, created_at=await clock.now(db))
            .on_conflict_do_nothing()
        )
        row = await db.get(ChainDeployment, chain)
        assert row is not None
    return Deployment(chain, row.genesis, row.config), keys


def _kept(keys_dir: Path, spec: TokenSpec, deployed: ChainDeployment) -> SolanaKeys:
    """The keys that made the token; new ones in their place would sign in vain."""
    try:
        keys = load(keys_dir, spec)
    except UNREADABLE as error:
        raise WrongKeys(deployed.chain, keys_dir / FILE) from error
    held = {
        "mint": str(keys.mint.pubkey()),
        "treasury": str(keys.treasury.pubkey()),
        "fee_payer": str(keys.fee_payer.pubkey()),
    }
    if any(deployed.config[name] != address for name, address in held.items()):
        raise WrongKeys(deployed.chain, keys_dir / FILE)
    return keys


def _sponsor(chain: str, keys_dir: Path) -> Keypair:
    try:
        return load_or_create_sponsor(keys_dir)
    except UNREADABLE as error:
        raise SponsorKeyDamaged(chain, keys_dir / SPONSOR_FILE) from error


async def _check_authorities(
    rpc: Rpc, deployed: ChainDeployment, keys: SolanaKeys, path: Path
) -> None:
    """Whom the mint names now must be one of ours: an older file lacks the keys made since."""
    options = {**_CONFIRMED, "encoding": "base64"}
    found = (await rpc.call("getAccountInfo", deployed.config["mint"], options))["value"]
    if found is None:
        raise WrongKeys(deployed.chain, path)
    held = parse_mint(account_data(found)).authorities
    for role, address in held.items():
        if address and keys.of(address) is None:
            raise WrongKeys(deployed.chain, path, role)


async def _put(rpc: Rpc, spec: TokenSpec, keys: SolanaKeys) -> dict[str, Any]:
    """Mint and treasury account, each unless it is there; returns the deployment's public facts."""
    mint, treasury = keys.mint.pubkey(), keys.treasury.pubkey()
    exists = await _exists(rpc, str(mint))
    start = await _first_block(rpc) if exists else await _final_block(rpc)
    if not exists:
        lamports = await rpc.call("getMinimumBalanceForRentExemption", final_size(spec))
        payer = keys.fee_payer.pubkey()
        made = create_mint(spec, payer, mint, keys.authorities(), lamports)
        await _send(
            rpc, "the mint", made, [keys.fee_payer, keys.mint, keys.first("mint_authority")]
        )
    token = tx.Token(mint, spec.decimals)
    opened = tx.create_token_account(keys.fee_payer.pubkey(), treasury, token)
    await _send(rpc, "the treasury's account", [opened], [keys.fee_payer])
    return {
        "mint": str(mint),
        "treasury": str(treasury),
        "treasury_account": str(tx.token_account(treasury, mint)),
        "decimals": spec.decimals,
        "name": spec.name,
        "symbol": spec.symbol,
        "fee_payer": str(keys.fee_payer.pubkey()),
        "start": start,
    }


async def _fund(rpc: Rpc, who: str, payer: Keypair, sol: int, least_sol: int) -> None:
    """Fill a payer of fees up from the node's faucet when it runs low."""
    address = str(payer.pubkey())
    balance = (await rpc.call("getBalance", address, _CONFIRMED))["value"]
    if balance >= least_sol * tx.LAMPORTS_PER_SOL:
        return
    amount = sol * tx.LAMPORTS_PER_SOL

    async def ask() -> tuple[str, int]:
        # What is asked for now uses no newer blockhash than this one.
        _, last_height = await _blockhash(rpc)
        return await rpc.call("requestAirdrop", address, amount, _CONFIRMED), last_height

    await _until_in(rpc, f"{who}'s airdrop", ask)


async def _send(
    rpc: Rpc, what: str, instructions: list[Instruction], signers: list[Keypair]
) -> None:
    options = {"encoding": "base64", "skipPreflight": True}

    async def send() -> tuple[str, int]:
        blockhash, last_height = await _blockhash(rpc)
        signed: Signed = tx.sign(instructions, signers, blockhash, last_height)
        await rpc.call("sendTransaction", base64.b64encode(signed.raw).decode(), options)
        return signed.tx_id, last_height

    await _until_in(rpc, what, send)


async def _until_in(rpc: Rpc, what: str, send: Callable[[], Awaitable[tuple[str, int]]]) -> None:
    """Send until one is confirmed, `WAIT_S` at most; anew only when the last one cannot come.

    The first slots are short, and so is the life of a blockhash: on a busy machine it may be over
    before the transaction arrives.
    """
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        signature, last_height = await send()
        if await _is_in(rpc, what, signature, last_height, until):
            return
    raise ChainUnavailable(f"solana ({what} was not confirmed within {WAIT_S} s)")


async def _blockhash(rpc: Rpc) -> tuple[Hash, int]:
    """A recent blockhash, and the last block height that takes it."""
    answer = (await rpc.call("getLatestBlockhash", _CONFIRMED))["value"]
    return Hash.from_string(answer["blockhash"]), answer["lastValidBlockHeight"]


async def _is_in(rpc: Rpc, what: str, signature: str, last_height: int, until: float) -> bool:
    """Wait until it is confirmed, or cannot be any more, or the time is over."""
    while time.monotonic() < until:
        final_height = await rpc.call("getBlockHeight", _FINAL)
        [status] = (await rpc.call("getSignatureStatuses", [signature], _HISTORY))["value"]
        if status is not None and status["err"] is not None:
            raise DeploymentFailed(f"{what}: {reason(status['err'], ())}")
        if status is not None and status["confirmationStatus"] in ("confirmed", "finalized"):
            return True
        if status is None and final_height > last_height:
            return False
        await asyncio.sleep(_POLL_S)
    return False


async def _exists(rpc: Rpc, address: str) -> bool:
    options = {**_CONFIRMED, "encoding": "base64"}
    return (await rpc.call("getAccountInfo", address, options))["value"] is not None


async def _first_block(rpc: Rpc) -> dict[str, Any]:
    """The mint was here before this database: all that is left of the chain must be read."""
    return await _block(rpc, await rpc.call("getFirstAvailableBlock"))


async def _final_block(rpc: Rpc) -> dict[str, Any]:
    return await _block(rpc, await rpc.call("getSlot", _FINAL))


async def _block(rpc: Rpc, slot: int) -> dict[str, Any]:
    options = {**_CONFIRMED, "transactionDetails": "none", "rewards": False}
    body = await rpc.call("getBlock", slot, options)
    return {"height": slot, "hash": body["blockhash"]}
