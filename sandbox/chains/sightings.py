"""What the watcher stores of a block, and reads back: transfers, inclusions, block rows.

One leader writes these tables, in the order of the chain; every function runs in its transaction.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from sqlalchemy import func, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.chains import faults
from sandbox.chains.models import ChainBlock, ChainCursor, ChainInclusion, ChainTransfer
from sandbox.chains.port import UNSWEPT, Block, Chain, ForeignTransfer, Transfer
from sandbox.chains.service import FINAL, Cursor
from sandbox.chains.watching import KnownKeys, Seen, SeenBlock
from sandbox.core.driver import Statement
from sandbox.core.ids import new_id

# Every block passes these, mostly without anything in it: they go to the driver as they are.
_STORE_EMPTY = Statement(
    """
    INSERT INTO chain_block
        (chain, height, hash, parent_hash, time, is_empty, attempts, foreign_transfers)
    SELECT :chain, height, hash, parent_hash, time, true, '[]', '[]' FROM unnest(
        CAST(:heights AS bigint[]), CAST(:hashes AS text[]), CAST(:parents AS text[]),
        CAST(:times AS timestamptz[])
    ) AS seen (height, hash, parent_hash, time)
    """
)
_STORE = Statement(
    """
    INSERT INTO chain_block
        (chain, height, hash, parent_hash, time, is_empty, attempts, foreign_transfers)
    VALUES (:chain, :height, :hash, :parent_hash, :time, :is_empty, CAST(:attempts AS jsonb),
        CAST(:foreign_transfers AS jsonb))
    """
)
_INCLUDE = Statement(
    """
    WITH moved AS (
        INSERT INTO chain_transfer SELECT * FROM
            jsonb_populate_recordset(NULL::chain_transfer, CAST(:fresh AS jsonb))
    )
    INSERT INTO chain_inclusion SELECT * FROM
        jsonb_populate_recordset(NULL::chain_inclusion, CAST(:inclusions AS jsonb))
    """
)
_INTENTS = Statement("SELECT tx_id, intent_id FROM chain_attempt WHERE tx_id = ANY(:txs)")
_MARK = Statement(
    "UPDATE chain_inclusion i SET state = :state FROM chain_transfer t"
    " WHERE i.block_hash = ANY(:hashes) AND i.state = 'confirmed'"
    " AND t.id = i.transfer_id AND t.chain = :chain"
)
_FORGET = Statement(
    "DELETE FROM chain_block WHERE chain = :chain AND height BETWEEN :first AND :last"
)
_MOVE_CURSOR = Statement(
    "INSERT INTO chain_cursor (chain, view, height, hash) VALUES (:chain, :view, :height, :hash)"
    " ON CONFLICT (chain, view) DO UPDATE SET height = excluded.height, hash = excluded.hash"
)


class Sightings:
    """The stored view of one chain. `known_keys` says which deposit keys are sessions'."""

    def __init__(self, chain: Chain, known_keys: KnownKeys) -> None:
        self.chain, self.decimals = chain.name, chain.decimals
        self._own, self._deposit_key = chain.own_addresses(), chain.deposit_key
        self._known_keys = known_keys

    async def store(self, db: AsyncSession, block: Block, at: datetime) -> SeenBlock | None:
        """Store a block seen at confirmed; None when nothing in it concerns the sandbox."""
        intents = await _intents_of(db, block.txs)
        places = await self._places(db, block.transfers, block.foreign)
        foreign = tuple(one for one in block.foreign if one.destination in places)
        seen = await self._include(db, block, intents, places, at)
        is_empty = not (seen or foreign or intents)
        attempts = [[tx, block.tx_errors.get(tx)] for tx in block.txs if tx in intents]
        await _STORE.fetch(db, _row(self.chain, block, is_empty, attempts, foreign))
        if is_empty:
            return None
        return self._block(block.id.height, block.id.hash, block.time, seen, foreign)

    async def store_empty(self, db: AsyncSession, blocks: Sequence[Block]) -> None:
        """Store blocks without transactions."""
        if not blocks:
            return
        values = {
            "chain": self.chain,
            "heights": [block.id.height for block in blocks],
            "hashes": [block.id.hash for block in blocks],
            "parents": [block.id.parent_hash for block in blocks],
            "times": [block.time for block in blocks],
        }
        await _STORE_EMPTY.fetch(db, values)

    async def load(self, db: AsyncSession, row: ChainBlock) -> SeenBlock:
        """The stored block `row` with the inclusions that name it."""
        found = (
            select(ChainTransfer, ChainInclusion.n)
            .join(ChainInclusion, col(ChainInclusion.transfer_id) == col(ChainTransfer.id))
            .where(col(ChainTransfer.chain) == self.chain)
            .where(col(ChainInclusion.block_hash) == row.hash)
            .where(col(ChainInclusion.height) == row.height)
            .order_by(col(ChainInclusion.position))
        )
        rows = [(stored, _transfer(stored), n) for stored, n in (await db.exec(found)).all()]
        places = await self._places(db, [transfer for _, transfer, _ in rows])
        seen = [
            _seen(stored.id, transfer, n, stored.intent, places) for stored, transfer, n in rows
        ]
        foreign = [foreign_from_json(item) for item in row.foreign_transfers]
        return self._block(row.height, row.hash, row.time, seen, foreign)

    async def mark(self, db: AsyncSession, hashes: Sequence[str], state: str) -> None:
        """Move the confirmed inclusions of the blocks `hashes` to `final` or `reverted`."""
        await _MARK.fetch(db, {"state": state, "hashes": list(hashes), "chain": self.chain})

    async def window(
        self, db: AsyncSession, above: int, upto: int | None = None, limit: int | None = None
    ) -> list[ChainBlock]:
        """The stored blocks with `above` < height ≤ `upto`, ascending."""
        found = select(ChainBlock).where(
            col(ChainBlock.chain) == self.chain, col(ChainBlock.height) > above
        )
        if upto is not None:
            found = found.where(col(ChainBlock.height) <= upto)
        found = found.order_by(col(ChainBlock.height)).limit(limit)
        return list((await db.exec(found)).all())

    async def forget(self, db: AsyncSession, first: int, last: int) -> None:
        """Remove the block rows of [first, last] from the window."""
        await _FORGET.fetch(db, {"chain": self.chain, "first": first, "last": last})

    async def move_cursor(self, db: AsyncSession, view: str, to: Cursor) -> None:
        """Say that `view` was handled up to `to`."""
        row = {"chain": self.chain, "view": view, "height": to.height, "hash": to.hash}
        await _MOVE_CURSOR.fetch(db, row)

    async def _places(
        self,
        db: AsyncSession,
        transfers: Sequence[Transfer],
        foreign: Sequence[ForeignTransfer] = (),
    ) -> dict[str, str]:
        """Which of the addresses in these are the sandbox's own: address → place."""
        addresses = {one.source for one in transfers} | {one.destination for one in transfers}
        addresses |= {one.destination for one in foreign}
        places = {a: self._own[a] for a in addresses if a in self._own}
        keys = {a: key for a in addresses if a not in places and (key := self._deposit_key(a))}
        if keys:
            known = await self._known_keys(db, self.chain, sorted(keys.values()))
            places |= {address: UNSWEPT for address, key in keys.items() if key in known}
        return places

    async def _include(
        self,
        db: AsyncSession,
        block: Block,
        intents: Mapping[str, str],
        places: Mapping[str, str],
        at: datetime,
    ) -> list[Seen]:
        if not block.transfers:
            return []
        known = await self._known(db, {transfer.tx for transfer in block.transfers})
        fresh, inclusions, seen = [], [], []
        for position, transfer in enumerate(block.transfers):
            stored, n = known.get((transfer.tx, transfer.ordinal), (None, 0))
            intent = intents.get(transfer.tx)
            if stored is None:
                id_ = new_id("ct", at)
                fresh.append(_transfer_row(self.chain, id_, transfer, intent))
            else:
                id_ = stored.id
                if _transfer(stored) != transfer:
                    await _rewrite(db, id_, transfer)
            inclusions.append(
                {
                    "transfer_id": id_,
                    "n": n + 1,
                    "position": position,
                    "height": block.id.height,
                    "block_hash": block.id.hash,
                    "block_time": block.time,
                    "state": "confirmed",
                }
            )
            seen.append(_seen(id_, transfer, n + 1, intent, places))
        written = {"fresh": _json(fresh), "inclusions": _json(inclusions)}
        await _INCLUDE.fetch(db, written)
        return seen

    async def _known(
        self, db: AsyncSession, txs: set[str]
    ) -> dict[tuple[str, int], tuple[ChainTransfer, int]]:
        """Transfers that were seen before: (tx, ordinal) → (row, newest inclusion)."""
        found = (
            select(ChainTransfer, func.max(col(ChainInclusion.n)))
            .join(ChainInclusion, col(ChainInclusion.transfer_id) == col(ChainTransfer.id))
            .where(col(ChainTransfer.chain) == self.chain, col(ChainTransfer.tx).in_(txs))
            .group_by(col(ChainTransfer.id))
        )
        found = found.execution_options(populate_existing=True)
        return {(row.tx, row.ordinal): (row, n) for row, n in (await db.exec(found)).all()}

    def _block(
        self,
        height: int,
        hash_: str,
        time: datetime,
        seen: Sequence[Seen],
        foreign: Sequence[ForeignTransfer],
    ) -> SeenBlock:
        return SeenBlock(
            self.chain, self.decimals, height, hash_, time, tuple(seen), tuple(foreign)
        )


