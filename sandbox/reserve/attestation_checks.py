"""I8, attestations and breaches: rows as the log tells them, notes as the log's key signed them."""

from collections.abc import Mapping
from typing import Any

import orjson
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core import clock
from sandbox.core.checks import Check, no_faults, say
from sandbox.eventlog.leaf import public_data
from sandbox.eventlog.note import BadNote, Verifier
from sandbox.eventlog.told import Told, moment
from sandbox.reserve import attestation, claims, sumtree

_MADE = text(
    "SELECT coalesce(a.id, e.told) AS id, a.id IS NOT NULL AS is_kept, a.cause, a.day, a.made_at,"
    " a.statement, a.note, a.event_id, e.id AS event, e.leaf FROM"
    " (SELECT * FROM attestation WHERE status = 'attested') a FULL JOIN"
    " (SELECT id, leaf, convert_from(leaf, 'UTF8')::json -> 'data' ->> 'id' AS told FROM event"
    " WHERE type = :type) e ON e.id = a.event_id ORDER BY 1"
)
_BREACHES = Told(
    "reserve_breach",
    ("reserve.breach_found",),
    {
        "invariant": "r.invariant",
        "line": "r.line",
        "detail": "r.detail",
        "found_at": moment("found_at"),
    },
)


async def attestations_match(db: AsyncSession, log_vkey: str) -> list[Check]:
    """I8: every attestation against its event, its note and the claims it counted.

    `log_vkey` is the log's key as its readers know it.
    """
    faults = []
    for row in await db.execute(_MADE, {"type": attestation.EVENT}):
        fault = _fault(row, Verifier.parse(log_vkey))
        if fault is None:
            faults += await _claim_faults(db, row.id, row.statement)
        else:
            faults.append(f"attestation {row.id}: {fault}")
    sound = "attestations = what the log tells and its key signed"
    return [Check("I8", not faults, len(faults), 0, say(faults) or sound)]


def _fault(row: Any, log: Verifier) -> str | None:
    if not row.is_kept:
        return f"is missing, {row.event} tells of it"
    if row.leaf is None:
        return f"its event {row.event_id} is missing"
    told = orjson.loads(row.leaf)["data"]
    if public_data(row.statement) != told:
        return f"is not as {row.event} tells"
    shown = (row.id, row.cause, None if row.day is None else row.day.isoformat())
    if (*shown, clock.iso(row.made_at)) != tuple(told[k] for k in ("id", "cause", "day", "as_of")):
        return f"is not as {row.event} tells"
    origin = log.name.rpartition("/e")[0]
    try:
        epoch = Verifier(f"{origin}/e{told['log']['epoch']}", log.public)
        said = attestation.open_signed(row.note.encode(), epoch)
    except BadNote as error:
        return str(error)
    return None if said == told else f"its note is not what {row.event} tells"


async def _claim_faults(db: AsyncSession, id_: str, statement: Mapping[str, Any]) -> list[str]:
    kept = await claims.kept(db, id_)
    faults = []
    for one in statement["chains"]:
        leaves = [found.leaf for found in kept.get(one["chain"], ())]
        root = sumtree.root_of(leaves)
        if (root.hash.hex(), root.units) != (one["claims_root"], one["claims_units"]):
            faults.append(
                f"attested_claim {id_} {one['chain']}: {len(leaves)} claims over"
                f" {root.units} units do not give the root that was signed"
            )
    return faults


async def breaches_as_told(db: AsyncSession) -> list[Check]:
    """I8: every breach as the log tells it."""
    return await no_faults(db, "I8", "breaches are as the log tells", _BREACHES.statement)
