"""The books as they are read from outside: accounts with balances, entries with their legs."""

from typing import Any

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core.clock import iso
from sandbox.core.errors import NotFound
from sandbox.core.http import Page
from sandbox.core.shapes import plain
from sandbox.ledger import service, shapes
from sandbox.ledger.journal import Account
from sandbox.ledger.service import Entry

_ACCOUNT_ID = "'acc_' || lpad(a.id::text, 12, '0')"
_BOOK = " AND (CAST(:book AS text) IS NULL OR a.book = :book)"
_CODE = " AND (CAST(:code AS text) IS NULL OR starts_with(a.code, :code))"
_ACCOUNTS = f"""
SELECT {_ACCOUNT_ID} AS id, a.book, a.asset, a.code, a.normal, a.floor,
    coalesce(b.posted, 0) AS posted, coalesce(b.pending_debit, 0) AS pending_debit,
    coalesce(b.pending_credit, 0) AS pending_credit
FROM account a LEFT JOIN balance b ON b.account_id = a.id WHERE true{_BOOK}{_CODE}
"""  # noqa: S608 - SQL of this file
# ';' follows ':' in byte order, which is the column's collation.
_REF = (
    " AND (CAST(:ref AS text) IS NULL OR e.ref = :ref"
    " OR (e.ref > :ref || ':' AND e.ref < :ref || ';'))"
)
_TOUCHES = (
    " AND (CAST(:account AS text) IS NULL OR EXISTS (SELECT FROM leg l"
    f" JOIN account a ON a.id = l.account_id WHERE l.entry_id = e.id AND {_ACCOUNT_ID} = :account))"
)
_IDS = f"SELECT e.id FROM entry e WHERE true{_REF}{_TOUCHES}"  # noqa: S608 - SQL of our own, no input


async def accounts(
    db: AsyncSession, page: Page, *, book: str | None, code: str | None
) -> list[dict[str, Any]]:
    """One page of accounts, newest first; of `book`, and with codes that begin with `code`.

    Amounts are minor units of the asset: tiyn, or units of a chain's token. `posted` counts along
    the normal side.
    """
    condition, order, values = page.clause(_ACCOUNT_ID)
    found = await db.execute(
        text(f"{_ACCOUNTS}{condition}{order}"), {**values, "book": book, "code": code}
    )
    return [{"object": "ledger_account", **row._mapping} for row in found]


async def entries(
    db: AsyncSession, page: Page, *, ref: str | None, account: str | None
) -> list[dict[str, Any]]:
    """One page of entries, newest first: `ref` and what stands below it, with legs on `account`."""
    condition, order, values = page.clause("e.id")
    ids = await db.scalars(
        text(f"{_IDS}{condition}{order}"), {**values, "ref": ref, "account": account}
    )
    wanted = list(ids)
    found = {entry.id: entry for entry in await service.entries_by_id(db, wanted)}
    return [_entry_object(found[id_]) for id_ in wanted]


async def entry(db: AsyncSession, entry_id: str) -> dict[str, Any]:
    """One entry. Raises `NotFound`."""
    found = await service.entries_by_id(db, [entry_id])
    if not found:
        raise NotFound("ledger_entry", entry_id)
    return _entry_object(found[0])


_UPTO = text(
    "SELECT coalesce(sum(CASE l.side WHEN 'D' THEN l.amount ELSE -l.amount END), 0)::bigint"
    " FROM resolution r JOIN entry e ON e.id = r.entry_id JOIN leg l ON l.entry_id = e.id"
    " JOIN account a ON a.id = l.account_id WHERE a.book = :book AND a.asset = :asset"
    " AND a.code = :code AND r.outcome = 'posted' AND r.height <= :height"
)


async def posted_upto(db: AsyncSession, account: Account, height: int) -> int:
    """Debits less credits of an account of a chain's token, final at `height` or below.

    From the legs themselves, not from the balance.
    """
    values = {"book": account.book, "asset": account.asset, "code": account.code}
    found: int = await db.scalar(_UPTO, {**values, "height": height})
    return found


def _entry_object(entry: Entry) -> dict[str, Any]:
    shown: shapes.LedgerEntry = {
        "object": "ledger_entry",
        "id": entry.id,
        "ref": entry.ref,
        "reason": entry.reason,
        "state": entry.state,
        "chain": entry.chain,
        "height": entry.height,
        "effective_at": iso(entry.effective_at),
        "recorded_at": iso(entry.recorded_at),
        "dated_from": None if entry.dated_from is None else iso(entry.dated_from),
        "cause": entry.cause,
        "event": entry.event_id,
        "reverses": entry.reverses,
        "legs": [
            {
                "book": leg.account.book,
                "asset": leg.account.asset,
                "code": leg.account.code,
                "side": leg.side,
                "amount": leg.amount,
            }
            for leg in entry.legs
        ],
        "sha256": service.entry_hash(entry).sha256,
    }
    return plain(shown)
