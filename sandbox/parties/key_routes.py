"""`/v1/api_keys`."""

from datetime import timedelta
from typing import Annotated, Any, cast

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, StrictInt
from sqlmodel import col, select

from sandbox.core import api_version, clock
from sandbox.core.db import SessionDep
from sandbox.core.errors import NotFound
from sandbox.core.http import (
    IdempotentRoute,
    PageDep,
    PrincipalDep,
    listing,
    permissions,
    show_once,
)
from sandbox.core.http.answers import ListOf, answers
from sandbox.core.http.roles import Role
from sandbox.parties import keys, service, shapes
from sandbox.parties.errors import PartyMissing
from sandbox.parties.models import ApiKey

router = APIRouter(route_class=IdempotentRoute, tags=["parties"])

MAX_LIFE_S = 10 * 366 * 86_400
MAX_OVERLAP_S = 30 * 86_400
MAX_PERMISSIONS = 50


Name = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f\x7f]+$")]


class ApiKeyIn(BaseModel):
    """Which rights the new key has, whose it is, and for how long.

    Without `permissions` it may do all that its role may. `expires_in_s` is sandbox time.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "role": "merchant",
                    "name": "till 2",
                    "permissions": ["checkout:write", "payments:read"],
                    "expires_in_s": 2592000,
                }
            ]
        },
    )

    role: Role
    merchant_id: str | None = None
    name: (
        Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f\x7f]+$")] | None
    ) = None
    permissions: (
        Annotated[
            list[Annotated[str, Field(max_length=64)]],
            Field(min_length=1, max_length=MAX_PERMISSIONS, description="`<resource>:read|write`"),
        ]
        | None
    ) = None
    expires_in_s: Annotated[StrictInt, Field(ge=1, le=MAX_LIFE_S)] | None = None
    api_version: Annotated[
        str, Field(max_length=32, description="the version that answers have for this key")
    ] = api_version.LATEST


class RotationIn(BaseModel):
    """How long the secret before goes on working, in seconds of sandbox time."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"overlap_s": 3600}]})

    overlap_s: Annotated[StrictInt, Field(ge=0, le=MAX_OVERLAP_S)] = 3600


@router.post("/v1/api_keys", status_code=201, summary="Create an API key")
@answers(shapes.ApiKeyWithSecret)
async def create_key(
    body: ApiKeyIn, request: Request, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """A new key. The answer is the only place where its text (`key`) ever stands.

    It never has more rights than the key that asks for it, and does not outlive that.
    """
    show_once(request, "key")
    held = None if body.permissions is None else permissions.known(body.permissions)
    ends = None
    if body.expires_in_s is not None:
        ends = await clock.now(db) + timedelta(seconds=body.expires_in_s)
    keys.check_may_hand_out(caller, body.role, held, ends)
    row, plain = await keys.create_key(
        db,
        body.role,
        await _party(body, db, caller.merchant),
        name=body.name,
        held=held,
        expires_at=ends,
        version=api_version.known(body.api_version),
    )
    return keys.key_object(row) | {"key": plain}


async def _party(body: ApiKeyIn, db: SessionDep, own: str | None) -> str:
    if body.role not in ("merchant", "developer"):
        return body.role
    merchant_id = body.merchant_id or own
    if merchant_id is None:
        raise PartyMissing(body.role)
    if own not in (None, merchant_id):
        raise NotFound("merchant", merchant_id)
    return (await service.merchant(db, merchant_id)).id


@router.get("/v1/api_keys", summary="List API keys")
@answers(ListOf(shapes.ApiKey))
async def list_keys(page: PageDep, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """Keys, newest first, revoked ones too; a merchant sees its own."""
    found = select(ApiKey)
    if caller.merchant is not None:
        found = found.where(col(ApiKey.party) == caller.merchant)
    found = page.of(found, col(ApiKey.id))
    return listing(page, [keys.key_object(row) for row in await db.exec(found)])


@router.get("/v1/api_keys/{key_id}", summary="Read an API key")
@answers(shapes.ApiKey)
async def get_key(key_id: str, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """One key without its secret; somebody else's is not found.

    `last_used_at` is written some seconds after the use.
    """
    return keys.key_object(await keys.one(db, key_id, owner=caller.merchant))


@router.post("/v1/api_keys/{key_id}/rotate", summary="Give an API key a new secret")
@answers(shapes.ApiKeyWithSecret)
async def rotate_key(
    key_id: str, body: RotationIn, request: Request, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """A new secret under the same id, shown once; the one before works for `overlap_s` more.

    Who rotates holds the new secret, so the key must not have more rights than the one that asks.
    """
    show_once(request, "key")
    row = await keys.one(db, key_id, owner=caller.merchant, lock=True)
    keys.check_may_hand_out(caller, cast(Role, row.role), row.permissions, row.expires_at)
    plain = await keys.rotate_key(db, row, body.overlap_s)
    return keys.key_object(row) | {"key": plain}


@router.delete("/v1/api_keys/{key_id}", summary="Revoke an API key")
@answers(shapes.ApiKey)
async def revoke_key(key_id: str, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """End a key at once; nothing is deleted, so that the log keeps its meaning."""
    return keys.key_object(await keys.revoke_key(db, key_id, owner=caller.merchant))
