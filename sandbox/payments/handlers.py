"""What checkout does when a chain moves: blocks at confirmed, at final, taken back; refunds' ends.

A block costs a bounded number of statements however many payments it holds. Nothing here touches
the network, and all entries and events go back to the watcher, which records them in one call.
"""

from collections.abc import Collection, Sequence

from sqlalchemy import and_, or_
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.chains.watching import IntentDone, IntentFailed, KnownKeys, SeenBlock, no_keys
from sandbox.ledger.journal import Changes
from sandbox.payments import incoming, refunding, rows, sweeping
from sandbox.payments.capture import capture_due
from sandbox.payments.incoming import Arrival, ref_of
from sandbox.payments.models import Payment, StrayTransfer
from sandbox.payments.step import Step


class PaymentsHandler:
    """The `BlockHandler` of checkout, and the `IntentHandler` of the kind `refund`.

    `others` tells which match keys belong to other slices, who book what carries them.
    """

    def __init__(self, others: KnownKeys = no_keys) -> None:
        self._others = others

    async def on_block(self, db: AsyncSession, block: SeenBlock) -> Changes:
        """A confirmed block: money becomes payments of sessions, or strays; sessions are judged."""
        arrived, elsewhere = incoming.arrivals(block), incoming.elsewhere(block)
        keys = {key for _, seen in arrived for key in incoming.usable(seen.transfer.keys)}
        if keys:
            others = set(await self._others(db, block.chain, sorted(keys)))
            arrived = [one for one in arrived if others.isdisjoint(one[1].transfer.keys)]
        foreign = [transfer for transfer in block.foreign if transfer.amount > 0]
        if not (arrived or elsewhere or foreign):
            return Changes()
        step = await Step.begin(db, _cause(block))
        matched = await incoming.matches(
            db, block, [*(seen for _, seen in arrived), *elsewhere], foreign
        )
        known = await incoming.known_payments(db, arrived)
        sessions = {*matched.values(), *(payment.session for payment in known.values())}
        await step.load(sessions, capturing=False)
        strays = await _known_strays(step, block, _not_in(arrived, known))

        confirmed: dict[str, list[Payment]] = {}
        for arrival in arrived:
            _, seen = arrival
            session_id = incoming.session_of(seen.transfer.keys, matched)
            if seen.id in known:
                payment = step.payments[known[seen.id].id]
                if not incoming.include(step, block, arrival, payment):
                    continue
            elif session_id is not None and seen.id not in strays:
                session = step.sessions[session_id]
                payment = incoming.new_payment(step, block, arrival, session)
            else:
                incoming.record_stray(step, block, seen, strays.get(seen.id))
                continue
            confirmed.setdefault(payment.session, []).append(payment)
        for seen in elsewhere:
            session_id = incoming.session_of(seen.transfer.keys, matched)
            if session_id is not None:
                incoming.note(step.sessions[session_id], block, seen)
        known_foreign = {(s.tx, s.ordinal, s.token): s for s in step.strays.values()}
        for transfer in foreign:
            session_id = incoming.session_of(transfer.keys, matched)
            incoming.record_foreign(
                step,
                block,
                transfer,
                known_foreign.get((transfer.tx, transfer.ordinal, transfer.token)),
                step.sessions.get(session_id) if session_id else None,
            )

        def told(session_id: str) -> None:
            for payment in confirmed[session_id]:
                step.tell_payment("payment.confirmed", payment)

        step.judge_all(confirmed, paid=confirmed, told=told)
        await step.write()
        return step.changes

    async def on_final(self, db: AsyncSession, block: SeenBlock) -> Changes:
        """A final block: pending entries are posted, whole sessions captured."""
        step, payments, strays = await self._standing_in(db, block)

        def told(session_id: str) -> None:
            for payment in payments:
                if payment.session == session_id:
                    event_id = step.tell_payment("payment.final", payment, (ref_of(payment),))
                    step.resolve(ref_of(payment), event_id, block.height, posted=True)

        for payment in payments:
            payment.chain_state, payment.final_at = "final", step.now
        sessions = sorted({payment.session for payment in payments})
        step.judge_all(sessions, told=told)
        capture_due(step, sessions)
        for stray in strays:
            stray.chain_state = "final"
            refs = () if stray.token else (ref_of(stray),)
            event_id = step.tell_stray("stray.final", stray, refs)
            for ref in refs:
                step.resolve(ref, event_id, block.height, posted=True)
        await step.write()
        # Afterwards: what became final just now may have been swept in the same block.
        step.changes.extend(await sweeping.by_others(db, block))
        return step.changes

    async def on_reverted(self, db: AsyncSession, block: SeenBlock) -> Changes:
        """A block that left the chain: what it brought is voided, never deleted (DESIGN 4.4)."""
        step, payments, strays = await self._standing_in(db, block)

        def told(session_id: str) -> None:
            for payment in payments:
                if payment.session == session_id:
                    event_id = step.tell_payment("payment.reverted", payment, (ref_of(payment),))
                    step.resolve(ref_of(payment), event_id, None, posted=False)

        for payment in payments:
            payment.chain_state = "reverted"
        step.judge_all({payment.session for payment in payments}, told=told)
        for stray in strays:
            stray.chain_state, stray.status, stray.resolution = "reverted", "resolved", "reverted"
            stray.resolved_at = step.now
            refs = () if stray.token else (ref_of(stray),)
            event_id = step.tell_stray("stray.reverted", stray, refs)
            for ref in refs:
                step.resolve(ref, event_id, None, posted=False)
        await step.write()
        return step.changes

    async def on_done(self, db: AsyncSession, done: IntentDone) -> Changes:
        """A refund is final."""
        return await refunding.completed(db, done)

    async def on_not_done(self, db: AsyncSession, failed: IntentFailed) -> Changes:
        """A refund did not and can no longer happen."""
        return await refunding.failed(db, failed)

    async def _standing_in(
        self, db: AsyncSession, block: SeenBlock
    ) -> tuple[Step, list[Payment], list[StrayTransfer]]:
        """A step with the payments and strays whose newest inclusion is this block's."""
        step = await Step.begin(db, _cause(block))
        arrived = incoming.arrivals(block)
        if not arrived and not block.foreign:
            return step, [], []
        inclusion = {seen.id: seen.inclusion for _, seen in arrived}
        known = await incoming.known_payments(db, arrived)
        await step.load({payment.session for payment in known.values()})
        await _known_strays(step, block, _not_in(arrived, known))
        payments = [
            step.payments[payment.id]
            for payment in known.values()
            if step.payments[payment.id].chain_state == "confirmed"
            and step.payments[payment.id].inclusion == inclusion[payment.transfer_id]
        ]
        foreign = {(one.tx, one.ordinal, one.token) for one in block.foreign}
        strays = [
            stray
            for stray in step.strays.values()
            if stray.payment is None
            and stray.chain_state == "confirmed"
            and (
                (stray.tx, stray.ordinal, stray.token) in foreign
                or inclusion.get(stray.transfer_id or "") == stray.inclusion
            )
        ]
        return step, sorted(payments, key=lambda p: p.block_index), strays


def _not_in(arrived: Sequence[Arrival], known: Collection[str]) -> list[Arrival]:
    return [one for one in arrived if one[1].id not in known]


async def _known_strays(
    step: Step, block: SeenBlock, arrived: Sequence[Arrival]
) -> dict[str, StrayTransfer]:
    """Lock the block's strays that no payment stands for; by chain transfer."""
    column = rows.table(StrayTransfer).c
    ids = [seen.id for _, seen in arrived]
    txs: Collection[str] = {transfer.tx for transfer in block.foreign}
    if not (ids or txs):
        return {}
    foreign = and_(column.chain == block.chain, column.token.is_not(None), column.tx.in_(txs))
    found = await step.load_strays(or_(column.transfer_id.in_(ids), foreign))
    return {stray.transfer_id: stray for stray in found if stray.transfer_id}


def _cause(block: SeenBlock) -> str:
    return f"block:{block.chain}:{block.height}"
