"""Inclusion and consistency proofs out of stored hashes: O(log n) tiles, never the whole log."""

import base64
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core.errors import NotFound
from sandbox.eventlog.errors import BadReceipt, NotSequenced
from sandbox.eventlog.line import open_line
from sandbox.eventlog.merkle import (
    Subtree,
    carry_out,
    complete_root,
    consistency_plan,
    inclusion_plan,
    verify_inclusion,
)
from sandbox.eventlog.tiles import hashes_under


@dataclass(frozen=True, slots=True)
class Inclusion:
    """Everything that shows one event in the log to somebody who has only the verifier key."""

    epoch: int
    position: int
    leaf: bytes
    proof: list[bytes]
    checkpoint: str

    def as_json(self) -> dict[str, Any]:
        """The shape of CONTRACT 8."""
        return {
            "epoch": self.epoch,
            "position": self.position,
            "leaf": base64.b64encode(self.leaf).decode(),
            "proof": [base64.b64encode(hash_).decode() for hash_ in self.proof],
            "checkpoint": self.checkpoint,
        }


_EVENTS = text(
    """
    SELECT e.id, e.leaf, l.epoch, l.position, l.leaf_hash, c.size, c.root, c.note
    FROM event e
    LEFT JOIN log_entry l ON l.event_id = e.id
    LEFT JOIN LATERAL (
        SELECT size, root, note FROM checkpoint WHERE epoch = l.epoch ORDER BY size DESC LIMIT 1
    ) c ON true
    WHERE e.id = ANY(CAST(:ids AS text[]))
        AND (CAST(:viewer AS text) IS NULL OR e.merchant = :viewer)
    """
)

_HASHES = text(
    """
    SELECT 0 AS level, l.position AS place, l.leaf_hash AS hash
    FROM unnest(CAST(:levels AS int[]), CAST(:firsts AS bigint[]), CAST(:counts AS bigint[]))
        AS g (tile_level, first, count)
    JOIN log_entry l ON g.tile_level = 0 AND l.epoch = :epoch
        AND l.position >= g.first AND l.position < g.first + g.count
    UNION ALL
    SELECT n.level, n.index AS place, n.hash
    FROM unnest(CAST(:levels AS int[]), CAST(:firsts AS bigint[]), CAST(:counts AS bigint[]))
        AS g (tile_level, first, count)
    JOIN log_node n ON g.tile_level > 0 AND n.epoch = :epoch AND n.level = g.tile_level
        AND n.index >= g.first AND n.index < g.first + g.count
    """
)


_BEGINNINGS = text(
    "SELECT event_id FROM log_entry WHERE position = 0 AND epoch > :epoch ORDER BY epoch DESC"
)


async def inclusion(db: AsyncSession, event_id: str, viewer: str | None) -> Inclusion:
    """The proof of one event under the newest checkpoint of its epoch.

    Raises `NotFound` (also for another merchant's event) and `NotSequenced`.
    """
    return (await inclusions(db, [event_id], viewer))[event_id]


async def inclusions(
    db: AsyncSession, event_ids: Collection[str], viewer: str | None
) -> dict[str, Inclusion]:
    """The proofs of many events at once, those of an epoch all under the same checkpoint.

    Raises as `inclusion` does, for the first that has none.
    """
    found = await db.execute(_EVENTS, {"ids": list(event_ids), "viewer": viewer})
    rows = {row.id: row for row in found}
    for id_ in event_ids:
        if id_ not in rows:
            raise NotFound("event", id_)
        if rows[id_].position is None:
            raise NotSequenced(id_)
    plans = {id_: inclusion_plan(row.position, row.size) for id_, row in rows.items()}
    wanted: dict[int, set[Subtree]] = {}
    for id_, plan in plans.items():
        of_epoch = wanted.setdefault(rows[id_].epoch, set())
        of_epoch.update(subtree for group in plan for subtree in group)
    hashes = {epoch: await _subtree_hashes(db, epoch, those) for epoch, those in wanted.items()}
    made = {}
    for id_, row in rows.items():
        proof = carry_out(plans[id_], hashes[row.epoch].__getitem__)
        assert verify_inclusion(row.leaf_hash, row.position, row.size, proof, row.root)
        made[id_] = Inclusion(row.epoch, row.position, row.leaf, proof, row.note)
    return made


async def links(db: AsyncSession, epoch: int) -> list[dict[str, Any]]:
    """What shows that this world goes on from a former epoch: for `line.open_line`.

    The receipt of leaf 0 of each later epoch, the newest first; none for the epoch that lives.
    """
    found = await db.scalars(_BEGINNINGS, {"epoch": epoch})
    ids = list(found)
    proven = await inclusions(db, ids, None)
    return [proven[id_].as_json() for id_ in ids]


async def receipt(db: AsyncSession, event_id: str, viewer: str | None) -> dict[str, Any]:
    """The proof of one event, in a former epoch with `continued`: its `links`.

    Raises as `inclusion` does.
    """
    found = await inclusion(db, event_id, viewer)
    continued = await links(db, found.epoch)
    return {**found.as_json(), **({"continued": continued} if continued else {})}


def verify_receipt(receipt: Mapping[str, Any], vkey: str) -> int:
    """The position that a receipt proves, with only the verifier key of a world's newest epoch.

    Raises `BadReceipt` when leaf, proof, checkpoint, key and epochs do not belong together.
    """
    if not isinstance(receipt, Mapping):
        raise BadReceipt("not a receipt")
    return open_line(receipt.get("continued", []), vkey).verify(receipt)


async def consistency(db: AsyncSession, epoch: int, old: int, new: int) -> list[bytes]:
    """The proof that the first `old` of `new` entries of an epoch are what they were.

    Both sizes are at most the newest checkpoint's.
    """
    assert 0 <= old <= new
    if old == 0:
        return []
    plan = consistency_plan(old, new)
    hashes = await _subtree_hashes(db, epoch, (s for group in plan for s in group))
    return carry_out(plan, hashes.__getitem__)


async def _subtree_hashes(
    db: AsyncSession, epoch: int, wanted: Iterable[Subtree]
) -> dict[Subtree, bytes]:
    ranges = {subtree: hashes_under(subtree) for subtree in wanted}
    if not ranges:
        return {}
    rows = await db.execute(
        _HASHES,
        {
            "epoch": epoch,
            "levels": [level for level, _, _ in ranges.values()],
            "firsts": [first for _, first, _ in ranges.values()],
            "counts": [count for _, _, count in ranges.values()],
        },
    )
    stored = {(row.level, row.place): row.hash for row in rows}
    return {
        subtree: complete_root([stored[level, i] for i in range(first, first + count)])
        for subtree, (level, first, count) in ranges.items()
    }
