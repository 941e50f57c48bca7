"""One step over sessions: what is loaded, judged, told and written together.

A step loads its sessions under lock, changes copies of the rows, and writes each table once. The
same code serves the watcher's blocks, the expiry job, cancellations and resolutions by hand, so
that the state of a session never depends on who looked at it last.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import ColumnElement
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core import clock
from sandbox.core.ids import new_id
from sandbox.eventlog.types import NewEvent
from sandbox.ledger.journal import Changes, Resolution
from sandbox.parties import plans
from sandbox.parties.models import FeePlan, Merchant
from sandbox.payments import desk, rows
from sandbox.payments.judge import Money, Policy, Status, Terms, Verdict, judge
from sandbox.payments.models import CheckoutSession, Payment, Refund, StrayTransfer
from sandbox.payments.objects import payment_object, refund_object, session_event, stray_object

SESSION_COLUMNS = (
    "status", "reason", "reasons", "notes", "expires_at", "canceled_at", "captured_at",
    "completions", "completed_payment", "received_units", "excess_units",
)  # fmt: skip
PAYMENT_COLUMNS = (
    "amount_units", "from_address", "counted_units", "excess_units", "refunded_units",
    "refunding_units", "chain_state", "settlement_state", "inclusion", "height", "block_index",
    "block_time", "fee_plan", "fee_bps", "fee_fixed_tiyn", "fee_minimum_tiyn", "fee_tiyn",
    "capture_entry", "resolution", "confirmed_at", "final_at", "captured_at",
)  # fmt: skip
STRAY_COLUMNS = (
    "amount_units", "from_address", "proposal", "reasons", "status", "resolution", "refund",
    "chain_state", "inclusion", "height", "resolved_at",
)  # fmt: skip


@dataclass(slots=True)
class Step:
    """What one transaction does to sessions. `cause` names the block, request or job."""

    db: AsyncSession
    now: datetime
    cause: str
    changes: Changes = field(default_factory=Changes)
    sessions: dict[str, CheckoutSession] = field(default_factory=dict)
    payments: dict[str, Payment] = field(default_factory=dict)
    strays: dict[str, StrayTransfer] = field(default_factory=dict)
    merchants: dict[str, Merchant] = field(default_factory=dict)
    plans: dict[str, FeePlan] = field(default_factory=dict)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    new_payments: list[Payment] = field(default_factory=list)
    new_strays: list[StrayTransfer] = field(default_factory=list)
    _read: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    async def begin(cls, db: AsyncSession, cause: str) -> "Step":
        return cls(db, await clock.now(db), cause)

    async def load(self, session_ids: Collection[str], *, capturing: bool = True) -> None:
        """Lock these sessions, then their payments and strays, each by id, and read them fresh.

        The fee plans of their merchants are for a step that is `capturing`.
        """
        if not session_ids:
            return
        ids = list(session_ids)
        sessions = rows.table(CheckoutSession).c
        for session in await rows.fetch(self.db, CheckoutSession, sessions.id.in_(ids), lock=True):
            self.sessions[session.id] = self._remember(session)
        payments = rows.table(Payment).c
        for payment in await rows.fetch(self.db, Payment, payments.session.in_(ids), lock=True):
            self.payments[payment.id] = self._remember(payment)
        strays = rows.table(StrayTransfer).c
        for stray in await rows.fetch(self.db, StrayTransfer, strays.session.in_(ids), lock=True):
            self.strays[stray.id] = self._remember(stray)
        wanted = {session.merchant for session in self.sessions.values()} - self.merchants.keys()
        if wanted:
            merchants = select(Merchant).where(col(Merchant.id).in_(wanted))
            if capturing:
                # Shared, so that no plan comes into force between this look and its use.
                merchants = merchants.order_by(col(Merchant.id)).with_for_update(read=True)
            found = await self.db.exec(merchants)
            self.merchants.update({merchant.id: merchant for merchant in found})
            if capturing:
                self.plans.update(await plans.in_force(self.db, wanted, self.now))

    async def load_strays(self, where: ColumnElement[bool]) -> list[StrayTransfer]:
        """Lock and read strays that belong to no session."""
        found = await rows.fetch(self.db, StrayTransfer, where, lock=True)
        for stray in found:
            self.strays[stray.id] = self._remember(stray)
        return found

    def _remember(self, row: rows.Row) -> rows.Row:
        self._read[row.id] = row.model_dump()
        return row

    def by_session(self) -> dict[str, list[Payment]]:
        grouped: dict[str, list[Payment]] = defaultdict(list)
        for payment in self.payments.values():
            grouped[payment.session].append(payment)
        return grouped

    # What is told.

    def tell(
        self,
        type_: str,
        data: dict[str, Any],
        merchant: str | None,
        refs: tuple[str, ...] = (),
        private: tuple[str, ...] = (),
    ) -> str:
        """Add an event; returns its id."""
        event = NewEvent(new_id("evt", self.now), type_, self.now, data, merchant, refs, private)
        self.changes.events.append(event)
        return event.id

    def tell_payment(self, type_: str, payment: Payment, refs: tuple[str, ...] = ()) -> str:
        return self.tell(type_, payment_object(payment), payment.merchant, refs)

    def tell_session(
        self, type_: str, session: CheckoutSession, payments: list[Payment], **over: Any
    ) -> str:
        return self.tell(type_, session_event(session, payments) | over, session.merchant)

    def tell_stray(self, type_: str, stray: StrayTransfer, refs: tuple[str, ...] = ()) -> str:
        return self.tell(type_, stray_object(stray), stray.merchant, refs)

    def tell_refund(self, type_: str, refund: Refund, refs: tuple[str, ...] = ()) -> str:
        """A refund's reason is free text: people write names into it."""
        return self.tell(type_, refund_object(refund), refund.merchant, refs, ("reason",))

    def resolve(self, ref: str, event_id: str, height: int | None, *, posted: bool) -> None:
        """Post or void the pending entry `ref`, as told by the event."""
        outcome = "posted" if posted else "voided"
        self.changes.resolutions.append(
            Resolution(ref, cast(Any, outcome), event_id, height if posted else None)
        )

    # What is judged.

    def judge_all(
        self, session_ids: Iterable[str], *, paid: Collection[str] = (), told: Any = None
    ) -> None:
        """Bring the sessions to what their payments say; `paid` are those with new money.

        `told(session_id)` is called after a session was judged and before its own events.
        """
        grouped = self.by_session()
        ordered = sorted(session_ids)
        for id_ in ordered:
            self._judge(self.sessions[id_], grouped[id_], new_money=id_ in paid, told=told)
        desk.keep(self, ordered)

    def _judge(
        self, session: CheckoutSession, payments: list[Payment], *, new_money: bool, told: Any
    ) -> None:
        was = session.status
        terms = self._terms(session)
        money = [money_of(payment) for payment in payments]
        verdict = judge(terms, money)
        undone = was == "complete" and self._is_undone(session, verdict)
        if undone and verdict.status != "complete":
            session.expires_at += timedelta(seconds=session.expires_in_s)
            verdict = judge(replace(terms, status="open", expires_at=session.expires_at), money)
        self.verdicts[session.id] = verdict
        for payment in payments:
            share = verdict.shares[payment.id]
            payment.counted_units, payment.excess_units = share.counted_units, share.excess_units
        session.status, session.reason = verdict.status, verdict.reason
        session.reasons = list(verdict.reasons)
        session.received_units, session.excess_units = verdict.received_units, verdict.excess_units
        session.completed_payment = verdict.completed_by
        if told is not None:
            told(session.id)
        if undone:
            self.tell_session(
                "checkout.session.reverted", session, payments, status="open", payment=None
            )
        if verdict.status == "complete" and (was != "complete" or undone):
            session.completions += 1
            self.tell_session("checkout.session.completed", session, payments)
        elif verdict.status == "expired" and was != "expired":
            self.tell_session("checkout.session.expired", session, payments)
        elif new_money and "underpaid" in verdict.reasons:
            self.tell_session("checkout.session.underpaid", session, payments)

    def _is_undone(self, session: CheckoutSession, verdict: Verdict) -> bool:
        if verdict.status != "complete":
            return True
        completed = self.payments.get(session.completed_payment or "")
        return completed is not None and completed.chain_state == "reverted"

    def _terms(self, session: CheckoutSession) -> Terms:
        return terms_of(session, self.merchants[session.merchant].confirm_policy)

    # What is written.

    async def write(self) -> None:
        """Write every table once, and only rows that changed; the caller records `changes`."""
        await rows.update(self.db, self._changed(self.sessions), SESSION_COLUMNS)
        await rows.insert(self.db, self.new_payments)
        await rows.update(self.db, self._changed(self.payments), PAYMENT_COLUMNS)
        await rows.insert(self.db, self.new_strays)
        await rows.update(self.db, self._changed(self.strays), STRAY_COLUMNS)

    def _changed(self, loaded: dict[str, rows.Row]) -> list[rows.Row]:
        # What was made in this step has no earlier state.
        return [
            row
            for id_, row in loaded.items()
            if id_ in self._read and row.model_dump() != self._read[id_]
        ]


def terms_of(session: CheckoutSession, policy: str) -> Terms:
    """What a session asks for, by its merchant's `policy`."""
    return Terms(
        amount_tiyn=session.amount_tiyn,
        expires_at=session.expires_at,
        status=cast(Status, session.status),
        policy=cast(Policy, policy),
        captured=session.captured_at is not None,
    )


def money_of(payment: Payment) -> Money:
    """A payment as it is judged."""
    return Money(
        id=payment.id,
        chain=payment.chain,
        decimals=payment.decimals,
        amount_units=payment.amount_units,
        state=cast(Any, payment.chain_state),
        first_time=payment.first_block_time,
        block_time=payment.block_time,
        height=payment.height,
        index=payment.block_index,
        fixed=payment.captured_at is not None or payment.resolution is not None,
        counted_units=payment.counted_units,
        excess_units=payment.excess_units,
    )
