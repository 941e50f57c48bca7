"""Objects whose history is their events, entries, orders and messages, and nothing besides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.chains.port import Chain
from sandbox.core.errors import NotFound
from sandbox.eventlog import service as eventlog
from sandbox.explain import backbone, reading, settling, transactions
from sandbox.explain.facts import NO_STATE, Facts, ends
from sandbox.explain.links import link, of_id
from sandbox.explain.paths import PATHS
from sandbox.explain.words import Explanation, Lane, Seen, Step, Wait, in_short
from sandbox.reserve import burns, queues
from sandbox.reserve import service as reserve
from sandbox.reserve.models import HolderBurn, Intake, UnitReceipt
from sandbox.settlement import service as settlement

MOST_FEE_ORDERS, MOST_PAYOUTS, MOST_PARTS = 12, 12, 20
MOST_TXS = 8
_HEADS = {"stray_transfer": "stray"}
_NAMES = {"redemption": "red", "bridge_move": "mov"}


class Grants(Protocol):
    """Faucet grants, which another slice keeps; wiring hands it over as `app.state.grants`."""

    async def find(self, db: AsyncSession, grant_id: str) -> Any: ...

    def grant_object(self, row: Any) -> dict[str, Any]: ...


@dataclass(slots=True)
class Other:
    """What was read: the object as the API shows it, and what is stored about it."""

    object: str
    id: str
    shown: Mapping[str, Any]
    facts: Facts
    asker: Lane = "merchant"
    receipts: Sequence[UnitReceipt] = ()
    burn: HolderBurn | None = None
    only_event: str = ""
    only_delivery: str = ""
    txs: Sequence[tuple[str, str]] = ()
    related: Sequence[str] = field(default_factory=list)


async def of_settlement(db: AsyncSession, id_: str, viewer: str | None) -> Other:
    """A batch with its payout. Raises `NotFound`."""
    shown = await settlement.settlement_object(db, id_, merchant=viewer)
    payout = shown["payout"]
    ids = [id_, *(sweep["id"] for sweep in ends(shown["sweeps"], MOST_PARTS))]
    bank = [f"{id_}:f{n}" for n in range(1, MOST_FEE_ORDERS + 1)]
    if payout is not None:
        ids.append(payout["id"])
        bank.append(payout["id"])
    facts = await reading.read(db, viewer, ids, bank=bank)
    related, where = [payout["id"]] if payout is not None else [], f"{PATHS['settlement']}/{id_}"
    related += [line["payment"] for line in facts.ends("lines", shown["lines"], MOST_PARTS, where)]
    facts.ends("sweeps", shown["sweeps"], MOST_PARTS, where)
    return _with_txs(Other("settlement", id_, shown, facts, related=related))


async def of_payout(db: AsyncSession, id_: str, viewer: str | None) -> Other:
    """A payout, from its batch on. Raises `NotFound`."""
    shown = await settlement.payout(db, id_, merchant=viewer)
    facts = await reading.read(db, viewer, [id_], bank=[id_])
    return Other("payout", id_, shown, facts, related=[shown["settlement"]])


async def of_deposit(db: AsyncSession, id_: str, viewer: str | None) -> Other:
    """Tenge that came in, and what was minted of them. Raises `NotFound`."""
    row = await reserve.deposit(db, id_)
    left = (await reserve.unminted_tiyn(db, [id_]))[id_]
    minted = await db.scalars(
        text("SELECT id FROM issuance WHERE deposit_id = :id ORDER BY id LIMIT 20"), {"id": id_}
    )
    issuances = list(minted)
    facts = await reading.read(db, viewer, [id_, *issuances])
    shown = reserve.deposit_object(row, left)
    return _with_txs(Other("deposit", id_, shown, facts, "issuer", related=issuances))


async def of_issuance(db: AsyncSession, id_: str, viewer: str | None) -> Other:
    """A mint against a deposit. Raises `NotFound`."""
    row = await reserve.issuance(db, id_)
    facts = await reading.read(db, viewer, [id_])
    shown = reserve.issuance_object(row)
    return _with_txs(Other("issuance", id_, shown, facts, "issuer", related=[row.deposit_id]))


async def of_redemption(db: AsyncSession, id_: str, viewer: str | None) -> Other:
    """Units for tenge. Raises `NotFound`."""
    return await _intake(db, "redemption", id_, viewer)


async def of_move(db: AsyncSession, id_: str, viewer: str | None) -> Other:
    """Units from one chain to another. Raises `NotFound`."""
    return await _intake(db, "bridge_move", id_, viewer)


async def _intake(db: AsyncSession, object_: str, id_: str, viewer: str | None) -> Other:
    row = await db.get(Intake, id_) if id_.startswith(f"{_NAMES[object_]}_") else None
    if row is None:
        raise NotFound(object_, id_)
    shown = await queues.shown(db, row)
    found = select(UnitReceipt).where(col(UnitReceipt.intake) == id_).limit(20)
    receipts = list(await db.exec(found.order_by(col(UnitReceipt.id))))
    facts = await reading.read(
        db,
        viewer,
        [id_, *(one.id for one in receipts)],
        transfers=[one.transfer_id for one in receipts],
        orders=[f"{id_}:sweep:{n}" for n in range(1, row.sweep_attempt + 1)],
        bank=[f"{id_}:{n}" for n in range(1, MOST_PAYOUTS + 1)],
    )
    return _with_txs(Other(object_, id_, shown, facts, "issuer", receipts))


async def of_holder_burn(db: AsyncSession, id_: str) -> Other:
    """Units that their holder burned itself, which stand at the stray desk. Raises `NotFound`."""
    row = await db.get(HolderBurn, id_)
    if row is None:
        raise NotFound("stray_transfer", id_)
    shown = await burns.shown(db, id_)
    assert shown is not None
    facts = await reading.read(db, None, [id_], transfers=[row.transfer_id])
    read = Other("stray_transfer", id_, shown, facts, "issuer", burn=row)
    read.txs = [(row.chain, row.tx)]
    if shown["redemption"] is not None:
        read.related = [shown["redemption"]]
    return read


async def of_grant(db: AsyncSession, id_: str, viewer: str | None, grants: Grants) -> Other:
    """Tokens that the faucet gave away. Raises `NotFound`."""
    shown = grants.grant_object(await grants.find(db, id_))
    # Its events are nobody's: whoever may ask the faucet may read them, and not the books.
    facts = await reading.read(db, None, [id_])
    facts.viewer = viewer
    return _with_txs(Other("faucet_grant", id_, shown, facts))


async def of_event(db: AsyncSession, id_: str, viewer: str | None) -> Other:
    """One event: what caused it, what it posted, who was told. Raises `NotFound`."""
    row = await eventlog.one(db, id_, viewer)
    shown = eventlog.api_event(row, viewer=viewer)
    return await _event(db, Other("event", id_, shown, Facts(viewer, NO_STATE)), id_)


async def of_delivery(db: AsyncSession, id_: str, viewer: str | None) -> Other:
    """One delivery of an event to an endpoint. Raises `NotFound`."""
    found = await db.execute(
        text(
            "SELECT * FROM webhook_delivery WHERE id = :id"
            " AND (CAST(:viewer AS text) IS NULL OR merchant = :viewer)"
        ),
        {"id": id_, "viewer": viewer},
    )
    row = found.one_or_none()
    if row is None:
        raise NotFound("webhook_delivery", id_)
    shown = {"status": row.status, "event": row.event_id, "attempts": row.attempts,
             "last_status": row.last_status, "last_error": row.last_error,
             "endpoint": row.endpoint}  # fmt: skip
    facts = Facts(viewer, NO_STATE)
    read = Other("webhook_delivery", id_, shown, facts, only_delivery=id_, related=[row.event_id])
    return await _event(db, read, row.event_id)


async def _event(db: AsyncSession, read: Other, event_id: str) -> Other:
    """Of what is stored about the event's object, what this event tells and who was told."""
    facts = read.facts = await reading.read_event(db, read.facts.viewer, event_id)
    read.only_event = event_id
    if read.only_delivery:
        facts.deliveries = [row for row in facts.deliveries if row.id == read.only_delivery]
    about = facts.events[0].about if facts.events else None
    if about is not None:
        read.related = [*read.related, about]
    return read


