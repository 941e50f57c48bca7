"""Moving between chains (LEDGER E10, E11): burned on one, then minted on the other.

What is burned and not minted stands in 2015 under the move's id. The id goes on both chains with
the burn and the mint, and each chain takes it once.
"""

from collections.abc import Mapping
from typing import Final

from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.chains import service as chains
from sandbox.chains.port import Chain, Command
from sandbox.chains.watching import IntentDone, IntentFailed
from sandbox.core import clock
from sandbox.core.ids import new_id
from sandbox.core.money import MAX_SUPPLY_TIYN, units_from_tiyn
from sandbox.eventlog.types import NewEvent
from sandbox.ledger import service as ledger
from sandbox.ledger.chart import accounts
from sandbox.ledger.journal import Changes, NewEntry, Resolution, credit, debit
from sandbox.reserve import aims, backing, intakes, minting
from sandbox.reserve.errors import MintingHalted, NotRetryable, SameChain
from sandbox.reserve.models import BridgeMove, Intake

PREFIX: Final = "mov"
KIND: Final = "bridge_mint"


async def request(
    db: AsyncSession,
    configured: Mapping[str, Chain],
    *,
    from_chain: str,
    to_chain: str,
    amount_tiyn: int,
    recipient: str,
    expires_in_s: int,
) -> tuple[Intake, NewEvent]:
    """A holder wants its units of one chain on another; it is told where to send them.

    Raises `ChainUnknown`, `SameChain`, `UnknownRecipient`.
    """
    port, target = intakes.port_of(configured, from_chain), intakes.port_of(configured, to_chain)
    if from_chain == to_chain:
        raise SameChain(from_chain)
    recipient = intakes.outside(target, recipient)
    intake = await intakes.open_(
        db, port, prefix=PREFIX, amount_tiyn=amount_tiyn, expires_in_s=expires_in_s
    )
    db.add(
        BridgeMove(
            id=intake.id,
            to_chain=to_chain,
            recipient=recipient,
            mint_status="none",
            mint_attempt=0,
            is_back=False,
        )
    )
    await db.flush()
    return intake, await aims.event(db, intake, "requested")


async def lock(db: AsyncSession, move_id: str) -> Intake:
    """The move's intake, locked with its row; raises `NotFound`."""
    return await intakes.lock_one(db, move_id, PREFIX, "move")


async def burned(db: AsyncSession, intake: Intake) -> None:
    """The first half is done: the mint waits for the worker."""
    row = await _row(db, intake)
    row.mint_status = "waiting"
    db.add(row)


async def step(db: AsyncSession, move_id: str, configured: Mapping[str, Chain]) -> Changes:
    """Ask for the mint of a move that waits for it; while minting is off it waits, and says so."""
    intake = await lock(db, move_id)
    row = await _row(db, intake)
    if row.mint_status != "waiting":
        return Changes()
    chain = intake.chain if row.is_back else row.to_chain
    why = await _why_not(db, configured[chain], intake)
    if why is not None:
        if row.mint_reason == why:
            return Changes()
        row.mint_reason = why
        db.add(row)
        return Changes(events=[await aims.event(db, intake, "mint_waits")])
    row.mint_status, row.mint_attempt, row.mint_reason = "minting", row.mint_attempt + 1, None
    db.add(row)
    recipient = row.back_recipient if row.is_back else row.recipient
    assert recipient is not None
    units = units_from_tiyn(intake.amount_tiyn, configured[chain].decimals)
    ref, at = _ref(row), await clock.now(db)
    # The burn used the id up on its own chain.
    reference = f"{intake.id}:back" if row.is_back else intake.id
    command = Command("mint", reference=reference, recipient=recipient, amount_units=units)
    await chains.request(db, [chains.Intent(ref, KIND, chain, command)])
    legs = (
        debit(accounts.bridge(intake.id), intake.amount_tiyn),
        credit(accounts.outstanding(chain), intake.amount_tiyn),
        debit(accounts.external(chain), units),
        credit(accounts.supply(chain), units),
    )
    entry = NewEntry(new_id("ent", at), "pending", "bridge mint", ref, chain, at, intake.id, legs)
    return Changes(entries=[entry], events=[await aims.event(db, intake, "mint_requested")])


