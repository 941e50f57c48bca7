"""What holders burned by themselves: units are gone, and their tenge are owed to nobody known.

They stand on the stray desk and in 2025 under their transaction, until whoever burned them has been
identified and is paid as everybody who redeems (CONTRACT 5).
"""

from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core import clock
from sandbox.core.checks import Check, no_faults
from sandbox.core.errors import NotFound
from sandbox.core.http import Page
from sandbox.core.ids import new_id
from sandbox.core.money import tiyn_from_units
from sandbox.eventlog.types import NewEvent
from sandbox.ledger.chart import accounts
from sandbox.ledger.journal import Changes, NewEntry, credit, debit
from sandbox.reserve import aims, redemptions
from sandbox.reserve.errors import BurnNotFinal, BurnRedeemed, BurnTooSmall
from sandbox.reserve.models import HolderBurn, Intake, Redemption


def redemption_id(burn_id: str) -> str:
    """The one redemption that pays a burn has the burn's id, but for the prefix."""
    return f"{redemptions.PREFIX}_{burn_id.partition('_')[2]}"


def burn_object(row: HolderBurn, redemption: str | None = None) -> dict[str, Any]:
    """The burn as a stray: money that somebody may still come to ask for."""
    return {
        "object": "stray_transfer",
        "id": row.id,
        "chain": row.chain,
        "tx": row.tx,
        "source": row.source,
        "amount_units": row.amount_units,
        "session": None,
        "proposal": "holder_burn",
        "chain_state": row.status,
        "status": "resolved" if redemption else "open",
        "redemption": redemption,
    }


async def listed(db: AsyncSession, page: Page) -> list[dict[str, Any]]:
    """A page of them for the stray desk, in the page's order, one more than its limit."""
    found = page.of(select(HolderBurn), col(HolderBurn.id))
    rows = (await db.exec(found)).all()
    ids = [redemption_id(row.id) for row in rows]
    paid = set(await db.exec(select(Redemption.id).where(col(Redemption.id).in_(ids))))
    return [
        burn_object(row, id_ if id_ in paid else None) for row, id_ in zip(rows, ids, strict=True)
    ]


async def shown(db: AsyncSession, burn_id: str) -> dict[str, Any] | None:
    """One of them for the stray desk; None when there is none."""
    row = await db.get(HolderBurn, burn_id)
    if row is None:
        return None
    id_ = redemption_id(burn_id)
    return burn_object(row, id_ if await db.get(Redemption, id_) else None)


async def redeem(
    db: AsyncSession,
    burn_id: str,
    decimals: dict[str, int],
    *,
    iban: str,
    payee_name: str,
    tax_number: str,
    knp: str,
    kbe: str,
) -> tuple[Intake, Changes]:
    """Pay the tenge of a final burn to whoever proved to have burned: a redemption from here on.

    `decimals` of each chain. Raises `NotFound`, `BurnNotFinal`, `BurnRedeemed`, `BurnTooSmall`,
    `IbanInvalid`, `TaxNumberInvalid`, `KbeContradictsPayee`.
    """
    payee = redemptions.row_of(redemption_id(burn_id), iban, payee_name, tax_number, knp, kbe)
    found = select(HolderBurn).where(col(HolderBurn.id) == burn_id).with_for_update(key_share=True)
    row = (await db.exec(found.execution_options(populate_existing=True))).one_or_none()
    if row is None:
        raise NotFound("holder burn", burn_id)
    if row.status != "final":
        raise BurnNotFinal(burn_id, row.status)
    id_, at = payee.id, await clock.now(db)
    if await db.get(Redemption, id_) is not None:
        raise BurnRedeemed(burn_id, id_)
    tiyn, _ = tiyn_from_units(row.amount_units, decimals[row.chain])
    if tiyn == 0:
        raise BurnTooSmall(burn_id, row.amount_units)
    intake = Intake(
        id=id_,
        chain=row.chain,
        amount_tiyn=tiyn,
        amount_units=row.amount_units,
        option={"chain": row.chain, "method": aims.OWN_BURN, "stray_transfer": burn_id},
        state="burned",
        is_sweeping=False,
        sweep_attempt=0,
        burn_attempt=0,
        swept_units=0,
        tx=row.tx,
        expires_at=at,
        created_at=at,
        received_at=at,
        burned_at=at,
    )
    db.add(intake)
    await db.flush()
    db.add(payee)
    await db.flush()
    legs = (debit(accounts.unidentified(row.tx), tiyn), credit(accounts.redemption(id_), tiyn))
    claim = NewEntry(
        new_id("ent", at), "posted", "holder burn claimed", f"{id_}:claimed", None, at, burn_id,
        legs,
    )  # fmt: skip
    order = await redemptions.instruct(db, intake)
    resolved = NewEvent(new_id("evt", at), "stray.resolved", at, burn_object(row, id_))
    claimed = await aims.event(db, intake, "claimed", (claim.ref,))
    return intake, Changes(entries=[claim, order], events=[resolved, claimed])


