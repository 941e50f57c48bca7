"""I8, the log's part: the tree recomputed from every stored event is what was signed."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core.checks import Check, say
from sandbox.core.clock import iso
from sandbox.eventlog import leaf as leaves
from sandbox.eventlog.checkpoint import Checkpoint, open_checkpoint
from sandbox.eventlog.line import epoch_of, kept_by
from sandbox.eventlog.merkle import Tree, leaf_hash
from sandbox.eventlog.note import BadNote, Verifier

ID = "I8"
# Others are answered between two pages.
_PAGE = 1_000

_PAGE_OF_ENTRIES = text(
    """
    SELECT l.position, l.leaf_hash, l.merchant AS owner, l.event_id,
        e.id, e.type, e.created, e.merchant, e.object_id, e.leaf, e.private, e.salt
    FROM log_entry l LEFT JOIN event e ON e.id = l.event_id
    WHERE l.epoch = :epoch AND l.position >= :first AND l.position < :size
    ORDER BY l.position LIMIT :page
    """
)

_BROKEN_SEQUENCES = text(
    """
    SELECT merchant, min(position) AS position FROM (
        SELECT merchant, sequence, position,
            row_number() OVER (PARTITION BY merchant ORDER BY position) AS expected
        FROM log_entry WHERE epoch = :epoch AND merchant IS NOT NULL
    ) AS numbered WHERE sequence <> expected GROUP BY merchant ORDER BY 2
    """
)

_LOST = text(
    """
    SELECT id FROM event
    WHERE NOT EXISTS (SELECT FROM log_entry WHERE log_entry.event_id = event.id)
        AND NOT EXISTS (SELECT FROM event_queue WHERE event_queue.event_id = event.id)
    LIMIT 10
    """
)

_UNSIGNED = text(
    """
    SELECT count(*) FROM log_entry WHERE epoch = :epoch AND position >= (
        SELECT coalesce(max(size), 0) FROM checkpoint WHERE epoch = :epoch
    )
    """
)


async def i8_log(db: AsyncSession, verifier_key: str) -> list[Check]:
    """Recompute every epoch's tree from the stored leaves and compare it with what was signed.

    `verifier_key` is the log's key as its readers know it; the database's own copy is not trusted.
    One check per epoch (root and size on both sides), one for events that the log lost.
    """
    known = Verifier.parse(verifier_key)
    # A page at a time goes by the index, whatever suits checks that compare whole tables.
    await db.execute(text("SET LOCAL enable_nestloop = on"))
    epochs = (await db.execute(text("SELECT epoch, origin FROM log_epoch ORDER BY epoch"))).all()
    checks, ended = list[Check](), None
    for row in epochs:
        check, ended = await _epoch(db, row.epoch, Verifier(row.origin, known.public), ended)
        checks.append(check)
    if known.name not in {row.origin for row in epochs}:
        checks.append(Check(ID, False, None, known.name, "no log of this origin was ever opened"))
    lost = [row.id for row in await db.execute(_LOST)]
    detail = "every event has a position or waits for one"
    if lost:
        detail = say([f"event {id_}: neither in the log nor in its queue" for id_ in lost])
    checks.append(Check(ID, not lost, len(lost), 0, detail))
    return checks


async def _epoch(
    db: AsyncSession, epoch: int, verifier: Verifier, former: Checkpoint | None
) -> tuple[Check, Checkpoint | None]:
    """The check of one epoch that goes on from where `former` ended, and where itself ended."""
    faults = list[str]()
    signed = await _signed_roots(db, epoch, verifier, faults)
    size = max(signed, default=0)
    if not signed:
        faults.append(f"log_epoch {epoch}: no checkpoint")
    tree = Tree()
    nodes: dict[tuple[int, int], bytes] = {}
    _compare(epoch, tree, signed, faults)
    async for rows in _pages(db, epoch, size):
        for row in rows:
            if row.position != tree.size:
                faults.append(f"log_entry {epoch} {tree.size}: position {tree.size} is missing")
                return _answer(epoch, tree, size, signed, faults), None
            if row.position == 0 and row.leaf is not None:
                faults += _beginning_faults(row.leaf, verifier, former)
            hash_ = b"" if row.leaf is None else leaf_hash(row.leaf)
            faults += [f"{_where(epoch, row)}: {fault}" for fault in _row_faults(row, hash_)]
            nodes.update(((level, index), node) for level, index, node in tree.extend([hash_]))
            if tree.size in signed:
                _compare(epoch, tree, signed, faults)
    if tree.size != size:
        faults.append(f"log_entry {epoch} {tree.size}: position {tree.size} is missing")
    stored = await db.execute(
        text("SELECT level, index AS place, hash FROM log_node WHERE epoch = :epoch"),
        {"epoch": epoch},
    )
    kept = {(row.level, row.place): row.hash for row in stored}
    # The log may have grown since its checkpoints were read: only what they cover is compared.
    faults += [
        f"log_node {epoch} {level} {index}: its hash is not that of its tile"
        for (level, index), node in nodes.items()
        if kept.get((level, index)) != node
    ]
    for row in await db.execute(_BROKEN_SEQUENCES, {"epoch": epoch}):
        faults.append(
            f"log_entry {epoch} {row.position}: the sequence of {row.merchant} has a gap before it"
        )
    unsigned = await db.scalar(_UNSIGNED, {"epoch": epoch})
    if unsigned:
        faults.append(f"checkpoint {epoch} {size}: {unsigned} entries stand behind the newest")
    ended = Checkpoint(verifier.name, size, signed[size]) if signed else None
    return _answer(epoch, tree, size, signed, faults), ended


def _beginning_faults(leaf: bytes, log: Verifier, former: Checkpoint | None) -> list[str]:
    """A restored world has of the epoch before exactly what leaf 0 says that it goes on from."""
    where = f"log_entry {epoch_of(log)} 0"
    try:
        kept = kept_by(leaf, log)
    except ValueError as error:
        return [f"{where}: {error}"]
    told = None if kept is None else kept.checkpoint
    if told == former:
        return []
    return [f"{where}: goes on from {_said(told)}, here is {_said(former)}"]


def _said(there: Checkpoint | None) -> str:
    return "nothing" if there is None else f"{there.origin} {there.size}:{there.root.hex()}"


async def _signed_roots(
    db: AsyncSession, epoch: int, verifier: Verifier, faults: list[str]
) -> dict[int, bytes]:
    signed: dict[int, bytes] = {}
    rows = await db.execute(
        text("SELECT size, root, note FROM checkpoint WHERE epoch = :epoch ORDER BY size"),
        {"epoch": epoch},
    )
    for row in rows:
        signed[row.size] = row.root
        try:
            found = open_checkpoint(row.note.encode(), verifier)
        except BadNote as error:
            faults.append(f"checkpoint {epoch} {row.size}: {error}")
            continue
        if (found.size, found.root) != (row.size, row.root):
            faults.append(f"checkpoint {epoch} {row.size}: its note says something else")
    return signed


async def _pages(db: AsyncSession, epoch: int, size: int) -> AsyncIterator[list[Any]]:
    first = 0
    while first < size:
        found = await db.execute(
            _PAGE_OF_ENTRIES, {"epoch": epoch, "first": first, "size": size, "page": _PAGE}
        )
        rows = list(found.all())
        if not rows:
            return
        yield rows
        first = rows[-1].position + 1


def _compare(epoch: int, tree: Tree, signed: dict[int, bytes], faults: list[str]) -> None:
    if tree.size in signed and tree.root() != signed[tree.size]:
        faults.append(
            f"checkpoint {epoch} {tree.size}: the first {tree.size} entries"
            " do not give the root that was signed"
        )


def _where(epoch: int, row: Any) -> str:
    return f"log_entry {epoch} {row.position} (event {row.event_id})"


def _row_faults(row: Any, hash_: bytes) -> list[str]:
    """What of a position's rows is not as it was signed, or not what its leaf says."""
    if row.leaf is None:
        return ["the event is missing"]
    faults = [] if hash_ == row.leaf_hash else ["the stored hash is not its leaf's"]
    try:
        # What was signed is read as it is; its form to the byte is what `verify` judges.
        leaf = leaves.parse(row.leaf) if faults else orjson.loads(row.leaf)
    except ValueError as error:
        return [*faults, str(error)]
    shown = (row.id, row.type, iso(row.created), row.merchant, row.owner, row.object_id)
    told = (leaf["id"], leaf["type"], leaf["created"], leaf["merchant"], leaf["merchant"])
    if shown != (*told, leaf["data"].get("id")):
        return [*faults, "the event's columns differ from its leaf"]
    commit = {path: leaves.commitment(row.salt, value) for path, value in row.private.items()}
    if commit != leaf["commit"]:
        return [*faults, "the private fields are not those committed to"]
    return faults


def _answer(
    epoch: int, tree: Tree, size: int, signed: dict[int, bytes], faults: list[str]
) -> Check:
    root = signed.get(size)
    if not faults and root != tree.root():
        faults.append(f"checkpoint {epoch} {size}: the root differs")
    return Check(
        ID,
        not faults,
        f"{tree.size}:{tree.root().hex()}",
        f"{size}:{root.hex() if root else ''}",
        say(faults) or f"epoch {epoch}: {size} events under {len(signed)} signed checkpoints",
    )
