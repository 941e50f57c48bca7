"""Units that holders send to have them burned: how they are asked for, and what is done with them.

Nothing here is decided by a handler of the watcher: that one books what came and what ended, and
the worker (`follow`) takes the next step, with the rows locked and the books in view.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import insert, text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.chains import service as chains
from sandbox.chains.port import Chain, Command, UnknownRecipient
from sandbox.core import clock
from sandbox.core.driver import Statement
from sandbox.core.errors import NotFound
from sandbox.core.ids import new_id
from sandbox.core.money import units_from_tiyn
from sandbox.core.shapes import plain
from sandbox.eventlog.types import NewEvent
from sandbox.ledger import service as ledger
from sandbox.ledger.chart import accounts
from sandbox.ledger.journal import Changes, Leg, NewEntry, credit, debit
from sandbox.reserve import aims, shapes
from sandbox.reserve.errors import ChainUnknown, IntakeNotOver, NotRetryable, RemainderShort
from sandbox.reserve.models import Intake, SendBack, UnitMatch

SWEEP_KIND: Final = "unit_sweep"
BURN_KIND: Final = "unit_burn"
SEND_BACK_KIND: Final = "send_back"
MAX_ATTEMPTS: Final = 3
"""Transactions in a row that may fail; then somebody has to ask again."""
MAX_KEY_LENGTH: Final = 200
LABEL: Final = "KZTE reserve"


def port_of(configured: Mapping[str, Chain], chain: str) -> Chain:
    """The chain, or `ChainUnknown`."""
    port = configured.get(chain)
    if port is None:
        raise ChainUnknown(chain, sorted(configured))
    return port


def outside(port: Chain, address: str) -> str:
    """A holder's address in the chain's form; raises `UnknownRecipient`, also for our own."""
    address = port.check_recipient(address)
    if address in port.own_addresses():
        raise UnknownRecipient(port.name, address)
    return address


async def open_(
    db: AsyncSession, port: Chain, *, prefix: str, amount_tiyn: int, expires_in_s: int
) -> Intake:
    """A new intake of whole tiyn that waits for its units; any wallet can send them."""
    at = await clock.now(db)
    id_ = new_id(prefix, at)
    units = units_from_tiyn(amount_tiyn, port.decimals)
    option = port.receive_option(id_, units, LABEL)
    row = Intake(
        id=id_,
        chain=port.name,
        amount_tiyn=amount_tiyn,
        amount_units=units,
        option={"chain": port.name, "method": "transfer", **option.fields},
        state="open",
        is_sweeping=False,
        sweep_attempt=0,
        burn_attempt=0,
        swept_units=0,
        expires_at=at + timedelta(seconds=expires_in_s),
        created_at=at,
    )
    db.add(row)
    await db.flush()
    keys = [{"chain": port.name, "key": key, "intake": id_} for key in option.keys]
    await db.execute(insert(UnitMatch), keys)
    return row


_MATCHES = Statement("SELECT key, intake FROM unit_match WHERE chain = :chain AND key = ANY(:keys)")


async def known_keys(db: AsyncSession, chain: str, keys: Collection[str]) -> dict[str, str]:
    """Which of these match keys of a chain belong to intakes: key → intake."""
    usable = sorted({key for key in keys if len(key) <= MAX_KEY_LENGTH and key.isprintable()})
    if not usable:
        return {}
    found = await _MATCHES.fetch(db, {"chain": chain, "keys": usable})
    return {row["key"]: row["intake"] for row in found}


async def locked(db: AsyncSession, ids: Collection[str]) -> dict[str, Intake]:
    """The intakes by id, locked in that order and fresh."""
    if not ids:
        return {}
    found = (
        select(Intake)
        .where(col(Intake.id).in_(sorted(ids)))
        .order_by(col(Intake.id))
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    rows = {row.id: row for row in await db.exec(found)}
    for id_ in rows:
        await db.refresh(await aims.aim_of(db, id_))
    return rows


async def lock_one(db: AsyncSession, id_: str, prefix: str, name: str) -> Intake:
    """The intake of a redemption or move, locked; raises `NotFound`."""
    found = await locked(db, [id_]) if id_.startswith(f"{prefix}_") else {}
    if id_ not in found:
        raise NotFound(name, id_)
    return found[id_]


# Steps of the worker.


async def step(db: AsyncSession, id_: str, port: Chain) -> Changes:
    """What can be done now for an intake: end it, collect its units, burn them, send some back."""
    changes = Changes()
    intake = (await locked(db, [id_]))[id_]
    if intake.state == "open":
        changes.extend(await _expire(db, intake))
    backs = await _waiting_backs(db, id_)
    if intake.state != "received" and not backs:
        return changes
    if intake.is_sweeping:
        return changes
    if port.sweep_batch and await lying(db, intake):
        await _ask_sweep(db, intake)
        return changes
    if intake.state == "received":
        changes.extend(await _ask_burn(db, intake))
    for back in backs:
        changes.entries.append(await _ask_back(db, back))
    return changes


async def lying(db: AsyncSession, intake: Intake, upto: int | None = None) -> int:
    """Final units at the intake's deposit address; with `upto`, also those that become final
    with a block not above that height."""
    where = "state = 'final'" if upto is None else "state <> 'reverted' AND height <= :upto"
    came: int = await db.scalar(
        text(
            "SELECT coalesce(sum(amount_units), 0)::bigint FROM unit_receipt"  # noqa: S608 - ours
            f" WHERE intake = :id AND place = 'unswept' AND {where}"
        ),
        {"id": intake.id} | ({} if upto is None else {"upto": upto}),
    )
    return came - intake.swept_units


async def _expire(db: AsyncSession, intake: Intake) -> Changes:
    """End an intake whose units did not come; while some are not final, nobody can tell."""
    undecided = await db.scalar(
        text("SELECT count(*) FROM unit_receipt WHERE intake = :id AND state = 'confirmed'"),
        {"id": intake.id},
    )
    if undecided or intake.expires_at > await clock.now(db):
        return Changes()
    intake.state = "expired"
    db.add(intake)
    return Changes(events=[await aims.event(db, intake, "expired")])


async def _ask_sweep(db: AsyncSession, intake: Intake) -> None:
    # Whose the units are stays as it is and nothing else takes them, so nothing is reserved.
    intake.is_sweeping, intake.sweep_attempt = True, intake.sweep_attempt + 1
    db.add(intake)
    ref = sweep_ref(intake)
    command = Command("sweep", reference=ref, sessions=[intake.id])
    await chains.request(db, [chains.Intent(ref, SWEEP_KIND, intake.chain, command)])


def sweep_ref(intake: Intake) -> str:
    return f"{intake.id}:sweep:{intake.sweep_attempt}"


def burn_ref(intake: Intake) -> str:
    return f"{intake.id}:burn:{intake.burn_attempt}"


async def _ask_burn(db: AsyncSession, intake: Intake) -> Changes:
    held = await ledger.balance(db, accounts.treasury(intake.chain))
    if held.available < intake.amount_units:
        return Changes()
    intake.state, intake.burn_attempt, intake.reason = "burning", intake.burn_attempt + 1, None
    db.add(intake)
    at, ref = await clock.now(db), burn_ref(intake)
    # The chain takes each reference once: units of one id are burned once whatever goes wrong.
    command = Command("burn", reference=intake.id, amount_units=intake.amount_units)
    await chains.request(db, [chains.Intent(ref, BURN_KIND, intake.chain, command)])
    noun = "redemption" if aims.is_redemption(intake.id) else "bridge"
    entry = NewEntry(
        new_id("ent", at), "pending", f"{noun} burn", ref, intake.chain, at, intake.id,
        _burn_legs(intake),
    )  # fmt: skip
    return Changes(entries=[entry], events=[await aims.event(db, intake, "burn_requested")])


def _burn_legs(intake: Intake) -> tuple[Leg, ...]:
    """LEDGER E9 and E10: the holder's claim leaves the chain, and is owed in tenge or in bridge."""
    chain, units, tiyn = intake.chain, intake.amount_units, intake.amount_tiyn
    is_redemption = aims.is_redemption(intake.id)
    owed = accounts.redemption(intake.id) if is_redemption else accounts.bridge(intake.id)
    return (
        debit(accounts.supply(chain), units),
        credit(accounts.treasury(chain), units),
        debit(accounts.suspense(chain, intake.id), units),
        credit(accounts.custody(chain), units),
        debit(accounts.outstanding(chain), tiyn),
        credit(owed, tiyn),
    )


