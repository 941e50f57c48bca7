"""`/v1/idempotency_keys`: what is kept under a key, for whoever sent it (CONVENTIONS 2.2)."""

from datetime import timedelta
from typing import Any

import orjson
from fastapi import APIRouter

from sandbox.core import clock
from sandbox.core.db import SessionDep
from sandbox.core.driver import Statement
from sandbox.core.errors import NotFound
from sandbox.core.http import shapes
from sandbox.core.http.answers import answers
from sandbox.core.http.auth import PrincipalDep
from sandbox.core.http.idempotency import KEPT_HOURS, plain_key, quoted_key

router = APIRouter(tags=["requests"])

_USES = Statement(
    """
    SELECT route, fingerprint, status, body, request_id, created_at,
        extract(epoch FROM sandbox_now() - created_at)::bigint AS age_s,
        created_at <= sandbox_now() - :hours * interval '1 hour' AS expired
    FROM idempotency_key WHERE tenant = :tenant AND key = :key ORDER BY created_at DESC, route
    """
)


@router.get("/v1/idempotency_keys/{idempotency_key:path}", summary="Read what is kept under a key")
@answers(shapes.StoredIdempotencyKey)
async def stored(idempotency_key: str, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """Every request of the caller's party that this `Idempotency-Key` was kept for, newest first.

    A key belongs to one party and one address, so it may stand for several requests. Not found:
    it was never used, its request still runs, or its answer was one that is not kept.
    Times are sandbox time.
    """
    plain = plain_key(idempotency_key)
    tenant = caller.party or caller.role
    found = await _USES.fetch(db, {"tenant": tenant, "key": plain, "hours": KEPT_HOURS})
    if not found:
        raise NotFound("idempotency_key", plain)
    return {
        "object": "idempotency_key",
        "key": plain,
        "canonical": quoted_key(plain),
        "uses": [_use(row) for row in found],
    }


def _use(row: Any) -> dict[str, Any]:
    is_refusal = row["status"] >= 400
    return {
        "method": "POST",
        "path": row["route"],
        "fingerprint": row["fingerprint"],
        "status": row["status"],
        "code": orjson.loads(row["body"])["code"] if is_refusal else None,
        "request_id": row["request_id"],
        "request_log_url": f"/v1/request_logs/{row['request_id']}",
        "created_at": clock.iso(row["created_at"]),
        "age_s": row["age_s"],
        "expires_at": clock.iso(row["created_at"] + timedelta(hours=KEPT_HOURS)),
        "expired": row["expired"],
    }
