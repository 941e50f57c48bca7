"""Puts a world together: picks adapters from settings and hands the slices to one another.

The only place that knows every slice. A new chain is one more line in `_open_chains`.
"""

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from eth_utils.address import to_checksum_address
from fastapi import APIRouter
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from contracts import token
from sandbox import health
from sandbox.audit import routes as audit_routes
from sandbox.bank import checks as bank_checks
from sandbox.bank import closing, simulator
from sandbox.bank import routes as bank_routes
from sandbox.bank import service as bank
from sandbox.chains import checks as chains_checks
from sandbox.chains import jobs as intents
from sandbox.chains import service as chains
from sandbox.chains.evm import deploy as evm_deploy
from sandbox.chains.evm import keys as evm_keys
from sandbox.chains.evm.chain import EvmChain
from sandbox.chains.port import Chain
from sandbox.chains.solana import deploy as solana_deploy
from sandbox.chains.solana import keys as solana_keys
from sandbox.chains.solana.chain import SolanaChain
from sandbox.chains.watcher import Watcher
from sandbox.chains.watching import BlockHandler, IntentHandler
from sandbox.core.checks import Check, CheckFunction
from sandbox.core.db import Database
from sandbox.core.http import limit_routes, stored_answers
from sandbox.core.http import log_routes as request_routes
from sandbox.core.http.expand import Loader
from sandbox.core.http.rate_limits import Buckets
from sandbox.core.http.request_log import RequestLog
from sandbox.core.settings import Settings
from sandbox.eventlog import checks as log_checks
from sandbox.eventlog import keys as log_keys
from sandbox.eventlog import routes as log_routes
from sandbox.eventlog import sequencer
from sandbox.eventlog import service as eventlog
from sandbox.eventlog.feed import Feed
from sandbox.eventlog.keys import LogKey
from sandbox.eventlog.types import NewEvent
from sandbox.explain import routes as explain_routes
from sandbox.lab import bank_routes as lab_bank_routes
from sandbox.lab import checks as lab_checks
from sandbox.lab import faucet, floats
from sandbox.lab import jobs as lab_jobs
from sandbox.lab import routes as lab_routes
from sandbox.lab import timers as lab_timers
from sandbox.ledger import checks as ledger_checks
from sandbox.ledger import days as ledger_days
from sandbox.ledger import routes as ledger_routes
from sandbox.ledger import service as ledger
from sandbox.ledger.journal import Changes
from sandbox.parties import checks as parties_checks
from sandbox.parties import key_routes
from sandbox.parties import routes as parties_routes
from sandbox.parties import seed as parties_seed
from sandbox.parties import service as parties
from sandbox.payments import checks as payments_checks
from sandbox.payments import expanding as payments_expanding
from sandbox.payments import jobs as payments_jobs
from sandbox.payments import routes as payments_routes
from sandbox.payments import row_checks as payments_row_checks
from sandbox.payments import service as payments
from sandbox.payments import sessions
from sandbox.payments.handlers import PaymentsHandler
from sandbox.payments.sweeping import Sweeps
from sandbox.reserve import (
    attestation_checks,
    attestation_routes,
    attesting,
    burns,
    crediting,
    intake_checks,
    intake_jobs,
    intake_routes,
    intakes,
    minting,
    moves,
    orders,
    reconciling,
    reversal_checks,
    statement_checks,
    token_routes,
)
from sandbox.reserve import checks as reserve_checks
from sandbox.reserve import jobs as reserve_jobs
from sandbox.reserve import routes as reserve_routes
from sandbox.reserve.handlers import IssuanceHandler, ReserveWatch
from sandbox.reserve.intake_handlers import IntakeBurns, IntakeSweeps, IntakeWatch, SendBacks
from sandbox.reserve.moves import BridgeMints
from sandbox.settlement import checks as settlement_checks
from sandbox.settlement import expanding as settlement_expanding
from sandbox.settlement import jobs as settlement_jobs
from sandbox.settlement import routes as settlement_routes
from sandbox.settlement import row_checks as settlement_row_checks
from sandbox.settlement import service as settlement
from sandbox.settlement import sweeps
from sandbox.settlement.burns import TRANSFER_KIND, Burns
from sandbox.web import reference, sponsoring
from sandbox.web import routes as web_routes
from sandbox.webhooks import checks as webhooks_checks
from sandbox.webhooks import fanout
from sandbox.webhooks import jobs as deliveries
from sandbox.webhooks import routes as webhooks_routes
from sandbox.webhooks import service as webhooks

