"""The token as its chain has it, beside what the books say of it."""

from typing import Any

from sandbox.chains import service as chains
from sandbox.chains.checks import WatcherBehind, await_final_cursor
from sandbox.chains.port import TREASURY, Chain
from sandbox.core.db import Database
from sandbox.ledger import service as ledger
from sandbox.ledger.chart import accounts
from sandbox.ledger.reading import posted_upto

WAIT_S = 10.0


async def token_object(
    database: Database, port: Chain, *, wait_s: float = WAIT_S
) -> dict[str, Any]:
    """Both at the same final height, so that they agree also while payments go on.

    `ledger` is null and `agrees` false when the books did not read as far within `wait_s`;
    `halted` says why they do not go on. Raises `ChainUnavailable`.
    """
    truth, held = await port.token_truth(), await port.holdings()
    on_chain = {"supply_units": truth.supply_units, "treasury_units": held.by_place[TREASURY]}
    async with database.transaction() as db:
        halted = (await chains.halts(db)).get(port.name)
    booked = await _booked(database, port, truth.height, held.height, 0 if halted else wait_s)
    differs = {name: units - booked[name] for name, units in on_chain.items()} if booked else None
    async with database.transaction() as db:
        under_way = await chains.under_way(db, port.name)
    return {
        "object": "token",
        "chain": port.name,
        "network": port.network,
        "address": truth.address,
        "program": truth.program,
        "name": truth.name,
        "symbol": truth.symbol,
        "uri": truth.uri,
        "decimals": truth.decimals,
        "paused": truth.is_paused,
        "extensions": list(truth.extensions),
        "authorities": [
            {"role": role, "address": address or None, "rotatable": role in port.rotatable}
            for role, address in truth.authorities.items()
        ],
        "height": truth.height,
        "on_chain": on_chain,
        "ledger": booked,
        "difference": differs,
        "under_way": [
            {"action": one.action, "count": one.count, "units": one.units} for one in under_way
        ],
        "halted": halted,
        "agrees": differs is not None and not any(differs.values()),
    }


async def _booked(
    database: Database, port: Chain, supply_at: int, treasury_at: int, wait_s: float
) -> dict[str, int] | None:
    try:
        await await_final_cursor(database, port.name, max(supply_at, treasury_at), wait_s)
    except WatcherBehind:
        return None
    async with database.transaction() as db:
        supply = -await posted_upto(db, accounts.supply(port.name), supply_at)
        treasury = await posted_upto(db, accounts.treasury(port.name), treasury_at)
        outstanding = await ledger.balance(db, accounts.outstanding(port.name))
        return {
            "supply_units": supply,
            "treasury_units": treasury,
            "outstanding_tiyn": outstanding.posted,
        }
