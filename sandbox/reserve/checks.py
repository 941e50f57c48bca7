"""I1, I2 and I6 (DESIGN 5), recomputed from raw rows, the chains and the bank's own lines."""

from collections.abc import Mapping

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank import service as bank
from sandbox.bank.accounts import OPERATING_IBAN, RESERVE_IBAN
from sandbox.bank.models import Kind
from sandbox.chains.checks import WatcherBehind, await_final_cursor, unasked_mints
from sandbox.chains.port import Chain
from sandbox.core.checks import Check, no_faults
from sandbox.core.db import Database
from sandbox.eventlog.told import Told, as_told, moment
from sandbox.ledger.chart import accounts
from sandbox.ledger.journal import Account
from sandbox.ledger.reading import posted_upto
from sandbox.reserve import backing

WAIT_S = 30.0


async def supply_matches(
    database: Database, configured: Mapping[str, Chain], *, wait_s: float = WAIT_S
) -> list[Check]:
    """I1, per chain: units in existence at final height S = what is posted up to S.

    Waits up to `wait_s` for the final cursor to reach S; a cursor that does not is a breach.
    Raises `ChainUnavailable` when a chain does not answer.
    """
    return [await _supply_of(database, chain, wait_s) for chain in configured.values()]


async def _supply_of(database: Database, chain: Chain, wait_s: float) -> Check:
    there = await chain.supply()
    try:
        await await_final_cursor(database, chain.name, there.height, wait_s)
    except WatcherBehind as behind:
        return Check("I1", False, there.units, None, behind.detail)
    async with database.transaction() as db:
        posted = -await posted_upto(db, accounts.supply(chain.name), there.height)
        unasked = await unasked_mints(db, chain) if posted != there.units else None
    detail = f"{chain.name} at {there.height}: supply on chain = supply posted"
    if unasked:
        detail = f"{detail}; {unasked.said}"
    return Check("I1", there.units == posted, there.units, posted, detail)


async def reserve_covers(db: AsyncSession) -> list[Check]:
    """I2: reserve at bank and central bank, bills, in transit ≥ everything owed, in tiyn."""
    now = await backing.recompute(db)
    detail = f"reserve covers what is owed, ratio {now.ratio or 'null: nothing is owed'}"
    return [Check("I2", now.is_enough, now.reserve_tiyn, now.owed_tiyn, detail)]


async def statements_match(db: AsyncSession) -> list[Check]:
    """I6: the bank's lines of each account = the ledger's account, but for unread notices.

    The third line explains what is in transit by the payouts that the bank has accepted.
    """
    # Bank and books must be read at one moment.
    await db.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
    found = [
        await _statement(db, RESERVE_IBAN, accounts.reserve_bank(), "1010"),
        await _statement(db, OPERATING_IBAN, accounts.operating(), "1110"),
    ]
    under_way = await _accepted_payouts(db)
    in_transit = -await _posted(db, accounts.in_transit())
    detail = "1090: in transit = payouts accepted and not booked"
    return [*found, Check("I6", in_transit == under_way, in_transit, under_way, detail)]


async def _statement(db: AsyncSession, iban: str, account: Account, number: str) -> Check:
    booked = await bank.balance(db, iban)
    posted = await _posted(db, account)
    unread = await bank.unread_movements(db, iban)
    detail = f"{number}: statement of {iban} = ledger {posted} + unread notices {unread}"
    return Check("I6", booked == posted + unread, booked, posted + unread, detail)


async def _posted(db: AsyncSession, account: Account) -> int:
    """The account's balance from its legs, debits less credits."""
    total: int = await db.scalar(
        text(
            "SELECT coalesce(sum(CASE l.side WHEN 'D' THEN l.amount ELSE -l.amount END), 0)"
            "::bigint FROM leg l JOIN account a ON a.id = l.account_id"
            " JOIN entry e ON e.id = l.entry_id LEFT JOIN resolution r ON r.entry_id = e.id"
            " WHERE a.book = :book AND a.asset = :asset AND a.code = :code"
            " AND coalesce(r.outcome, e.kind) = 'posted'"
        ),
        {"book": account.book, "asset": account.asset, "code": account.code},
    )
    return total


