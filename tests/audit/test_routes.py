"""`/v1/sandbox/audit` over real books, with the figures that it compared."""

from collections.abc import AsyncIterator

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.audit import routes
from sandbox.core.checks import Check
from sandbox.core.db import Database
from sandbox.core.http import KeyRecord, RequestIdMiddleware, install
from sandbox.core.http.auth import secret_hash
from sandbox.core.http.roles import ROLES, Role
from tests.ledger.books import CHECKS, deposit, record

_MAY: tuple[Role, ...] = ("developer", "operator", "regulator")


async def _lookup(_: AsyncSession, key_id: str) -> KeyRecord | None:
    role = next((role for role in ROLES if role.replace("_", "") == key_id.split("-")[0]), None)
    if role is None:
        return None
    return KeyRecord(key_id, secret_hash("x"), role, "party", key_id.endswith("-seeded"))


def _bearer(key_id: str) -> dict[str, str]:
    return {"Authorization": f"Bearer sk_sbx_{key_id.replace('_', '')}_x"}


@pytest.fixture
async def http(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    async def of_the_ledger() -> list[Check]:
        async with database.transaction() as db:
            return [check for run in CHECKS for check in await run(db)]

    async def of_the_others() -> list[Check]:
        return [Check(id_, True, 0, 0, "") for id_ in ("I1", "I2", "I5", "I6", "I7")]

    app = FastAPI()
    install(app)
    app.add_middleware(RequestIdMiddleware)
    app.state.database = database
    app.state.key_lookup = _lookup
    app.state.audit_checks = [of_the_others, of_the_ledger]
    app.include_router(routes.router)
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        yield client


async def test_the_audit_is_not_public(http: httpx2.AsyncClient) -> None:
    assert (await http.get("/v1/sandbox/audit")).status_code == 401


@pytest.mark.parametrize("key", ["merchant", "issuer", "fund_officer"])
async def test_roles_without_the_right_are_refused(http: httpx2.AsyncClient, key: str) -> None:
    answer = await http.get("/v1/sandbox/audit", headers=_bearer(key))
    assert (answer.status_code, answer.json()["code"]) == (403, "role_may_not")


@pytest.mark.parametrize("key", [*_MAY, "merchant-seeded"])
async def test_roles_with_the_right_see_every_invariant(
    http: httpx2.AsyncClient, database: Database, key: str
) -> None:
    await record(database, deposit("dep_1", 100))
    answer = await http.get("/v1/sandbox/audit", headers=_bearer(key))
    report = answer.json()
    assert answer.status_code == 200
    assert report["ok"] is True
    assert [check["id"] for check in report["checks"]] == [f"I{n}" for n in range(1, 10)]
    assert report["checks"][2] == {
        "id": "I3",
        "ok": True,
        "left": 1,
        "right": 1,
        "detail": "entries = entries that balance; append-only",
    }


async def test_a_breach_is_told_and_names_the_row(
    http: httpx2.AsyncClient, database: Database
) -> None:
    await record(database, deposit("dep_1", 100))
    async with database.transaction() as db:
        await db.execute(text("UPDATE balance SET posted = 101"))
    report = (await http.get("/v1/sandbox/audit", headers=_bearer("regulator"))).json()
    assert report["ok"] is False
    (breach,) = [check for check in report["checks"] if not check["ok"]]
    assert (breach["id"], breach["left"], breach["right"]) == ("I4", 2, 0)
    assert "balance 101/0/0, sum of legs 100/0/0" in breach["detail"]
