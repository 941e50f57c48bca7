"""Checkout sessions: making one (the hot path), canceling, expiring."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.chains.port import Chain
from sandbox.core import clock
from sandbox.core.driver import Statement
from sandbox.core.errors import NotFound
from sandbox.core.ids import new_id
from sandbox.core.money import units_from_tiyn
from sandbox.eventlog import service as eventlog
from sandbox.eventlog.types import NewEvent
from sandbox.ledger import service as ledger
from sandbox.parties.service import check_may_sell
from sandbox.payments import rows
from sandbox.payments.errors import ReferenceInUse, SessionNotOpen
from sandbox.payments.models import CheckoutSession, Payment
from sandbox.payments.objects import session_object
from sandbox.payments.step import Step

EXPIRE_BATCH = 200

# One statement for the session and its keys: it is what a shop waits for.
_INSERT = Statement(
    """
    WITH made AS (
        INSERT INTO checkout_session (
            id, merchant, amount_tiyn, currency, description, client_reference_id, metadata,
            options, url, status, reason, reasons, notes, expires_in_s, created_at, expires_at,
            completions, received_units, excess_units
        ) VALUES (
            :id, :merchant, :amount_tiyn, :currency, :description, :client_reference_id,
            CAST(:metadata AS jsonb), CAST(:options AS jsonb), :url, 'open', 'none', '[]', '[]',
            :expires_in_s, :created_at, :expires_at, 0, 0, 0
        )
    )
    INSERT INTO session_match (chain, key, session_id)
    SELECT chain, key, :id FROM unnest(CAST(:chains AS text[]), CAST(:keys AS text[]))
        AS m(chain, key)
    """
)


_NOW_AND_NAME = Statement(
    "SELECT sandbox_now() AS now, name, status FROM merchant WHERE id = :merchant"
)


async def create(
    db: AsyncSession,
    chains: Mapping[str, Chain],
    *,
    base_url: str,
    merchant: str,
    amount_tiyn: int,
    currency: str,
    description: str | None,
    client_reference_id: str | None,
    metadata: dict[str, str],
    expires_in_s: int,
) -> CheckoutSession:
    """A new open session, payable on every configured chain.

    Raises `NotFound` (merchant), `MerchantSuspended`, `MerchantClosed`.
    """
    now, label = await _now_and_name(db, merchant)
    id_ = new_id("cs", now)
    options, keys = _options(chains, id_, amount_tiyn, label)
    session = CheckoutSession(
        id=id_,
        merchant=merchant,
        amount_tiyn=amount_tiyn,
        currency=currency,
        description=description,
        client_reference_id=client_reference_id,
        meta=metadata,
        options=options,
        url=f"{base_url}/pay/{id_}",
        status="open",
        reason="none",
        reasons=[],
        notes=[],
        expires_in_s=expires_in_s,
        created_at=now,
        expires_at=now + timedelta(seconds=expires_in_s),
        completions=0,
        received_units=0,
        excess_units=0,
    )
    values = {
        name: getattr(session, name)
        for name in (
            "id", "merchant", "amount_tiyn", "currency", "description", "client_reference_id",
            "url", "expires_in_s", "created_at", "expires_at",
        )
    }  # fmt: skip
    await _INSERT.fetch(
        db,
        values
        | {
            "metadata": orjson.dumps(metadata).decode(),
            "options": orjson.dumps(options).decode(),
            "chains": [chain for chain, _ in keys],
            "keys": [key for _, key in keys],
        },
    )
    event = NewEvent(
        new_id("evt", now), "checkout.session.created", now, session_object(session, []), merchant
    )
    await eventlog.append_many(db, [event], {})
    return session


async def _now_and_name(db: AsyncSession, merchant: str) -> tuple[datetime, str]:
    """Sandbox time and the merchant's name in one statement: this is the busiest route."""
    found = await _NOW_AND_NAME.fetch(db, {"merchant": merchant})
    if not found:
        raise NotFound("merchant", merchant)
    check_may_sell(merchant, found[0]["status"])
    return found[0]["now"].astimezone(UTC), found[0]["name"]


