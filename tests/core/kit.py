"""A small application with the HTTP kit, and calls to it: two merchants and two offices."""

import asyncio

import httpx2
from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import text

from sandbox.core.db import Database, SessionDep
from sandbox.core.errors import SandboxError, Unavailable
from sandbox.core.http import (
    IdempotentRoute,
    KeyRecord,
    PrincipalDep,
)
from sandbox.core.http.auth import secret_hash
from sandbox.core.money import SessionTiyn

KEYS = {
    "m1": KeyRecord("m1", secret_hash("one"), "merchant", "mch_1", False),
    "m2": KeyRecord("m2", secret_hash("two"), "merchant", "mch_2", False),
    "op": KeyRecord("op", secret_hash("three"), "operator", "operator", False),
    "rg": KeyRecord("rg", secret_hash("four"), "regulator", "regulator", False),
}


class Body(BaseModel):
    amount_tiyn: SessionTiyn
    pairs: dict[str, int] = {}


class TooMuch(SandboxError):
    status, code = 409, "too_much"
    fields = ("price", "amount_tiyn")


router = APIRouter(route_class=IdempotentRoute)


@router.post("/v1/checkout/sessions", status_code=201)
async def take(body: Body, db: SessionDep, who: PrincipalDep) -> dict[str, object]:
    """Writes a row of a table that the role may write, then may refuse."""
    await db.execute(
        text("INSERT INTO leader VALUES ('h' || nextval('hits'), 1, :who, now())"),
        {"who": who.party},
    )
    if body.amount_tiyn == 13:
        raise TooMuch("thirteen", amount_tiyn=13)
    if body.amount_tiyn == 16:
        raise TooMuch("sixteen", retryable=True)
    if body.amount_tiyn == 17:
        raise TooMuch("seventeen")
    if body.amount_tiyn == 18:
        raise TooMuch("eighteen", status=200, type="about:blank", extra=1)
    if body.amount_tiyn == 14:
        raise Unavailable("the chain")
    if body.amount_tiyn == 15:
        await asyncio.sleep(0.3)
    return {"object": "thing", "party": who.party, "merchant": who.merchant}


@router.get("/v1/events")
async def look(who: PrincipalDep) -> dict[str, object]:
    return {"merchant": who.merchant, "access": who.access}


async def rows(database: Database) -> int:
    async with database.transaction() as db:
        return int(await db.scalar(text("SELECT count(*) FROM leader")) or 0)


def head(key: str = "m1", secret: str = "one", idem: str | None = "k-1") -> dict[str, str]:
    headers = {"Authorization": f"Bearer sk_sbx_{key}_{secret}"}
    return headers if idem is None else headers | {"Idempotency-Key": idem}


async def pay(
    http: httpx2.AsyncClient, amount: object = 5, **headers: str | None
) -> httpx2.Response:
    return await http.post(
        "/v1/checkout/sessions", json={"amount_tiyn": amount}, headers=head(**headers)
    )
