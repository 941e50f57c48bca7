"""Reconciliation without being asked: I1 to I7 again and again, a breach told and minting off.

Every turn looks at all there is, so that nothing altered long ago escapes; what that costs is
bounded by rest, not by looking at less: a turn is followed by nine times as long a pause. Nothing
is repaired here, and minting goes on only when somebody says so (`resume`).
"""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog
from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.chains import service as chains
from sandbox.core import clock, failpoints
from sandbox.core.checks import Check, CheckFunction
from sandbox.core.db import Database, Leader, is_disconnect
from sandbox.core.errors import Unavailable
from sandbox.core.ids import new_id
from sandbox.core.shapes import plain
from sandbox.eventlog.types import NewEvent
from sandbox.ledger import service as ledger
from sandbox.ledger.journal import Changes
from sandbox.reserve import minting, reversals, shapes
from sandbox.reserve.errors import BreachStands, NotReconciledYet
from sandbox.reserve.models import Breach

REST_FACTOR: Final = 9
SHORTEST_REST_S: Final = 1.0
UNMOVED_S: Final = 30.0
UNMOVED_FACTOR: Final = 99
"""Also when nothing moves, rows may have been altered; but nobody's laptop should feel it."""
HALTED_S: Final = 2.0
_REASON_LENGTH = 300
_IBAN = re.compile(r"\b(KZ[0-9]{2})[0-9A-Z]{12}([0-9A-Z]{4})\b")

log = structlog.get_logger(__name__)