# What people may ask for.


async def cancel(db: AsyncSession, intake: Intake) -> NewEvent:
    """Give an intake up whose units are not being burned; what came can be sent back then.

    Raises `NotRetryable` when it is too late, or over already.
    """
    if intake.state not in ("open", "received", "stuck", "expired") or intake.is_sweeping:
        raise NotRetryable(intake.id, intake.state, "canceled")
    intake.state = "canceled"
    db.add(intake)
    return await aims.event(db, intake, "canceled")


async def retry_units(db: AsyncSession, intake: Intake) -> NewEvent:
    """Try again to collect and burn units that are stuck. Raises `NotRetryable`."""
    if intake.state != "stuck":
        raise NotRetryable(intake.id, intake.state, "retried")
    intake.state, intake.reason = "received", None
    db.add(intake)
    return await aims.event(db, intake, "retried")


async def send_back(
    db: AsyncSession,
    intake: Intake,
    port: Chain,
    *,
    amount_units: int | None,
    recipient: str | None,
) -> tuple[SendBack, NewEvent]:
    """Send what nobody redeems (all of it, or `amount_units`) to a holder.

    `recipient` is by default who sent the newest of it. Raises `IntakeNotOver` while the units may
    still be redeemed, `RemainderShort`, `UnknownRecipient`.
    """
    if intake.state == "open":
        raise IntakeNotOver(intake.id)
    shown = await aims.object_of(db, intake)
    left: int = shown["remainder_units"]
    wanted = left if amount_units is None else amount_units
    if wanted > left or wanted <= 0:
        raise RemainderShort(intake.id, wanted, left)
    if recipient is None:
        recipient = await db.scalar(
            text(
                "SELECT source FROM unit_receipt WHERE intake = :id AND state = 'final'"
                " ORDER BY id DESC LIMIT 1"
            ),
            {"id": intake.id},
        )
        assert recipient is not None, "a remainder came from somebody"
    recipient = outside(port, recipient)
    at = await clock.now(db)
    row = SendBack(
        id=new_id("sbk", at),
        intake=intake.id,
        chain=intake.chain,
        recipient=recipient,
        amount_units=wanted,
        status="waiting",
        created_at=at,
    )
    db.add(row)
    await db.flush()
    return row, send_back_event(row, "requested", at)


