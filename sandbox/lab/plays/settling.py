"""Batches: burned, paid out, sent to wallets, swept, and what the bank makes of payouts."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank import faults
from sandbox.chains.customers import MannerUnknown
from sandbox.core import switches
from sandbox.core.errors import SandboxError
from sandbox.lab import payers
from sandbox.lab.plays import merchants, paying
from sandbox.lab.stage import Play, Stage
from sandbox.settlement import making, terms
from sandbox.settlement import service as settlement

RACERS: Final = 10


async def _settle(stage: Stage) -> dict[str, Any]:
    await paying.captured(stage)
    async with stage.database.transaction() as db:
        made = await making.settle(db, stage.merchant, stage.house.chains)
    stage.say(f"made settlement {made['id']}")
    return await _burned(stage, made["id"])


async def _burned(stage: Stage, settlement_id: str) -> dict[str, Any]:
    async def look(db: AsyncSession) -> dict[str, Any] | None:
        found = await settlement.settlement_object(db, settlement_id, merchant=None)
        return found if found["status"] == "settled" else None

    settled = await stage.until(f"the burns of {settlement_id}", look)
    stage.say(f"{settlement_id} is settled")
    return settled


async def _settled(stage: Stage) -> None:
    await _settle(stage)


async def _settle_race(stage: Stage) -> None:
    await paying.captured(stage)

    async def one() -> str:
        try:
            async with stage.database.transaction() as db:
                made = await making.settle(db, stage.merchant, stage.house.chains)
        except SandboxError as refused:
            return refused.code
        return str(made["id"])

    answers = sorted(await asyncio.gather(*(one() for _ in range(RACERS))))
    said = ", ".join(f"{times} × {each}" for each, times in Counter(answers).items())
    stage.say(f"{RACERS} settled at once and were answered: {said}")
    await _burned(stage, next(one for one in answers if one.startswith("stl_")))


async def paid_out(stage: Stage) -> None:
    """A batch on whose value date the bank books payout and fee."""
    await _to_payout(stage, await _settle(stage))


async def _to_payout(stage: Stage, settled: Mapping[str, Any]) -> None:
    payout = settled["payout"]
    if payout is None:
        stage.say("there is nothing to pay out")
        return
    await stage.to_value_date(payout["value_date"])


def _with_bank(fault: str) -> Play:
    async def play(stage: Stage) -> None:
        async with stage.database.transaction() as db:
            left = (await switches.left(db, [fault]))[fault]
            await switches.arm(db, fault, left + 1)
        stage.say(f"{fault} strikes once")
        await _to_payout(stage, await _settle(stage))

    return play


async def _settled_to_wallet(stage: Stage) -> None:
    """A merchant of its own: the terms of the others stay."""
    stage.merchant = await merchants.sign_up(stage)
    wallet = stage.people().address(f"{payers.PREFIX}wallet")
    async with stage.database.transaction() as db:
        await terms.choose(
            db,
            stage.merchant,
            stage.house.chains,
            mode="hold",
            split_bps=None,
            wallets={stage.chain: wallet},
            refund_reserve_tiyn=0,
        )
    stage.say(f"it keeps its tokens, in {wallet}")
    await _settle(stage)


async def _line_deferred(stage: Stage) -> None:
    """A merchant of its own: nobody thaws the address, so each of its batches finds the line."""
    stage.chain = collecting(stage)
    stage.merchant = await merchants.sign_up(stage)
    await paying.captured(stage)
    session, _ = await stage.read()
    await stage.freeze(stage.option(session)["address"])
    async with stage.database.transaction() as db:
        made = await making.settle(db, stage.merchant, stage.house.chains)
    stage.say(f"made settlement {made['id']}")


async def _swept(stage: Stage) -> None:
    """On whichever chain collects what was paid from addresses of its own."""
    stage.chain = collecting(stage)
    await _settle(stage)


def collecting(stage: Stage) -> str:
    """A chain that has deposit addresses of its own. Raises `MannerUnknown`."""
    able = [name for name, port in stage.house.chains.items() if port.sweep_batch]
    if not able:
        raise MannerUnknown(stage.chain, "swept")
    return able[0]


PLAYS: Final[Mapping[str, Play]] = {
    "settled": _settled,
    "settle_race": _settle_race,
    "paid_out": paid_out,
    "payout_rejected": _with_bank(faults.REJECT_PAYOUT),
    "payout_returned": _with_bank(faults.RETURN),
    "settled_to_wallet": _settled_to_wallet,
    "line_deferred": _line_deferred,
    "swept": _swept,
}
