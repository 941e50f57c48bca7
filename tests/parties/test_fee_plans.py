"""Fee plans: nobody pays a fee that it did not consent to."""

import httpx2
import pytest
from sqlalchemy import text

from sandbox.core.db import Database
from sandbox.parties import checks
from tests.parties.test_routes import bearer

PLAN = {"fee_bps": 80, "fixed_tiyn": 500, "minimum_tiyn": 1000}


def path(keys: dict[str, str]) -> str:
    return f"/v1/merchants/{keys['merchant_id']}/fee_plans"


@pytest.mark.parametrize(
    ("field", "value"),
    [("fee_bps", 10_001), ("fee_bps", -1), ("fixed_tiyn", -1), ("minimum_tiyn", 1.5),
     ("from_at", "2026-11-20T10:00:00"), ("surprise", 1)],
)  # fmt: skip
async def test_a_plan_with_a_wrong_field_is_refused(
    http: httpx2.AsyncClient, keys: dict[str, str], field: str, value: object
) -> None:
    answer = await http.post(
        path(keys), json=PLAN | {field: value}, headers=bearer(keys["operator"])
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_only_an_operator_offers_and_only_the_merchant_consents(
    http: httpx2.AsyncClient, keys: dict[str, str]
) -> None:
    own, operator = bearer(keys["merchant"]), bearer(keys["operator"])
    assert (await http.post(path(keys), json=PLAN, headers=own)).status_code == 403
    assert (await http.post(path(keys), json=PLAN, headers=operator)).status_code == 201
    answer = await http.post(f"{path(keys)}/2/consent", headers=operator)
    assert (answer.status_code, answer.json()["code"]) == (403, "role_may_not")


async def test_a_plan_that_was_never_offered_or_was_replaced_is_not_consented_to(
    http: httpx2.AsyncClient, keys: dict[str, str]
) -> None:
    own, operator = bearer(keys["merchant"]), bearer(keys["operator"])
    assert (await http.post(f"{path(keys)}/2/consent", headers=own)).status_code == 404
    await http.post(path(keys), json=PLAN, headers=operator)
    await http.post(path(keys), json=PLAN | {"fee_bps": 50}, headers=operator)
    answer = await http.post(f"{path(keys)}/2/consent", headers=own)
    assert (answer.status_code, answer.json()["code"]) == (409, "fee_plan_replaced")


async def test_a_plan_is_shown_before_it_is_in_force_and_each_step_is_told(
    http: httpx2.AsyncClient, database: Database, keys: dict[str, str]
) -> None:
    own, operator = bearer(keys["merchant"]), bearer(keys["operator"])
    later = PLAN | {"from_at": "2126-01-01T00:00:00Z"}
    await http.post(path(keys), json=later, headers=operator)
    (offered, first) = (await http.get(path(keys), headers=own)).json()["data"]
    assert (offered["version"], offered["in_force_at"], first["fee_bps"]) == (2, None, 100)
    agreed = (await http.post(f"{path(keys)}/2/consent", headers=own)).json()
    again = (await http.post(f"{path(keys)}/2/consent", headers=own)).json()
    assert agreed == again
    assert agreed["in_force_at"] == "2126-01-01T00:00:00.000Z"
    async with database.transaction() as db:
        (sound,) = await checks.merchants_as_told(db)
        assert sound.ok, sound.detail
        await db.execute(text("UPDATE fee_plan SET in_force_at = in_force_at + interval '1 s'"))
        (found,) = await checks.merchants_as_told(db)
    assert not found.ok
    assert f"fee_plan {keys['merchant_id']} 1" in found.detail