# A burn against its entry, and what it freed against the account that keeps it.
_FAULTS = """
WITH signed AS (
    SELECT e.id, e.ref, a.code, sum(CASE l.side WHEN 'C' THEN l.amount ELSE -l.amount END)::bigint
        AS amount, coalesce(r.outcome, e.kind) AS outcome
    FROM entry e JOIN leg l ON l.entry_id = e.id JOIN account a ON a.id = l.account_id
    LEFT JOIN resolution r ON r.entry_id = e.id
    WHERE e.reason IN ('holder_burn', 'holder burn claimed')
    AND (starts_with(a.code, 'l:unidentified:') OR starts_with(a.code, 'supply:'))
    GROUP BY e.id, e.ref, a.code, r.outcome, e.kind
), burned AS (
    SELECT b.id, b.tx, b.amount_units, b.status, u.id AS entry, -u.amount AS units, u.outcome,
        coalesce(f.amount, 0) AS tiyn, i.amount_tiyn AS claimed, i.id AS redemption, i.tx AS its_tx
    FROM holder_burn b LEFT JOIN signed u ON u.ref = b.id || ':' || b.inclusion
        AND starts_with(u.code, 'supply:')
    LEFT JOIN signed f ON f.ref = u.ref AND starts_with(f.code, 'l:unidentified:')
    LEFT JOIN intake i ON i.id = 'red_' || substr(b.id, 5)
), kept AS (
    SELECT substr(code, length('l:unidentified:') + 1) AS tx, sum(amount)::bigint AS tiyn
    FROM signed WHERE starts_with(code, 'l:unidentified:') AND outcome = 'posted' GROUP BY 1
), owed AS (
    SELECT tx, sum(CASE WHEN redemption IS NULL THEN tiyn ELSE 0 END)::bigint AS tiyn,
        min(id) AS first FROM burned WHERE status = 'final' GROUP BY tx
)
SELECT 'holder_burn ' || id AS name, CASE
    WHEN entry IS NULL THEN 'has no entry'
    WHEN amount_units IS DISTINCT FROM units
        THEN format('%s units, entry %s books %s', amount_units, entry, units)
    WHEN outcome <> CASE status WHEN 'final' THEN 'posted' WHEN 'reverted' THEN 'voided'
        ELSE 'pending' END THEN format('is %s, entry %s is %s', status, entry, outcome)
    WHEN redemption IS NOT NULL AND (claimed, its_tx) IS DISTINCT FROM (tiyn, tx)
        THEN format('freed %s tiyn in %s, redemption %s pays %s for %s', tiyn, tx, redemption,
            claimed, its_tx)
END AS fault FROM burned
UNION ALL
SELECT coalesce('holder_burn ' || o.first, 'account l:unidentified:' || k.tx), CASE
    WHEN coalesce(o.tiyn, 0) IS DISTINCT FROM coalesce(k.tiyn, 0)
        THEN format('leaves %s tiyn to nobody, l:unidentified:%s holds %s', coalesce(o.tiyn, 0),
            coalesce(o.tx, k.tx), coalesce(k.tiyn, 0))
END FROM owed o FULL JOIN kept k ON k.tx = o.tx
UNION ALL
SELECT 'intake ' || i.id, 'no holder_burn stands behind it' FROM intake i
LEFT JOIN holder_burn b ON b.id = 'str_' || substr(i.id, 5) AND b.status = 'final'
WHERE i.option ->> 'method' = 'own_burn' AND b.id IS NULL
"""


async def burns_match(db: AsyncSession) -> list[Check]:
    """I2: what holders burned themselves, and what is kept for them or was claimed."""
    sound = "tenge of nobody known = what holders burned and nobody claimed, row by row"
    return await no_faults(db, "I2", sound, _FAULTS)
