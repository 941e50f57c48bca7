"""Making a batch (DESIGN 4, Settle; CONTRACT 6, Settlement)."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, time
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank import calendar
from sandbox.bank import service as bank
from sandbox.chains.port import Chain
from sandbox.core import clock
from sandbox.core.ids import new_id
from sandbox.core.money import tiyn_from_units, units_from_tiyn, vat_included_tiyn
from sandbox.eventlog.types import NewEvent
from sandbox.ledger import accounts
from sandbox.ledger import service as ledger
from sandbox.ledger.journal import Changes, NewEntry, credit, debit
from sandbox.parties import service as parties
from sandbox.parties.models import Merchant
from sandbox.payments import service as payments
from sandbox.payments import turns
from sandbox.settlement import burns, openings, payouts, sums, sweeps, vat
from sandbox.settlement.deferring import wallet_bps
from sandbox.settlement.errors import NothingToSettle, PaymentCodeMissing
from sandbox.settlement.models import (
    Payout,
    Settlement,
    SettlementBurn,
    SettlementLine,
    SettlementReserve,
    SettlementTransfer,
)
from sandbox.settlement.objects import settlement_event
from sandbox.settlement.service import settlement_object


@dataclass(frozen=True, slots=True)
class _OnChain:
    """What one chain brings to a batch, in tiyn; `reserve` as `sums.parts` wants it."""

    kept: int = 0
    fees: int = 0
    reserve: int = 0


async def settle(
    db: AsyncSession,
    merchant_id: str,
    chains: Mapping[str, Chain],
    *,
    retry_payout: bool = True,
    cut_off: date | None = None,
) -> dict[str, Any]:
    """Make a batch of everything captured and unsettled, and ask for its burns and transfers.

    Where payers pay deposit addresses, these are swept first (`jobs.follow_sweeps` goes on).

    Of two calls at once the second waits, and then finds nothing. `retry_payout` lifts the hold
    of a payout that came back; without it such money is carried. What stands still of older
    batches is asked for again; with nothing else to settle, the answer is such a batch.
    `cut_off` is the day of the cut-off that asks. The answer is the API object. Raises
    `NothingToSettle`, `PaymentCodeMissing`, `NotFound`.
    """
    await turns.take(db, merchant_id)
    merchant = await parties.merchant(db, merchant_id, steady=True)
    _check_codes(merchant)
    at = await clock.now(db)
    if retry_payout:
        await openings.lift_hold(db, merchant_id)
    hold = await openings.hold(db, merchant)
    held, may_be_paid = hold is not None, merchant.status not in parties.NO_PAYOUT
    older, again = await burns.retry(db, merchant_id, chains)
    older += await payouts.retry_fees(db, merchant_id)
    settlement = Settlement(
        id=new_id("stl", at),
        merchant=merchant_id,
        status="pending",
        cut_off=cut_off,
        value_date=calendar.value_date(
            at
            if cut_off is None
            else calendar.cut_off_of(cut_off, time.fromisoformat(merchant.cut_off))
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
    carried = await openings.carried(db, merchant_id)
    settlement.opening_tiyn = sum(carried)
    found = await _on_chains(db, merchant, lines, chains, may_be_paid=may_be_paid)
    if not found and (settlement.opening_tiyn <= 0 or held):
        if not older:
            raise NothingToSettle(merchant_id)
        await ledger.record(db, Changes(entries=again))
        return await settlement_object(db, older[-1])
    if _has_debt(carried, found):
        # What is owed comes first: nothing is kept for refunds, nothing sent to a wallet.
        found = {chain: replace(one, reserve=min(0, one.reserve)) for chain, one in found.items()}
    elif may_be_paid:
        settlement.mode, settlement.split_bps = merchant.settlement_mode, merchant.split_bps
    parts = {chain: _parts(settlement, merchant, chain, one) for chain, one in found.items()}
    owed = sums.owed(
        carried,
        sum(one.fees for one in found.values()),
        ((one.burned, one.fee) for one in parts.values()),
    )
    if held or owed.net < 0:
        settlement.carried_tiyn = owed.net
    else:
        settlement.paid_tiyn = owed.net

    db.add(settlement)
    await db.flush()
    await openings.take(db, settlement)
    db.add_all(lines)
    if settlement.paid_tiyn:
        db.add(_payout(settlement, merchant))
    await payments.mark_in_batch(db, [line.payment for line in lines], settlement.id)
    changes = await _changes(db, settlement, merchant, found, parts, chains)
    changes.entries += again
    await ledger.record(db, changes)
    return await settlement_object(db, settlement.id)


def _has_debt(carried: Sequence[int], found: Mapping[str, _OnChain]) -> bool:
    """Whether fees are owed that no burn of this batch pays."""
    return any(one < 0 for one in carried) or any(
        one.fees > one.kept + max(0, -one.reserve) for one in found.values()
    )


def _parts(settlement: Settlement, merchant: Merchant, chain: str, one: _OnChain) -> sums.Parts:
    """A chain without a wallet of the merchant is paid out in tenge."""
    share = wallet_bps(settlement) if chain in merchant.wallets else 0
    return sums.parts(one.kept, one.fees, reserve=one.reserve, wallet_bps=share)


def _reserve_target(merchant: Merchant) -> int:
    return 0 if merchant.status == "closed" else merchant.refund_reserve_tiyn


async def _on_chains(
    db: AsyncSession,
    merchant: Merchant,
    lines: Sequence[SettlementLine],
    chains: Mapping[str, Chain],
    *,
    may_be_paid: bool,
) -> dict[str, _OnChain]:
    """Lines and reserve by chain, in the order of their names; a chain without either is left out.

    Nothing is taken for the reserve of who is not paid out; who is closed gets all of it back.
    """
    target = _reserve_target(merchant)
    by_chain: defaultdict[str, list[SettlementLine]] = defaultdict(list)
    for line in lines:
        by_chain[line.chain].append(line)
    reserves = {name: accounts.refund_reserve(name, merchant.id) for name in chains}
    kept = await ledger.balances(db, list(reserves.values()))
    found = {}
    for name, chain in sorted(chains.items()):
        available, _ = tiyn_from_units(kept[reserves[name]].available, chain.decimals)
        lacking = target - available if may_be_paid else 0
        if by_chain[name] or lacking < 0:
            found[name] = _OnChain(
                kept=sum(line.amount_tiyn - line.refunded_tiyn for line in by_chain[name]),
                fees=sum(line.fee_tiyn for line in by_chain[name]),
                reserve=lacking,
            )
    return found


async def _changes(
    db: AsyncSession,
    settlement: Settlement,
    merchant: Merchant,
    found: Mapping[str, _OnChain],
    divided: Mapping[str, sums.Parts],
    chains: Mapping[str, Chain],
) -> Changes:
    """Entries and events of a new batch; settled at once when nothing is to burn or send."""
    changes = Changes()
    for name, parts in divided.items():
        chain = chains[name]
        if parts.reserved:
            db.add(
                SettlementReserve(
                    settlement=settlement.id,
                    chain=name,
                    amount_tiyn=parts.reserved,
                    units=units_from_tiyn(parts.reserved, chain.decimals),
                    target_tiyn=_reserve_target(merchant),
                )
            )
        leaving = _leaving(settlement, merchant, chain, parts)
        if not leaving:
            assert parts.reserved <= 0
            continue
        db.add_all(leaving)
        changes.entries.append(_lines_entry(settlement, chain, found[name].kept, parts.reserved))
        if chain.sweep_batch:
            await db.flush()
            changes.extend(await sweeps.begin(db, settlement, name, chain.sweep_batch))
        else:
            changes.entries += [await burns.request(db, settlement, one) for one in leaving]
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


def _leaving(
    settlement: Settlement, merchant: Merchant, chain: Chain, parts: sums.Parts
) -> list[burns.Leaving]:
    """The rows of what leaves a chain's treasury for this batch."""
    status = "sweeping" if chain.sweep_batch else "pending"
    leaving: list[burns.Leaving] = []
    if parts.burned:
        rate = vat.rate_on(calendar.local_date(settlement.created_at))
        leaving.append(
            SettlementBurn(
                settlement=settlement.id,
                chain=chain.name,
                units=units_from_tiyn(parts.burned, chain.decimals),
                amount_tiyn=parts.burned,
                fee_tiyn=parts.fee,
                vat_tiyn=vat_included_tiyn(parts.fee, rate.percent),
                vat_percent=rate.percent,
                vat_version=rate.version,
                attempt=1,
                status=status,
            )
        )
    if parts.to_wallet:
        leaving.append(
            SettlementTransfer(
                settlement=settlement.id,
                chain=chain.name,
                recipient=merchant.wallets[chain.name],
                units=units_from_tiyn(parts.to_wallet, chain.decimals),
                amount_tiyn=parts.to_wallet,
                attempt=1,
                status=status,
            )
        )
    return leaving