# Whatever changes books or bank leaves its trace here; blocks move the cursors, also empty ones.
_TRACE = text(
    "SELECT (SELECT max(key) FROM entry) AS entry,"
    " (SELECT max(position) FROM log_entry WHERE epoch = (SELECT epoch FROM clock)) AS position,"
    " (SELECT max(id) FROM event_queue) AS waiting, (SELECT max(id) FROM bank_message) AS message,"
    " (SELECT max(id) FROM bank_sim.booking) AS booking,"
    " (SELECT count(*) FROM bank_message WHERE read_at IS NULL) AS unread,"
    " (SELECT is_on FROM minting) AS minting"
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line of a check, under a key that it keeps from turn to turn."""

    key: str
    check: Check

    @property
    def is_judged(self) -> bool:
        """A check that could not read one of its sides says nothing about the other."""
        return self.check.ok or None not in (self.check.left, self.check.right)


@dataclass(frozen=True, slots=True)
class Turn:
    """What a turn found: `judged` by key, and the checks that could not be made."""

    judged: dict[str, Check]
    not_made: tuple[str, ...]

    @property
    def red(self) -> dict[str, Check]:
        return {key: check for key, check in self.judged.items() if not check.ok}


class Reconciler:
    """The loop of one process; one of all processes leads."""

    def __init__(self, database: Database, checks: Sequence[CheckFunction], leader: Leader) -> None:
        self._database, self._checks, self._leader = database, checks, leader
        self._trace: Any = None
        self._ended = -UNMOVED_S
        self._took = 0.0

    async def step(self) -> bool:
        """A turn if something moved since the last, and the pause is over; false otherwise."""
        since = time.monotonic() - self._ended
        if since < max(SHORTEST_REST_S, REST_FACTOR * self._took):
            return False
        if not await self._leader.acquire():
            return False
        async with self._database.transaction() as db:
            trace = (await db.execute(_TRACE)).one()
        patience = max(UNMOVED_S, UNMOVED_FACTOR * self._took) if trace.minting else HALTED_S
        if trace == self._trace and since < patience:
            return False
        began = time.monotonic()
        await self.turn()
        # What the turn itself wrote is no reason for the next.
        async with self._database.transaction() as db:
            written = (await db.execute(_TRACE)).one()
        self._trace = written if trace == self._trace else trace
        self._ended = time.monotonic()
        self._took = self._ended - began
        return True

    async def turn(self) -> Turn:
        """Make every check once and write down what it found.

        A red line counts when it is red twice: what was under way meanwhile is not.
        """
        async with self._database.transaction() as db:
            halts = await db.scalar(text("SELECT halts FROM minting"))
        began = time.monotonic()
        judged, not_made = dict[str, Check](), list[str]()
        for check in self._checks:
            found = await _made(check)
            if any(one.is_judged and not one.check.ok for one in found):
                again = {one.key: one for one in await _made(check)}
                found = [again.get(one.key, one) if not one.check.ok else one for one in found]
            judged |= {one.key: one.check for one in found if one.is_judged}
            not_made += [one.key for one in found if not one.is_judged]
        turn = Turn(judged, tuple(not_made))
        took_ms = round((time.monotonic() - began) * 1000)
        async with self._database.transaction() as db:
            await self._leader.check(db)
            await ledger.record(db, Changes(events=await _write(db, turn, halts, took_ms)))
            failpoints.passed("reconcile.uncommitted")
        failpoints.passed("reconcile.committed")
        return turn


async def _made(check: CheckFunction) -> list[Verdict]:
    name = getattr(check, "__name__", type(check).__name__)
    try:
        found = await check()
    except Exception as error:
        if isinstance(error, Unavailable) or is_disconnect(error):
            return [Verdict(name, Check(name, False, None, None, str(error)))]
        # Rows that cannot even be read are altered rows.
        log.exception("a check failed", check=name)
        return [Verdict(name, Check(name, False, 1, 0, f"{name} fails: {type(error).__name__}"))]
    return [Verdict(f"{name}:{line}", one) for line, one in enumerate(found)]


async def _write(db: AsyncSession, turn: Turn, halts: int, took_ms: int) -> list[NewEvent]:
    open_ = {row.line: row for row in await _open(db)}
    at = await clock.now(db)
    events = []
    for line, check in turn.red.items():
        if line in open_:
            continue
        row = Breach(
            id=new_id("bre", at),
            line=line,
            invariant=check.id,
            figures=[_text(check.left), _text(check.right)],
            detail=_IBAN.sub(r"\1…\2", check.detail),
            stands=True,
            found_at=at,
        )
        db.add(row)
        events.append(NewEvent(new_id("evt", at), "reserve.breach_found", at, breach_object(row)))
        events += await minting.halt(db, f"{row.invariant}: {row.detail}"[:_REASON_LENGTH])
        log.error("a breach", invariant=row.invariant, line=line, detail=row.detail)
    for line, row in open_.items():
        if line in turn.judged:
            row.stands = not turn.judged[line].ok
            db.add(row)
    await db.flush()
    await db.execute(
        text(
            "INSERT INTO reconciliation (id, turns, ended_at, took_ms, judged, not_made, red,"
            " halts) VALUES (1, 1, :at, :took, :judged, :not_made, :red, :halts)"
            " ON CONFLICT (id) DO UPDATE SET turns = reconciliation.turns + 1,"
            " ended_at = excluded.ended_at, took_ms = excluded.took_ms,"
            " judged = excluded.judged, not_made = excluded.not_made, red = excluded.red,"
            " halts = excluded.halts"
        ),
        {
            "at": at,
            "took": took_ms,
            "judged": len(turn.judged),
            "not_made": list(turn.not_made),
            "red": len(turn.red),
            "halts": halts,
        },
    )
    return events


def _text(figure: int | str | None) -> str:
    # A string: figures of a check are units, tiyn, rows or hashes.
    return "" if figure is None else str(figure)


async def _open(db: AsyncSession) -> list[Breach]:
    found = select(Breach).where(col(Breach.cleared_at).is_(None)).order_by(col(Breach.id))
    return list((await db.exec(found.execution_options(populate_existing=True))).all())


def breach_object(row: Breach) -> dict[str, Any]:
    """The breach as API and log show it; `figures` are the two that should have agreed."""
    shown: shapes.Breach = {
        "object": "breach",
        "id": row.id,
        "invariant": row.invariant,
        "line": row.line,
        "figures": [f"left {row.figures[0]}", f"right {row.figures[1]}"],
        "detail": row.detail,
        "found_at": clock.iso(row.found_at),
    }
    return plain(shown)


async def figures(db: AsyncSession) -> dict[str, Any]:
    """The newest turn, and the breaches that nobody cleared; `stands` is its word on each."""
    newest = (
        await db.execute(
            text("SELECT turns, ended_at, took_ms, judged, not_made, red FROM reconciliation")
        )
    ).one_or_none()
    return {
        "reconciliation": None
        if newest is None
        else {
            "turns": newest.turns,
            "ended_at": clock.iso(newest.ended_at),
            "took_ms": newest.took_ms,
            "lines_judged": newest.judged,
            "lines_not_made": list(newest.not_made),
            "lines_red": newest.red,
        },
        "breaches": [{**breach_object(row), "stands": row.stands} for row in await _open(db)],
    }


async def resume(db: AsyncSession, reason: str) -> list[NewEvent]:
    """Turn minting on again, and clear the breaches that stand no more; the events to record.

    Only after a whole turn since the halt found nothing. Raises `MintingNotHalted`,
    `NotReconciledYet`, `BreachStands`, `ReserveShort`.
    """
    halts = await minting.hold_halt(db)
    newest = (
        await db.execute(text("SELECT red, not_made, halts FROM reconciliation"))
    ).one_or_none()
    open_ = await _open(db)
    standing = [f"{row.invariant} {row.id}: {row.detail}" for row in open_ if row.stands]
    stopped = await chains.halts(db)
    standing += await reversals.in_words(db)
    standing += [f"{chain} is halted: {why}" for chain, why in stopped.items()]
    if standing:
        raise BreachStands(standing)
    if newest is None or newest.halts != halts or newest.red or newest.not_made:
        raise NotReconciledYet(list(newest.not_made) if newest is not None else [])
    at = await clock.now(db)
    for row in open_:
        row.cleared_at = at
        db.add(row)
    await db.flush()
    return [await minting.resume(db, reason=reason, breaches=[row.id for row in open_])]