ROUTERS: Sequence[APIRouter] = (
    stored_answers.router,
    request_routes.router,
    limit_routes.router,
    payments_routes.router,
    settlement_routes.router,
    log_routes.router,
    webhooks_routes.router,
    ledger_routes.router,
    reserve_routes.router,
    attestation_routes.router,
    intake_routes.router,
    token_routes.router,
    bank_routes.router,
    parties_routes.router,
    key_routes.router,
    lab_routes.router,
    lab_bank_routes.router,
    audit_routes.router,
    explain_routes.router,
    web_routes.router,
    sponsoring.router,
    reference.router,
)


EXPANDERS: Mapping[str, Loader] = {
    "checkout_session": payments_expanding.checkout_sessions,
    "payment": payments_expanding.payments,
    "refund": payments_expanding.refunds,
    "stray_transfer": payments_expanding.strays,
    "settlement": settlement_expanding.settlements,
    "payout": settlement_expanding.payouts,
    "merchant": parties.merchants,
}


@dataclass(frozen=True, slots=True)
class Loop:
    """A background loop: `step` says whether it did something; if not, it rests `idle_s`.

    It rests `busy_s` when it did: what comes meanwhile shares the next turn. One that `follows` a
    chain has something to do with every block, also with empty ones. One with `due`, SQL that is
    true when there is something to do, rests until then, `undue_s` at most.
    """

    name: str
    step: Callable[[], Awaitable[bool]]
    idle_s: float
    busy_s: float = 0.0
    follows: bool = False
    due: str | None = None
    undue_s: float = 5.0


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


@asynccontextmanager
async def open_world(settings: Settings, *, signing: bool) -> AsyncIterator[World]:
    """Connect to a prepared world; with `signing`, the chains' private keys are loaded too."""
    database = Database(settings.database_url)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(database.dispose)
        opened = await _open_chains(settings, database, stack, signing=signing)
        log_key = log_keys.load(settings.keys_dir, settings.log_origin) if signing else None
        log_vkey = log_keys.load_vkey(settings.keys_dir, settings.log_origin)
        owner = f"{os.getpid()}-{secrets.token_hex(4)}"
        courier = deliveries.Courier(
            database, owner, allow_loopback=settings.webhook_allow_loopback
        )
        stack.push_async_callback(courier.close)
        yield World(settings, database, opened, log_vkey, log_key, courier, owner)


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


async def prepare(settings: Settings) -> dict[str, Any]:
    """Contracts, log, bank accounts and seed parties; what exists is left as it is.

    Answers the part of endpoints.json that belongs to the world.
    """
    database = Database(settings.database_url, pool_size=2)
    try:
        keys_dir, spec = settings.keys_dir, token.load()
        (solana, _), (evm, _) = await asyncio.gather(
            solana_deploy.deploy(database, settings.solana_rpc, keys_dir, spec),
            evm_deploy.deploy(database, settings.evm_rpc, keys_dir, spec),
        )
        log_key = log_keys.load_or_create(settings.keys_dir, settings.log_origin)
        async with database.transaction() as db:
            epoch = await sequencer.open_epoch(db, log_key)
            await simulator.ensure_accounts(db)
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


async def known_keys(db: AsyncSession, chain: str, keys: list[str]) -> set[str]:
    """Which of these match keys we gave out: for checkout sessions, redemptions and moves."""
    return await payments.known_keys(db, chain, keys) | set(
        await intakes.known_keys(db, chain, keys)
    )


async def record(db: AsyncSession, answers: list[Any], events: list[NewEvent]) -> None:
    """Books and events of one step of a chain, in one call."""
    changes = Changes(events=list(events))
    for answer in answers:
        changes.extend(answer)
    await ledger.record(db, changes)


