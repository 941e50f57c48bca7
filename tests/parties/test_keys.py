"""Restricted keys, their ends and their rotation."""

from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from sandbox.core import clock
from sandbox.core.api_version import LATEST, VERSIONS
from sandbox.core.db import Database
from sandbox.core.http import SimulationMiddleware
from sandbox.core.http.simulating import Armed
from tests.parties.test_routes import SHOP, bearer

Json = dict[str, Any]


async def make(
    http: httpx2.AsyncClient, by: str, role: str = "merchant", **asked: object
) -> httpx2.Response:
    return await http.post("/v1/api_keys", json={"role": role, **asked}, headers=bearer(by))


async def made(http: httpx2.AsyncClient, by: str, **asked: object) -> Json:
    answer = await make(http, by, **asked)
    assert answer.status_code == 201, answer.text
    found: Json = answer.json()
    return found


async def status(http: httpx2.AsyncClient, key: str, path: str = "/v1/merchants") -> int:
    return (await http.get(path, headers=bearer(key))).status_code


async def rotate(
    http: httpx2.AsyncClient, by: str, key_id: str, overlap_s: int = 60
) -> httpx2.Response:
    path = f"/v1/api_keys/{key_id}/rotate"
    return await http.post(path, json={"overlap_s": overlap_s}, headers=bearer(by))


async def later(database: Database, seconds: int) -> None:
    async with database.transaction() as db:
        await clock.advance(db, seconds)


@pytest.mark.parametrize("unknown", ["payments", "payments:pay", "*", "money:read", "payments:"])
async def test_a_permission_that_no_route_takes_is_refused_by_name(
    http: httpx2.AsyncClient, keys: dict[str, str], unknown: str
) -> None:
    answer = await make(http, keys["merchant"], permissions=["payments:read", unknown])
    assert (answer.status_code, answer.json()["code"]) == (422, "permission_unknown")
    assert answer.json()["unknown"] == [unknown]
    assert "payments:read" in answer.json()["known"]
    assert answer.json()["param"] == "/body/permissions"


@pytest.mark.parametrize(
    ("held", "asked", "missing"),
    [
        (["api_keys:write", "payments:read"], ["refunds:read"], ["refunds:read"]),
        (["api_keys:write", "checkout:read"], ["checkout:write"], ["checkout:write"]),
        (["api_keys:write"], None, ["*:write"]),
        (["api_keys:write", "*:read"], ["*:write"], ["*:write"]),
        (["api_keys:write", "*:read"], ["*:read", "refunds:write"], ["refunds:write"]),
    ],
)
async def test_a_restricted_key_hands_out_no_more_than_it_has(
    http: httpx2.AsyncClient,
    keys: dict[str, str],
    held: list[str],
    asked: list[str] | None,
    missing: list[str],
) -> None:
    restricted = (await made(http, keys["merchant"], permissions=held))["key"]
    more = {} if asked is None else {"permissions": asked}
    answer = await make(http, restricted, **more)
    assert (answer.status_code, answer.json()["code"]) == (403, "permission_not_grantable")
    assert answer.json()["missing"] == missing


async def test_a_restricted_key_gets_no_wider_one_by_rotating_it(
    http: httpx2.AsyncClient, keys: dict[str, str]
) -> None:
    restricted = (await made(http, keys["merchant"], permissions=["api_keys:write"]))["key"]
    wider = await made(http, keys["merchant"])
    answer = await rotate(http, restricted, wider["id"])
    assert (answer.status_code, answer.json()["code"]) == (403, "permission_not_grantable")
    assert await status(http, wider["key"]) == 200


async def test_a_merchant_gets_no_developers_key_by_rotating_it(
    http: httpx2.AsyncClient, keys: dict[str, str]
) -> None:
    merchant = keys["merchant_id"]
    dev = await made(http, keys["operator"], role="developer", merchant_id=merchant)
    answer = await rotate(http, keys["merchant"], dev["id"])
    assert (answer.status_code, answer.json()["code"]) == (403, "role_not_grantable")
    assert await status(http, dev["key"]) == 200


async def test_a_key_that_ends_makes_and_rotates_none_that_lives_longer(
    http: httpx2.AsyncClient, keys: dict[str, str]
) -> None:
    ending = await made(http, keys["merchant"], expires_in_s=3_600)
    lasting = await made(http, keys["merchant"])
    for answer in (
        await make(http, ending["key"]),
        await make(http, ending["key"], expires_in_s=7_200),
        await rotate(http, ending["key"], lasting["id"]),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "key_outlives_its_maker")
        assert answer.json()["expires_at"] == ending["expires_at"]
    assert (await make(http, ending["key"], expires_in_s=60)).status_code == 201


