"""Everything that goes on in the background of a world, and who handles what its chains bring."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank import closing, simulator
from sandbox.chains import jobs as intents
from sandbox.chains.watcher import Watcher
from sandbox.chains.watching import BlockHandler, IntentHandler
from sandbox.eventlog import sequencer
from sandbox.eventlog.types import NewEvent
from sandbox.lab import faucet, floats
from sandbox.lab import jobs as lab_jobs
from sandbox.ledger import days as ledger_days
from sandbox.ledger import service as ledger
from sandbox.ledger.journal import Changes
from sandbox.payments import jobs as payments_jobs
from sandbox.payments import service as payments
from sandbox.payments import sessions
from sandbox.payments.handlers import PaymentsHandler
from sandbox.payments.sweeping import Sweeps
from sandbox.reserve import (
    attesting,
    crediting,
    intake_jobs,
    intakes,
    moves,
    orders,
    reconciling,
)
from sandbox.reserve import jobs as reserve_jobs
from sandbox.reserve.handlers import IssuanceHandler, ReserveWatch
from sandbox.reserve.intake_handlers import IntakeBurns, IntakeSweeps, IntakeWatch, SendBacks
from sandbox.reserve.moves import BridgeMints
from sandbox.settlement import jobs as settlement_jobs
from sandbox.settlement import sweeps
from sandbox.settlement.burns import TRANSFER_KIND, Burns
from sandbox.webhooks import fanout
from sandbox.webhooks import jobs as deliveries
from sandbox.wiring.checks import reconciled_checks
from sandbox.wiring.world import World, announcers


@dataclass(frozen=True, slots=True)
class Loop:
    """A background loop: `step` says whether it did something; if not, it rests `idle_s`.

    It rests `busy_s` when it did: what comes meanwhile shares the next turn. One that `follows` a
    chain has something to do with every block, also with empty ones. One with `due`, SQL that is
    true when there is something to do, rests until then, `undue_s` at most. When it did something,
    it wakes those whose turn is next, as far as `has_news` says that there is something for them.
    One that `looks_on` takes its own time where the others take turns; what a step set going must
    have come to its end, `ended`, before their next turn. `announced` calls whoever
    is given to it, for ever, when there may be something new.
    """

    name: str
    step: Callable[[], Awaitable[bool]]
    idle_s: float
    busy_s: float = 0.0
    follows: bool = False
    due: str | None = None
    undue_s: float = 5.0
    looks_on: bool = False
    ended: Callable[[], Awaitable[None]] | None = None
    wakes: Sequence[str] = ()
    has_news: Callable[[], bool] = lambda: True
    announced: Callable[[Callable[[], None]], Awaitable[None]] | None = None


async def known_keys(db: AsyncSession, chain: str, keys: list[str]) -> set[str]:
    """Which of these match keys we gave out: for checkout sessions, redemptions and moves."""
    return await payments.known_keys(db, chain, keys) | set(
        await intakes.known_keys(db, chain, keys)
    )


class Recorder:
    """Books and events of one step of a chain, in one call; it knows whether events came."""

    def __init__(self) -> None:
        self._has_news = False

    async def record(self, db: AsyncSession, answers: list[Any], events: list[NewEvent]) -> None:
        """Write them in the step's transaction."""
        changes = Changes(events=list(events))
        for answer in answers:
            changes.extend(answer)
        await ledger.record(db, changes)
        self._has_news = self._has_news or bool(changes.events)

    def take_news(self) -> bool:
        """Whether events came since the last time."""
        found, self._has_news = self._has_news, False
        return found