def loops(world: World) -> list[Loop]:
    """Everything that goes on in the background of a world."""
    database, opened = world.database, world.chains
    payments_handler = PaymentsHandler(others=intakes.known_keys)
    # Rows of intakes before the minting switch, as everybody else takes them.
    block_handlers: list[BlockHandler[Changes]] = [payments_handler, IntakeWatch(), ReserveWatch()]
    intent_handlers: dict[str, IntentHandler[Changes]] = {
        "issuance": IssuanceHandler(),
        "refund": payments_handler,
        "sweep": Sweeps(),
        "burn": Burns(),
        TRANSFER_KIND: Burns(),
        "faucet": faucet.FaucetHandler(),
        intakes.SWEEP_KIND: IntakeSweeps(),
        intakes.BURN_KIND: IntakeBurns(),
        intakes.SEND_BACK_KIND: SendBacks(),
        moves.KIND: BridgeMints(),
        orders.KIND: orders.OrderHandler(),
    }
    runner = intents.IntentRunner(
        database, opened, intent_handlers, record, world.owner, known_keys=known_keys
    )
    sequencing = database.leader("sequence", world.owner)
    reconciler = reconciling.Reconciler(
        database, reconciled_checks(world), database.leader("reconcile", world.owner)
    )
    assert world.log_key is not None, "only a world opened for signing has loops"
    made = [
        Loop("intents", runner.step, 0.1, due=intents.DUE),
        Loop(
            "sequence",
            _counted(sequencer.turn, database, sequencing, world.log_key),
            0.05,
            busy_s=0.05,
            due=sequencer.DUE,
            undue_s=0.5,  # it leads, and others may want to when it dies
        ),
        Loop("expire", _counted(payments_jobs.expire, database), 1.0, due=sessions.EXPIRY_DUE),
        Loop("bank", _counted(simulator.step, database), 0.2, due=simulator.DUE),
        Loop("statements", _counted(closing.close_days, database), 1.0),
        Loop(
            "bank-messages",
            _counted(settlement_jobs.step, database),
            0.2,
            due=settlement_jobs.MESSAGES_DUE,
        ),
        Loop(
            "sweeps",
            _counted(settlement_jobs.follow_sweeps, database, opened),
            0.2,
            due=sweeps.DUE,
        ),
        Loop("cut-off", _counted(settlement_jobs.cut_off, database, opened), 1.0),
        Loop(
            "redemptions",
            _counted(intake_jobs.follow, database, opened),
            0.2,
            due=intake_jobs.DUE,
        ),
        Loop(
            "redemption-messages",
            _counted(intake_jobs.read_bank, database),
            0.2,
            due=intake_jobs.MESSAGES_DUE,
        ),
        Loop("reserve", _counted(reserve_jobs.halt_if_short, database), 1.0),
        Loop("days", _counted(ledger_days.seal_due, database), 5.0),
        Loop("credits", _counted(crediting.step, database), 0.2, due=crediting.DUE),
        Loop("reconcile", reconciler.step, 0.5, busy_s=0.5, follows=True),
        Loop("attest-daily", _counted(attesting.ask_daily, database), 1.0),
        Loop(
            "attest",
            _counted(attesting.step, database, opened, world.log_key, world.owner),
            0.5,
            due=attesting.DUE,
        ),
        Loop(
            "float",
            _counted(lab_jobs.refill_float, database, opened),
            0.2,
            due=floats.DUE,
            undue_s=1.0,  # it may run low
        ),
        Loop("clocks", _counted(lab_jobs.sync_clocks, database, opened, {}), 0.5),
        Loop("webhooks", _counted(fanout.step, database), 0.1, busy_s=0.05, due=fanout.DUE),
        Loop("deliveries", _counted(world.courier.step), 0.1, due=deliveries.DUE),
    ]
    for name, chain in opened.items():
        leader = database.leader(f"watch:{name}", world.owner)
        watcher = Watcher(
            database,
            chain,
            block_handlers,
            intent_handlers,
            record,
            leader,
            known_keys=known_keys,
        )
        made.append(Loop(f"watch:{name}", watcher.step, 0.1, follows=True))
    return made


def _counted(job: Callable[..., Awaitable[int]], *arguments: Any) -> Callable[[], Awaitable[bool]]:
    async def step() -> bool:
        return bool(await job(*arguments))

    return step


