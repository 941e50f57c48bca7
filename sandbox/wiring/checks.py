"""Every invariant of a world, for the audit and for the reconciler."""

from collections.abc import Awaitable, Callable
from typing import Any

from sandbox.bank import checks as bank_checks
from sandbox.chains import checks as chains_checks
from sandbox.core.checks import Check, CheckFunction
from sandbox.core.db import compare_whole_tables
from sandbox.eventlog import checks as log_checks
from sandbox.lab import checks as lab_checks
from sandbox.ledger import checks as ledger_checks
from sandbox.parties import checks as parties_checks
from sandbox.payments import checks as payments_checks
from sandbox.payments import row_checks as payments_row_checks
from sandbox.reserve import (
    attestation_checks,
    burns,
    intake_checks,
    orders,
    reversal_checks,
    statement_checks,
)
from sandbox.reserve import checks as reserve_checks
from sandbox.settlement import checks as settlement_checks
from sandbox.settlement import row_checks as settlement_row_checks
from sandbox.webhooks import checks as webhooks_checks
from sandbox.wiring.world import World


def audit_checks(world: World) -> list[CheckFunction]:
    """Every invariant of DESIGN 5, each checked in a transaction of its own."""
    database, opened = world.database, world.chains

    def alone(check: Callable[..., Awaitable[list[Check]]], *arguments: Any) -> CheckFunction:
        async def run() -> list[Check]:
            async with database.transaction(draws=False) as db:
                await compare_whole_tables(db)
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
