"""The reserve: deposits, mints, what the bank takes back, attestations."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank import incoming
from sandbox.bank.accounts import RESERVE_IBAN
from sandbox.core import chance
from sandbox.core.money import format_tenge
from sandbox.lab.payers import AWAY
from sandbox.lab.stage import Play, Stage
from sandbox.ledger import service as ledger
from sandbox.ledger.journal import Changes
from sandbox.reserve import attesting, reconciling, reversals, service
from sandbox.reserve.errors import BreachStands, NotReconciledYet

DEPOSIT_TIYN: Final = 1_000_000


def _reference() -> str:
    return f"TRIGGER-{chance.token_bytes(6).hex().upper()}"


async def _deposit(stage: Stage) -> str:
    """The bank's reference of money on the reserve account."""
    reference = _reference()
    async with stage.database.transaction() as db:
        await incoming.credit(
            db, iban=RESERVE_IBAN, amount_tiyn=DEPOSIT_TIYN, bank_reference=reference
        )
    stage.say(f"{format_tenge(DEPOSIT_TIYN)} reached the reserve account as {reference}")
    return reference


async def _read(stage: Stage, reference: str) -> str:
    """The id of a deposit, once the bank's notice of it was read."""

    async def look(db: AsyncSession) -> str | None:
        known = text("SELECT id FROM deposit WHERE bank_reference = :reference")
        found: str | None = await db.scalar(known, {"reference": reference})
        return found

    return await stage.until("the deposit to be read", look)


async def _deposited(stage: Stage) -> None:
    await _deposit(stage)


async def _deposit_announced(stage: Stage) -> None:
    reference = _reference()
    async with stage.database.transaction() as db:
        await incoming.announce_credit(
            db, iban=RESERVE_IBAN, amount_tiyn=DEPOSIT_TIYN, bank_reference=reference
        )
    stage.say(f"the bank told of {format_tenge(DEPOSIT_TIYN)} on their way as {reference}")
    async with stage.database.transaction() as db:
        await incoming.credit(
            db, iban=RESERVE_IBAN, amount_tiyn=DEPOSIT_TIYN, bank_reference=reference
        )
    stage.say(f"{reference} was booked")


async def _taken_back(stage: Stage, reference: str) -> None:
    async with stage.database.transaction() as db:
        await incoming.reverse_credit(db, reference)
    stage.say(f"the bank took {reference} back")


async def _deposit_reversed(stage: Stage) -> None:
    reference = await _deposit(stage)
    await _read(stage, reference)
    await _taken_back(stage, reference)


async def _mint(stage: Stage) -> tuple[str, str]:
    """The reference and the id of a deposit that tokens were made of."""
    reference = await _deposit(stage)
    deposit_id = await _read(stage, reference)
    async with stage.database.transaction() as db:
        issuance = await service.issue(
            db,
            stage.house.chains,
            deposit_id=deposit_id,
            chain=stage.chain,
            amount_tiyn=DEPOSIT_TIYN,
            recipient=stage.people().address(AWAY),
        )
    stage.say(f"asked for mint {issuance.id}")

    async def look(db: AsyncSession) -> str | None:
        found = await service.issuance(db, issuance.id)
        return None if found.status == "pending" else found.status

    stage.say(f"{issuance.id} is {await stage.until(f'the mint {issuance.id}', look)}")
    return reference, deposit_id


async def _minted(stage: Stage) -> None:
    await _mint(stage)


async def _minting_halted(stage: Stage) -> None:
    """What was minted loses its deposit; the customer pays in again, and minting is resumed."""
    reference, deposit_id = await _mint(stage)
    await _taken_back(stage, reference)

    async def missing(db: AsyncSession) -> str | None:
        found = await reversals.of_deposit(db, deposit_id)
        return None if found is None else found.id

    reversal_id = await stage.until("the reversal to be read", missing)
    async with stage.database.transaction() as db:
        await reversals.pay_in_again(db, reversal_id, _reference())
    stage.say(f"the customer paid {reversal_id} in again")

    async def resumed(db: AsyncSession) -> bool:
        try:
            events = await reconciling.resume(db, "a triggered reversal was made good")
        except (NotReconciledYet, BreachStands):
            return False
        await ledger.record(db, Changes(events=events))
        return True

    await stage.until("a reconciliation that finds nothing", resumed)
    stage.say("minting goes on")


async def _attested(stage: Stage) -> None:
    async with stage.database.transaction() as db:
        asked = await attesting.ask(db)
    assert asked is not None, "only a day's own attestation is made once"
    stage.say(f"asked for attestation {asked.id}")


PLAYS: Final[Mapping[str, Play]] = {
    "deposit": _deposited,
    "deposit_announced": _deposit_announced,
    "deposit_reversed": _deposit_reversed,
    "minted": _minted,
    "minting_halted": _minting_halted,
    "attested": _attested,
}
