"""`/v1/ledger`: the books for those who look after them; nothing is written here."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from sandbox.core.db import SessionDep
from sandbox.core.http import PageDep, PrincipalDep, listing
from sandbox.core.http.answers import ListOf, answers
from sandbox.ledger import reading, shapes

router = APIRouter(prefix="/v1/ledger", tags=["ledger"])

Book = Literal["issuer", "token", "claims"]


@router.get("/accounts", summary="Accounts with their balances")
@answers(ListOf(shapes.LedgerAccount))
async def read_accounts(
    page: PageDep,
    db: SessionDep,
    caller: PrincipalDep,
    book: Book | None = None,
    code: Annotated[
        str | None, Query(max_length=200, description="how the code begins, as `l:outstanding:`")
    ] = None,
) -> dict[str, Any]:
    """Newest first. Amounts are minor units of the asset: tiyn in the issuer's book, units of a
    chain's token in the others. What is pending against an account is reserved already.
    """
    return listing(page, await reading.accounts(db, page, book=book, code=code))


@router.get("/entries", summary="Entries with their legs")
@answers(ListOf(shapes.LedgerEntry))
async def read_entries(
    page: PageDep,
    db: SessionDep,
    caller: PrincipalDep,
    ref: Annotated[
        str | None, Query(max_length=200, description="a business reference, and what is below it")
    ] = None,
    account: Annotated[str | None, Query(max_length=64, description="an `acc_…`")] = None,
) -> dict[str, Any]:
    """Newest first. References begin with an id: of a payment, settlement, deposit, redemption …"""
    return listing(page, await reading.entries(db, page, ref=ref, account=account))


@router.get("/entries/{entry_id}", summary="One entry")
@answers(shapes.LedgerEntry)
async def read_entry(entry_id: str, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """`sha256` is what the log holds of it: over the RFC 8785 form of id, reason, ref, chain,
    effective_at and legs `[book, asset, code, side, amount]`. `event` posted or voided it; null
    where it counted at once, or waits.
    """
    return await reading.entry(db, entry_id)
