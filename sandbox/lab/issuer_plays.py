"""Scenarios of the issuer: deposits, mints, redemptions, moves between chains, orders."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank import calendar, incoming
from sandbox.bank.accounts import RESERVE_IBAN
from sandbox.chains import service as chains
from sandbox.core import chance
from sandbox.core.money import format_tenge, units_from_tiyn
from sandbox.lab import faucet, payers
from sandbox.lab.stage import Stage
from sandbox.ledger import service as ledger
from sandbox.ledger.journal import Changes
from sandbox.reserve import (
    attesting,
    intakes,
    moves,
    orders,
    queues,
    reconciling,
    redemptions,
    reversals,
    service,
)
from sandbox.reserve.errors import BreachStands, NotReconciledYet
from sandbox.reserve.models import Intake

HOLDER: Mapping[str, Any] = {
    "iban": "KZ41722C000000000001",
    "payee_name": "A resident",
    "tax_number": "900101400003",
    "knp": "342",
    "kbe": "19",
}
DEPOSIT_TIYN = 1_000_000
OPEN_S, SOON_S = 900, 60
AWAY = f"{payers.PREFIX}away"
"""Gets tokens without coin for fees, so it pays nobody."""

Play = Callable[[Stage], Awaitable[None]]


# Deposits and mints.


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


# Redemptions and moves.


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


async def _give(stage: Stage, asked: Mapping[str, Any], share: int = 1) -> None:
    """A holder sends the units that are asked for, or one part in `share` of them."""
    name, option = f"{payers.PREFIX}exact", asked["option"]
    people, units = stage.people(), asked["amount_units"] // share
    async with stage.turn(name):
        if await people.units(name, option) < units:
            await stage.grant(stage.chain, people.address(name), 2 * stage.amount_tiyn)
        sent = await people.pay(name, option, units)
    stage.sent(f"gave {format_tenge(stage.amount_tiyn // share)}", *sent)


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
    await _to_value_date(stage, await _until_it_is(stage, asked["id"], "sent", "paid"))
    await _until_it_is(stage, asked["id"], "paid")


async def _to_value_date(stage: Stage, sent: Mapping[str, Any]) -> None:
    opens = calendar.bank_opens(datetime.fromisoformat(sent["value_date"]).date())
    ahead = (opens + timedelta(hours=1) - await stage.now()) // timedelta(seconds=1)
    await stage.advance(max(0, ahead))


def _comes_back(account: str, ends: str) -> Play:
    """To an account with magic in its number; the next order goes to an ordinary one."""

    async def play(stage: Stage) -> None:
        asked = await _ask_redemption(stage, iban=account)
        await _give(stage, asked)
        if ends == "returned":
            await _to_value_date(stage, await _until_it_is(stage, asked["id"], "sent", ends))
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


async def _move_canceled(stage: Stage) -> None:
    await _cancel(stage, (await _ask_move(stage))["id"])


# Orders of authority.


async def _holder_frozen(stage: Stage) -> None:
    """A customer of its own each time: nobody thaws it."""
    address = stage.people().address(f"{payers.PREFIX}held-{chance.token_bytes(6).hex()}")
    await stage.grant(stage.chain, address, stage.amount_tiyn)
    await stage.freeze(address)
    async with stage.database.transaction() as db:
        row = await faucet.grant(
            db,
            stage.database,
            stage.house.chains,
            chain=stage.chain,
            address=address,
            amount_tiyn=stage.amount_tiyn,
        )

    async def ended(db: AsyncSession) -> str | None:
        status = (await faucet.find(db, row.id)).status
        return None if status == "pending" else status

    stage.say(f"the faucet's next grant is {await stage.until(f'the grant {row.id}', ended)}")


async def _seizure_failed(stage: Stage) -> None:
    """More is to be seized from a frozen holder than it has."""
    people = stage.people()
    address = people.address(f"{payers.PREFIX}held-{chance.token_bytes(6).hex()}")
    await stage.grant(stage.chain, address, stage.amount_tiyn)
    await stage.freeze(address)
    port = stage.house.chains[stage.chain]
    async with stage.database.transaction() as db:
        order = await orders.seize(
            db,
            port,
            holder=address,
            recipient=people.address(AWAY),
            amount_units=units_from_tiyn(2 * stage.amount_tiyn, port.decimals),
        )

    async def ended(db: AsyncSession) -> str | None:
        found = await chains.intent(db, order.id)
        return found.state if found.state in ("done", "not_done") else None

    stage.say(f"the seizure {order.id} is {await stage.until(f'the order {order.id}', ended)}")


PLAYS: Mapping[str, Play] = {
    "deposit": _deposited,
    "deposit_announced": _deposit_announced,
    "deposit_reversed": _deposit_reversed,
    "minted": _minted,
    "minting_halted": _minting_halted,
    "attested": _attested,
    "redeemed": _redeemed,
    "redemption_paid": _redemption_paid,
    "redemption_rejected": _comes_back("KZ49722REJECT0000001", "rejected"),
    "redemption_returned": _comes_back("KZ44722RETURN0000001", "returned"),
    "redemption_canceled": _redemption_canceled,
    "intakes_expired": _intakes_expired,
    "moved": _moved,
    "move_canceled": _move_canceled,
    "holder_frozen": _holder_frozen,
    "seizure_failed": _seizure_failed,
}