def app_state(world: World) -> dict[str, Any]:
    """What routes find in `app.state`."""

    async def iban_of(db: AsyncSession, merchant_id: str) -> str | None:
        return (await parties.merchant(db, merchant_id)).iban

    return {
        "settings": world.settings,
        "database": world.database,
        "request_log": RequestLog(world.database, world.settings.request_log_kept),
        "rate_limits": Buckets(),
        "chains": world.chains,
        "key_lookup": parties.find_key,
        "iban_lookup": iban_of,
        "expanders": EXPANDERS,
        "feed": Feed(world.database),
        "other_strays": burns,
        "grants": faucet,
        "sponsored_turns": sponsoring.Turns(time.monotonic),
        "webhook_allow_loopback": world.settings.webhook_allow_loopback,
        "busy_probes": [
            payments.busy,
            settlement.busy,
            attesting.busy,
            intake_jobs.busy,
            bank.busy,
            closing.busy,
            eventlog.busy,
            webhooks.busy,
        ],
        "timers": lab_timers.ALL,
        "audit_checks": audit_checks(world),
        "readiness": lambda: health.not_ready(world.database, world.chains),
        "figures": lambda: health.figures(world.database, world.chains),
    }


def audit_checks(world: World) -> list[CheckFunction]:
    """Every invariant of DESIGN 5, each checked in a transaction of its own."""
    database, opened = world.database, world.chains

    def alone(check: Callable[..., Awaitable[list[Check]]], *arguments: Any) -> CheckFunction:
        async def run() -> list[Check]:
            async with database.transaction() as db:
                # Whole tables are compared: going through one for each row of another never pays,
                # whatever is (not yet) known of how many rows there are.
                await db.execute(text("SET LOCAL enable_nestloop = off"))
                return await check(db, *arguments)

        run.__name__ = check.__name__
        return run

    async def supply_matches() -> list[Check]:
        return await reserve_checks.supply_matches(database, opened)

    async def places_match() -> list[Check]:
        return await payments_checks.places_match(database, opened)

    async def intake_addresses_match() -> list[Check]:
        return await intake_checks.addresses_match(database, opened)

    return [
        supply_matches,
        places_match,
        intake_addresses_match,
        alone(reserve_checks.reserve_covers),
        alone(ledger_checks.entries_balance),
        alone(ledger_checks.days_stay_sealed),
        alone(ledger_checks.balances_are_sums),
        alone(chains_checks.transfers_are_whole),
        alone(payments_checks.suspense_is_explained),
        alone(payments_checks.unswept_is_explained),
        alone(payments_row_checks.arrivals_match),
        alone(reserve_checks.statements_match),
        alone(statement_checks.statement_lines_match),
        alone(bank_checks.messages_match),
        alone(bank_checks.messages_agree),
        alone(reserve_checks.deposits_match),
        alone(reversal_checks.reversals_match),
        alone(settlement_row_checks.orders_match),
        alone(payments_checks.refunds_within_payments),
        alone(payments_row_checks.captures_match),
        alone(settlement_checks.batches_add_up),
        alone(settlement_row_checks.lines_match),
        alone(burns.burns_match),
        alone(intake_checks.units_are_explained),
        alone(intake_checks.receipts_match),
        alone(intake_checks.claims_match),
        alone(intake_checks.intakes_as_told),
        alone(log_checks.i8_log, world.log_vkey),
        alone(ledger_checks.entries_are_told),
        alone(parties_checks.merchants_as_told),
        alone(reserve_checks.reserve_as_told),
        alone(orders.orders_as_told),
        alone(attestation_checks.attestations_match, world.log_vkey),
        alone(attestation_checks.breaches_as_told),
        alone(reversal_checks.reversals_as_told),
        alone(bank_checks.statements_as_told),
        alone(payments_row_checks.checkout_as_told),
        alone(settlement_row_checks.settlements_as_told),
        alone(lab_checks.grants_as_told),
        alone(webhooks_checks.deliveries_are_whole),
        alone(ledger_checks.funds_stay_apart),
    ]


_OF_THE_LOG = frozenset({"i8_log", "entries_are_told", "deliveries_are_whole", "funds_stay_apart"})


def reconciled_checks(world: World) -> list[CheckFunction]:
    """I1 to I7: what the worker goes through again and again; the log is for the audit."""
    return [
        check
        for check in audit_checks(world)
        if check.__name__ not in _OF_THE_LOG and not check.__name__.endswith("_as_told")
    ]
