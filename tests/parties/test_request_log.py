"""The request log: whose it is, what it never holds, and that it keeps nobody waiting."""

import asyncio
import json
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from sandbox.core import clock
from sandbox.core.db import Database
from sandbox.core.http import request_log
from sandbox.core.http.request_log import MAX_BODY_BYTES, Note, RequestLog
from tests.parties.test_routes import SHOP, bearer

Json = dict[str, Any]
LOGS = "/v1/request_logs"


async def logged(http: httpx2.AsyncClient, key: str, query: str = "") -> list[Json]:
    answer = await http.get(f"{LOGS}?limit=100{query}", headers=bearer(key))
    assert answer.status_code == 200, answer.text
    found: list[Json] = answer.json()["data"]
    return found


async def one(http: httpx2.AsyncClient, key: str, id_: str) -> Json:
    answer = await http.get(f"{LOGS}/{id_}", headers=bearer(key))
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


async def whole_table(app: FastAPI, database: Database) -> str:
    await app.state.request_log.flush()
    async with database.transaction() as db:
        return "\n".join((await db.execute(text("SELECT t::text FROM request_log t"))).scalars())


async def test_a_stranger_sees_nobodys_requests_and_offices_see_all(
    http: httpx2.AsyncClient, keys: dict[str, str]
) -> None:
    mine = await http.get("/v1/merchants", headers=bearer(keys["merchant"]))
    id_ = mine.headers["request-id"]
    for role in ("issuer", "fund_officer"):
        assert id_ not in [row["id"] for row in await logged(http, keys[role])]
        answer = await http.get(f"{LOGS}/{id_}", headers=bearer(keys[role]))
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    for role in ("merchant", "operator", "regulator"):
        assert id_ in [row["id"] for row in await logged(http, keys[role])]
        assert (await one(http, keys[role], id_))["path"] == "/v1/merchants"


async def test_two_merchants_do_not_see_each_others_requests(
    http: httpx2.AsyncClient, keys: dict[str, str]
) -> None:
    operator = bearer(keys["operator"])
    shop = (await http.post("/v1/merchants", json=SHOP, headers=operator)).json()
    asked = {"role": "merchant", "merchant_id": shop["id"]}
    other = (await http.post("/v1/api_keys", json=asked, headers=operator)).json()["key"]
    theirs = await http.get("/v1/api_keys", headers=bearer(other))
    mine = await http.get("/v1/api_keys", headers=bearer(keys["merchant"]))
    found = {row["id"] for row in await logged(http, keys["merchant"])}
    assert mine.headers["request-id"] in found
    assert theirs.headers["request-id"] not in found
    cursor = theirs.headers["request-id"]
    for query in (f"&starting_after={cursor}", f"&ending_before={cursor}"):
        assert theirs.headers["request-id"] not in {
            row["id"] for row in await logged(http, keys["merchant"], query)
        }
    refused = await http.get(f"{LOGS}/{cursor}", headers=bearer(keys["merchant"]))
    assert refused.status_code == 404


@pytest.mark.parametrize("secret", ["sk_sbx_abc_{}", "whsec_{}", "whsk_{}"])
@pytest.mark.parametrize(
    "written",
    [
        '{{"url": "{}"}}',
        '{{"url": "x{}x", "cut": "' + "x" * MAX_BODY_BYTES + '"}}',
        "not json {}",
        '{{"{}": 1}}',
    ],
)
async def test_no_secret_is_written_wherever_it_stands(
    http: httpx2.AsyncClient,
    app: FastAPI,
    database: Database,
    keys: dict[str, str],
    secret: str,
    written: str,
) -> None:
    hidden = "q7" * 12
    plain = secret.format(hidden)
    escaped = "".join(f"\\u{ord(one):04x}" for one in plain)
    for body in (written.format(plain), written.format(escaped)):
        await http.post("/v1/merchants", content=body, headers=bearer(keys["operator"]))
    await http.get(f"/v1/merchants/{plain}?limit={plain}", headers=bearer(keys["operator"]))
    odd_key = bearer(keys["operator"]) | {"Idempotency-Key": plain}
    await http.post("/v1/merchants", json={}, headers=odd_key)
    found = await whole_table(app, database)
    assert hidden not in found
    assert hidden not in found.replace("\\u0071", "q").replace("\\u0037", "7")
    for key in keys.values():
        assert key.rpartition("_")[2] not in found or not key.startswith("sk_")


