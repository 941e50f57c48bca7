"""`GET /v1/bank/statements`."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank import service
from sandbox.bank.accounts import ISSUER
from sandbox.core.db import SessionDep
from sandbox.core.errors import NotFound
from sandbox.core.http import IdempotentRoute, PageDep, Principal, PrincipalDep, listing

router = APIRouter(prefix="/v1/bank", route_class=IdempotentRoute, tags=["bank"])

IbanLookup = Callable[[AsyncSession, str], Awaitable[str | None]]
"""The account that a merchant is paid to; wiring binds it to parties as `iban_lookup`."""


@router.get("/statements", summary="Statements of a bank account")
async def read_statements(
    account: Annotated[str, Query(max_length=42, description="IBAN; spaces do not matter")],
    request: Request,
    db: SessionDep,
    caller: PrincipalDep,
    page: PageDep,
) -> dict[str, Any]:
    """One statement per day, newest first: closing = opening + credits - debits.

    A merchant sees its own account, the issuer its reserve and operating accounts; anything
    else answers 404 to them.
    """
    iban = account.replace(" ", "").upper()
    if not await _may_see(request, db, caller, iban):
        raise NotFound("bank account", iban)
    return listing(page, await service.statements(db, iban, page))


async def _may_see(request: Request, db: AsyncSession, caller: Principal, iban: str) -> bool:
    found = await service.account(db, iban)
    if caller.access == "all":
        return found is not None
    holder = ISSUER if caller.role == "issuer" else caller.party
    if found is not None and found.holder == holder:
        return True
    # Accounts come to the bank with their first payment, and merchants may change theirs.
    lookup: IbanLookup = request.app.state.iban_lookup
    return caller.merchant is not None and await lookup(db, caller.merchant) == iban
