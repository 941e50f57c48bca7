"""Orders of authority: holders are frozen, units seized."""

from collections.abc import Mapping
from typing import Final

from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core import chance
from sandbox.core.money import units_from_tiyn
from sandbox.lab import faucet, payers
from sandbox.lab.payers import AWAY
from sandbox.lab.stage import Play, Stage
from sandbox.reserve import orders


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
    stage.say(f"the seizure {order.id} is {await stage.order_ended(order.id)}")


PLAYS: Final[Mapping[str, Play]] = {
    "holder_frozen": _holder_frozen,
    "seizure_failed": _seizure_failed,
}