async def test_a_secret_with_a_slash_is_not_half_hidden(
    http: httpx2.AsyncClient, app: FastAPI, database: Database, keys: dict[str, str]
) -> None:
    body = '{"secret": "whsec_abcd\\/efgh+ijkl=="}'
    await http.post("/v1/merchants", content=body, headers=bearer(keys["operator"]))
    found = await whole_table(app, database)
    assert "whsec_" in found
    assert not any(part in found for part in ("abcd", "efgh", "ijkl"))


async def test_what_is_shown_once_is_not_shown_in_the_log(
    http: httpx2.AsyncClient, app: FastAPI, database: Database, keys: dict[str, str]
) -> None:
    own = bearer(keys["merchant"])
    made = await http.post("/v1/api_keys", json={"role": "merchant"}, headers=own)
    found = await one(http, keys["merchant"], made.headers["request-id"])
    assert found["response_body"] == made.json() | {"key": None}
    assert found["request_body"] == {"role": "merchant"}
    assert made.json()["key"].split("_")[3] not in await whole_table(app, database)


async def test_a_long_body_is_cut_off_and_a_strange_one_kept_as_text(
    http: httpx2.AsyncClient, keys: dict[str, str]
) -> None:
    operator = bearer(keys["operator"])
    long = json.dumps({"name": "x" * MAX_BODY_BYTES})
    strange = b"\xff\x00\xed\xa0\x80"
    for body in (long.encode(), strange):
        answer = await http.post("/v1/merchants", content=body, headers=operator)
        assert answer.status_code == 422
        found = await one(http, keys["operator"], answer.headers["request-id"])
        assert isinstance(found["request_body"], str)
        assert len(found["request_body"]) <= MAX_BODY_BYTES
        assert found["response_body"]["code"] == found["code"] == "invalid_request"


async def test_what_is_refused_at_the_door_is_logged_and_is_the_offices_to_read(
    http: httpx2.AsyncClient, keys: dict[str, str]
) -> None:
    nobody = await http.get("/v1/merchants")
    nul = await http.get("/v1/merchants/%00")
    for answer, code in ((nobody, "unauthenticated"), (nul, "invalid_request")):
        found = await one(http, keys["regulator"], answer.headers["request-id"])
        assert (found["code"], found["role"], found["api_key"]) == (code, "public", None)


async def test_a_refusal_of_a_known_key_belongs_to_its_party(
    http: httpx2.AsyncClient, keys: dict[str, str]
) -> None:
    own = keys["merchant"]
    asked = {"role": "merchant", "permissions": ["payments:read"]}
    made = (await http.post("/v1/api_keys", json=asked, headers=bearer(own))).json()
    refused = await http.get("/v1/merchants", headers=bearer(made["key"]))
    found = await one(http, own, refused.headers["request-id"])
    assert (found["status"], found["code"]) == (403, "permission_missing")
    assert (found["api_key"], found["role"]) == (made["id"], "merchant")


async def test_a_request_is_told_with_its_key_version_and_replay(
    http: httpx2.AsyncClient, database: Database, keys: dict[str, str]
) -> None:
    own = bearer(keys["merchant"]) | {"Idempotency-Key": '"twice"'}
    async with database.transaction() as db:
        before = await clock.advance(db, 86_400)
    answers = [
        await http.post("/v1/api_keys", json={"role": "merchant"}, headers=own) for _ in range(2)
    ]
    first, again = [await one(http, keys["merchant"], a.headers["request-id"]) for a in answers]
    assert (first["object"], first["method"], first["path"]) == (
        "request_log", "POST", "/v1/api_keys",
    )  # fmt: skip
    assert (first["status"], first["code"], first["replayed"]) == (201, None, False)
    assert (again["status"], again["replayed"]) == (201, True)
    assert first["idempotency_key"] == again["idempotency_key"] == "twice"
    assert first["api_key"] == keys["merchant"].split("_")[2]
    assert first["api_version"] == answers[0].headers["sandbox-version"]
    assert first["created_at"] >= clock.iso(before), "by the sandbox clock"
    assert first["duration_ms"] >= 0