def _lines_entry(settlement: Settlement, chain: Chain, kept: int, reserved: int) -> NewEntry:
    """The claims of one chain leave the merchant, and what the reserve gives back, for the batch.

    What the reserve is to get stays with the batch until that is settled: lines may be deferred.
    """
    given_back = max(0, -reserved)
    taken = (
        (accounts.merchant(chain.name, settlement.merchant), kept),
        (accounts.refund_reserve(chain.name, settlement.merchant), given_back),
    )
    return NewEntry(
        id=new_id("ent", settlement.created_at),
        kind="posted",
        reason="settlement_lines",
        ref=f"{settlement.id}:lines:{chain.name}",
        chain=chain.name,
        effective_at=settlement.created_at,
        cause=settlement.id,
        legs=(
            *(
                debit(account, units_from_tiyn(tiyn, chain.decimals))
                for account, tiyn in taken
                if tiyn
            ),
            credit(
                accounts.settling(chain.name, settlement.id),
                units_from_tiyn(kept + given_back, chain.decimals),
            ),
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


def _payout(settlement: Settlement, merchant: Merchant) -> Payout:
    return Payout(
        id=new_id("po", settlement.created_at),
        settlement=settlement.id,
        merchant=merchant.id,
        amount_tiyn=settlement.paid_tiyn,
        iban=merchant.iban,
        payee=bank.payee_name(merchant.name),
        knp=merchant.knp,
        kbe=merchant.kbe,
        value_date=settlement.value_date,
        status="pending",
        created_at=settlement.created_at,
    )
