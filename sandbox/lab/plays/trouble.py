"""Nodes that answer badly or lose what they are sent, and a worker that cannot go on."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.chains import faults
from sandbox.chains import service as chains
from sandbox.core import switches
from sandbox.lab import payers
from sandbox.lab.plays import minting, paying
from sandbox.lab.stage import Play, Stage
from sandbox.ledger import service as ledger
from sandbox.ledger.journal import Changes

RPC_ERRORS: Final = 40


async def _rpc_trouble(stage: Stage) -> None:
    name = f"{payers.PREFIX}exact"
    async with stage.turn(name):
        session = await stage.session()
        left = await stage.left_tiyn()
        tx = await stage.pay(name, session, left)
        await stage.drill("rpc_error", RPC_ERRORS)
        await stage.seen(tx)
    await stage.drill("rpc_error", 0)


async def _broadcast_lost(stage: Stage) -> None:
    payment = await paying.captured(stage)
    async with stage.drilled("send_lost"):
        refund = await paying.refund(stage, payment)
        await stage.until("the node to lose a transaction", _lost(stage))
        if "blockhash_expired" in stage.house.drills[stage.chain].drills:
            await stage.drill("blockhash_expired", 1)
    await paying.refund_ended(stage, refund.id)


def _lost(stage: Stage) -> Callable[[AsyncSession], Awaitable[bool]]:
    async def look(db: AsyncSession) -> bool:
        return "send_lost" not in await stage.house.drills[stage.chain].state()

    return look


async def _chain_halted(stage: Stage) -> None:
    """The worker fails three times at a payment's block; somebody lets it go on."""
    name, chain = f"{payers.PREFIX}exact", stage.chain
    async with stage.turn(name):
        session = await stage.session()
        left = await stage.left_tiyn()
        await stage.fund(name, session, left)
        await _fail(stage, switches.MAX_TIMES)
        try:
            await stage.pay(name, session, left)
            why = await stage.until(f"the worker to give {chain} up", _halted(chain))
        finally:
            await _fail(stage, 0)
    stage.say(f"{chain} is halted: {why}; minting is off")
    async with stage.database.transaction() as db:
        event = await chains.resume(db, chain)
        await ledger.record(db, Changes(events=[event]))
    stage.say(f"the worker follows {chain} again")
    await stage.captured()
    await minting.resume(stage, f"{chain} is followed again")


async def _fail(stage: Stage, times: int) -> None:
    async with stage.database.transaction() as db:
        await switches.arm(db, faults.switch_of(stage.chain), times)


def _halted(chain: str) -> Callable[[AsyncSession], Awaitable[str | None]]:
    async def look(db: AsyncSession) -> str | None:
        return (await chains.halts(db)).get(chain)

    return look


PLAYS: Final[Mapping[str, Play]] = {
    "rpc_trouble": _rpc_trouble,
    "broadcast_lost": _broadcast_lost,
    "chain_halted": minting.halting(_chain_halted),
}
