"""`/v1/chains`: the token of each chain, and orders to it."""

from collections.abc import Mapping
from typing import Any, cast

from fastapi import APIRouter, Request

from sandbox.chains.port import Chain
from sandbox.core.db import Database, SessionDep
from sandbox.core.errors import NotFound
from sandbox.core.http import IdempotentRoute, PrincipalDep
from sandbox.core.http.answers import answers
from sandbox.reserve import orders, shapes, token

router = APIRouter(prefix="/v1/chains", route_class=IdempotentRoute, tags=["reserve"])


def _chain(request: Request, name: str) -> Chain:
    found = cast(Mapping[str, Chain], request.app.state.chains).get(name)
    if found is None:
        raise NotFound("chain", name)
    return found


@router.get("/{chain}/token", summary="The token on a chain, and in the books")
@answers(shapes.Token)
async def read_token(chain: str, request: Request, caller: PrincipalDep) -> dict[str, Any]:
    """What the chain itself says, beside the ledger at the same final height."""
    database = cast(Database, request.app.state.database)
    return await token.token_object(database, _chain(request, chain))


@router.post("/{chain}/roles/{role}/rotate", status_code=201, summary="A new key for a role")
@answers(shapes.ChainOrder)
async def rotate_role(
    chain: str, role: str, request: Request, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """The worker makes the key and has the chain name it; nothing else is signed meanwhile."""
    return orders.order_object(await orders.rotate(db, _chain(request, chain), role))


@router.get("/{chain}/orders/{order_id}", summary="One order to a chain")
@answers(shapes.ChainOrder)
async def read_order(
    chain: str, order_id: str, request: Request, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """The order: `pending`, `done` or `failed`."""
    return orders.order_object(await orders.find(db, _chain(request, chain).name, order_id))
