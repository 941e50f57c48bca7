"""What a confirmed block brought: matched to sessions as payments, or put on the stray desk."""

from collections.abc import Iterable

from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.chains.port import UNSWEPT, ForeignTransfer
from sandbox.chains.watching import Seen, SeenBlock
from sandbox.core.driver import Statement
from sandbox.core.ids import new_id
from sandbox.payments import books, rows
from sandbox.payments.models import CheckoutSession, Payment, StrayTransfer
from sandbox.payments.step import Step

MAX_KEY_LENGTH = 200
MAX_NOTES = 10

_MATCHES = Statement(
    "SELECT key, session_id FROM session_match WHERE chain = :chain AND key = ANY(:keys)"
)

Arrival = tuple[int, Seen]
"""A transfer to one of our own addresses, with its place in the block."""


def arrivals(block: SeenBlock) -> list[Arrival]:
    """The transfers by others that reached us; what the sandbox sent itself is not ours to judge.

    Except to a session's address: whoever asked for that (a faucet grant, a mint), in the books
    of its intent the money went outside, and from there it came to the session. Transfers of
    nothing move nothing.
    """
    return [
        (index, seen)
        for index, seen in enumerate(block.transfers)
        if seen.transfer.amount_units > 0 and (_is_by_others(seen) or _is_sent_to_session(seen))
    ]


def _is_by_others(seen: Seen) -> bool:
    is_from_outside = bool(seen.incoming_place) and not seen.outgoing_place
    return is_from_outside and seen.intent is None and seen.transfer.kind == "transfer"


def _is_sent_to_session(seen: Seen) -> bool:
    return seen.incoming_place == UNSWEPT and seen.intent is not None


def elsewhere(block: SeenBlock) -> list[Seen]:
    """Other people's transfers that carry something which may be a session's key."""
    return [
        seen
        for seen in block.transfers
        if not (seen.incoming_place or seen.outgoing_place)
        and seen.intent is None
        and any(key.startswith("ref:") for key in seen.transfer.keys)
    ]


def usable(keys: Iterable[str]) -> list[str]:
    """Keys as PostgreSQL can hold them: a payer may write anything into a memo."""
    return [key for key in keys if len(key) <= MAX_KEY_LENGTH and is_storable(key)]


def is_storable(value: str) -> bool:
    """Whether PostgreSQL can hold this text: no U+0000, no half of a character."""
    return "\0" not in value and not any("\ud800" <= letter <= "\udfff" for letter in value)


async def matches(
    db: AsyncSession, block: SeenBlock, seen: Iterable[Seen], foreign: Iterable[ForeignTransfer]
) -> dict[str, str]:
    """Key → session, for everything in the block in one query."""
    keys = {key for one in seen for key in usable(one.transfer.keys)}
    keys |= {key for one in foreign for key in usable(one.keys)}
    if not keys:
        return {}
    found = await _MATCHES.fetch(db, {"chain": block.chain, "keys": sorted(keys)})
    return {row["key"]: row["session_id"] for row in found}


def session_of(keys: Iterable[str], matched: dict[str, str]) -> str | None:
    """The session that the first known key names; a reference goes before a memo."""
    return next((matched[key] for key in keys if key in matched), None)


def ref_of(row: Payment | StrayTransfer) -> str:
    """The ref of the pending entry of this inclusion (CONTRACT 5)."""
    return f"{row.id}:{row.inclusion}"


def include(step: Step, block: SeenBlock, arrival: Arrival, payment: Payment) -> bool:
    """Put a known payment into this block; false when it stands in it already."""
    index, seen = arrival
    if seen.inclusion <= payment.inclusion:
        return False
    # A payer that is a contract may send another amount when its transaction comes back.
    payment.amount_units, payment.from_address = seen.transfer.amount_units, seen.transfer.source
    payment.inclusion, payment.height = seen.inclusion, block.height
    payment.block_index, payment.block_time = index, block.time
    payment.chain_state, payment.confirmed_at = "confirmed", step.now
    reserve_payment(step, block, payment, seen.incoming_place)
    return True


