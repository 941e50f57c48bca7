"""`/v1/sandbox/bank`: what a bank may do to a reserve that did nothing wrong."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from sandbox.bank import incoming
from sandbox.bank.accounts import RESERVE_IBAN
from sandbox.bank.models import BankMessage
from sandbox.core.db import SessionDep
from sandbox.core.http import IdempotentRoute, PrincipalDep
from sandbox.core.http.answers import answers
from sandbox.core.money import DepositTiyn
from sandbox.lab import shapes

router = APIRouter(prefix="/v1/sandbox/bank", route_class=IdempotentRoute, tags=["sandbox"])


class CreditIn(BaseModel):
    """A customer's payment to the reserve account: on its way (PDNG), or booked (BOOK)."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"amount_tiyn": 100000000, "bank_reference": "FT26325-0003", "status": "PDNG"}
            ]
        },
    )

    amount_tiyn: DepositTiyn
    bank_reference: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[ -~]+$")]
    status: Literal["PDNG", "BOOK"]
    customer: Annotated[str, Field(min_length=1, max_length=140)] = incoming.SEEDED_CUSTOMER


class ReversalIn(BaseModel):
    """Which credit the bank takes back, by its own reference."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"bank_reference": "FT26325-0001"}]}
    )

    bank_reference: Annotated[str, Field(min_length=1, max_length=64)]


def _object(notice: BankMessage) -> dict[str, Any]:
    return {
        "object": "bank_notice",
        "kind": notice.kind,
        "bank_reference": notice.ref,
        "amount_tiyn": notice.body["amount_tiyn"],
    }


@router.post("/credits", status_code=201, summary="A payment reaches the reserve bank")
@answers(shapes.BankNotice)
async def create_credit(body: CreditIn, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """The bank gives notice of it, and the worker reads that; a pending one mints nothing."""
    if body.status == "BOOK":
        booked = await incoming.credit(
            db,
            iban=RESERVE_IBAN,
            amount_tiyn=body.amount_tiyn,
            bank_reference=body.bank_reference,
            customer=body.customer,
        )
        return _object(booked.message)
    notice = await incoming.announce_credit(
        db,
        iban=RESERVE_IBAN,
        amount_tiyn=body.amount_tiyn,
        bank_reference=body.bank_reference,
        customer=body.customer,
    )
    return _object(notice)


@router.post("/reversals", status_code=201, summary="The bank takes a credit back")
@answers(shapes.BankNotice)
async def create_reversal(body: ReversalIn, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """The money leaves the account again; what was minted of it is missing then."""
    return _object(await incoming.reverse_credit(db, body.bank_reference))