_PLACE = Statement(
    "SELECT EXISTS (SELECT FROM chain_halt WHERE chain = :chain) AS is_halted,"
    ' EXISTS (SELECT FROM fault_switch WHERE name = :fault AND "left" > 0) AS may_fail, c.*'
    " FROM (VALUES (CAST(:chain AS text))) AS asked (chain) LEFT JOIN chain_cursor c USING (chain)"
)


class Place(NamedTuple):
    """How far each view of a chain was handled, and whether it goes on from there.

    `may_fail`: the failure `faults.BLOCK_FAILED` is switched on.
    """

    is_halted: bool
    may_fail: bool
    cursors: Mapping[str, Cursor]


async def stored_place(db: AsyncSession, chain: str) -> Place:
    """Where the chain's watcher stands."""
    rows = await _PLACE.fetch(db, {"chain": chain, "fault": faults.switch_of(chain)})
    cursors = {row["view"]: Cursor(row["height"], row["hash"]) for row in rows if row["view"]}
    return Place(rows[0]["is_halted"], rows[0]["may_fail"], cursors)


async def final_height(db: AsyncSession, chain: str) -> int:
    """The last final height that was handled; -1 before the first."""
    found = select(ChainCursor.height).where(
        col(ChainCursor.chain) == chain, col(ChainCursor.view) == FINAL
    )
    height = (await db.exec(found)).one_or_none()
    return -1 if height is None else height