def _with_txs(read: Other) -> Other:
    txs = [(one.chain, one.tx) for one in read.receipts]
    txs += [(row.chain, row.tx_id) for row in read.facts.orders if row.tx_id is not None]
    txs = list(dict.fromkeys(txs))
    read.txs = read.facts.ends("transactions", txs, MOST_TXS)
    return read


def build(read: Other, chains: Mapping[str, Chain], seen: Seen) -> Explanation:
    """The explanation of any of them."""
    facts = read.facts
    state, reasons = settling.state_of(read.object, read.shown)
    return Explanation(
        read.object,
        read.id,
        facts.state.now,
        f"{_HEADS.get(read.object, read.object)}.{state}",
        settling.figures_of(read.object, read.shown),
        reasons,
        steps=[*_requests(read), *_receipts(read, chains, seen), *_burned(read, chains, seen),
               *backbone.steps(facts, chains, seen)],
        waits=in_short(_waits(read)),
        links=[found for id_ in dict.fromkeys(read.related)
               if (found := of_id(id_, facts.viewer)) is not None],
        notes=backbone.notes(facts),
    )  # fmt: skip


def _requests(read: Other) -> list[Step]:
    """Every request that caused an event of this object."""
    made, known = [], set()
    for event in read.facts.events:
        if event.request_id is None or event.request_id in known:
            continue
        known.add(event.request_id)
        asked = read.facts.asked(event.request_id)
        values = {"about": event.about, "type": event.type, **asked}
        made.append(
            Step(event.at, read.asker, "api", "request", "request.object", values,
                 links=(link("request_log", event.request_id, read.facts.viewer),),
                 place=(event.index, backbone.ASKED))
        )  # fmt: skip
    return made


