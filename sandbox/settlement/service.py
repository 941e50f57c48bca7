"""Making a batch and reading batches and payouts (DESIGN 4, Settle; CONTRACT 6, Settlement)."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from typing import Any

from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank import calendar
from sandbox.chains.port import Chain
from sandbox.core import clock
from sandbox.core.errors import NotFound
from sandbox.core.http import Page
from sandbox.core.ids import new_id
from sandbox.core.money import tiyn_from_units, units_from_tiyn, vat_included_tiyn
from sandbox.eventlog.types import NewEvent
from sandbox.ledger import accounts
from sandbox.ledger import service as ledger
from sandbox.ledger.journal import Changes, NewEntry, credit, debit
from sandbox.parties import service as parties
from sandbox.parties.models import Merchant
from sandbox.payments import service as payments
from sandbox.settlement import burns, sweeps, vat
from sandbox.settlement.errors import NothingToSettle, PaymentCodeMissing
from sandbox.settlement.models import Payout, Settlement, SettlementBurn, SettlementLine
from sandbox.settlement.objects import payout_object, settlement_event, settlement_objects

FAILED = "('rejected', 'returned')"


@dataclass(frozen=True, slots=True)
class _Sums:
    """What the lines of one chain come to, in tiyn."""

    gross: int
    refunds: int
    fees: int

    @property
    def burned(self) -> int:
        """Net and fee together: all that is taken off the chain."""
        return self.gross - self.refunds


async def lock(db: AsyncSession, merchant_id: str) -> None:
    """Be the only one who makes a batch of this merchant, until the commit."""
    await db.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended('settle:' || :merchant, 0))"),
        {"merchant": merchant_id},
    )


async def settle(
    db: AsyncSession,
    merchant_id: str,
    chains: Mapping[str, Chain],
    *,
    retry_payout: bool = True,
    cut_off: date | None = None,
) -> dict[str, Any]:
    """Make a batch of everything captured and unsettled, and ask for its burns.

    Where payers pay deposit addresses, these are swept first (`jobs.follow_sweeps` goes on).

    Of two calls at once the second waits, and then finds nothing. `retry_payout` lifts the hold
    of a payout that came back; without it such money is carried. Burns of older batches that
    stand still are asked for again; with nothing else to settle, the answer is such a batch.
    `cut_off` is the day of the cut-off that asks. The answer is the API object. Raises
    `NothingToSettle`, `PaymentCodeMissing`, `NotFound`.
    """
    await lock(db, merchant_id)
    merchant = await parties.merchant(db, merchant_id, steady=True)
    _check_codes(merchant)
    at = await clock.now(db)
    if retry_payout:
        await _lift_hold(db, merchant_id)
    hold = await _hold(db, merchant)
    held = hold is not None
    older, again = await burns.retry(db, merchant_id, chains)
    settlement = Settlement(
        id=new_id("stl", at),
        merchant=merchant_id,
        status="pending",
        cut_off=cut_off,
        value_date=calendar.value_date(
            at if cut_off is None else calendar.cut_off_of(cut_off, _time_of(merchant.cut_off))
        ),
        opening_tiyn=0,
        paid_tiyn=0,
        carried_tiyn=0,
        hold=hold,
        fee_status="none",
        fee_orders=0,
        created_at=at,
    )
    lines = await _lines(db, settlement)
    settlement.opening_tiyn = await _carried(db, merchant_id)
    if not lines and (settlement.opening_tiyn == 0 or held):
        if not older:
            raise NothingToSettle(merchant_id)
        await ledger.record(db, Changes(entries=again))
        return await settlement_object(db, older[-1])
    sums = _sums(lines)
    owed = settlement.opening_tiyn + sum(one.burned - one.fees for one in sums.values())
    settlement.paid_tiyn, settlement.carried_tiyn = (0, owed) if held else (owed, 0)

    db.add(settlement)
    await db.flush()
    await _take_carried(db, settlement)
    db.add_all(lines)
    if settlement.paid_tiyn:
        db.add(_payout(settlement, merchant))
    await payments.mark_in_batch(db, [line.payment for line in lines], settlement.id)
    changes = await _changes(db, settlement, sums, chains)
    changes.entries += again
    await ledger.record(db, changes)
    return await settlement_object(db, settlement.id)


async def _changes(
    db: AsyncSession, settlement: Settlement, sums: Mapping[str, _Sums], chains: Mapping[str, Chain]
) -> Changes:
    """Entries and events of a new batch; it is settled at once when there is nothing to burn."""
    changes = Changes()
    rate = vat.rate_on(calendar.local_date(settlement.created_at))
    for chain, one in sorted(sums.items()):
        if one.burned == 0:
            continue
        batch = chains[chain].sweep_batch
        burn = SettlementBurn(
            settlement=settlement.id,
            chain=chain,
            units=units_from_tiyn(one.burned, chains[chain].decimals),
            amount_tiyn=one.burned,
            fee_tiyn=one.fees,
            vat_tiyn=vat_included_tiyn(one.fees, rate.percent),
            vat_percent=rate.percent,
            vat_version=rate.version,
            attempt=1,
            status="sweeping" if batch else "pending",
        )
        db.add(burn)
        changes.entries.append(_lines_entry(settlement, burn))
        if batch:
            changes.extend(await sweeps.begin(db, settlement, burn, batch))
        else:
            changes.entries.append(await burns.request(db, settlement, burn))
    posted = tuple(entry.ref for entry in changes.entries if entry.kind == "posted")
    created = NewEvent(
        new_id("evt", settlement.created_at),
        "settlement.created",
        settlement.created_at,
        await settlement_event(db, settlement),
        merchant=settlement.merchant,
        refs=posted,
    )
    changes.events.append(created)
    if not changes.entries:
        changes.extend(await burns.settled(db, settlement))
    return changes


def _lines_entry(settlement: Settlement, burn: SettlementBurn) -> NewEntry:
    """The claims of one chain leave the merchant for the batch."""
    chain = burn.chain
    return NewEntry(
        id=new_id("ent", settlement.created_at),
        kind="posted",
        reason="settlement_lines",
        ref=f"{settlement.id}:lines:{chain}",
        chain=chain,
        effective_at=settlement.created_at,
        cause=settlement.id,
        legs=(
            debit(accounts.merchant(chain, settlement.merchant), burn.units),
            credit(accounts.settling(chain, settlement.id), burn.units),
        ),
    )


def _check_codes(merchant: Merchant) -> None:
    for name, value in (("KNP", merchant.knp), ("KBe", merchant.kbe)):
        if not value:
            raise PaymentCodeMissing(merchant.id, name)


async def _lines(db: AsyncSession, settlement: Settlement) -> list[SettlementLine]:
    lines = []
    for one in await payments.settleable(db, settlement.merchant):
        amount_tiyn, rest = tiyn_from_units(one.counted_units, one.decimals)
        refunded_tiyn, refunded_rest = tiyn_from_units(one.refunded_units, one.decimals)
        assert rest == refunded_rest == 0, f"{one.id} counts a part of a tiyn"
        line = SettlementLine(
            settlement=settlement.id,
            payment=one.id,
            chain=one.chain,
            tx=one.tx,
            amount_tiyn=amount_tiyn,
            refunded_tiyn=refunded_tiyn,
            fee_tiyn=one.fee_tiyn,
            entry=one.capture_entry,
        )
        lines.append(line)
    return lines


def _sums(lines: Sequence[SettlementLine]) -> dict[str, _Sums]:
    by_chain: defaultdict[str, list[SettlementLine]] = defaultdict(list)
    for line in lines:
        by_chain[line.chain].append(line)
    return {
        chain: _Sums(
            gross=sum(line.amount_tiyn for line in those),
            refunds=sum(line.refunded_tiyn for line in those),
            fees=sum(line.fee_tiyn for line in those),
        )
        for chain, those in by_chain.items()
    }


def _payout(settlement: Settlement, merchant: Merchant) -> Payout:
    return Payout(
        id=new_id("po", settlement.created_at),
        settlement=settlement.id,
        merchant=merchant.id,
        amount_tiyn=settlement.paid_tiyn,
        iban=merchant.iban,
        payee=merchant.name,
        knp=merchant.knp,
        kbe=merchant.kbe,
        value_date=settlement.value_date,
        status="pending",
        created_at=settlement.created_at,
    )


async def _hold(db: AsyncSession, merchant: Merchant) -> str | None:
    """Why nothing is paid out now: the merchant's status, or a payout to its present account
    that came back while nobody asked again."""
    if merchant.status in parties.NO_PAYOUT:
        return merchant.status
    found = await db.scalar(
        text(
            "SELECT EXISTS (SELECT FROM payout WHERE merchant = :merchant"  # noqa: S608
            f" AND status IN {FAILED} AND iban = :iban AND hold_lifted_at IS NULL)"
        ),
        {"merchant": merchant.id, "iban": merchant.iban},
    )
    return "payout_failed" if found else None


async def _lift_hold(db: AsyncSession, merchant_id: str) -> None:
    await db.execute(
        text(
            "UPDATE payout SET hold_lifted_at = sandbox_now() WHERE merchant = :merchant"  # noqa: S608
            f" AND status IN {FAILED} AND hold_lifted_at IS NULL"
        ),
        {"merchant": merchant_id},
    )


# Money of a batch that is not burned yet is not in the account it would be paid from.
_CARRIED = (
    "SELECT id, carried_tiyn AS amount FROM settlement"
    " WHERE merchant = :merchant AND status = 'settled' AND carried_tiyn > 0"
    " AND carried_into IS NULL"
)
_CAME_BACK = (
    "SELECT id, amount_tiyn AS amount FROM payout"  # noqa: S608
    f" WHERE merchant = :merchant AND status IN {FAILED} AND carried_into IS NULL"
)


async def _carried(db: AsyncSession, merchant_id: str) -> int:
    """What the next batch opens with, in tiyn: carried by earlier ones, or back from the bank.

    Locks the rows it counts, so that `_take_carried` takes the same.
    """
    total = 0
    for source in (_CARRIED, _CAME_BACK):
        locked = await db.execute(
            text(f"{source} ORDER BY id FOR NO KEY UPDATE"), {"merchant": merchant_id}
        )
        total += sum(row.amount for row in locked)
    return total


async def _take_carried(db: AsyncSession, settlement: Settlement) -> None:
    taken = 0
    for table, source in (("settlement", _CARRIED), ("payout", _CAME_BACK)):
        rows = await db.execute(
            text(
                f"WITH source AS ({source}) UPDATE {table} AS t SET carried_into = :into"  # noqa: S608
                " FROM source WHERE t.id = source.id RETURNING source.amount"
            ),
            {"merchant": settlement.merchant, "into": settlement.id},
        )
        taken += sum(row.amount for row in rows)
    assert taken == settlement.opening_tiyn


async def settlement_object(
    db: AsyncSession, settlement_id: str, *, merchant: str | None = None
) -> dict[str, Any]:
    """The settlement; raises `NotFound` when it is not that of `merchant` (None: anyone's)."""
    found = select(Settlement).where(col(Settlement.id) == settlement_id)
    row = (await db.exec(found.execution_options(populate_existing=True))).one_or_none()
    if row is None or merchant not in (None, row.merchant):
        raise NotFound("settlement", settlement_id)
    return (await settlement_objects(db, [row]))[0]


async def settlements(
    db: AsyncSession, page: Page, *, merchant: str | None = None
) -> list[dict[str, Any]]:
    """One page of settlements, newest first."""
    ids = await _page_of(db, "settlement", page, merchant)
    found = await db.exec(select(Settlement).where(col(Settlement.id).in_(ids)))
    rows = {row.id: row for row in found}
    return await settlement_objects(db, [rows[id_] for id_ in ids])


async def payout(
    db: AsyncSession, payout_id: str, *, merchant: str | None = None
) -> dict[str, Any]:
    """The payout; raises `NotFound` when it is not that of `merchant` (None: anyone's)."""
    row = await db.get(Payout, payout_id, populate_existing=True)
    if row is None or merchant not in (None, row.merchant):
        raise NotFound("payout", payout_id)
    return payout_object(row)


async def payouts(
    db: AsyncSession, page: Page, *, merchant: str | None = None
) -> list[dict[str, Any]]:
    """One page of payouts, newest first."""
    ids = await _page_of(db, "payout", page, merchant)
    found = await db.exec(select(Payout).where(col(Payout.id).in_(ids)))
    rows = {row.id: row for row in found}
    return [payout_object(rows[id_]) for id_ in ids]


async def _page_of(db: AsyncSession, table: str, page: Page, merchant: str | None) -> list[str]:
    condition, order, values = page.clause()
    whose = "" if merchant is None else " AND merchant = :merchant"
    found = await db.scalars(
        text(f"SELECT id FROM {table} WHERE true{whose}{condition}{order}"),  # noqa: S608
        values if merchant is None else {**values, "merchant": merchant},
    )
    return list(found.all())


async def busy(db: AsyncSession) -> list[str]:
    """What settlement has yet to do now (CONTRACT 6, Quiesce); the bank's part is `bank`'s.

    Stuck burns and fees wait for a person, payouts for a later value date for the clock.
    """
    counts = await db.execute(
        text(
            "SELECT (SELECT count(*) FROM settlement_burn WHERE status = 'pending') AS burns,"
            " (SELECT count(*) FROM settlement_burn WHERE status = 'sweeping') AS sweeping,"
            " (SELECT count(*) FROM payout WHERE status = 'pending'"
            "  AND instructed_at IS NOT NULL) AS payouts"
        )
    )
    row = counts.one()
    left = []
    if row.burns:
        left.append(f"burns not final: {row.burns}")
    if row.sweeping:
        left.append(f"burns that wait for sweeps: {row.sweeping}")
    if row.payouts:
        left.append(f"payouts the bank has not answered: {row.payouts}")
    for at, day, is_new in await due_cut_offs(db):
        if not is_new:
            left.append(f"cut-off of {day} at {at} not run")
    return left


def _time_of(at: str) -> time:
    return time.fromisoformat(at)


async def due_cut_offs(db: AsyncSession) -> list[tuple[str, date, bool]]:
    """Times of day whose newest cut-off was not dealt with: (time, its day, whether it is new).

    A new time, of a merchant that chose it or of a new sandbox, begins with the one before as
    done: nobody was promised that one.
    """
    now = await clock.now(db)
    rows = await db.execute(
        text(
            "SELECT t.at, max(c.day) AS last FROM (SELECT cut_off AS at FROM merchant"
            " WHERE schedule = 'each_business_day' UNION SELECT :usual) t"
            " LEFT JOIN settlement_cut_off c ON c.at = t.at GROUP BY t.at ORDER BY t.at"
        ),
        {"usual": parties.DEFAULT_CUT_OFF},
    )
    due = []
    for row in rows:
        day = calendar.last_cut_off(now, _time_of(row.at))
        if row.last is None or row.last < day:
            due.append((row.at, day, row.last is None))
    return due