async def test_somebody_elses_key_is_neither_read_nor_rotated(
    http: httpx2.AsyncClient, keys: dict[str, str]
) -> None:
    operator, own = keys["operator"], keys["merchant"]
    shop = (await http.post("/v1/merchants", json=SHOP, headers=bearer(operator))).json()
    other = await made(http, operator, merchant_id=shop["id"])
    for answer in (
        await http.get(f"/v1/api_keys/{other['id']}", headers=bearer(own)),
        await rotate(http, own, other["id"]),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert await status(http, other["key"]) == 200
    by_operator = await rotate(http, operator, other["id"])
    assert by_operator.status_code == 200


async def test_a_missing_permission_is_named_where_the_role_would_do(
    http: httpx2.AsyncClient, keys: dict[str, str]
) -> None:
    key = await made(http, keys["merchant"], permissions=["api_keys:read", "payments:read"])
    answer = await http.get("/v1/merchants", headers=bearer(key["key"]))
    assert (answer.status_code, answer.json()["code"]) == (403, "permission_missing")
    assert (answer.json()["permission"], answer.json()["key"]) == ("merchants:read", key["id"])
    assert "merchants:read" in answer.json()["messages"]["kk"]
    write = await make(http, key["key"])
    assert write.json()["permission"] == "api_keys:write"
    assert await status(http, key["key"], "/v1/api_keys") == 200


async def test_writing_includes_reading_and_a_star_is_every_resource(
    http: httpx2.AsyncClient, keys: dict[str, str]
) -> None:
    writer = (await made(http, keys["merchant"], permissions=["api_keys:write"]))["key"]
    assert await status(http, writer, "/v1/api_keys") == 200
    reader = (await made(http, keys["merchant"], permissions=["*:read"]))["key"]
    assert await status(http, reader, "/v1/api_keys") == await status(http, reader) == 200
    refused = await make(http, reader)
    assert (refused.status_code, refused.json()["permission"]) == (403, "api_keys:write")


async def test_a_key_ends_by_the_sandbox_clock_and_only_its_holder_is_told_so(
    http: httpx2.AsyncClient, database: Database, keys: dict[str, str]
) -> None:
    key = await made(http, keys["merchant"], expires_in_s=60)
    assert await status(http, key["key"]) == 200
    await later(database, 60)
    mine = await http.get("/v1/merchants", headers=bearer(key["key"]))
    assert (mine.status_code, mine.json()["code"]) == (401, "key_expired")
    assert mine.headers["www-authenticate"] == "Bearer"
    guess = await http.get("/v1/merchants", headers=bearer(f"sk_sbx_{key['id']}_{'a' * 32}"))
    assert (guess.status_code, guess.json()["code"]) == (401, "unauthenticated")


async def test_both_secrets_work_until_the_overlap_ends_by_the_sandbox_clock(
    http: httpx2.AsyncClient, database: Database, keys: dict[str, str]
) -> None:
    key = await made(http, keys["merchant"])
    answer = (await rotate(http, keys["merchant"], key["id"], 600)).json()
    assert answer["key"] != key["key"]
    assert answer["id"] == key["id"]
    assert answer["rotated_at"] < answer["previous_until"]
    assert await status(http, key["key"]) == await status(http, answer["key"]) == 200
    await later(database, 600)
    assert (await status(http, key["key"]), await status(http, answer["key"])) == (401, 200)


async def test_a_second_rotation_ends_the_oldest_secret_and_one_without_overlap_the_last(
    http: httpx2.AsyncClient, keys: dict[str, str]
) -> None:
    first = await made(http, keys["merchant"])
    second = (await rotate(http, keys["merchant"], first["id"])).json()["key"]
    third = (await rotate(http, keys["merchant"], first["id"])).json()["key"]
    found = [await status(http, key) for key in (first["key"], second, third)]
    assert found == [401, 200, 200]
    fourth = (await rotate(http, keys["merchant"], first["id"], 0)).json()
    assert fourth["previous_until"] is None
    found = [await status(http, key) for key in (second, third, fourth["key"])]
    assert found == [401, 401, 200]


async def test_a_key_that_has_ended_gets_no_new_secret(
    http: httpx2.AsyncClient, database: Database, keys: dict[str, str]
) -> None:
    revoked = await made(http, keys["merchant"])
    await http.delete(f"/v1/api_keys/{revoked['id']}", headers=bearer(keys["merchant"]))
    expired = await made(http, keys["merchant"], expires_in_s=5)
    await later(database, 5)
    for key in (revoked, expired):
        answer = await rotate(http, keys["merchant"], key["id"])
        assert (answer.status_code, answer.json()["code"]) == (409, "key_ended")


async def test_revoking_ends_both_secrets_of_a_rotation(
    http: httpx2.AsyncClient, keys: dict[str, str]
) -> None:
    key = await made(http, keys["merchant"])
    fresh = (await rotate(http, keys["merchant"], key["id"])).json()["key"]
    await http.delete(f"/v1/api_keys/{key['id']}", headers=bearer(keys["merchant"]))
    assert await status(http, key["key"]) == await status(http, fresh) == 401


async def test_a_repeated_rotation_changes_nothing_and_shows_no_secret(
    http: httpx2.AsyncClient, keys: dict[str, str]
) -> None:
    key = await made(http, keys["merchant"])
    path = f"/v1/api_keys/{key['id']}/rotate"
    headers = bearer(keys["merchant"]) | {"Idempotency-Key": "once"}
    first = (await http.post(path, json={}, headers=headers)).json()
    again = (await http.post(path, json={}, headers=headers)).json()
    assert again == first | {"key": None}
    assert await status(http, first["key"]) == 200


async def test_no_table_holds_a_secret_before_or_after_a_rotation(
    http: httpx2.AsyncClient, database: Database, keys: dict[str, str]
) -> None:
    key = await made(http, keys["merchant"], name="till 2")
    fresh = (await rotate(http, keys["merchant"], key["id"])).json()["key"]
    async with database.transaction() as db:
        for table in ("api_key", "event", "idempotency_key"):
            rows = (await db.execute(text(f"SELECT t::text FROM {table} t"))).scalars().all()
            bodies = (await db.execute(text("SELECT body FROM idempotency_key"))).scalars().all()
            for secret in (key["key"].split("_")[3], fresh.split("_")[3]):
                assert not any(secret in row for row in rows)
                assert not any(secret.encode() in bytes(body) for body in bodies)
        leaves = (await db.execute(text("SELECT leaf FROM event"))).scalars().all()
        assert not any(b"till 2" in bytes(leaf) for leaf in leaves), "a name is nobody else's"


async def test_a_key_is_shown_with_its_prefix_and_restrictions(
    http: httpx2.AsyncClient, keys: dict[str, str]
) -> None:
    asked = {"name": "till 2", "permissions": ["refunds:read", "checkout:write", "refunds:read"]}
    key = await made(http, keys["merchant"], expires_in_s=60, **asked)
    shown = (await http.get(f"/v1/api_keys/{key['id']}", headers=bearer(keys["merchant"]))).json()
    assert shown == {name: value for name, value in key.items() if name != "key"}
    assert key["key"].startswith(shown["prefix"] + "_")
    assert (shown["name"], shown["permissions"]) == ("till 2", ["checkout:write", "refunds:read"])
    assert shown["api_version"] == LATEST
    assert shown["last_used_at"] is None


async def test_a_version_that_is_not_served_is_refused_wherever_it_stands(
    http: httpx2.AsyncClient, keys: dict[str, str]
) -> None:
    asked = await make(http, keys["merchant"], api_version="2020-01-01")
    headers = bearer(keys["merchant"]) | {"Sandbox-Version": "2020-01-01"}
    sent = await http.get("/v1/merchants", headers=headers)
    for answer, param in ((asked, "/body/api_version"), (sent, "/header/sandbox-version")):
        assert (answer.status_code, answer.json()["code"]) == (400, "version_unknown")
        assert answer.json()["versions"] == list(VERSIONS)
        assert answer.json()["param"] == param


async def test_every_answer_says_its_version(
    http: httpx2.AsyncClient, keys: dict[str, str]
) -> None:
    good = await http.get("/v1/merchants", headers=bearer(keys["merchant"]))
    refused = await http.get("/v1/merchants/mch_0", headers=bearer(keys["merchant"]))
    nobody = await http.get("/v1/merchants")
    assert [a.headers["sandbox-version"] for a in (good, refused, nobody)] == [LATEST] * 3


async def test_a_key_without_the_sandboxs_controls_simulates_nothing(
    app: FastAPI, http: httpx2.AsyncClient, keys: dict[str, str]
) -> None:
    app.add_middleware(SimulationMiddleware, armed=Armed())
    [shop] = (await http.get("/v1/merchants", headers=bearer(keys["operator"]))).json()["data"]
    asked = {"role": "developer", "merchant_id": shop["id"]}
    for permissions, status_, code in (
        (["merchants:write"], 403, "permission_missing"),
        (["merchants:write", "sandbox:write"], 503, "unavailable"),
    ):
        key = (await made(http, keys["operator"], **asked, permissions=permissions))["key"]
        headers = bearer(key) | {"Sandbox-Simulate": "unavailable"}
        answer = await http.post(f"/v1/merchants/{shop['id']}", json={}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (status_, code)


async def test_the_log_tells_of_each_rotation_and_of_one_revocation_and_of_no_secret(
    http: httpx2.AsyncClient, database: Database, keys: dict[str, str]
) -> None:
    key = await made(http, keys["merchant"], name="till 2")
    rotated = (await rotate(http, keys["merchant"], key["id"], 600)).json()
    path = f"/v1/api_keys/{key['id']}"
    ended = [(await http.delete(path, headers=bearer(keys["merchant"]))).json() for _ in range(2)]
    assert ended[0] == ended[1]
    async with database.transaction() as db:
        found = await db.execute(
            text(
                "SELECT type, merchant, convert_from(leaf, 'UTF8') AS leaf FROM event"
                " WHERE object_id = :id ORDER BY created, id"
            ),
            {"id": key["id"]},
        )
        told = found.all()
    assert [one.type for one in told] == ["api_key.created", "api_key.rotated", "api_key.revoked"]
    assert {one.merchant for one in told} == {key["party"]}
    assert rotated["previous_until"] in told[1].leaf
    assert ended[0]["revoked_at"] in told[2].leaf
    secrets = [one["key"].rpartition("_")[2] for one in (key, rotated)]
    assert not any(word in one.leaf for word in (*secrets, "till 2") for one in told)
