"""Signs and statuses of merchants: who sets them, what is refused, what the log tells."""

import json

import httpx2
import pytest
from sqlalchemy import text

from sandbox.core.db import Database
from sandbox.parties import checks
from sandbox.parties.numbers import iban
from tests.parties.test_routes import SHOP, bearer

OTHER_IBAN = "KZ41722C000000000001"


async def told(database: Database) -> list[tuple[str, bytes]]:
    async with database.transaction() as db:
        rows = await db.execute(
            text(
                "SELECT e.type, e.leaf FROM event e JOIN event_queue q ON q.event_id = e.id"
                " WHERE e.type LIKE 'merchant.%' ORDER BY q.id"
            )
        )
        return [(row.type, row.leaf) for row in rows]


async def green(database: Database) -> None:
    async with database.transaction() as db:
        (check,) = await checks.merchants_as_told(db)
    assert check.ok, check.detail


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("category", "0000"),
        ("district", "almaly"),
        ("zone", 1),
        ("languages", []),
        ("languages", ["kk", "kk"]),
        ("languages", ["de"]),
        ("cut_off", "24:00"),
        ("schedule", "sometimes"),
        ("status", "suspended"),
    ],
)
async def test_a_merchant_with_a_sign_that_is_none_is_refused(
    http: httpx2.AsyncClient, keys: dict[str, str], field: str, value: object
) -> None:
    answer = await http.post(
        "/v1/merchants", json=SHOP | {field: value}, headers=bearer(keys["operator"])
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


@pytest.mark.parametrize("role", ["merchant", "issuer", "regulator"])
async def test_only_an_operator_sets_a_status(
    http: httpx2.AsyncClient, keys: dict[str, str], role: str
) -> None:
    path = f"/v1/merchants/{keys['merchant_id']}/status"
    answer = await http.post(path, json={"status": "suspended"}, headers=bearer(keys[role]))
    assert (answer.status_code, answer.json()["code"]) == (403, "role_may_not")


async def test_a_merchant_may_not_move_itself_into_the_zone(
    http: httpx2.AsyncClient, keys: dict[str, str]
) -> None:
    path = f"/v1/merchants/{keys['merchant_id']}"
    answer = await http.post(path, json={"zone": False}, headers=bearer(keys["merchant"]))
    assert (answer.status_code, answer.json()["code"]) == (403, "operator_sets_this")


async def test_somebody_elses_merchant_is_not_changed(
    http: httpx2.AsyncClient, keys: dict[str, str]
) -> None:
    made = await http.post("/v1/merchants", json=SHOP, headers=bearer(keys["operator"]))
    path = f"/v1/merchants/{made.json()['id']}"
    answer = await http.post(path, json={"cut_off": "12:00"}, headers=bearer(keys["merchant"]))
    assert answer.status_code == 404


async def test_who_is_closed_stays_closed_and_may_only_say_where_its_tenge_goes(
    http: httpx2.AsyncClient, database: Database, keys: dict[str, str]
) -> None:
    path, operator = f"/v1/merchants/{keys['merchant_id']}", bearer(keys["operator"])
    assert (await http.post(f"{path}/status", json={"status": "closed"}, headers=operator)).json()[
        "status"
    ] == "closed"
    again = await http.post(f"{path}/status", json={"status": "active"}, headers=operator)
    assert (again.status_code, again.json()["code"]) == (409, "merchant_status_fixed")
    refused = await http.post(path, json={"cut_off": "12:00"}, headers=operator)
    assert (refused.status_code, refused.json()["code"]) == (409, "merchant_closed")
    moved = await http.post(path, json={"iban": OTHER_IBAN}, headers=bearer(keys["merchant"]))
    assert moved.json()["iban"] == iban(OTHER_IBAN)
    await green(database)


async def test_a_change_is_told_without_what_is_private(
    http: httpx2.AsyncClient, database: Database, keys: dict[str, str]
) -> None:
    path, operator = f"/v1/merchants/{keys['merchant_id']}", bearer(keys["operator"])
    await http.post(path, json={"iban": OTHER_IBAN}, headers=bearer(keys["merchant"]))
    await http.post(path, json={"iban": OTHER_IBAN}, headers=bearer(keys["merchant"]))
    body = {"status": "suspended", "reason": "a word about Aigerim"}
    await http.post(f"{path}/status", json=body, headers=operator)
    await http.post(f"{path}/status", json=body, headers=operator)
    (_, _, (updated, first), (changed, second)) = await told(database)
    assert (updated, changed) == ("merchant.updated", "merchant.status_changed")
    assert OTHER_IBAN.encode() not in first + second
    assert b"Aigerim" not in first + second
    assert json.loads(second)["data"]["status"] == "suspended"
    assert {"iban", "status_reason"} <= json.loads(second)["commit"].keys()
    await green(database)


@pytest.mark.parametrize(
    "column",
    [
        "zone = false",
        "district = 'green'",
        "schedule = 'on_demand'",
        "status = 'closed'",
        "languages = '[\"en\"]'",
        "category = '7832'",
        "status_reason = 'x'",
    ],
)
async def test_a_sign_altered_behind_the_log_is_found(
    database: Database, keys: dict[str, str], column: str
) -> None:
    await green(database)
    async with database.transaction() as db:
        await db.execute(text(f"UPDATE merchant SET {column}"))
        (check,) = await checks.merchants_as_told(db)
    assert not check.ok
    assert f"merchant {keys['merchant_id']}" in check.detail
