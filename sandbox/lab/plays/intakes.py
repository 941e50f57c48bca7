"""Redemptions, and moves between chains."""

from collections.abc import Mapping
from typing import Any, Final

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core.money import format_tenge
from sandbox.lab import payers
from sandbox.lab.payers import AWAY
from sandbox.lab.plays import minting, settling
from sandbox.lab.stage import Play, Stage
from sandbox.ledger import service as ledger
from sandbox.ledger.journal import Changes
from sandbox.reserve import intakes, moves, queues, redemptions
from sandbox.reserve.models import Intake, UnitReceipt

HOLDER: Final[Mapping[str, Any]] = {
    "iban": "KZ41722C000000000001",
    "payee_name": "A resident",
    "tax_number": "900101400003",
    "knp": "342",
    "kbe": "19",
}
OPEN_S, SOON_S = 900, 60
GIVER: Final = f"{payers.PREFIX}exact"


async def _ask_redemption(
    stage: Stage, expires_in_s: int = OPEN_S, iban: str = HOLDER["iban"]
) -> dict[str, Any]:
    async with stage.database.transaction() as db:
        intake, event = await redemptions.request(
            db,
            stage.house.chains,
            chain=stage.chain,
            amount_tiyn=stage.amount_tiyn,
            expires_in_s=expires_in_s,
            **{**HOLDER, "iban": iban},
        )
        return await _asked(stage, db, "redemption", intake, event)


async def _ask_move(stage: Stage, expires_in_s: int = OPEN_S) -> dict[str, Any]:
    other = payers.other_chain(stage)
    async with stage.database.transaction() as db:
        intake, event = await moves.request(
            db,
            stage.house.chains,
            from_chain=stage.chain,
            to_chain=other,
            amount_tiyn=stage.amount_tiyn,
            recipient=stage.people(other).address(AWAY),
            expires_in_s=expires_in_s,
        )
        return await _asked(stage, db, f"move to {other}", intake, event)


async def _asked(
    stage: Stage, db: AsyncSession, what: str, intake: Intake, event: Any
) -> dict[str, Any]:
    await ledger.record(db, Changes(events=[event]))
    stage.say(f"asked for {what} {intake.id}")
    return await queues.shown(db, intake)


async def _fund(stage: Stage, asked: Mapping[str, Any]) -> None:
    """Let the holder have the units that are asked for."""
    people = stage.people()
    if await people.units(GIVER, asked["option"]) < asked["amount_units"]:
        await stage.grant(stage.chain, people.address(GIVER), 2 * stage.amount_tiyn)


