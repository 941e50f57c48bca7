"""Acts of authority over a chain's token that move nobody's books: a new key for a role, a seizure.

An order is an intent and nothing besides, so its row is the chain's; the log tells of its end.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.chains import rotating
from sandbox.chains import service as chains
from sandbox.chains.errors import NotRotatable, RotationUnderWay
from sandbox.chains.port import Chain, Command
from sandbox.chains.seizing import seizure
from sandbox.chains.service import IntentState
from sandbox.chains.watching import IntentDone, IntentFailed
from sandbox.core import clock
from sandbox.core.checks import Check, no_faults
from sandbox.core.errors import NotFound
from sandbox.core.ids import new_id
from sandbox.core.shapes import plain
from sandbox.eventlog.told import Told, as_told, moment
from sandbox.eventlog.types import NewEvent
from sandbox.ledger import service as ledger
from sandbox.ledger.journal import Changes
from sandbox.reserve.shapes import ChainOrder, OrderStatus

KIND = "order"
_STATUS: Final[Mapping[str, OrderStatus]] = {
    "due": "pending",
    "signed": "pending",
    "done": "done",
    "not_done": "failed",
}


def order_object(order: IntentState) -> dict[str, Any]:
    """The order as the API shows it; a transaction counts once it has decided."""
    has_ended = order.state in ("done", "not_done")
    shown: ChainOrder = {
        "object": "chain_order",
        "id": order.id,
        "chain": order.chain,
        "action": order.command.action,
        "role": order.command.role or None,
        "holder": order.command.holder or None,
        "recipient": order.command.recipient or None,
        "amount_units": order.command.amount_units or None,
        "status": _STATUS[order.state],
        "tx": order.tx if has_ended else None,
        "reason": order.reason,
        "created_at": clock.iso(order.created_at),
    }
    return plain(shown)


async def rotate(db: AsyncSession, port: Chain, role: str) -> IntentState:
    """Give `role` a new key, once what the old one signed has ended.

    Raises `NotRotatable`, `RotationUnderWay`: asked again and again it would hold up its chain.
    """
    if role not in port.rotatable:
        raise NotRotatable(port.name, role, port.rotatable)
    if (order := await rotating.under_way(db, port.name, role)) is not None:
        raise RotationUnderWay(port.name, role, order)
    return await _give(db, port, "rotate", role=role)


async def seize(
    db: AsyncSession, port: Chain, *, holder: str, recipient: str, amount_units: int
) -> IntentState:
    """Take units from a holder by order. The supply stays, and no book says who holds what outside.

    Raises `UnknownRecipient`, `NotSeizable`; a session's address ends the order as `not_seizable`.
    """
    asked = Command("seize", "", recipient, amount_units, holder=holder)
    holder, recipient = seizure(port, asked)
    return await _give(
        db, port, "seize", holder=holder, recipient=recipient, amount_units=amount_units
    )


async def freeze(db: AsyncSession, port: Chain, holder: str) -> IntentState:
    """Freeze a holder: it neither gets nor gives units. Raises `UnknownRecipient`."""
    return await _give(db, port, "freeze", recipient=port.check_recipient(holder))


async def find(db: AsyncSession, chain: str, order_id: str) -> IntentState:
    """The order, or `NotFound`."""
    order = await chains.intent(db, order_id)
    if order.kind != KIND or order.chain != chain:
        raise NotFound("chain_order", order_id)
    return order


async def _give(
    db: AsyncSession, port: Chain, action: Literal["rotate", "seize", "freeze"], **about: Any
) -> IntentState:
    at = await clock.now(db)
    id_ = new_id("ord", at)
    await chains.request(db, [chains.Intent(id_, KIND, port.name, Command(action, id_, **about))])
    order = await chains.intent(db, id_)
    event = NewEvent(new_id("evt", at), "chain.order_requested", at, order_object(order))
    await ledger.record(db, Changes(events=[event]))
    return order


class OrderHandler:
    """The end of an order."""

    async def on_done(self, db: AsyncSession, done: IntentDone) -> Changes:
        return await _ended(db, done.id, "chain.order_done")

    async def on_not_done(self, db: AsyncSession, failed: IntentFailed) -> Changes:
        return await _ended(db, failed.id, "chain.order_failed")


async def _ended(db: AsyncSession, id_: str, type_: str) -> Changes:
    at = await clock.now(db)
    data = order_object(await chains.intent(db, id_))
    return Changes(events=[NewEvent(new_id("evt", at), type_, at, data)])


_COMMAND = "nullif(r.command ->> '{}', '')"
_TOLD = as_told(
    Told(
        "chain_intent",
        ("chain.order%",),
        {
            "chain": "r.chain",
            "action": "r.command ->> 'action'",
            "role": _COMMAND.format("role"),
            "holder": _COMMAND.format("holder"),
            "recipient": _COMMAND.format("recipient"),
            "amount_units": "nullif(r.command ->> 'amount_units', '0')",
            "status": "CASE r.state WHEN 'done' THEN 'done' WHEN 'not_done' THEN 'failed'"
            " ELSE 'pending' END",
            "tx": "CASE WHEN r.state IN ('done', 'not_done') THEN r.tx END",
            "reason": "r.reason",
            "created_at": moment("created_at"),
        },
        rows=f"r.kind = '{KIND}'",
    )
)


async def orders_as_told(db: AsyncSession) -> list[Check]:
    """I8: orders as the log last told them."""
    return await no_faults(db, "I8", "orders to the chains are as the log tells", _TOLD)
