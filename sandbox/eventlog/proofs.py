"""Inclusion and consistency proofs out of stored hashes: O(log n) tiles, never the whole log."""

import base64
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core.errors import NotFound
from sandbox.eventlog.checkpoint import open_checkpoint
from sandbox.eventlog.errors import BadReceipt, NotSequenced
from sandbox.eventlog.leaf import parse
from sandbox.eventlog.merkle import (
    Subtree,
    carry_out,
    complete_root,
    consistency_plan,
    inclusion_plan,
    leaf_hash,
    verify_inclusion,
)
from sandbox.eventlog.note import Verifier
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


def verify_receipt(receipt: Mapping[str, Any], vkey: str) -> int:
    """The position that a receipt (`Inclusion.as_json`) proves, with only the verifier key.

    Raises `BadReceipt` when leaf, proof, checkpoint or key do not belong together.
    """
    try:
        checkpoint = open_checkpoint(receipt["checkpoint"].encode(), Verifier.parse(vkey))
        leaf = base64.b64decode(receipt["leaf"], validate=True)
        proof = [base64.b64decode(hash_, validate=True) for hash_ in receipt["proof"]]
        position = receipt["position"]
        parse(leaf)
        if isinstance(position, bool) or not isinstance(position, int):
            raise BadReceipt("the position is not a number")
        # Only the origin is signed; a receipt must not say another epoch than its checkpoint.
        if not checkpoint.origin.endswith(f"/e{receipt['epoch']}"):
            raise BadReceipt(f"its checkpoint is not of epoch {receipt['epoch']}")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadReceipt(str(error) or repr(error)) from error
    if not verify_inclusion(leaf_hash(leaf), position, checkpoint.size, proof, checkpoint.root):
        raise BadReceipt(f"the proof does not lead from position {position} to the signed root")
    return position


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
