"""What reaches the reserve account and leaves it again; attestations."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank import incoming
from sandbox.bank.accounts import RESERVE_IBAN
from sandbox.core import chance
from sandbox.core.money import format_tenge
from sandbox.lab.stage import Play, Stage
from sandbox.reserve import attesting

DEPOSIT_TIYN: Final = 1_000_000


def new_reference() -> str:
    """Of a credit at the bank, as nobody used it."""
    return f"TRIGGER-{chance.token_bytes(6).hex().upper()}"


async def deposit(stage: Stage, tiyn: int = DEPOSIT_TIYN) -> str:
    """The bank's reference of money on the reserve account."""
    reference = new_reference()
    async with stage.database.transaction() as db:
        await incoming.credit(db, iban=RESERVE_IBAN, amount_tiyn=tiyn, bank_reference=reference)
    stage.say(f"{format_tenge(tiyn)} reached the reserve account as {reference}")
    return reference


async def read(stage: Stage, reference: str) -> str:
    """The id of a deposit, once the bank's notice of it was read."""

    async def look(db: AsyncSession) -> str | None:
        known = text("SELECT id FROM deposit WHERE bank_reference = :reference")
        found: str | None = await db.scalar(known, {"reference": reference})
        return found

    return await stage.until("the deposit to be read", look)


async def _deposited(stage: Stage) -> None:
    await deposit(stage)


async def _deposit_announced(stage: Stage) -> None:
    reference = new_reference()
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


async def take_back(stage: Stage, reference: str) -> None:
    """The bank reverses a credit that it booked."""
    async with stage.database.transaction() as db:
        await incoming.reverse_credit(db, reference)
    stage.say(f"the bank took {reference} back")


async def _deposit_reversed(stage: Stage) -> None:
    reference = await deposit(stage)
    await read(stage, reference)
    await take_back(stage, reference)


async def _attested(stage: Stage) -> None:
    async with stage.database.transaction() as db:
        asked = await attesting.ask(db)
    assert asked is not None, "only a day's own attestation is made once"
    stage.say(f"asked for attestation {asked.id}")


PLAYS: Final[Mapping[str, Play]] = {
    "deposit": _deposited,
    "deposit_announced": _deposit_announced,
    "deposit_reversed": _deposit_reversed,
    "attested": _attested,
}
