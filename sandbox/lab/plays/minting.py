"""Mints, and what turns minting off until somebody has put it right."""

from collections.abc import Mapping
from typing import Any, Final

from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank import calendar, faults
from sandbox.core import switches
from sandbox.core.money import format_tenge
from sandbox.lab.payers import AWAY
from sandbox.lab.plays import reserve, settling
from sandbox.lab.plays.reserve import DEPOSIT_TIYN
from sandbox.lab.stage import Play, Stage
from sandbox.ledger import service as ledger
from sandbox.ledger.chart import accounts
from sandbox.ledger.journal import Changes
from sandbox.reserve import receivables, reconciling, reversals, service
from sandbox.reserve.errors import BreachStands, NotReconciledYet

_MINTING: Final = "minting"


def halting(play: Play) -> Play:
    """The play, one at a time: minting has one switch, which each turns on again at its end."""

    async def alone(stage: Stage) -> None:
        async with stage.turn(_MINTING):
            await play(stage)

    return alone


async def _mint(stage: Stage, tiyn: int = DEPOSIT_TIYN) -> tuple[str, str]:
    """The reference and the id of a deposit that tokens were made of."""
    reference = await reserve.deposit(stage, tiyn)
    deposit_id = await reserve.read(stage, reference)
    async with stage.database.transaction() as db:
        issuance = await service.issue(
            db,
            stage.house.chains,
            deposit_id=deposit_id,
            chain=stage.chain,
            amount_tiyn=tiyn,
            recipient=stage.people().address(AWAY),
        )
    stage.say(f"asked for mint {issuance.id}")

    async def look(db: AsyncSession) -> str | None:
        found = await service.issuance(db, issuance.id)
        return None if found.status == "pending" else found.status

    stage.say(f"{issuance.id} is {await stage.until(f'the mint {issuance.id}', look)}")
    return reference, deposit_id


async def fall_short(stage: Stage, tiyn: int = DEPOSIT_TIYN) -> str:
    """The id of a reversal: what was minted loses its deposit, and minting is off."""
    reference, deposit_id = await _mint(stage, tiyn)
    await reserve.take_back(stage, reference)

    async def missing(db: AsyncSession) -> str | None:
        found = await reversals.of_deposit(db, deposit_id)
        return None if found is None else found.id

    return await stage.until("the reversal to be read", missing)


async def pay_in_again(stage: Stage, reversal_id: str) -> None:
    """The customer makes good what is missing, and minting goes on."""
    async with stage.database.transaction() as db:
        await reversals.pay_in_again(db, reversal_id, reserve.new_reference())
    stage.say(f"the customer paid {reversal_id} in again")
    await resume(stage, "a triggered reversal was made good")


async def resume(stage: Stage, why: str) -> None:
    """Turn minting on again, as soon as a whole reconciliation found nothing."""

    async def resumed(db: AsyncSession) -> bool:
        try:
            events = await reconciling.resume(db, why)
        except (NotReconciledYet, BreachStands):
            return False
        await ledger.record(db, Changes(events=events))
        return True

    await stage.until("a reconciliation that finds nothing", resumed)
    stage.say("minting goes on")


async def _minted(stage: Stage) -> None:
    await _mint(stage)


async def _minting_halted(stage: Stage) -> None:
    await pay_in_again(stage, await fall_short(stage))


async def _breach_found(stage: Stage) -> None:
    """I6 is red while the bank says two amounts of one credit."""
    async with stage.database.transaction() as db:
        await switches.arm(db, faults.CONTRADICTORY_NOTICE, 1)
    try:
        reference = await reserve.deposit(stage)
        stage.say(f"the bank told two amounts of {reference}")
        found = await stage.until("reconciliation to find it", _contradiction)
        stage.say(f"{found['invariant']} is red: {found['detail']}")
    finally:
        async with stage.database.transaction() as db:
            await faults.switch(db, faults.CONTRADICTORY_NOTICE, 0)
    stage.say("the bank took its wrong notice back")
    await resume(stage, "the bank took a contradictory notice back")


async def _contradiction(db: AsyncSession) -> dict[str, Any] | None:
    open_ = (await reconciling.figures(db))["breaches"]
    return next((one for one in open_ if "bank_held" in one["detail"] and one["stands"]), None)


async def _shortfall_covered(stage: Stage) -> None:
    """Own money covers what is missing, at the second try; the customer pays late."""
    reversal_id = await fall_short(stage, await _own_tiyn(stage))
    async with stage.database.transaction() as db:
        await switches.arm(db, faults.REJECT, 1)
    await _cover(stage, reversal_id)
    await _is(stage, reversal_id, "short")
    await _cover(stage, reversal_id)
    await stage.to_value_date(calendar.value_date(await stage.now()).isoformat())
    await _is(stage, reversal_id, "settled")
    async with stage.database.transaction() as db:
        await receivables.write_off(db, reversal_id, "a triggered customer does not pay")
    async with stage.database.transaction() as db:
        await receivables.undo_write_off(db, reversal_id, "a triggered customer pays after all")
    async with stage.database.transaction() as db:
        await receivables.repay(db, reversal_id, reserve.new_reference())
    stage.say("what its customer owes was written off, owed again, and repaid")
    await resume(stage, "own money made a triggered reversal good")


async def _own_tiyn(stage: Stage) -> int:
    """What the issuer has of its own, which are its fees; it earns one if it has none."""

    async def own(db: AsyncSession) -> int:
        return (await ledger.balance(db, accounts.operating())).available

    async with stage.database.transaction() as db:
        has_any = await own(db)
    if not has_any:
        await settling.paid_out(stage)
    tiyn = min(await stage.until("a fee", own), DEPOSIT_TIYN)
    stage.say(f"the issuer has {format_tenge(tiyn)} of its own")
    return tiyn


async def _cover(stage: Stage, reversal_id: str) -> None:
    async with stage.database.transaction() as db:
        await reversals.cover_from_own(db, reversal_id)
    stage.say(f"the issuer ordered own money into the reserve for {reversal_id}")


async def _is(stage: Stage, reversal_id: str, wanted: str) -> None:
    async def look(db: AsyncSession) -> bool:
        return (await reversals.find(db, reversal_id)).status == wanted

    await stage.until(f"{reversal_id} to be {wanted}", look)
    stage.say(f"{reversal_id} is {wanted}")


PLAYS: Final[Mapping[str, Play]] = {
    "minted": _minted,
    "minting_halted": halting(_minting_halted),
    "breach_found": halting(_breach_found),
    "shortfall_covered": halting(_shortfall_covered),
}
