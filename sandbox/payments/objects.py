"""Rows as the API and the events show them (CONTRACT 8)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from sandbox.chains.shapes import TransferOption
from sandbox.core.clock import iso
from sandbox.core.money import tiyn_from_units
from sandbox.core.shapes import plain
from sandbox.payments import shapes
from sandbox.payments.models import CheckoutSession, Payment, Refund, StrayTransfer, Sweep

MAX_PAYMENTS_IN_EVENT = 40
"""Anyone can send dust to a session; a leaf of the log ends at 65,535 bytes (CONTRACT 4)."""


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else iso(moment)


def payment_object(row: Payment) -> dict[str, Any]:
    """A payment; `counted_units` count for its session, `excess_units` stay in suspense."""
    return plain(_payment(row))


def _payment(row: Payment) -> shapes.Payment:
    return {
        "object": "payment",
        "id": row.id,
        "session": row.session,
        "merchant": row.merchant,
        "chain": row.chain,
        "method": row.method,
        "tx": row.tx,
        "ordinal": row.ordinal,
        "from_address": row.from_address,
        "decimals": row.decimals,
        "amount_units": row.amount_units,
        "counted_units": row.counted_units,
        "excess_units": row.excess_units,
        "refunded_units": row.refunded_units,
        "chain_state": row.chain_state,
        "settlement_state": row.settlement_state,
        "height": row.height,
        "block_time": iso(row.block_time),
        "inclusion": row.inclusion,
        "fee_plan": row.fee_plan,
        "fee_bps": row.fee_bps,
        "fee_fixed_tiyn": row.fee_fixed_tiyn,
        "fee_minimum_tiyn": row.fee_minimum_tiyn,
        "fee_tiyn": row.fee_tiyn,
        "capture_entry": row.capture_entry,
        "settlement": row.settlement,
        "resolution": row.resolution,
        "created_at": iso(row.created_at),
        "confirmed_at": iso(row.confirmed_at),
        "final_at": _time(row.final_at),
        "captured_at": _time(row.captured_at),
    }


def in_chain_order(payments: Sequence[Payment]) -> list[Payment]:
    """By block time, chain, height and place in the block."""
    return sorted(payments, key=lambda p: (p.block_time, p.chain, p.height, p.block_index, p.id))


def session_object(
    row: CheckoutSession, payments: Sequence[Payment], *, url: str | None = None
) -> dict[str, Any]:
    """A session with all of its payments; `payment` is the one that completed it."""
    every = [_payment(payment) for payment in in_chain_order(payments)]
    by_id = {payment["id"]: payment for payment in every}
    shown: shapes.CheckoutSession = {
        "object": "checkout_session",
        "id": row.id,
        "merchant": row.merchant,
        "status": row.status,
        "reason": row.reason,
        "reasons": row.reasons,
        "amount_tiyn": row.amount_tiyn,
        "currency": row.currency,
        "description": row.description,
        "client_reference_id": row.client_reference_id,
        "metadata": row.meta,
        "created_at": iso(row.created_at),
        "expires_at": iso(row.expires_at),
        "canceled_at": _time(row.canceled_at),
        "captured_at": _time(row.captured_at),
        "url": url or row.url,
        "options": cast(list[TransferOption], row.options),
        "payments": every,
        "payment": by_id.get(row.completed_payment) if row.completed_payment else None,
        "received_units": row.received_units,
        "excess_units": row.excess_units,
        "completion": row.completions,
        "notes": cast(list[shapes.SessionNote], row.notes),
    }
    return plain(shown)


def session_event(row: CheckoutSession, payments: Sequence[Payment]) -> dict[str, Any]:
    """The session as an event tells it: the API object, its payments cut off where dust begins."""
    data = session_object(row, payments)
    if len(payments) > MAX_PAYMENTS_IN_EVENT:
        data["payments"] = data["payments"][:MAX_PAYMENTS_IN_EVENT]
        data["payments_left_out"] = len(payments) - MAX_PAYMENTS_IN_EVENT
    return data


def for_viewer(data: dict[str, Any], *, owner: bool) -> dict[str, Any]:
    """Without the private fields of CONTRACT 4, unless the viewer is the owner."""
    if owner:
        return data
    return data | {"description": None, "client_reference_id": None, "metadata": {}}


def stray_object(row: StrayTransfer) -> dict[str, Any]:
    """A stray transfer. With `token`, `amount_units` are base units of that other token."""
    shown: shapes.StrayTransfer = {
        "object": "stray_transfer",
        "id": row.id,
        "chain": row.chain,
        "tx": row.tx,
        "ordinal": row.ordinal,
        "from_address": row.from_address,
        "amount_units": row.amount_units if row.foreign_amount is None else int(row.foreign_amount),
        "token": row.token,
        "session": row.session,
        "payment": row.payment,
        "merchant": row.merchant,
        "proposal": row.proposal,
        "reasons": row.reasons,
        "status": row.status,
        "resolution": row.resolution,
        "refund": row.refund,
        "chain_state": row.chain_state,
        "created_at": iso(row.created_at),
        "resolved_at": _time(row.resolved_at),
    }
    return plain(shown)


def refund_object(row: Refund) -> dict[str, Any]:
    """A refund, of a payment or of a stray transfer. `amount_tiyn` is rounded down."""
    shown: shapes.Refund = {
        "object": "refund",
        "id": row.id,
        "payment": row.payment,
        "stray_transfer": row.stray,
        "merchant": row.merchant,
        "chain": row.chain,
        "amount_tiyn": tiyn_from_units(row.amount_units, row.decimals)[0],
        "amount_units": row.amount_units,
        "recipient": row.recipient,
        "reason": row.reason,
        "source": row.source,
        "status": row.status,
        "failure": row.failure,
        "tx": row.tx,
        "created_at": iso(row.created_at),
        "completed_at": _time(row.completed_at),
    }
    return plain(shown)


def sweep_object(row: Sweep, sessions: Sequence[str]) -> dict[str, Any]:
    """A sweep of these sessions' deposit addresses; without a merchant it is a stranger's."""
    shown: shapes.Sweep = {
        "object": "sweep",
        "id": row.id,
        "chain": row.chain,
        "merchant": row.merchant,
        "settlement": row.settlement,
        "status": row.status,
        "attempt": row.attempt,
        "sessions": list(sessions),
        "planned_units": row.planned_units,
        "moved_units": row.moved_units,
        "tx": row.tx,
        "reason": row.reason,
        "created_at": iso(row.created_at),
        "ended_at": _time(row.ended_at),
    }
    return plain(shown)
