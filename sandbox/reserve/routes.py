"""`/v1/reserve`: figures, deposits, issuances."""

from collections.abc import Mapping
from typing import Annotated, Any, Self, cast

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlmodel import col, select

from sandbox.bank.incoming import SEEDED_CUSTOMER
from sandbox.chains.port import Chain
from sandbox.core.db import SessionDep
from sandbox.core.http import IdempotentRoute, PageDep, PrincipalDep, listing
from sandbox.core.http.answers import ListOf, answers
from sandbox.core.money import DepositTiyn
from sandbox.ledger import service as ledger
from sandbox.ledger.journal import Changes
from sandbox.reserve import receivables, reconciling, reversals, service, shapes
from sandbox.reserve.models import CreditReversal, Deposit, Issuance

router = APIRouter(prefix="/v1/reserve", route_class=IdempotentRoute, tags=["reserve"])


BankReference = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[ -~]+$")]


class DepositIn(BaseModel):
    """Tenge that a customer pays into the segregated reserve account."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"amount_tiyn": 100000000, "bank_reference": "FT26325-0001"}]
        },
    )

    amount_tiyn: DepositTiyn
    bank_reference: BankReference
    customer: Annotated[str, Field(min_length=1, max_length=140)] = SEEDED_CUSTOMER


class IssuanceIn(BaseModel):
    """How much of a deposit becomes tokens, on which chain, and whose."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "deposit": "dep_01m7y00hv9k628q7exztj32a1q",
                    "chain": "solana",
                    "amount_tiyn": 100000000,
                    "recipient": "8ahSXy9xvDXycp9ER9dJGYScQafMEchQ3fUrjNUPHVBs",
                }
            ]
        },
    )

    deposit: Annotated[str, Field(max_length=64)]
    chain: Annotated[str, Field(max_length=32)]
    amount_tiyn: DepositTiyn
    recipient: Annotated[str, Field(max_length=128)]


class CoverIn(BaseModel):
    """Whose money: the customer's comes under a bank reference, the issuer's own without one."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"by": "customer", "bank_reference": "FT26325-0002"}]},
    )

    by: shapes.CoveredBy
    bank_reference: BankReference | None = None

    @model_validator(mode="after")
    def with_its_reference(self) -> Self:
        if (self.by == "customer") != (self.bank_reference is not None):
            raise ValueError("a customer's money has a bank_reference, own money has none")
        return self


class ResumeIn(BaseModel):
    """Why minting may go on: what was found, and what was done about it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"reason": "the missing line came with the statement"}]},
    )

    reason: Annotated[str, Field(min_length=1, max_length=500)]


class RepayIn(BaseModel):
    """Under which reference the bank books the customer's money."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"bank_reference": "FT26325-0004"}]}
    )

    bank_reference: BankReference


class WhyIn(BaseModel):
    """Why what a customer owes is given up, or owed again."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "the customer is insolvent"}]}
    )

    reason: Annotated[str, Field(min_length=1, max_length=500)]


def _chains(request: Request) -> Mapping[str, Chain]:
    return cast(Mapping[str, Chain], request.app.state.chains)


