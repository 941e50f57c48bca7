"""Attestations: asked for or due once a day, made by the worker, told in the log (LEDGER 6, 3)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank import calendar
from sandbox.bank import service as bank
from sandbox.bank.accounts import RESERVE_IBAN
from sandbox.chains.checks import WatcherBehind, await_final_cursor
from sandbox.chains.port import Chain
from sandbox.core import clock, failpoints
from sandbox.core.db import UNLEASED, Database, claim
from sandbox.core.errors import NotFound
from sandbox.core.http import Page
from sandbox.core.ids import new_id
from sandbox.eventlog.keys import LogKey
from sandbox.eventlog.types import NewEvent
from sandbox.ledger import service as ledger
from sandbox.ledger.chart import accounts
from sandbox.ledger.journal import Changes
from sandbox.reserve import attestation, backing, claims, minting, sumtree
from sandbox.reserve.errors import NotAttestedYet
from sandbox.reserve.models import Attestation

LEASE_S: Final = 60
WAIT_S: Final = 20.0
_ASKED: Final = "status = 'pending'"
DUE: Final = f"EXISTS (SELECT FROM attestation WHERE {_ASKED} AND {UNLEASED})"
"""SQL: an attestation was asked for."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """One chain as it was read: units in existence in the final block `height`."""

    chain: Chain
    height: int
    hash: str
    units: int


async def ask(db: AsyncSession, *, day: date | None = None) -> Attestation | None:
    """Ask for an attestation; the worker makes it. None when this `day` has one already."""
    at = await clock.now(db)
    made = await db.execute(
        text(
            "INSERT INTO attestation (id, cause, day, status, asked_at) VALUES"
            " (:id, :cause, :day, 'pending', :at) ON CONFLICT DO NOTHING RETURNING id"
        ),
        {
            "id": new_id("att", at),
            "cause": "asked" if day is None else "daily",
            "day": day,
            "at": at,
        },
    )
    id_ = made.scalar_one_or_none()
    return None if id_ is None else await find(db, id_)


async def find(db: AsyncSession, attestation_id: str) -> Attestation:
    """The attestation, or `NotFound`."""
    row = await db.get(Attestation, attestation_id)
    if row is None:
        raise NotFound("attestation", attestation_id)
    return row


async def ask_daily(database: Database) -> bool:
    """Ask for the attestation of the newest cut-off that passed; true when this call did.

    Each day has one, however many workers look; of several days that the clock jumped over only
    the newest can still be told as it is. A world has none for a cut-off before it began.
    """
    async with database.transaction() as db:
        day = await _due_day(db)
        return day is not None and await ask(db, day=day) is not None


async def _due_day(db: AsyncSession) -> date | None:
    day = calendar.last_cut_off(await clock.now(db))
    began: datetime | None = await db.scalar(text("SELECT min(opened_at) FROM log_epoch"))
    if began is None or calendar.cut_off_of(day) <= began:
        return None
    known = select(Attestation.id).where(col(Attestation.day) == day)
    return day if (await db.exec(known)).first() is None else None


async def step(
    database: Database, chains: Mapping[str, Chain], key: LogKey, owner: str, *, limit: int = 4
) -> int:
    """Make what was asked for, any number of workers at once; how many were made.

    Raises `ChainUnavailable`. What cannot be made yet is given back, for the next turn.
    """
    async with database.transaction() as db:
        due = await claim(db, "attestation", _ASKED, owner=owner, limit=limit, seconds=LEASE_S)
    if not due:
        return 0
    made = 0
    try:
        seen = [await _read(database, chain) for chain in chains.values()]
        for row in due:
            async with database.transaction() as db:
                await _make(db, row.id, seen, key, owner)
                failpoints.passed("attest.uncommitted")
            failpoints.passed("attest.committed")
            made += 1
    except WatcherBehind:
        return made
    finally:
        if made < len(due):
            await _give_back(database, owner)
    return made


async def _give_back(database: Database, owner: str) -> None:
    async with database.transaction() as db:
        await db.execute(
            text(
                "UPDATE attestation SET lease_owner = NULL, lease_until = NULL"
                " WHERE lease_owner = :owner AND status = 'pending'"
            ),
            {"owner": owner},
        )


async def _read(database: Database, chain: Chain) -> _Seen:
    there = await chain.supply()
    [block] = await chain.block_ids(there.height, there.height)
    await await_final_cursor(database, chain.name, there.height, WAIT_S)
    return _Seen(chain, there.height, block.hash, there.units)


async def _make(db: AsyncSession, id_: str, seen: list[_Seen], key: LogKey, owner: str) -> None:
    """Everything it tells of is held until the commit, so that the log up to it tells the same."""
    found = select(Attestation).where(col(Attestation.id) == id_).with_for_update()
    row = (await db.exec(found.execution_options(populate_existing=True))).one()
    if row.status != "pending" or row.lease_owner != owner:
        return
    moving = {accounts.supply(one.chain.name) for one in seen}
    owed = {accounts.outstanding(one.chain.name) for one in seen}
    held = await ledger.lock(db, {*backing.guarded_accounts(), *moving, *owed})
    at = await clock.now(db)
    trees = await claims.read(db, [one.chain.name for one in seen])
    told = []
    for one in seen:
        books = held[accounts.supply(one.chain.name)].posted
        later = await _moved_above(db, one)
        tree = sumtree.root_of([found.leaf for found in trees[one.chain.name]])
        told.append(
            {
                "chain": one.chain.name,
                "decimals": one.chain.decimals,
                "height": one.height,
                "block_hash": one.hash,
                "supply_units": one.units,
                "later_units": later,
                "outstanding_units": books,
                "claims_root": tree.hash.hex(),
                "claims_units": tree.units,
                "claims": len(trees[one.chain.name]),
            }
        )
    now = await backing.read(db)
    is_on, _ = await minting.state(db)
    log = (await db.execute(_CHECKPOINT)).one()
    statement: dict[str, Any] = {
        "object": "attestation",
        "id": id_,
        "cause": row.cause,
        "day": None if row.day is None else row.day.isoformat(),
        "as_of": clock.iso(at),
        "chains": told,
        "statements": [await _statement(db, held[accounts.reserve_bank()].posted)],
        "assets": now.assets,
        "debts": now.debts,
        "reserve_tiyn": now.reserve_tiyn,
        "owed_tiyn": now.owed_tiyn,
        "ratio": now.ratio,
        "minting": "on" if is_on else "off",
        "log": {"epoch": log.epoch, "size": log.size, "root": log.root.hex()},
    }
    event = NewEvent(new_id("evt", at), attestation.EVENT, at, statement)
    row.status, row.made_at, row.statement = "attested", at, statement
    row.note, row.event_id = attestation.sign(statement, key, log.epoch), event.id
    db.add(row)
    await db.flush()
    await claims.keep(db, id_, trees)
    await ledger.record(db, Changes(events=[event]))


_CHECKPOINT = text(
    "SELECT epoch, size, root FROM checkpoint WHERE epoch = (SELECT epoch FROM clock)"
    " ORDER BY size DESC LIMIT 1"
)


async def _moved_above(db: AsyncSession, one: _Seen) -> int:
    """Units minted less burned in final blocks above the one that was read."""
    moved: int = await db.scalar(
        text(
            "SELECT coalesce(sum(CASE l.side WHEN 'C' THEN l.amount ELSE -l.amount END), 0)"
            "::bigint FROM resolution r JOIN entry e ON e.id = r.entry_id"
            " JOIN leg l ON l.entry_id = e.id JOIN account a ON a.id = l.account_id"
            " WHERE a.book = 'token' AND a.code = :code AND e.chain = :chain"
            " AND r.outcome = 'posted' AND r.height > :height"
        ),
        {
            "code": accounts.supply(one.chain.name).code,
            "chain": one.chain.name,
            "height": one.height,
        },
    )
    return moved


async def _statement(db: AsyncSession, booked_tiyn: int) -> dict[str, Any]:
    """The bank's side of the reserve account; `unread_tiyn` is what the books do not know yet."""
    page = Page(limit=1, starting_after=None, ending_before=None)
    newest = (await bank.statements(db, RESERVE_IBAN, page))[0]
    lines = len(newest["lines"])
    return {
        "account": accounts.reserve_bank().code,
        "date": newest["date"],
        "lines": lines,
        "sha256": attestation.statement_sha256(newest, lines),
        "closing_tiyn": newest["closing_tiyn"],
        "booked_tiyn": booked_tiyn,
        "unread_tiyn": newest["closing_tiyn"] - booked_tiyn,
    }