def loops(world: World) -> list[Loop]:
    """Everything that goes on in the background of a world."""
    database, opened = world.database, world.chains
    payments_handler = PaymentsHandler(others=intakes.known_keys)
    # Rows of intakes before the minting switch, as everybody else takes them.
    block_handlers: list[BlockHandler[Changes]] = [payments_handler, IntakeWatch(), ReserveWatch()]
    intent_handlers: dict[str, IntentHandler[Changes]] = {
        "issuance": IssuanceHandler(),
        "refund": payments_handler,
        "sweep": Sweeps(),
        "burn": Burns(),
        TRANSFER_KIND: Burns(),
        "faucet": faucet.FaucetHandler(),
        intakes.SWEEP_KIND: IntakeSweeps(),
        intakes.BURN_KIND: IntakeBurns(),
        intakes.SEND_BACK_KIND: SendBacks(),
        moves.KIND: BridgeMints(),
        orders.KIND: orders.OrderHandler(),
    }
    recorder = Recorder()
    runner = intents.IntentRunner(
        database, opened, intent_handlers, recorder.record, world.owner, known_keys=known_keys
    )
    reconciler = reconciling.Reconciler(
        database, reconciled_checks(world), database.leader("reconcile", world.owner)
    )
    assert world.log_key is not None, "only a world opened for signing has loops"
    sequencing = sequencer.Sequencer(
        database, database.leader("sequence", world.owner), world.log_key
    )
    made = [
        Loop(
            "intents",
            runner.step,
            0.1,
            due=intents.DUE,
            wakes=("sequence",),
            has_news=recorder.take_news,
        ),
        Loop(
            "sequence",
            _counted(sequencing.turn),
            0.05,
            busy_s=0.05,
            due=sequencer.DUE,
            undue_s=0.5,  # it leads, and others may want to when it dies
            wakes=("webhooks",),
        ),
        Loop("expire", _counted(payments_jobs.expire, database), 1.0, due=sessions.EXPIRY_DUE),
        Loop("bank", _counted(simulator.step, database), 0.2, due=simulator.DUE),
        Loop("statements", _counted(closing.close_days, database), 1.0),
        Loop(
            "bank-messages",
            _counted(settlement_jobs.step, database),
            0.2,
            due=settlement_jobs.MESSAGES_DUE,
        ),
        Loop(
            "sweeps",
            _counted(settlement_jobs.follow_sweeps, database, opened),
            0.2,
            due=sweeps.DUE,
        ),
        Loop("cut-off", _counted(settlement_jobs.cut_off, database, opened), 1.0),
        Loop(
            "redemptions",
            _counted(intake_jobs.follow, database, opened),
            0.2,
            due=intake_jobs.DUE,
        ),
        Loop(
            "redemption-messages",
            _counted(intake_jobs.read_bank, database),
            0.2,
            due=intake_jobs.MESSAGES_DUE,
        ),
        Loop("reserve", _counted(reserve_jobs.halt_if_short, database), 1.0),
        Loop("days", _counted(ledger_days.seal_due, database), 5.0),
        Loop("credits", _counted(crediting.step, database), 0.2, due=crediting.DUE),
        Loop("reconcile", reconciler.step, 0.5, busy_s=0.5, follows=True, looks_on=True),
        Loop("attest-daily", _counted(attesting.ask_daily, database), 1.0),
        Loop(
            "attest",
            _counted(attesting.step, database, opened, world.log_key, world.owner),
            0.5,
            due=attesting.DUE,
        ),
        Loop(
            "float",
            _counted(lab_jobs.refill_float, database, opened),
            0.2,
            due=floats.DUE,
            undue_s=1.0,  # it may run low
        ),
        Loop("clocks", _counted(lab_jobs.sync_clocks, database, opened, {}), 0.5),
        Loop(
            "webhooks",
            _counted(fanout.step, database),
            0.1,
            busy_s=0.05,
            due=fanout.DUE,
            wakes=("deliveries",),
        ),
        Loop(
            "deliveries",
            _counted(world.courier.step),
            0.1,
            due=deliveries.DUE,
            ended=world.courier.drain,
        ),
    ]
    told_by = announcers(world.settings)
    for name, chain in opened.items():
        leader = database.leader(f"watch:{name}", world.owner)
        watcher = Watcher(
            database,
            chain,
            block_handlers,
            intent_handlers,
            recorder.record,
            leader,
            known_keys=known_keys,
        )
        made.append(
            Loop(
                f"watch:{name}",
                watcher.step,
                0.1,
                follows=True,
                wakes=("sequence",),
                has_news=recorder.take_news,
                announced=told_by[name].follow if told_by[name].url else None,
            )
        )
    return made


def _counted(job: Callable[..., Awaitable[int]], *arguments: Any) -> Callable[[], Awaitable[bool]]:
    async def step() -> bool:
        return bool(await job(*arguments))

    return step
