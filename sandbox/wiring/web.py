"""What the API is made of: its routes, what expands an id, and what routes find in `app.state`."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox import health
from sandbox.audit import routes as audit_routes
from sandbox.bank import closing
from sandbox.bank import routes as bank_routes
from sandbox.bank import service as bank
from sandbox.core.http import limit_routes, stored_answers
from sandbox.core.http import log_routes as request_routes
from sandbox.core.http.expand import Loader
from sandbox.core.http.fidelity import Fidelity
from sandbox.core.http.rate_limits import Buckets
from sandbox.core.http.request_log import RequestLog
from sandbox.eventlog import epoch_routes
from sandbox.eventlog import routes as log_routes
from sandbox.eventlog import service as eventlog
from sandbox.eventlog.feed import Feed
from sandbox.explain import routes as explain_routes
from sandbox.lab import bank_routes as lab_bank_routes
from sandbox.lab import faucet, simulate_routes, trigger_routes, worlds_routes
from sandbox.lab import fidelity as lab_fidelity
from sandbox.lab import routes as lab_routes
from sandbox.lab import timers as lab_timers
from sandbox.lab.scenarios import PAYERS
from sandbox.ledger import routes as ledger_routes
from sandbox.parties import key_routes
from sandbox.parties import routes as parties_routes
from sandbox.parties import service as parties
from sandbox.payments import expanding as payments_expanding
from sandbox.payments import routes as payments_routes
from sandbox.payments import service as payments
from sandbox.reserve import (
    attestation_routes,
    attesting,
    burns,
    intake_jobs,
    intake_routes,
    token_routes,
)
from sandbox.reserve import routes as reserve_routes
from sandbox.settlement import expanding as settlement_expanding
from sandbox.settlement import routes as settlement_routes
from sandbox.settlement import service as settlement
from sandbox.web import reference, sponsoring
from sandbox.web import routes as web_routes
from sandbox.webhooks import routes as webhooks_routes
from sandbox.webhooks import service as webhooks
from sandbox.wiring.checks import audit_checks
from sandbox.wiring.told import TOLD
from sandbox.wiring.world import World

ROUTERS: Sequence[APIRouter] = (
    stored_answers.router,
    request_routes.router,
    limit_routes.router,
    payments_routes.router,
    settlement_routes.router,
    log_routes.router,
    epoch_routes.router,
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
    worlds_routes.router,
    trigger_routes.router,
    simulate_routes.router,
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
        "told": TOLD,
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
        "house": world.house,
        "test_panel": PAYERS if world.settings.shows_test_panel else (),
        "fidelity": Fidelity(
            {piece.name: piece.level for piece in lab_fidelity.PIECES},
            world.chains,
            world.settings.devnets.split(","),
        ),
        "audit_checks": audit_checks(world),
        "readiness": lambda: health.not_ready(world.database, world.chains),
        "figures": lambda: health.figures(world.database, world.chains),
    }