def _options(
    chains: Mapping[str, Chain], session_id: str, amount_tiyn: int, label: str
) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    options: list[dict[str, Any]] = []
    keys: list[tuple[str, str]] = []
    for name, chain in chains.items():
        units = units_from_tiyn(amount_tiyn, chain.decimals)
        option = chain.receive_option(session_id, units, label)
        options.append({"chain": name, "method": "transfer", **option.fields})
        keys += [(name, key) for key in option.keys]
    return options, keys


async def same_reference(
    db: AsyncSession, merchant: str, client_reference_id: str, amount_tiyn: int
) -> CheckoutSession | None:
    """The open session of this reference, if there is one; others who ask wait for us.

    Raises `ReferenceInUse` when it asks for another amount.
    """
    await db.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"),
        {"name": f"reference\n{merchant}\n{client_reference_id}"},
    )
    column = rows.table(CheckoutSession).c
    found = await rows.fetch(
        db,
        CheckoutSession,
        (column.merchant == merchant)
        & (column.client_reference_id == client_reference_id)
        & (column.status == "open")
        & (column.expires_at > await clock.now(db)),
    )
    if not found:
        return None
    if found[-1].amount_tiyn != amount_tiyn:
        raise ReferenceInUse(found[-1].id)
    return found[-1]


async def one(
    db: AsyncSession, session_id: str, merchant: str | None = None
) -> tuple[CheckoutSession, list[Payment]]:
    """A session and its payments; `merchant` limits it to that merchant's. Raises `NotFound`."""
    column = rows.table(CheckoutSession).c
    where = column.id == session_id
    if merchant is not None:
        where &= column.merchant == merchant
    found = await rows.fetch(db, CheckoutSession, where)
    if not found:
        raise NotFound("checkout_session", session_id)
    return found[0], (await payments_of(db, [session_id])).get(session_id, [])


async def payments_of(db: AsyncSession, session_ids: list[str]) -> dict[str, list[Payment]]:
    """The payments of many sessions in one statement."""
    grouped: dict[str, list[Payment]] = {id_: [] for id_ in session_ids}
    column = rows.table(Payment).c
    for payment in await rows.fetch(db, Payment, column.session.in_(session_ids)):
        grouped[payment.session].append(payment)
    return grouped


async def cancel(
    db: AsyncSession, session_id: str, merchant: str
) -> tuple[CheckoutSession, list[Payment]]:
    """Stop waiting for money; what comes later, or came in part, is on the stray desk.

    Raises `NotFound`, `SessionNotOpen`.
    """
    await one(db, session_id, merchant)
    step = await Step.begin(db, f"cancel of {session_id}")
    await step.load([session_id])
    session = step.sessions[session_id]
    if session.status != "open":
        raise SessionNotOpen(session.id, session.status)
    session.status, session.canceled_at = "canceled", step.now
    payments = list(step.payments.values())
    step.judge_all(
        [session_id],
        told=lambda _: step.tell_session("checkout.session.canceled", session, payments),
    )
    await step.write()
    await ledger.record(db, step.changes)
    return session, payments


_EXPIRED = "status = 'open' AND expires_at < sandbox_now()"
EXPIRY_DUE = f"EXISTS (SELECT FROM checkout_session WHERE {_EXPIRED})"
"""SQL: the time of an open session is over."""


async def expire_some(db: AsyncSession, limit: int = EXPIRE_BATCH) -> int:
    """Expire up to `limit` open sessions that are past their time; returns how many.

    A payment whose first block is not past it may still complete an expired session.
    """
    due = await db.execute(
        text(
            f"SELECT id FROM checkout_session WHERE {_EXPIRED}"  # noqa: S608 - our own
            " ORDER BY id LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED"
        ),
        {"limit": limit},
    )
    ids = [row.id for row in due]
    if not ids:
        return 0
    step = await Step.begin(db, "expiry")
    await step.load(ids)
    grouped = step.by_session()
    for id_ in ids:
        step.sessions[id_].status = "expired"
    step.judge_all(
        ids,
        told=lambda id_: step.tell_session(
            "checkout.session.expired", step.sessions[id_], grouped[id_]
        ),
    )
    await step.write()
    await ledger.record(db, step.changes)
    return len(ids)