async def _why_not(db: AsyncSession, port: Chain, intake: Intake) -> str | None:
    """Why nothing may be minted now; owed is what it was, so I2 needs no lock here."""
    try:
        await minting.check_on(db)
    except MintingHalted as halted:
        return str(halted)
    now = await backing.read(db)
    if not now.is_enough:
        return f"the reserve is {now.reserve_tiyn} tiyn, {now.owed_tiyn} are owed"
    supply = await ledger.balance(db, accounts.supply(port.name))
    wanted = supply.posted + supply.pending_credit
    wanted += units_from_tiyn(intake.amount_tiyn, port.decimals)
    if wanted > units_from_tiyn(MAX_SUPPLY_TIYN, port.decimals):
        return f"{port.name} would hold more than {MAX_SUPPLY_TIYN} tiyn"
    return None


async def retry(db: AsyncSession, intake: Intake) -> NewEvent:
    """Go on with what is stuck: collect and burn again, or mint again. Raises `NotRetryable`."""
    row = await _row(db, intake)
    if intake.state != "burned":
        return await intakes.retry_units(db, intake)
    if row.mint_status != "stuck":
        raise NotRetryable(intake.id, aims.status_of(intake, row), "retried")
    row.mint_status, row.mint_reason = "waiting", None
    db.add(row)
    return await aims.event(db, intake, "retried")


async def give_back(db: AsyncSession, intake: Intake, port: Chain, recipient: str) -> NewEvent:
    """Make the units anew on the chain that they were burned on, for its holder `recipient`.

    Possible while no mint is under way on the other chain: never both. Raises `NotRetryable`,
    `UnknownRecipient`.
    """
    row = await _row(db, intake)
    if intake.state != "burned" or row.mint_status not in ("waiting", "stuck"):
        raise NotRetryable(intake.id, aims.status_of(intake, row), "given back")
    row.back_recipient = intakes.outside(port, recipient)
    row.is_back, row.mint_status, row.mint_reason = True, "waiting", None
    db.add(row)
    return await aims.event(db, intake, "give_back_requested")


def _ref(row: BridgeMove) -> str:
    return f"{row.id}:mint:{row.mint_attempt}"


async def _row(db: AsyncSession, intake: Intake) -> BridgeMove:
    row = await aims.aim_of(db, intake.id)
    assert isinstance(row, BridgeMove)
    return row


class BridgeMints:
    """The `IntentHandler` of the second halves."""

    async def on_done(self, db: AsyncSession, done: IntentDone) -> Changes:
        intake, row = await self._of(db, done.id)
        row.mint_status = "given_back" if row.is_back else "minted"
        row.mint_tx, row.mint_reason, row.minted_at = done.tx, None, await clock.now(db)
        db.add(row)
        event = await aims.event(db, intake, row.mint_status, (done.id,))
        return Changes(
            resolutions=[Resolution(done.id, "posted", event.id, done.height)], events=[event]
        )

    async def on_not_done(self, db: AsyncSession, failed: IntentFailed) -> Changes:
        """Back into the bridge: tried again a bounded number of times, then somebody decides."""
        intake, row = await self._of(db, failed.id)
        is_last = row.mint_attempt % intakes.MAX_ATTEMPTS == 0
        row.mint_status = "stuck" if is_last else "waiting"
        row.mint_tx, row.mint_reason = failed.tx, failed.reason
        db.add(row)
        event = await aims.event(db, intake, "mint_failed", (failed.id,))
        return Changes(
            resolutions=[Resolution(failed.id, "voided", event.id, failed.height)], events=[event]
        )

    async def _of(self, db: AsyncSession, intent_id: str) -> tuple[Intake, BridgeMove]:
        intake = await lock(db, intent_id.partition(":")[0])
        row = await _row(db, intake)
        assert (_ref(row), row.mint_status) == (intent_id, "minting"), f"{intent_id} is not newest"
        return intake, row
