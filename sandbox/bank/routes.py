"""`/v1/bank`: statements, also as camt.053, and messages that are held."""

from collections.abc import Awaitable, Callable
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank import service, shapes
from sandbox.bank.accounts import ISSUER
from sandbox.bank.models import BankHeld
from sandbox.core import clock
from sandbox.core.db import SessionDep
from sandbox.core.errors import NotFound
from sandbox.core.http import IdempotentRoute, PageDep, Principal, PrincipalDep, listing
from sandbox.core.http.answers import ListOf, answers

router = APIRouter(prefix="/v1/bank", route_class=IdempotentRoute, tags=["bank"])

IbanLookup = Callable[[AsyncSession, str], Awaitable[str | None]]
"""The account that a merchant is paid to; wiring binds it to parties as `iban_lookup`."""


@router.get("/statements", summary="Statements of a bank account")
@answers(ListOf(shapes.BankStatement))
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


@router.get(
    "/statements/{iban}/{day}.xml",
    summary="A day's statement as camt.053",
    response_class=Response,
    responses={200: {"content": {"application/xml": {}}}},
)
async def read_statement_xml(
    iban: Annotated[str, Path(max_length=42)],
    day: date,
    request: Request,
    db: SessionDep,
    caller: PrincipalDep,
) -> Response:
    """The same statement as ISO 20022 XML (camt.053.001.08), for who may read the account's.

    Of a day that is over on an account of the issuer: the bytes that were taken, whose SHA-256 the
    event `bank.statement_received` tells.
    """
    if not await _may_see(request, db, caller, iban):
        raise NotFound("bank account", iban)
    xml = await service.statement_xml(db, iban, day)
    if xml is None:
        raise NotFound("bank statement", f"{iban} {day.isoformat()}")
    return Response(xml, media_type="application/xml")


@router.get("/held", summary="Messages of the bank that are refused or contradict others")
@answers(ListOf(shapes.HeldBankMessage))
async def read_held(db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """The newest 100 of them: shown, named by a red I6 until resolved, and never posted.

    A statement (`camt.053`) has the name of its refusal as `reason`; the bank sends it again, and
    one that can be taken resolves it.
    """
    rows = await db.exec(select(BankHeld).order_by(col(BankHeld.id).desc()).limit(100))
    held = [
        {
            "object": "held_bank_message",
            "id": str(row.id),
            "kind": row.kind,
            "ref": row.ref,
            "reason": row.reason,
            "detail": row.detail,
            "xml": row.xml,
            "held_at": clock.iso(row.held_at),
            "resolved_at": None if row.resolved_at is None else clock.iso(row.resolved_at),
        }
        for row in rows
    ]
    return {"object": "list", "data": held, "has_more": False}


async def _may_see(request: Request, db: AsyncSession, caller: Principal, iban: str) -> bool:
    found = await service.account(db, iban)
    if caller.access == "all":
        return found is not None
    holder = ISSUER if caller.role == "issuer" else caller.party
    if found is not None and found.holder == holder:
        return True
    # Accounts come to the bank with their first payment, and merchants may change theirs. But a
    # merchant names its IBAN without proof: what a party here holds, only that party reads.
    if found is not None and (found.holder == ISSUER or found.holder.startswith("mch_")):
        return False
    lookup: IbanLookup = request.app.state.iban_lookup
    return caller.merchant is not None and await lookup(db, caller.merchant) == iban
