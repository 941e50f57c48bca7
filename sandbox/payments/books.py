"""The entries of checkout (CONTRACT 10, rows 4 to 8): where the units are, and whose."""

from datetime import datetime

from sandbox.chains.port import TREASURY, UNSWEPT
from sandbox.core.ids import new_id
from sandbox.ledger import accounts
from sandbox.ledger.journal import Account, NewEntry, credit, debit
from sandbox.payments.models import Payment, Refund, StrayTransfer


def place_account(chain: str, place: str) -> Account:
    """The ledger's account of one of the sandbox's places on a chain."""
    return {TREASURY: accounts.treasury, UNSWEPT: accounts.unswept}[place](chain)


def suspense_of(stray: StrayTransfer) -> str:
    """Whose suspense holds a stray's units: its session's, or its own."""
    return stray.session or stray.id


def arrived(
    ref: str,
    chain: str,
    place: str,
    units: int,
    owner: str,
    seen_at: datetime,
    now: datetime,
    cause: str,
) -> NewEntry:
    """Units that reached a place of ours, pending until final; in `owner`'s suspense until then."""
    return NewEntry(
        id=new_id("ent", now),
        kind="pending",
        reason="payment received" if ref.startswith("pay_") else "stray transfer received",
        ref=ref,
        chain=chain,
        # A chain's clock may round; nothing takes effect after it was recorded (LEDGER, L18).
        effective_at=min(seen_at, now),
        cause=cause,
        legs=(
            debit(place_account(chain, place), units),
            credit(accounts.external(chain), units),
            debit(accounts.custody(chain), units),
            credit(accounts.suspense(chain, owner), units),
        ),
    )


def swept(
    ref: str, chain: str, units: int, moved_at: datetime, now: datetime, cause: str
) -> NewEntry:
    """Units that go from deposit addresses to the treasury; whose they are stays as it is."""
    return NewEntry(
        id=new_id("ent", now),
        kind="pending",
        reason="sweep",
        ref=ref,
        chain=chain,
        effective_at=min(moved_at, now),
        cause=cause,
        legs=(debit(accounts.treasury(chain), units), credit(accounts.unswept(chain), units)),
    )


def captured(payment: Payment, ref: str, units: int, now: datetime, cause: str) -> NewEntry:
    """Units of a payment that become the merchant's; the fee is on the payment, not a leg."""
    return NewEntry(
        id=new_id("ent", now),
        kind="posted",
        reason="payment captured",
        ref=ref,
        chain=payment.chain,
        effective_at=now,
        cause=cause,
        legs=(
            debit(accounts.suspense(payment.chain, payment.session), units),
            credit(accounts.merchant(payment.chain, payment.merchant), units),
        ),
    )


def refunding(refund: Refund, suspense: str | None, now: datetime, cause: str) -> NewEntry:
    """Units on their way back, out of a suspense or (None) out of the merchant's claims.

    These are its unsettled money, or its refund reserve.
    """
    chain, units = refund.chain, refund.amount_units
    if suspense is None:
        assert refund.merchant is not None
        of_merchant = accounts.refund_reserve if refund.source == "reserve" else accounts.merchant
        claim = of_merchant(chain, refund.merchant)
    else:
        claim = accounts.suspense(chain, suspense)
    return NewEntry(
        id=new_id("ent", now),
        kind="pending",
        reason="refund",
        ref=refund.id,
        chain=chain,
        effective_at=now,
        cause=cause,
        legs=(
            debit(accounts.external(chain), units),
            credit(accounts.treasury(chain), units),
            debit(claim, units),
            credit(accounts.custody(chain), units),
        ),
    )
