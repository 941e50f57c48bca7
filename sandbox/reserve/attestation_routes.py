"""`/v1/reserve/attestations`."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from sqlmodel import col, select

from sandbox.core.db import SessionDep
from sandbox.core.http import IdempotentRoute, PageDep, PrincipalDep, listing
from sandbox.core.http.answers import ListOf, answers
from sandbox.reserve import attesting, claims, shapes
from sandbox.reserve.models import Attestation

router = APIRouter(prefix="/v1/reserve/attestations", route_class=IdempotentRoute, tags=["reserve"])


class AttestationIn(BaseModel):
    """Nothing is asked but that it be made now."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{}]})


@router.post("", status_code=201, summary="Ask for an attestation")
@answers(shapes.AnyAttestation)
async def create_attestation(
    body: AttestationIn, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """Supply and reserve, signed; it is `attested` when the worker has read the chains."""
    row = await attesting.ask(db)
    assert row is not None, "only a day's may be there already"
    return await attesting.attestation_object(db, row)


@router.get("", summary="Attestations")
@answers(ListOf(shapes.AnyAttestation))
async def read_attestations(page: PageDep, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """Attestations, newest first: one for every day, and those that were asked for."""
    found = page.of(select(Attestation), col(Attestation.id))
    rows = (await db.exec(found)).all()
    return listing(page, [await attesting.attestation_object(db, row) for row in rows])


@router.get("/{attestation_id}", summary="One attestation")
@answers(shapes.AnyAttestation)
async def read_attestation(
    attestation_id: str, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """The attestation; `sandbox attest verify` checks it offline against an export of the log."""
    return await attesting.attestation_object(db, await attesting.find(db, attestation_id))


@router.get("/{attestation_id}/branch", summary="The proof that a merchant's claim is counted")
@answers(shapes.ClaimBranch)
async def read_branch(attestation_id: str, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """The caller's own leaf on each chain and the branch to the signed root.

    Of other holders it holds sums and hashes only.
    """
    row = await attesting.find(db, attestation_id)
    assert caller.merchant is not None, "the role table lets merchants in only"
    return {
        "object": "claim_branch",
        "attestation": row.id,
        "branches": await attesting.branches(db, row, claims.merchant_holder(caller.merchant)),
        "signed_note": row.note,
    }
