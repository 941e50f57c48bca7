"""Sessions, payments, stray transfers and refunds: read together, told from one of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core.errors import NotFound
from sandbox.explain import reading
from sandbox.explain.facts import Facts, ends
from sandbox.explain.paths import PATHS
from sandbox.payments import incoming, rows
from sandbox.payments.judge import Verdict, judge
from sandbox.payments.models import CheckoutSession, Payment, Refund, StrayTransfer
from sandbox.payments.objects import in_chain_order
from sandbox.payments.step import money_of, terms_of

MOST_PAYMENTS = 20
MOST_TXS = 8
"""Transactions that the chains are asked about; the rest is told from what is stored."""


@dataclass(slots=True)
class Checkout:
    """What was read. `payments` are all of the session, `named` those that were asked for, `told`
    those of them that are explained one by one."""

    object: str
    id: str
    facts: Facts
    session: CheckoutSession | None = None
    policy: str = ""
    verdict: Verdict | None = None
    payments: list[Payment] = field(default_factory=list)
    named: list[Payment] = field(default_factory=list)
    told: list[Payment] = field(default_factory=list)
    strays: list[StrayTransfer] = field(default_factory=list)
    refunds: list[Refund] = field(default_factory=list)
    matched: dict[tuple[str, str], str] = field(default_factory=dict)
    txs: Sequence[tuple[str, str]] = ()
    asked_tx: str = ""

    def stray_of(self, payment: Payment) -> StrayTransfer | None:
        return next((one for one in self.strays if one.payment == payment.id), None)


async def of_session(db: AsyncSession, id_: str, viewer: str | None) -> Checkout:
    """A session with all that came for it. Raises `NotFound`."""
    session = await _one(db, CheckoutSession, "checkout_session", id_, viewer)
    return await _read(db, "checkout_session", id_, viewer, session.id, None)


async def of_transaction(db: AsyncSession, id_: str, viewer: str | None, tx: str) -> Checkout:
    """A session, and whether and why a transaction pays it. Raises `NotFound`."""
    session = await _one(db, CheckoutSession, "checkout_session", id_, viewer)
    column = rows.table(Payment).c
    paying = await rows.fetch(db, Payment, (column.session == session.id) & (column.tx == tx))
    only = {one.id for one in paying}
    return await _read(db, "checkout_session", id_, viewer, session.id, only, tx)


async def of_payment(db: AsyncSession, id_: str, viewer: str | None) -> Checkout:
    """A payment, from the request for its session on. Raises `NotFound`."""
    payment = await _one(db, Payment, "payment", id_, viewer)
    return await _read(db, "payment", id_, viewer, payment.session, {payment.id})


async def of_refund(db: AsyncSession, id_: str, viewer: str | None) -> Checkout:
    """A refund and what it gives back. Raises `NotFound`."""
    refund = await _one(db, Refund, "refund", id_, viewer)
    payment = refund.payment
    if refund.stray is not None:
        column = rows.table(StrayTransfer).c
        [stray] = await rows.fetch(db, StrayTransfer, column.id == refund.stray)
        if stray.session is None:
            return await _unnamed(db, "refund", id_, viewer, stray)
        return await _read(
            db, "refund", id_, viewer, stray.session, {stray.payment} if stray.payment else set()
        )
    column = rows.table(Payment).c
    [paid] = await rows.fetch(db, Payment, column.id == payment)
    return await _read(db, "refund", id_, viewer, paid.session, {paid.id})


async def of_stray(db: AsyncSession, id_: str, viewer: str | None) -> Checkout:
    """A stray transfer, and the session that it may have been meant for. Raises `NotFound`."""
    stray = await _one(db, StrayTransfer, "stray_transfer", id_, viewer)
    if stray.session is None:
        return await _unnamed(db, "stray_transfer", id_, viewer, stray)
    only = {stray.payment} if stray.payment else set()
    return await _read(db, "stray_transfer", id_, viewer, stray.session, only)


async def _one(
    db: AsyncSession, model: type[rows.Row], kind: str, id_: str, viewer: str | None
) -> rows.Row:
    column = rows.table(model).c
    where: ColumnElement[bool] = column.id == id_
    if viewer is not None:
        where &= column.merchant == viewer
    found = await rows.fetch(db, model, where)
    if not found:
        raise NotFound(kind, id_)
    return found[0]


async def _read(
    db: AsyncSession,
    object_: str,
    id_: str,
    viewer: str | None,
    session_id: str,
    only: set[str] | None,
    tx: str = "",
) -> Checkout:
    """Everything about one session; of its payments only these are told, if any are named."""
    sessions = rows.table(CheckoutSession).c
    [session] = await rows.fetch(db, CheckoutSession, sessions.id == session_id)
    policy = await db.scalar(
        text("SELECT confirm_policy FROM merchant WHERE id = :id"), {"id": session.merchant}
    )
    column = rows.table(Payment).c
    payments = in_chain_order(await rows.fetch(db, Payment, column.session == session_id))
    told = [payment for payment in payments if only is None or payment.id in only]
    strays = [
        stray
        for stray in await rows.fetch(
            db, StrayTransfer, rows.table(StrayTransfer).c.session == session_id
        )
        if only is None or stray.id == id_ or stray.payment in only or stray.tx == tx
    ]
    read = await _with_facts(
        db, object_, id_, viewer, _told_of(session, told), ends(strays, MOST_PAYMENTS), session, tx
    )
    read.policy, read.payments, read.named = policy, payments, told
    read.verdict = judge(terms_of(session, policy), [money_of(payment) for payment in payments])
    where = f"{PATHS['checkout_session']}/{session_id}"
    read.facts.ends("payments", told, MOST_PAYMENTS, where)
    read.facts.ends("strays", strays, MOST_PAYMENTS, PATHS["stray_transfer"])
    return read


def _told_of(session: CheckoutSession, payments: Sequence[Payment]) -> list[Payment]:
    """The first and the last, and between them the one that completed the session."""
    kept = {payment.id for payment in ends(payments, MOST_PAYMENTS)} | {session.completed_payment}
    return [payment for payment in payments if payment.id in kept]


async def _unnamed(
    db: AsyncSession, object_: str, id_: str, viewer: str | None, stray: StrayTransfer
) -> Checkout:
    return await _with_facts(db, object_, id_, viewer, [], [stray], None)


async def _with_facts(
    db: AsyncSession,
    object_: str,
    id_: str,
    viewer: str | None,
    payments: list[Payment],
    strays: list[StrayTransfer],
    session: CheckoutSession | None,
    tx: str = "",
) -> Checkout:
    refund = rows.table(Refund).c
    refunds = await rows.fetch(
        db,
        Refund,
        refund.payment.in_([one.id for one in payments])
        | refund.stray.in_([one.id for one in strays]),
    )
    if object_ == "refund":
        refunds = [one for one in refunds if one.id == id_]
    arrived: list[Payment | StrayTransfer] = [*payments, *strays]
    ids = [one.id for one in arrived] + [one.id for one in refunds]
    ids += [one.sweep for one in payments if one.sweep is not None]
    txs = {(one.chain, one.tx) for one in arrived}
    if session is not None:
        ids.append(session.id)
        txs |= {(note["chain"], note["tx"]) for note in session.notes}
        if tx:
            txs |= {(option["chain"], tx) for option in session.options}
    transfers = [one.transfer_id for one in payments]
    transfers += [one.transfer_id for one in strays if one.transfer_id is not None]
    facts = await reading.read(db, viewer, ids, transfers=transfers, txs=txs)
    wanted = [(one.chain, one.tx) for one in arrived]
    wanted += [(one.chain, one.tx) for one in refunds if one.tx is not None]
    if session is not None:
        wanted += [(note["chain"], note["tx"]) for note in session.notes]
        if tx:
            wanted = [(option["chain"], tx) for option in session.options]
    wanted = list(dict.fromkeys(wanted))
    return Checkout(
        object_,
        id_,
        facts,
        session=session,
        told=payments,
        strays=strays,
        refunds=refunds,
        matched=await _matches(db, facts),
        txs=facts.ends("transactions", wanted, MOST_TXS),
        asked_tx=tx,
    )


async def _matches(db: AsyncSession, facts: Facts) -> dict[tuple[str, str], str]:
    """(chain, key) → session, of everything that the transfers carry."""
    keys = {(one.chain, key) for one in facts.moved.values() for key in incoming.usable(one.keys)}
    if not keys:
        return {}
    found = await db.execute(
        text(
            "SELECT chain, key, session_id FROM session_match WHERE (chain, key) IN ("
            "SELECT * FROM unnest(CAST(:chains AS text[]), CAST(:keys AS text[])))"
        ),
        {"chains": [chain for chain, _ in sorted(keys)], "keys": [key for _, key in sorted(keys)]},
    )
    return {(row.chain, row.key): row.session_id for row in found}


def option_of(read: Checkout, chain: str) -> Mapping[str, Any]:
    """How the session asked to be paid on a chain; empty where it did not."""
    options = read.session.options if read.session is not None else []
    return next((one for one in options if one["chain"] == chain), {})