def send_back_object(row: SendBack) -> dict[str, object]:
    """Units on their way back, as the API shows them."""
    shown: shapes.SendBack = {
        "object": "send_back",
        "id": row.id,
        "intake": row.intake,
        "chain": row.chain,
        "recipient": row.recipient,
        "amount_units": row.amount_units,
        "status": row.status,
        "tx": row.tx,
        "reason": row.reason,
        "created_at": clock.iso(row.created_at),
    }
    return plain(shown)


def send_back_event(row: SendBack, step: str, at: datetime, refs: tuple[str, ...] = ()) -> NewEvent:
    """`reserve.send_back_<step>`."""
    data = send_back_object(row)
    return NewEvent(new_id("evt", at), f"reserve.send_back_{step}", at, data, refs=refs)


async def _waiting_backs(db: AsyncSession, intake_id: str) -> list[SendBack]:
    found = select(SendBack).where(
        col(SendBack.intake) == intake_id, col(SendBack.status) == "waiting"
    )
    found = found.order_by(col(SendBack.id)).with_for_update(key_share=True)
    return list(await db.exec(found.execution_options(populate_existing=True)))


async def _ask_back(db: AsyncSession, row: SendBack) -> NewEntry:
    at, chain, units = await clock.now(db), row.chain, row.amount_units
    row.status = "pending"
    db.add(row)
    command = Command("transfer", reference=row.id, recipient=row.recipient, amount_units=units)
    await chains.request(db, [chains.Intent(row.id, SEND_BACK_KIND, chain, command)])
    legs = (
        debit(accounts.external(chain), units),
        credit(accounts.treasury(chain), units),
        debit(accounts.suspense(chain, row.intake), units),
        credit(accounts.custody(chain), units),
    )
    return NewEntry(
        new_id("ent", at), "pending", "units sent back", row.id, chain, at, row.intake, legs
    )