async def _accepted_payouts(db: AsyncSession) -> int:
    total: int = await db.scalar(
        text(
            "SELECT coalesce(sum((o.body->>'amount_tiyn')::bigint), 0)::bigint"
            " FROM bank_message o WHERE o.direction = 'out' AND o.kind = :order"
            " AND o.body->>'debtor_iban' = :reserve"
            " AND o.body->>'creditor_iban' IS DISTINCT FROM :own"
            " AND EXISTS (SELECT FROM bank_message i WHERE i.direction = 'in'"
            " AND i.end_to_end_id = o.end_to_end_id AND i.read_at IS NOT NULL"
            " AND i.kind = :accepted)"
            " AND NOT EXISTS (SELECT FROM bank_message i WHERE i.direction = 'in'"
            " AND i.end_to_end_id = o.end_to_end_id AND i.read_at IS NOT NULL"
            " AND i.kind IN (:rejected, :booked))"
        ),
        {
            "order": Kind.credit_transfer,
            "reserve": RESERVE_IBAN,
            "own": OPERATING_IBAN,
            "accepted": Kind.accepted,
            "rejected": Kind.rejected,
            "booked": Kind.debit_notice,
        },
    )
    return total


# A deposit is what its notice said; it makes the tokens behind which it stands.
_DEPOSITS = """
SELECT coalesce('deposit ' || d.id, 'bank_message ' || m.id) AS name, CASE
    WHEN m.id IS NULL THEN 'no message of the bank tells of ' || d.bank_reference
    WHEN d.id IS NULL AND r.id IS NULL THEN 'was read, and no deposit came of it'
    WHEN d.id IS NULL THEN NULL
    WHEN (d.amount_tiyn, d.customer) IS DISTINCT FROM
        ((m.body ->> 'amount_tiyn')::bigint, m.body ->> 'customer')
        THEN format('%s tiyn, bank_message %s says %s', d.amount_tiyn, m.id,
            m.body ->> 'amount_tiyn')
END AS fault
FROM deposit d FULL JOIN (SELECT * FROM bank_message WHERE direction = 'in' AND kind = :notice
    AND read_at IS NOT NULL AND body ->> 'iban' = :reserve) m ON m.ref = d.bank_reference
LEFT JOIN credit_reversal r ON r.cover_reference = m.ref
"""

_TOLD = as_told(
    Told(
        "deposit",
        ("reserve.deposit_received",),
        {
            "amount_tiyn": "r.amount_tiyn",
            "bank_reference": "r.bank_reference",
            "created_at": moment("created_at"),
        },
        private={"customer": ("customer_name",)},
    ),
    Told(
        "issuance",
        ("reserve.issuance%",),
        {
            "deposit": "r.deposit_id",
            "chain": "r.chain",
            "amount_tiyn": "r.amount_tiyn",
            "recipient": "r.recipient",
            "status": "r.status",
            "tx": "r.tx",
            "reason": "r.reason",
            "created_at": moment("created_at"),
        },
    ),
    Told(
        "holder_burn",
        ("stray.%",),
        {
            "chain": "r.chain",
            "tx": "r.tx",
            "source": "r.source",
            "amount_units": "r.amount_units",
            "chain_state": "r.status",
        },
        fields=("id", "proposal"),
        which="o.proposal = 'holder_burn'",
    ),
)


async def deposits_match(db: AsyncSession) -> list[Check]:
    """I6: each deposit against the bank's notice of it."""
    values = {"notice": Kind.credit_notice, "reserve": RESERVE_IBAN}
    return await no_faults(db, "I6", "deposits = the bank's notices, one by one", _DEPOSITS, values)


async def reserve_as_told(db: AsyncSession) -> list[Check]:
    """I8: deposits, issuances and holders' burns as the log last told them."""
    sound = "deposits, issuances and holders' burns are as the log tells"
    return await no_faults(db, "I8", sound, _TOLD)
