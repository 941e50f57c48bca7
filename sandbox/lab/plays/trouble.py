"""Nodes that answer badly or lose what they are sent."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.lab import payers
from sandbox.lab.plays import paying
from sandbox.lab.stage import Play, Stage

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


PLAYS: Final[Mapping[str, Play]] = {
    "rpc_trouble": _rpc_trouble,
    "broadcast_lost": _broadcast_lost,
}