def new_payment(
    step: Step, block: SeenBlock, arrival: Arrival, session: CheckoutSession
) -> Payment:
    """The payment that this transfer is for its session, counted or not."""
    index, seen = arrival
    payment = Payment(
        id=new_id("pay", step.now),
        session=session.id,
        merchant=session.merchant,
        chain=block.chain,
        method="transfer",
        decimals=block.decimals,
        transfer_id=seen.id,
        tx=seen.transfer.tx,
        ordinal=seen.transfer.ordinal,
        from_address=seen.transfer.source,
        amount_units=seen.transfer.amount_units,
        counted_units=0,
        excess_units=0,
        refunded_units=0,
        refunding_units=0,
        chain_state="confirmed",
        settlement_state="none",
        place=seen.incoming_place,
        inclusion=seen.inclusion,
        height=block.height,
        block_index=index,
        block_time=block.time,
        first_block_time=block.time,
        created_at=step.now,
        confirmed_at=step.now,
    )
    step.payments[payment.id] = payment
    step.new_payments.append(payment)
    reserve_payment(step, block, payment, seen.incoming_place)
    return payment


def reserve_payment(step: Step, block: SeenBlock, payment: Payment, place: str) -> None:
    step.changes.entries.append(
        books.arrived(
            ref_of(payment),
            payment.chain,
            place,
            payment.amount_units,
            payment.session,
            block.time,
            step.now,
            step.cause,
        )
    )


def record_stray(
    step: Step, block: SeenBlock, seen: Seen, known: StrayTransfer | None
) -> StrayTransfer | None:
    """Put a transfer that names no session on the desk; None when it stands there already."""
    stray = known
    if stray is None:
        stray = _new_stray(step, block, seen.transfer.tx, seen.transfer.ordinal)
        stray.transfer_id, stray.from_address = seen.id, seen.transfer.source
        stray.amount_units, stray.inclusion = seen.transfer.amount_units, seen.inclusion
    elif seen.inclusion <= stray.inclusion:
        return None
    else:
        stray.amount_units, stray.from_address = seen.transfer.amount_units, seen.transfer.source
    _open(stray, block, seen.inclusion)
    step.changes.entries.append(
        books.arrived(
            ref_of(stray),
            stray.chain,
            seen.incoming_place,
            stray.amount_units,
            stray.id,
            block.time,
            step.now,
            step.cause,
        )
    )
    step.tell_stray("stray.recorded", stray)
    return stray


def record_foreign(
    step: Step,
    block: SeenBlock,
    transfer: ForeignTransfer,
    known: StrayTransfer | None,
    session: CheckoutSession | None,
) -> None:
    """Put another token on the desk: it has no place in the books, so it makes no legs."""
    stray = known
    if stray is None:
        stray = _new_stray(step, block, transfer.tx, transfer.ordinal)
        stray.token, stray.foreign_amount = transfer.token, str(transfer.amount)
        stray.from_address, stray.reasons = transfer.source, ["wrong_token"]
        if session is not None:
            stray.session, stray.merchant = session.id, session.merchant
    elif stray.chain_state != "reverted":
        return
    _open(stray, block, stray.inclusion + 1)
    step.tell_stray("stray.recorded", stray)


def note(session: CheckoutSession, block: SeenBlock, seen: Seen) -> None:
    """Say on a session that its reference was used on money for somebody else."""
    known = any(
        one["tx"] == seen.transfer.tx and one["ordinal"] == seen.transfer.ordinal
        for one in session.notes
    )
    if known or len(session.notes) >= MAX_NOTES:
        return
    session.notes = [
        *session.notes,
        {
            "what": "reference_used_elsewhere",
            "chain": block.chain,
            "tx": seen.transfer.tx,
            "ordinal": seen.transfer.ordinal,
            "amount_units": seen.transfer.amount_units,
        },
    ]


def _new_stray(step: Step, block: SeenBlock, tx: str, ordinal: int) -> StrayTransfer:
    stray = StrayTransfer(
        id=new_id("str", step.now),
        chain=block.chain,
        decimals=block.decimals,
        tx=tx,
        ordinal=ordinal,
        from_address="",
        amount_units=0,
        proposal="refund",
        reasons=["unmatched"],
        status="open",
        chain_state="confirmed",
        inclusion=0,
        height=block.height,
        created_at=step.now,
    )
    step.strays[stray.id] = stray
    step.new_strays.append(stray)
    return stray


def _open(stray: StrayTransfer, block: SeenBlock, inclusion: int) -> None:
    stray.status, stray.resolution, stray.resolved_at = "open", None, None
    stray.chain_state, stray.inclusion, stray.height = "confirmed", inclusion, block.height


async def known_payments(db: AsyncSession, seen: Iterable[Arrival]) -> dict[str, Payment]:
    """Chain transfer → the payment it is, for those seen before; no lock."""
    ids = [one.id for _, one in seen]
    if not ids:
        return {}
    found = await rows.fetch(db, Payment, rows.table(Payment).c.transfer_id.in_(ids))
    return {payment.transfer_id: payment for payment in found}