async def _give(stage: Stage, asked: Mapping[str, Any], share: int = 1) -> str:
    """A holder sends the units that are asked for, or one part in `share`: the transaction."""
    async with stage.turn(GIVER):
        await _fund(stage, asked)
        sent = await stage.people().pay(GIVER, asked["option"], asked["amount_units"] // share)
    stage.sent(f"gave {format_tenge(stage.amount_tiyn // share)}", *sent)
    return sent[-1]


async def _until_it_is(stage: Stage, id_: str, *wanted: str) -> dict[str, Any]:
    """A redemption or move, once its status is one of these."""
    lock = redemptions.lock if id_.startswith(redemptions.PREFIX) else moves.lock

    async def look(db: AsyncSession) -> dict[str, Any] | None:
        shown = await queues.shown(db, await lock(db, id_))
        return shown if shown["status"] in wanted else None

    shown = await stage.until(f"{id_} to be {' or '.join(wanted)}", look)
    stage.say(f"{id_} is {shown['status']}")
    return shown


async def _redeemed(stage: Stage) -> None:
    await _give(stage, await _ask_redemption(stage))


async def _redemption_paid(stage: Stage) -> None:
    asked = await _ask_redemption(stage)
    await _give(stage, asked)
    await stage.to_value_date(
        (await _until_it_is(stage, asked["id"], "sent", "paid"))["value_date"]
    )
    await _until_it_is(stage, asked["id"], "paid")


def _comes_back(account: str, ends: str) -> Play:
    """To an account with magic in its number; the next order goes to an ordinary one."""

    async def play(stage: Stage) -> None:
        asked = await _ask_redemption(stage, iban=account)
        await _give(stage, asked)
        if ends == "returned":
            await stage.to_value_date(
                (await _until_it_is(stage, asked["id"], "sent", ends))["value_date"]
            )
        await _until_it_is(stage, asked["id"], ends)
        async with stage.database.transaction() as db:
            intake = await redemptions.lock(db, asked["id"])
            again = await redemptions.retry(db, intake, iban=HOLDER["iban"], knp=None, kbe=None)
            await ledger.record(db, again)
        stage.say("it was ordered again, to another account")
        await _until_it_is(stage, asked["id"], "sent", "paid")

    return play


async def _redemption_canceled(stage: Stage) -> None:
    """Half of the units came; they go back to their holder."""
    asked = await _ask_redemption(stage)
    await _give(stage, asked, share=2)

    async def came(db: AsyncSession) -> bool:
        shown = await queues.shown(db, await redemptions.lock(db, asked["id"]))
        return bool(shown["received_units"])

    await stage.until("the units to be final", came)
    await _cancel(stage, asked["id"])
    async with stage.database.transaction() as db:
        intake = await redemptions.lock(db, asked["id"])
        port = stage.house.chains[stage.chain]
        row, event = await intakes.send_back(db, intake, port, amount_units=None, recipient=None)
        await ledger.record(db, Changes(events=[event]))
    stage.say(f"what came goes back as {row.id}")


async def _cancel(stage: Stage, id_: str) -> None:
    lock = redemptions.lock if id_.startswith(redemptions.PREFIX) else moves.lock
    async with stage.database.transaction() as db:
        await ledger.record(db, Changes(events=[await intakes.cancel(db, await lock(db, id_))]))
    stage.say(f"canceled {id_}")


async def _intakes_expired(stage: Stage) -> None:
    for asked in (await _ask_redemption(stage, SOON_S), await _ask_move(stage, SOON_S)):
        stage.say(f"nobody sends anything for {asked['id']}")
    await stage.advance(SOON_S + 1)


async def _moved(stage: Stage) -> None:
    asked = await _ask_move(stage)
    await _give(stage, asked)
    await _until_it_is(stage, asked["id"], "minted")


async def _move_waits(stage: Stage) -> None:
    """The units are burned while minting is off; the mint comes when it is on again."""
    asked = await _ask_move(stage)
    await _fund(stage, asked)
    reversal_id = await minting.fall_short(stage)
    await _give(stage, asked)

    async def waits(db: AsyncSession) -> str | None:
        shown = await queues.shown(db, await moves.lock(db, asked["id"]))
        why: str | None = shown["mint_reason"]
        return why

    stage.say(f"{asked['id']} waits: {await stage.until('the mint to wait', waits)}")
    await minting.pay_in_again(stage, reversal_id)
    await _until_it_is(stage, asked["id"], "minted")


async def _units_reorged(stage: Stage) -> None:
    """The block that brought a holder's units goes, and they come again in another."""
    asked = await _ask_redemption(stage)
    await _fund(stage, asked)
    async with stage.drilled("no_finality"):
        tx = await _give(stage, asked)

        async def came(db: AsyncSession) -> UnitReceipt | None:
            found = select(UnitReceipt).where(col(UnitReceipt.tx) == tx)
            return (await db.exec(found)).first()

        receipt = await stage.until("the units to be seen", came)
        await payers.replace_blocks(stage, receipt.height, kept=True)
    await _until_it_is(stage, asked["id"], "sent", "paid")


async def _units_swept(stage: Stage) -> None:
    """On whichever chain takes units at addresses of their own."""
    stage.chain = settling.collecting(stage)
    await _redeemed(stage)


async def _move_canceled(stage: Stage) -> None:
    await _cancel(stage, (await _ask_move(stage))["id"])


PLAYS: Final[Mapping[str, Play]] = {
    "redeemed": _redeemed,
    "redemption_paid": _redemption_paid,
    "redemption_rejected": _comes_back("KZ49722REJECT0000001", "rejected"),
    "redemption_returned": _comes_back("KZ44722RETURN0000001", "returned"),
    "redemption_canceled": _redemption_canceled,
    "intakes_expired": _intakes_expired,
    "moved": _moved,
    "move_waits": minting.halting(_move_waits),
    "units_reorged": _units_reorged,
    "units_swept": _units_swept,
    "move_canceled": _move_canceled,
}
