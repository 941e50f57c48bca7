"""Everything that can be made to go wrong between two parts, in one table with its state."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank import faults as bank
from sandbox.chains import faults as worker
from sandbox.chains.drills import AT_ONCE, Drill, DrillRefused, Drills
from sandbox.chains.port import ChainUnavailable
from sandbox.core import switches
from sandbox.core.http.simulating import SIMULATIONS, Armed
from sandbox.lab.errors import FaultUnknown
from sandbox.reserve.errors import ChainUnknown
from sandbox.webhooks import faults as webhooks

_API, _CHAIN, _WEBHOOK = "api.", "chain.", "webhook."


@dataclass(frozen=True, slots=True)
class Fault:
    """What breaks on which hop, and what brings the sandbox, or its caller, back in order.

    `means` says of what N, the number it is switched on with, is the number; without an N, of
    strikes.
    """

    name: str
    hop: str
    means: str
    recovers: str

    @property
    def is_once(self) -> bool:
        """Whether it happens when it is asked for, and is over then."""
        return self.name.removeprefix(_CHAIN) in AT_ONCE


_BANK_RECOVERS: Final[Mapping[str, str]] = {
    bank.REJECT: "the money is owed again and opens the next batch; a fee's order is tried again",
    bank.REJECT_PAYOUT: "the money is owed again and opens the next batch",
    bank.DELAY: "the next banking day books it",
    bank.ANSWER_LOST: "the order is sent again under its end-to-end id, and the bank carries it"
    " out once",
    bank.RETURN: "the money is owed again and opens the next batch",
    bank.DUPLICATE_NOTICE: "the second notice is known by its reference and posts nothing",
    bank.MISSING_LINE: "reconciliation names the line; switched off, the bank sends it after all",
    bank.CONTRADICTORY_NOTICE: "it is held and never posted; switched off, the bank takes it back",
}
_REPEAT: Final = "the caller repeats with the same Idempotency-Key"
_API_RECOVERS: Final[Mapping[str, str]] = {
    "answer_lost": f"{_REPEAT} and gets the first answer",
    "request_lost": f"{_REPEAT} and is served",
    "timeout": f"{_REPEAT} and gets the first answer",
    "slow": "nothing is to be done",
    "error": f"{_REPEAT}: no 5xx is ever kept",
    "unavailable": f"{_REPEAT} after Retry-After",
    "rate_limited": f"{_REPEAT} after Retry-After",
}
_WEBHOOK_RECOVERS: Final[Mapping[str, str]] = {
    webhooks.REQUEST_LOST: "the schedule tries again, after 5 s the first time",
    webhooks.ANSWER_LOST: "it is sent again; the receiver knows it by its webhook-id and drops it",
}
_WORKER_RECOVERS: Final[Mapping[str, str]] = {
    worker.BLOCK_FAILED: "it tries again; a halted chain goes on by POST"
    " /v1/sandbox/chains/{chain}/resume, minting by POST /v1/reserve/minting/resume",
}
_FOLLOWS: Final = "the watcher goes on where it was; nothing is lost"
_CHAIN_FAULTS: Final[Mapping[Drill, tuple[str, str, str]]] = {
    "rpc_error": (
        "worker → node",
        "the next N requests to the node are answered 503",
        _FOLLOWS,
    ),
    "rpc_slow": ("worker → node", "the next N requests are answered 1 s late", _FOLLOWS),
    "rpc_silent": (
        "worker → node",
        "the next N requests get no answer until this is switched off",
        "requests time out; " + _FOLLOWS,
    ),
    "rpc_stale": (
        "worker → node",
        "the node answers as it was N slots ago",
        "outcomes stay unknown meanwhile: nothing is tried a second time blindly",
    ),
    "send_lost": (
        "node → chain",
        "the node answers the ids of the next N transactions, and no block has them",
        "the worker sends the same bytes again, and signs anew only when they can never happen",
    ),
    "send_late": (
        "node → chain",
        "sent transactions reach the chain 3 s late",
        "the outcome is unknown until it is seen",
    ),
    "send_stuck": (
        "node → chain",
        "sent transactions are kept back until this is switched off",
        "they go on then; what has expired is signed anew",
    ),
    "send_twice": (
        "node → chain",
        "each sent transaction is delivered N times more",
        "it counts once: a transaction has one id",
    ),
    "no_finality": (
        "chain",
        "blocks come, and none becomes final",
        "payments stay confirmed and are captured when this is switched off",
    ),
    "no_blocks": ("chain", "no blocks are made", "everything goes on when this is switched off"),
    "reorg": (
        "chain",
        "the youngest N blocks are replaced by others without their transactions",
        "payments are reverted, sessions open again; the sandbox sends its own transactions anew",
    ),
    "reorg_kept": (
        "chain",
        "the youngest N blocks are replaced by others with their transactions",
        "payments are reverted and come again",
    ),
    "blockhash_expired": (
        "wallet → chain",
        "every blockhash that somebody signed with has run out",
        "wallets sign anew; the sandbox does once the old transaction can never happen",
    ),
}

FAULTS: Final[Mapping[str, Fault]] = {
    one.name: one
    for one in (
        *(
            Fault(name, "sandbox ↔ bank", means, _BANK_RECOVERS[name])
            for name, means in bank.MEANINGS.items()
        ),
        *(
            Fault(
                f"{_API}{name}",
                "caller ↔ API",
                f"with each of the next N POSTs under /v1: {does}",
                _API_RECOVERS[name],
            )
            for name, does in SIMULATIONS.items()
        ),
        *(
            Fault(name, "worker ↔ receiver", means, _WEBHOOK_RECOVERS[name])
            for name, means in webhooks.MEANINGS.items()
        ),
        *(
            Fault(name, "chain → worker", means, _WORKER_RECOVERS[name])
            for name, means in worker.MEANINGS.items()
        ),
        *(Fault(f"{_CHAIN}{drill}", *words) for drill, words in _CHAIN_FAULTS.items()),
    )
}


async def switch(
    db: AsyncSession,
    drills: Mapping[str, Drills],
    armed: Armed,
    name: str,
    times: int,
    chain: str | None,
) -> None:
    """Let a fault strike `times` times, on one chain or on all that can; 0: it is over, and mended.

    Raises `FaultUnknown`, `ChainUnknown`, `DrillRefused`, `ChainUnavailable`.
    """
    if name not in FAULTS:
        raise FaultUnknown(name, sorted(FAULTS))
    if chain is not None and chain not in drills:
        raise ChainUnknown(chain, sorted(drills))
    if name.startswith(_API):
        armed.set(name.removeprefix(_API), times)
    elif name.startswith(_CHAIN):
        drill = cast(Drill, name.removeprefix(_CHAIN))
        able = [one for one in drills.values() if drill in one.drills]
        for one in able if chain is None else [drills[chain]]:
            await one.set(drill, times)
    elif name == worker.BLOCK_FAILED:
        for of in drills if chain is None else [chain]:
            await switches.arm(db, worker.switch_of(of), times)
    elif name.startswith(_WEBHOOK):
        await switches.arm(db, name, times)
    else:
        await bank.switch(db, name, times)


async def table(db: AsyncSession, drills: Mapping[str, Drills], armed: Armed) -> dict[str, Any]:
    """Every fault with how many more times it strikes; null where its chain does not say."""
    of_worker = map(worker.switch_of, drills)
    in_database = await switches.left(db, (*bank.MEANINGS, *webhooks.MEANINGS, *of_worker))
    on_api = armed.state()
    on_chains = {name: await _state(one) for name, one in drills.items()}
    rows = []
    for fault in FAULTS.values():
        if fault.name.startswith(_API):
            rows.append(_row(fault, on_api[fault.name.removeprefix(_API)], None))
        elif fault.name.startswith(_CHAIN):
            drill = cast(Drill, fault.name.removeprefix(_CHAIN))
            for name, one in drills.items():
                if drill in one.drills:
                    state = on_chains[name]
                    rows.append(_row(fault, None if state is None else state.get(drill, 0), name))
        elif fault.name == worker.BLOCK_FAILED:
            rows += [_row(fault, in_database[worker.switch_of(name)], name) for name in drills]
        else:
            rows.append(_row(fault, in_database[fault.name], None))
    return {"object": "faults", "data": rows}


async def _state(drills: Drills) -> Mapping[Drill, int] | None:
    try:
        return await drills.state()
    except (ChainUnavailable, DrillRefused):
        return None


def _row(fault: Fault, times: int | None, chain: str | None) -> dict[str, Any]:
    return {
        "fault": fault.name,
        "chain": chain,
        "hop": fault.hop,
        "times": times,
        "means": fault.means,
        "recovers": fault.recovers,
        "happens_at_once": fault.is_once,
    }