async def attestation_object(db: AsyncSession, row: Attestation) -> dict[str, Any]:
    """The attestation as the API shows it; `position` is its place in the log once it has one."""
    shown: dict[str, Any] = row.statement or {
        "object": "attestation",
        "id": row.id,
        "cause": row.cause,
        "day": None if row.day is None else row.day.isoformat(),
    }
    position = None
    if row.event_id is not None:
        position = await db.scalar(
            text("SELECT position FROM log_entry WHERE event_id = :id"), {"id": row.event_id}
        )
    return {
        **shown,
        "status": row.status,
        "asked_at": clock.iso(row.asked_at),
        "event": row.event_id,
        "position": position,
        "signed_note": row.note,
    }


async def branches(db: AsyncSession, row: Attestation, holder: str) -> list[dict[str, Any]]:
    """What shows `holder`, chain by chain, that its claim is counted; empty when it has none.

    Of the others it tells sums and hashes only. Raises `NotAttestedYet`.
    """
    if row.note is None:
        raise NotAttestedYet(row.id)
    made = []
    for chain, leaves in (await claims.kept(db, row.id)).items():
        nodes = [one.leaf for one in leaves]
        root = sumtree.root_of(nodes)
        made += [
            {
                "chain": chain,
                "holder": one.holder,
                "units": one.units,
                "salt": one.salt.hex(),
                "index": index,
                "size": len(nodes),
                "branch": [
                    {"units": node.units, "sha256": node.hash.hex()}
                    for node in sumtree.branch_of(nodes, index)
                ],
                "root": root.hash.hex(),
                "root_units": root.units,
            }
            for index, one in enumerate(leaves)
            if one.holder == holder
        ]
    return made


async def busy(db: AsyncSession) -> list[str]:
    """Attestations that are due or were asked for, and are not made."""
    waiting = await db.scalar(text("SELECT count(*) FROM attestation WHERE status = 'pending'"))
    left = [f"attestations to be made: {waiting}"] if waiting else []
    day = await _due_day(db)
    return left if day is None else [*left, f"the attestation of {day} is due"]