async def test_each_filter_and_the_cursors_part_the_list(
    http: httpx2.AsyncClient, keys: dict[str, str]
) -> None:
    own = keys["merchant"]
    ids = {}
    for name, call in (
        ("list", http.get("/v1/merchants", headers=bearer(own))),
        ("missing", http.get("/v1/merchants/mch_0?a=b", headers=bearer(own))),
        ("refused", http.post("/v1/merchants", json=SHOP, headers=bearer(own))),
        ("made", http.post("/v1/api_keys", json={"role": "merchant"}, headers=bearer(own))),
    ):
        ids[name] = (await call).headers["request-id"]

    async def found(query: str) -> list[str]:
        rows = await logged(http, own, query)
        return [name for row in rows for name, id_ in ids.items() if row["id"] == id_]

    assert await found("") == ["made", "refused", "missing", "list"]
    assert await found("&method=POST") == ["made", "refused"]
    assert await found("&status=4xx") == ["refused", "missing"]
    assert await found("&status=404") == ["missing"]
    assert await found("&path=/v1/merchants/") == ["missing"]
    assert await found("&path=/v1/%25") == [], "a prefix, no pattern"
    assert await found(f"&key={own.split('_')[2]}&status=2xx") == ["made", "list"]
    assert await found("&key=nobody") == []
    assert await found(f"&starting_after={ids['refused']}") == ["missing", "list"]
    assert await found(f"&ending_before={ids['missing']}") == ["made", "refused"]
    assert await found("&starting_after=req_none") == []
    page = await http.get(f"{LOGS}?limit=2", headers=bearer(own))
    assert page.json()["has_more"] is True
    [row] = await logged(http, own, "&status=404")
    assert (row["path"], row["query"]) == ("/v1/merchants/mch_0", "a=b")
    assert "response_body" not in row


@pytest.mark.parametrize("wrong", ["status=4", "status=9xx", "method=get", "path=" + "x" * 201])
async def test_a_filter_that_means_nothing_is_refused(
    http: httpx2.AsyncClient, keys: dict[str, str], wrong: str
) -> None:
    answer = await http.get(f"{LOGS}?{wrong}", headers=bearer(keys["merchant"]))
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.json()["param"] == f"/query/{wrong.split('=')[0]}"


async def test_who_reads_the_log_is_not_in_it(
    http: httpx2.AsyncClient, keys: dict[str, str]
) -> None:
    for _ in range(3):
        assert not await logged(http, keys["merchant"], f"&path={LOGS}")


async def test_only_the_newest_are_kept(database: Database, owner_url: str) -> None:
    log = RequestLog(database, 20)
    for number in range(50):
        log.add(Note("GET", f"/v1/{number}", "", {"request_id": f"req_{number}"}))
        await log.flush()
    async with database.transaction() as db:
        paths = (await db.execute(text("SELECT path FROM request_log"))).scalars().all()
    assert len(paths) <= 22
    assert {f"/v1/{number}" for number in range(30, 50)} <= set(paths)


async def test_too_much_at_once_is_dropped_and_counted(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_log, "MAX_QUEUED", 10)
    log = RequestLog(database, 1_000)
    for number in range(25):
        log.add(Note("GET", "/v1/x", "", {"request_id": f"req_{number}"}))
    assert log.dropped == 15
    await log.flush()
    monkeypatch.setattr(request_log, "MAX_QUEUED_BYTES", 5_000)
    for _ in range(10):
        log.add(Note("GET", "/v1/y", "", {}, request=bytearray(2_000)))
    assert log.dropped == 15 + 8
    await log.flush()
    async with database.transaction() as db:
        assert await db.scalar(text("SELECT count(*) FROM request_log")) == 12


async def test_a_database_that_is_away_costs_the_log_and_nobody_else() -> None:
    log = RequestLog(Database("postgresql://nobody@127.0.0.1:1/none"), 1_000)
    log.add(Note("GET", "/v1/x", "", {}))
    await log.flush()
    assert log.dropped == 1


async def test_switched_off_it_writes_nothing(database: Database) -> None:
    log = RequestLog(database, 0)
    log.add(Note("GET", "/v1/x", "", {}))
    await log.flush()
    async with database.transaction() as db:
        assert await db.scalar(text("SELECT count(*) FROM request_log")) == 0


async def test_in_the_background_it_is_written_without_being_asked_and_at_the_end(
    database: Database,
) -> None:
    async def rows() -> int:
        async with database.transaction() as db:
            return int(await db.scalar(text("SELECT count(*) FROM request_log")) or 0)

    log = RequestLog(database, 1_000)
    log.start()
    log.add(Note("GET", "/v1/x", "", {}))
    while not await rows():
        await asyncio.sleep(0.02)
    log.add(Note("GET", "/v1/y", "", {}))
    await log.stop()
    assert await rows() == 2


async def test_the_last_use_of_a_key_is_told(
    http: httpx2.AsyncClient, app: FastAPI, keys: dict[str, str]
) -> None:
    own = keys["merchant"]
    await http.get("/v1/merchants", headers=bearer(own))
    await app.state.request_log.flush()
    path = f"/v1/api_keys/{own.split('_')[2]}"
    shown = (await http.get(path, headers=bearer(own))).json()
    assert shown["last_used_at"] >= shown["created_at"]
