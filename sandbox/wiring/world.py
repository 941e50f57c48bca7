"""The world that a process holds, and what is prepared before one can be opened: contracts, log,
bank accounts, parties. A new chain is one more line in `_open_chains`.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from eth_utils.address import to_checksum_address

from contracts import token
from sandbox.bank import registry
from sandbox.chains import service as chains
from sandbox.chains.announcing import Announcer
from sandbox.chains.customers import Customers
from sandbox.chains.drills import Drills
from sandbox.chains.evm import deploy as evm_deploy
from sandbox.chains.evm import keys as evm_keys
from sandbox.chains.evm.chain import EvmChain
from sandbox.chains.evm.customers import EvmCustomers
from sandbox.chains.evm.drills import EvmDrills
from sandbox.chains.port import Chain
from sandbox.chains.solana import deploy as solana_deploy
from sandbox.chains.solana import keys as solana_keys
from sandbox.chains.solana.chain import SolanaChain
from sandbox.chains.solana.customers import SolanaCustomers
from sandbox.chains.solana.drills import SolanaDrills
from sandbox.core import chance, clock, seeding
from sandbox.core.db import Database
from sandbox.core.settings import Settings
from sandbox.eventlog import keys as log_keys
from sandbox.eventlog import sequencer
from sandbox.eventlog.keys import LogKey
from sandbox.lab import timers as lab_timers
from sandbox.lab.stage import House
from sandbox.parties import seed as parties_seed
from sandbox.reserve import minting
from sandbox.webhooks import jobs as deliveries
from sandbox.webhooks import keys as webhook_keys


@dataclass(frozen=True, slots=True)
class World:
    """One world as a process holds it."""

    settings: Settings
    database: Database
    chains: Mapping[str, Chain]
    log_vkey: str
    log_key: LogKey | None
    courier: deliveries.Courier
    owner: str
    house: House | None = None


@asynccontextmanager
async def open_world(settings: Settings, *, signing: bool) -> AsyncIterator[World]:
    """Connect to a prepared world; with `signing`, the chains' private keys are loaded too."""
    chance.sow(settings.seed)
    database = Database(settings.database_url)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(database.let_go)
        opened = await _open_chains(settings, database, stack, signing=signing)
        log_key = log_keys.load(settings.keys_dir, settings.log_origin) if signing else None
        log_vkey = log_keys.load_vkey(settings.keys_dir, settings.log_origin)
        owner = f"{os.getpid()}-{secrets.token_hex(4)}"
        courier = deliveries.Courier(
            database,
            owner,
            allow_loopback=settings.webhook_allow_loopback,
            keyring=webhook_keys.Keyring(settings.keys_dir) if signing else None,
        )
        stack.push_async_callback(courier.close)
        house = _house(settings, database, opened, stack)
        yield World(settings, database, opened, log_vkey, log_key, courier, owner, house)


def _house(
    settings: Settings, database: Database, opened: Mapping[str, Chain], stack: AsyncExitStack
) -> House:
    """Simulated customers and drills of the chains; their keys lie beside those of test wallets."""
    wallets = settings.data_dir / "wallets"
    customers: list[Customers] = [
        SolanaCustomers(settings.solana_rpc, wallets),
        EvmCustomers(settings.evm_rpc, wallets),
    ]
    drills: list[Drills] = [SolanaDrills(settings.solana_rpc), EvmDrills(settings.evm_rpc)]
    for customer in customers:
        stack.push_async_callback(customer.aclose)
    for drill in drills:
        stack.push_async_callback(drill.aclose)
    return House(
        database=database,
        chains=opened,
        customers={one.chain: one for one in customers},
        drills={one.chain: one for one in drills},
        timers=lab_timers.ALL,
        base_url=settings.base_url,
    )


async def _open_chains(
    settings: Settings, database: Database, stack: AsyncExitStack, *, signing: bool
) -> dict[str, Chain]:
    keys_dir, spec = settings.keys_dir, token.load()
    async with database.transaction() as db:
        on_solana, on_evm = [await chains.deployment(db, name) for name in ("solana", "evm")]
    solana = SolanaChain(
        settings.solana_rpc,
        on_solana,
        solana_keys.load(keys_dir, spec) if signing else None,
        sponsor=solana_keys.load_sponsor(keys_dir),
    )
    evm = EvmChain(
        settings.evm_rpc,
        on_evm,
        evm_keys.load(keys_dir, spec) if signing else None,
        public_rpc=settings.evm_public_rpc,
    )
    for chain in (solana, evm):
        stack.push_async_callback(chain.aclose)
    return {"solana": solana, "evm": evm}


def announcers(settings: Settings) -> dict[str, Announcer]:
    """Where each chain's node tells of new heads; an empty URL: nowhere."""
    return {
        "solana": Announcer(settings.solana_ws, "slotSubscribe"),
        "evm": Announcer(settings.evm_ws, "eth_subscribe", ["newHeads"]),
    }


async def prepare(settings: Settings) -> dict[str, Any]:
    """Contracts, log, bank accounts and seed parties; what exists is left as it is.

    Answers the part of endpoints.json that belongs to the world.
    """
    chance.sow(settings.seed)
    database = Database(settings.database_url, connections=4)
    try:
        async with database.transaction() as db:
            await seeding.keep(db, settings.seed)
        keys_dir, spec = settings.keys_dir, token.load()
        (solana, _), (evm, _) = await asyncio.gather(
            solana_deploy.deploy(database, settings.solana_rpc, keys_dir, spec),
            evm_deploy.deploy(database, settings.evm_rpc, keys_dir, spec),
        )
        log_key = log_keys.load_or_create(settings.keys_dir, settings.log_origin)
        with chance.within("prepare"):
            async with database.transaction() as db:
                webhook_keys.load_or_create(settings.keys_dir, await clock.now(db))
                epoch = await sequencer.open_epoch(db, log_key)
                await registry.ensure_accounts(db)
                await minting.set_statement_max_age(db, settings.statement_max_age_s)
                keys = await parties_seed.seed(db, settings.keys_dir / "api_keys.json")
    finally:
        await database.dispose()
    return {
        "kzte": {
            "decimals": spec.decimals,
            "solana_mint": solana.config["mint"],
            "solana_treasury": solana.config["treasury"],
            "evm_token": to_checksum_address(evm.config["token"]),
            "evm_treasury": to_checksum_address(evm.config["treasury"]),
            "evm_deposits": to_checksum_address(evm.config["deposits"]),
        },
        "evm_chain_id": evm.config["chain_id"],
        "log_vkey": log_key.vkey(epoch),
        "keys": keys,
    }