def _receipts(read: Other, chains: Mapping[str, Chain], seen: Seen) -> list[Step]:
    made = []
    for row in read.receipts:
        came = next(iter(read.facts.of(row.id)), None)
        index = 0.0 if came is None else float(came.index)
        made.append(
            transactions.step(chains, seen, row.chain, row.tx, row.created_at,
                              (index, backbone.SENT), amount_units=row.amount_units)
        )  # fmt: skip
        values = {"chain": row.chain, "tx": row.tx, "height": row.height,
                  "amount_units": row.amount_units, "source": row.source,
                  "state": row.state}  # fmt: skip
        made.append(
            Step(row.created_at, "chain", "watcher", "judgement", f"units.{row.state}", values,
                 place=(index, backbone.SEEN), is_fault=row.state == "reverted")
        )  # fmt: skip
    return made


def _burned(read: Other, chains: Mapping[str, Chain], seen: Seen) -> list[Step]:
    row = read.burn
    if row is None:
        return []
    came = next(iter(read.facts.of(row.id)), None)
    index = 0.0 if came is None else float(came.index)
    values = {"stray": row.id, "chain": row.chain, "tx": row.tx, "source": row.source,
              "amount_units": row.amount_units, "state": row.status}  # fmt: skip
    return [
        transactions.step(chains, seen, row.chain, row.tx, row.created_at,
                          (index, backbone.SENT), amount_units=row.amount_units),
        Step(row.created_at, "chain", "watcher", "judgement", "stray.holder_burn", values,
             place=(index, backbone.SEEN)),
    ]  # fmt: skip


def _waits(read: Other) -> list[Wait]:
    made = settling.waits_of(read.object, read.shown, read.facts)
    for row in read.receipts:
        if row.state == "confirmed":
            made += backbone.chain_waits(read.facts, row.chain, row.height, row.created_at)
    return [*made, *backbone.order_waits(read.facts), *backbone.log_waits(read.facts)]
