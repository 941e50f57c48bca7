import httpx2
import pytest
from sqlalchemy import text

from sandbox.core.db import Database

SHOP = {
    "name": "Магазин ТОО",
    "bin": "260340000302",
    "iban": "KZ41722C000000000001",
    "knp": "710",
    "kbe": "17",
}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def _event_types(database: Database) -> list[str]:
    async with database.transaction() as db:
        rows = await db.execute(text("SELECT type FROM event ORDER BY id"))
        return [row.type for row in rows]


@pytest.mark.parametrize("role", ["merchant", "issuer", "regulator", "fund_officer"])
async def test_only_the_operator_makes_merchants(
    http: httpx2.AsyncClient, keys: dict[str, str], role: str
) -> None:
    answer = await http.post("/v1/merchants", json=SHOP, headers=bearer(keys[role]))
    assert answer.status_code == 403
    assert answer.json()["code"] == "role_may_not"


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("bin", "260340000303", "tax_number_invalid"),
        ("iban", "KZ41722C000000000002", "iban_invalid"),
        ("kbe", "19", "kbe_contradicts_payee"),
        ("kbe", "1", "invalid_request"),
        ("iban", "KZ63 9480 0000 0000 0001", "iban_is_ours"),
        ("knp", "7100", "invalid_request"),
        ("knp", "٧١٠", "invalid_request"),
        ("cut_off", "1٨:0٠", "invalid_request"),
        ("fee_bps", 10001, "invalid_request"),
        ("fee_bps", True, "invalid_request"),
        ("name", "", "invalid_request"),
        ("surprise", "1", "invalid_request"),
    ],
)
async def test_a_merchant_with_a_wrong_field_is_refused_by_name(
    http: httpx2.AsyncClient,
    database: Database,
    keys: dict[str, str],
    field: str,
    value: object,
    code: str,
) -> None:
    before = await _event_types(database)
    answer = await http.post(
        "/v1/merchants", json=SHOP | {field: value}, headers=bearer(keys["operator"])
    )
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert await _event_types(database) == before


async def test_somebody_elses_merchant_and_key_are_not_found(
    http: httpx2.AsyncClient, keys: dict[str, str]
) -> None:
    operator, own = bearer(keys["operator"]), bearer(keys["merchant"])
    shop = (await http.post("/v1/merchants", json=SHOP, headers=operator)).json()
    made = await http.post(
        "/v1/api_keys", json={"role": "merchant", "merchant_id": shop["id"]}, headers=operator
    )
    other = made.json()
    for answer in (
        await http.get(f"/v1/merchants/{shop['id']}", headers=own),
        await http.delete(f"/v1/api_keys/{other['id']}", headers=own),
        await http.post(
            "/v1/api_keys", json={"role": "merchant", "merchant_id": shop["id"]}, headers=own
        ),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    listed = (await http.get("/v1/merchants", headers=own)).json()["data"]
    assert [row["id"] for row in listed] == [keys["merchant_id"]]
    its_keys = (await http.get("/v1/api_keys", headers=own)).json()["data"]
    assert {row["party"] for row in its_keys} == {keys["merchant_id"]}
    assert (await http.get("/v1/merchants", headers=bearer(other["key"]))).status_code == 200


@pytest.mark.parametrize("role", ["developer", "operator", "issuer", "regulator"])
async def test_a_merchants_key_makes_no_key_with_more_rights(
    http: httpx2.AsyncClient, keys: dict[str, str], role: str
) -> None:
    answer = await http.post("/v1/api_keys", json={"role": role}, headers=bearer(keys["merchant"]))
    assert (answer.status_code, answer.json()["code"]) == (403, "role_not_grantable")


async def test_a_key_for_nobody_is_refused(http: httpx2.AsyncClient, keys: dict[str, str]) -> None:
    answer = await http.post(
        "/v1/api_keys", json={"role": "merchant"}, headers=bearer(keys["operator"])
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "party_missing")


async def test_a_revoked_key_stops_working_at_once_and_for_good(
    http: httpx2.AsyncClient, keys: dict[str, str]
) -> None:
    own = bearer(keys["merchant"])
    made = (await http.post("/v1/api_keys", json={"role": "merchant"}, headers=own)).json()
    assert made["seeded"] is False
    assert (await http.get("/v1/api_keys", headers=bearer(made["key"]))).status_code == 200
    first = (await http.delete(f"/v1/api_keys/{made['id']}", headers=own)).json()
    again = (await http.delete(f"/v1/api_keys/{made['id']}", headers=own)).json()
    assert first["revoked_at"] is not None
    assert again == first
    refused = await http.get("/v1/api_keys", headers=bearer(made["key"]))
    assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")


async def test_a_merchant_is_made_and_read_back_with_its_plan(
    http: httpx2.AsyncClient, database: Database, keys: dict[str, str]
) -> None:
    operator = bearer(keys["operator"])
    answer = await http.post("/v1/merchants", json=SHOP, headers=operator)
    assert answer.status_code == 201
    shop = answer.json()
    assert shop["object"] == "merchant"
    assert shop["id"].startswith("mch_")
    assert {k: shop[k] for k in SHOP} == SHOP
    assert (shop["fee_bps"], shop["confirm_policy"], shop["settlement_mode"], shop["cut_off"]) == (
        100, "confirmed", "payout", "18:00",
    )  # fmt: skip
    read = await http.get(f"/v1/merchants/{shop['id']}", headers=bearer(keys["regulator"]))
    assert read.json() == shop
    page = (await http.get("/v1/merchants?limit=1", headers=operator)).json()
    assert ([row["id"] for row in page["data"]], page["has_more"]) == ([shop["id"]], True)
    rest = await http.get(f"/v1/merchants?starting_after={shop['id']}", headers=operator)
    assert [row["id"] for row in rest.json()["data"]] == [keys["merchant_id"]]
    assert (await _event_types(database)).count("merchant.created") == 2


async def test_a_key_is_shown_once_and_stands_in_no_list(
    http: httpx2.AsyncClient, keys: dict[str, str]
) -> None:
    own = bearer(keys["merchant"])
    made = (await http.post("/v1/api_keys", json={"role": "merchant"}, headers=own)).json()
    secret = made["key"].split("_")[3]
    listed = await http.get("/v1/api_keys", headers=own)
    assert made["id"] in listed.text
    assert secret not in listed.text