def foreign_to_json(transfer: ForeignTransfer) -> dict[str, Any]:
    """The stored form; the amount as text, because native coin may pass 64 bits."""
    return {
        "tx": transfer.tx,
        "ordinal": transfer.ordinal,
        "token": transfer.token,
        "source": transfer.source,
        "destination": transfer.destination,
        "amount": str(transfer.amount),
        "keys": list(transfer.keys),
    }


def foreign_from_json(item: Mapping[str, Any]) -> ForeignTransfer:
    """The reverse of `foreign_to_json`."""
    return ForeignTransfer(**{**item, "amount": int(item["amount"]), "keys": tuple(item["keys"])})


async def _intents_of(db: AsyncSession, txs: Sequence[str]) -> dict[str, str]:
    """Which of these transactions the sandbox sent: tx id → intent id."""
    if not txs:
        return {}
    rows = await _INTENTS.fetch(db, {"txs": list(txs)})
    return {row["tx_id"]: row["intent_id"] for row in rows}


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _seen(
    id_: str, transfer: Transfer, n: int, intent: str | None, places: Mapping[str, str]
) -> Seen:
    incoming, outgoing = places.get(transfer.destination, ""), places.get(transfer.source, "")
    return Seen(id_, transfer, n, intent, incoming, outgoing)


def _row(
    chain: str,
    block: Block,
    is_empty: bool,
    attempts: list[Any],
    foreign: Sequence[ForeignTransfer],
) -> dict[str, Any]:
    return {
        "chain": chain,
        "height": block.id.height,
        "hash": block.id.hash,
        "parent_hash": block.id.parent_hash,
        "time": block.time,
        "is_empty": is_empty,
        "attempts": _json(attempts),
        "foreign_transfers": _json([foreign_to_json(transfer) for transfer in foreign]),
    }


def _transfer_row(chain: str, id_: str, transfer: Transfer, intent: str | None) -> dict[str, Any]:
    return {
        "id": id_,
        "chain": chain,
        "tx": transfer.tx,
        "ordinal": transfer.ordinal,
        "kind": transfer.kind,
        "source": transfer.source,
        "destination": transfer.destination,
        "amount_units": transfer.amount_units,
        "keys": list(transfer.keys),
        "intent": intent,
    }


async def _rewrite(db: AsyncSession, id_: str, transfer: Transfer) -> None:
    """A transaction that comes back after a reorg may move something else (whole balances)."""
    await db.execute(
        update(ChainTransfer)
        .where(col(ChainTransfer.id) == id_)
        .values(
            kind=transfer.kind,
            source=transfer.source,
            destination=transfer.destination,
            amount_units=transfer.amount_units,
            keys=list(transfer.keys),
        )
    )


def _transfer(row: ChainTransfer) -> Transfer:
    assert row.kind in ("transfer", "mint", "burn")
    return Transfer(
        row.tx,
        row.ordinal,
        row.kind,  # type: ignore[arg-type]  # the line above and the table's check say so
        row.source,
        row.destination,
        row.amount_units,
        tuple(row.keys),
    )