@router.get("", summary="The reserve in figures")
@answers(shapes.Reserve)
async def read_reserve(request: Request, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """Supply and what stands behind it; the lines of both sides for issuer and supervision."""
    if caller.access == "totals":
        return await service.totals(db, _chains(request))
    return await service.details(db, _chains(request))


@router.post("/minting/resume", summary="Turn minting on again")
@answers(shapes.Minting)
async def resume_minting(body: ResumeIn, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """Release the halt, once a whole reconciliation found nothing; `reason` goes into the log."""
    events = await reconciling.resume(db, body.reason)
    await ledger.record(db, Changes(events=events))
    return {"object": "minting", "minting": "on", **events[-1].data}


@router.post("/deposits", status_code=201, summary="A mock tenge deposit at the reserve bank")
@answers(shapes.Deposit)
async def create_deposit(
    body: DepositIn, response: Response, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """Book tenge under a bank reference; a known one with equal content answers 200."""
    received = await service.receive(
        db,
        amount_tiyn=body.amount_tiyn,
        bank_reference=body.bank_reference,
        customer=body.customer,
    )
    if not received.is_new:
        response.status_code = 200
    row = received.deposit
    left = await service.unminted_tiyn(db, [row.id])
    return service.deposit_object(row, left[row.id])


@router.get("/deposits", summary="Deposits")
@answers(ListOf(shapes.Deposit))
async def read_deposits(page: PageDep, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """Deposits, newest first."""
    found = page.of(select(Deposit), col(Deposit.id))
    rows = (await db.exec(found)).all()
    left = await service.unminted_tiyn(db, [row.id for row in rows])
    return listing(page, [service.deposit_object(row, left[row.id]) for row in rows])


@router.get("/deposits/{deposit_id}", summary="One deposit")
@answers(shapes.Deposit)
async def read_deposit(deposit_id: str, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """The deposit and what may still be minted of it."""
    row = await service.deposit(db, deposit_id)
    left = await service.unminted_tiyn(db, [row.id])
    return service.deposit_object(row, left[row.id])


@router.post("/issuances", status_code=201, summary="Mint against a deposit")
@answers(shapes.Issuance)
async def create_issuance(
    body: IssuanceIn, request: Request, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """Ask for a mint; it is `issued` when its transaction is final on the chain."""
    row = await service.issue(
        db,
        _chains(request),
        deposit_id=body.deposit,
        chain=body.chain,
        amount_tiyn=body.amount_tiyn,
        recipient=body.recipient,
    )
    return service.issuance_object(row)


@router.get("/reversals", summary="Deposits that the bank took back")
@answers(ListOf(shapes.CreditReversal))
async def read_reversals(page: PageDep, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """Reversals, newest first; `missing_tiyn` is what was minted and nobody has made good."""
    found = page.of(select(CreditReversal), col(CreditReversal.id))
    rows = (await db.exec(found)).all()
    return listing(page, [reversals.reversal_object(row) for row in rows])


@router.get("/reversals/{reversal_id}", summary="One reversal")
@answers(shapes.CreditReversal)
async def read_reversal(reversal_id: str, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """The reversal, and who made it good."""
    return reversals.reversal_object(await reversals.find(db, reversal_id))


@router.post("/reversals/{reversal_id}/cover", summary="Make good what is missing")
@answers(shapes.CreditReversal)
async def cover_reversal(
    reversal_id: str, body: CoverIn, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """The customer pays in again, under a new bank reference, or the issuer's own money is used."""
    if body.bank_reference is not None:
        row = await reversals.pay_in_again(db, reversal_id, body.bank_reference)
    else:
        row = await reversals.cover_from_own(db, reversal_id)
    return reversals.reversal_object(row)


@router.post("/reversals/{reversal_id}/repay", summary="The customer pays after all")
@answers(shapes.CreditReversal)
async def repay_reversal(
    reversal_id: str, body: RepayIn, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """What own money covered comes to the operating account, under a new bank reference."""
    row = await receivables.repay(db, reversal_id, body.bank_reference)
    return reversals.reversal_object(row)


@router.post("/reversals/{reversal_id}/write_off", summary="Give up what a customer owes")
@answers(shapes.CreditReversal)
async def write_off_reversal(
    reversal_id: str, body: WhyIn, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """What own money covered becomes a loss; `reason` goes into the log."""
    return reversals.reversal_object(await receivables.write_off(db, reversal_id, body.reason))


@router.post("/reversals/{reversal_id}/undo_write_off", summary="Take a write-off back")
@answers(shapes.CreditReversal)
async def undo_write_off_reversal(
    reversal_id: str, body: WhyIn, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """The customer owes again, by the entry that reverses the write-off's."""
    row = await receivables.undo_write_off(db, reversal_id, body.reason)
    return reversals.reversal_object(row)


@router.get("/issuances", summary="Issuances")
@answers(ListOf(shapes.Issuance))
async def read_issuances(page: PageDep, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """Issuances, newest first."""
    found = page.of(select(Issuance), col(Issuance.id))
    rows = (await db.exec(found)).all()
    return listing(page, [service.issuance_object(row) for row in rows])


@router.get("/issuances/{issuance_id}", summary="One issuance")
@answers(shapes.Issuance)
async def read_issuance(issuance_id: str, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """The issuance; `tx` is its transaction once it ended."""
    return service.issuance_object(await service.issuance(db, issuance_id))
