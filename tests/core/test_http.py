"""The HTTP kit: roles, idempotency, refusals, over a real database."""

import asyncio
from collections.abc import AsyncIterator, Callable
from urllib.parse import quote

import httpx2
import pytest
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core import api_version, clock
from sandbox.core.db import Database, SessionDep
from sandbox.core.errors import SandboxError, Unavailable
from sandbox.core.http import (
    IdempotentRoute,
    KeyRecord,
    LimitsMiddleware,
    PrincipalDep,
    RequestIdMiddleware,
    idempotency,
    install,
    stored_answers,
)
from sandbox.core.http.auth import secret_hash
from sandbox.core.http.limits import MAX_BODY_BYTES
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


@pytest.fixture
async def http(database: Database, owner_url: str) -> AsyncIterator[httpx2.AsyncClient]:
    owner = Database(owner_url)
    async with owner.transaction() as db:
        await db.execute(text("CREATE SEQUENCE hits"))
        await db.execute(text("GRANT USAGE ON hits TO sbx_app"))
    await owner.dispose()

    async def lookup(db: AsyncSession, key_id: str) -> KeyRecord | None:
        return KEYS.get(key_id)

    app = FastAPI()
    app.state.database, app.state.key_lookup = database, lookup
    app.include_router(router)
    app.include_router(stored_answers.router)
    app.add_middleware(LimitsMiddleware)
    app.add_middleware(RequestIdMiddleware)
    install(app)
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://sandbox") as client:
        yield client


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


async def test_no_key_and_a_wrong_key_get_the_same_401(http: httpx2.AsyncClient) -> None:
    bare = await http.get("/v1/events")
    wrong = await http.get("/v1/events", headers=head(secret="guess", idem=None))
    unknown = await http.get("/v1/events", headers=head(key="zz", idem=None))
    for answer in (bare, wrong, unknown):
        assert answer.status_code == 401
        assert answer.json()["code"] == "unauthenticated"
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_role_outside_the_table_is_refused_by_name(http: httpx2.AsyncClient) -> None:
    answer = await pay(http, key="rg", secret="four")
    assert (answer.status_code, answer.json()["code"]) == (403, "role_may_not")


async def test_a_missing_key_is_refused_before_the_body_is_looked_at(
    http: httpx2.AsyncClient, database: Database
) -> None:
    answer = await http.post("/v1/checkout/sessions", content=b"{", headers=head(idem=None))
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_missing")
    assert await rows(database) == 0


@pytest.mark.parametrize("amount", [0, -1, 10**11 + 1, 1.5, "12", True, None, 1e3])
async def test_what_is_no_amount_in_tiyn_is_refused_with_its_place(
    http: httpx2.AsyncClient, amount: object
) -> None:
    answer = await pay(http, amount)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.json()["errors"][0]["param"] == "/body/amount_tiyn"


async def test_a_malformed_body_is_not_remembered(http: httpx2.AsyncClient) -> None:
    bad = await http.post("/v1/checkout/sessions", content=b"{", headers=head())
    assert bad.status_code == 422
    assert (await pay(http)).status_code == 201


@pytest.mark.parametrize(
    "body",
    [
        b'{"amount_tiyn": 5, "note": "\\ud800"}',
        b'{"amount_tiyn": 5, "note": "\\u0000"}',
        b'{"amount_tiyn": 5, "note": "\\\\\\u0000"}',
        b'{"\\ud800": 5}',
        b'{"amount_tiyn": NaN}',
        b"[" * 5_000 + b"]" * 5_000,
        b'{"amount_tiyn": 5, "note": "\xff"}',
        "{}".encode("utf-16"),
    ],
)
async def test_json_that_nobody_can_store_is_refused_before_a_handler_sees_it(
    http: httpx2.AsyncClient, database: Database, body: bytes
) -> None:
    headers = head() | {"Content-Type": "application/json"}
    answer = await http.post("/v1/checkout/sessions", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.json()["errors"][0]["param"] == "/body"
    assert await rows(database) == 0
    assert (await pay(http)).status_code == 201, "and it is not remembered"


async def test_text_about_an_escape_is_no_escape(http: httpx2.AsyncClient) -> None:
    body = b'{"amount_tiyn": 5, "note": "\\\\u0000"}'
    headers = head() | {"Content-Type": "application/json"}
    answer = await http.post("/v1/checkout/sessions", content=body, headers=headers)
    assert answer.status_code == 201


@pytest.mark.parametrize("address", ["/v1/events?after=%00", "/v1/events/%00", "/%00"])
async def test_an_address_with_a_nul_is_refused(http: httpx2.AsyncClient, address: str) -> None:
    answer = await http.get(address, headers=head(idem=None))
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.headers["request-id"] == answer.json()["request_id"]


async def test_a_body_that_is_too_large_is_refused_with_and_without_a_length(
    http: httpx2.AsyncClient, database: Database
) -> None:
    async def in_parts() -> AsyncIterator[bytes]:
        for _ in range(MAX_BODY_BYTES // 1024 + 1):
            yield b" " * 1024

    for body in (b" " * (MAX_BODY_BYTES + 1), in_parts()):
        answer = await http.post("/v1/checkout/sessions", content=body, headers=head())
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert await rows(database) == 0


async def test_the_same_key_and_body_get_the_first_answer_and_act_once(
    http: httpx2.AsyncClient, database: Database
) -> None:
    first = await pay(http)
    async with database.transaction() as db:
        await clock.advance(db, 90)
    again = await pay(http, idem='"k-1"')
    assert first.status_code == again.status_code == 201
    assert first.content == again.content
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["original-request-id"] == first.headers["request-id"]
    assert 90 <= int(again.headers["idempotency-age"]) <= 120
    assert first.headers["idempotency-key"] == again.headers["idempotency-key"] == '"k-1"'
    assert await rows(database) == 1


async def test_the_same_key_with_another_body_is_refused_and_names_the_first(
    http: httpx2.AsyncClient,
) -> None:
    first = await pay(http)
    other = await pay(http, 6)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    problem = other.json()
    assert problem["first_request_id"] == first.headers["request-id"]
    assert problem["why"] == "other_body"
    named = problem["first_request"]
    assert (named["path"], named["status"]) == ("/v1/checkout/sessions", 201)
    assert named["request_id"] == first.headers["request-id"]
    assert named["created_at"] < named["expires_at"]
    assert first.headers["request-id"] in problem["messages"]["en"]
    assert other.headers["idempotency-key"] == '"k-1"'


async def test_keys_of_two_tenants_do_not_meet(http: httpx2.AsyncClient) -> None:
    assert (await pay(http)).json()["party"] == "mch_1"
    assert (await pay(http, key="m2", secret="two")).json()["party"] == "mch_2"


async def test_a_named_refusal_is_stored_and_leaves_no_row(
    http: httpx2.AsyncClient, database: Database
) -> None:
    first = await pay(http, 13)
    again = await pay(http, 13)
    assert first.status_code == again.status_code == 409
    assert first.content == again.content
    assert again.headers["content-type"] == "application/problem+json"
    assert await rows(database) == 0


async def test_a_refusal_that_may_end_is_not_remembered(
    http: httpx2.AsyncClient, database: Database
) -> None:
    """The same key may then succeed: nobody has to find out that the old answer was kept."""
    for _ in range(2):
        answer = await pay(http, 16)
        assert (answer.status_code, answer.json()["retryable"]) == (409, True)
        assert "idempotency-replayed" not in answer.headers
    assert await rows(database) == 0


async def test_a_refusal_says_which_field_and_what_to_do_in_three_languages(
    http: httpx2.AsyncClient,
) -> None:
    answer = await pay(http, idem="k" * 256)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (400, "idempotency_key_invalid")
    assert problem["param"] == "/header/idempotency-key"
    assert problem["retryable"] is False
    assert set(problem["messages"]) == {"kk", "ru", "en"}
    assert len(set(problem["messages"].values())) == 3
    assert problem["doc_url"] == "/docs/errors#idempotency_key_invalid"
    assert problem["request_log_url"] == f"/v1/request_logs/{answer.headers['request-id']}"


async def test_a_field_is_named_by_its_pointer_and_two_are_not_one(
    http: httpx2.AsyncClient,
) -> None:
    one = await http.post("/v1/checkout/sessions", json={"amount_tiyn": "1"}, headers=head())
    assert one.json()["param"] == "/body/amount_tiyn"
    named = await pay(http, 17)
    assert named.json()["param"] == "/body/amount_tiyn", "of the refusal's fields the route has one"
    odd = {"amount_tiyn": 1, "pairs": {"a/b~c": "x"}}
    odd_name = await http.post("/v1/checkout/sessions", json=odd, headers=head(idem="k-2"))
    assert odd_name.json()["param"] == "/body/pairs/a~1b~0c"
    worse = odd | {"amount_tiyn": 0}
    two = await http.post("/v1/checkout/sessions", json=worse, headers=head(idem="k-2"))
    assert two.json()["param"] is None
    assert len(two.json()["errors"]) == 2


async def test_what_a_refusal_is_made_with_replaces_nothing_that_every_one_has(
    http: httpx2.AsyncClient,
) -> None:
    problem = (await pay(http, 18)).json()
    assert (problem["status"], problem["type"]) == (409, "urn:kzte-sandbox:problem:too_much")
    assert problem["extra"] == 1
    assert problem["messages"]["en"], "a code that no catalog has still says something"


async def test_what_no_route_takes_is_a_problem_too(http: httpx2.AsyncClient) -> None:
    for answer, code in (
        (await http.get("/v1/nothing", headers=head(idem=None)), "not_found"),
        (await http.put("/v1/events", headers=head(idem=None)), "method_not_allowed"),
    ):
        assert answer.json()["code"] == code
        assert answer.json()["messages"]["ru"]


async def test_a_stored_answer_is_shown_to_its_own_tenant_only(http: httpx2.AsyncClient) -> None:
    await pay(http)
    for stranger in (head("m2", "two", None), head("op", "three", None)):
        answer = await http.get("/v1/idempotency_keys/k-1", headers=stranger)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert answer.json()["param"] == "/path/idempotency_key"
    assert (await http.get("/v1/idempotency_keys/k-1")).status_code == 401


async def test_a_key_tells_what_is_kept_under_it_and_for_how_long(
    http: httpx2.AsyncClient, database: Database
) -> None:
    name = 'a "b" \\c/d?'
    first = await pay(http, 13, idem=name)
    async with database.transaction() as db:
        await clock.advance(db, 3_600)
    for asked in (name, first.headers["idempotency-key"]):
        path = f"/v1/idempotency_keys/{quote(asked, safe='')}"
        found = (await http.get(path, headers=head(idem=None))).json()
        assert (found["object"], found["key"]) == ("idempotency_key", name)
        assert found["canonical"] == first.headers["idempotency-key"] == '"a \\"b\\" \\\\c/d?"'
    [use] = found["uses"]
    assert (use["path"], use["status"], use["code"]) == ("/v1/checkout/sessions", 409, "too_much")
    assert use["request_id"] == first.headers["request-id"]
    assert 3_600 <= use["age_s"] <= 3_660
    assert use["expired"] is False
    async with database.transaction() as db:
        await clock.advance(db, 82_800)
    later = (await http.get(path, headers=head(idem=None))).json()
    assert later["uses"][0]["expired"] is True
    assert use["expires_at"] == later["uses"][0]["expires_at"]


async def test_an_unavailable_part_is_not_remembered(
    http: httpx2.AsyncClient, database: Database
) -> None:
    first = await pay(http, 14)
    assert (first.status_code, first.headers["retry-after"]) == (503, "1")
    again = await pay(http, 14)
    assert "idempotency-replayed" not in again.headers
    assert await rows(database) == 0


async def test_a_repeat_while_the_first_runs_is_told_so(
    http: httpx2.AsyncClient, database: Database
) -> None:
    slow = asyncio.create_task(pay(http, 15))
    await asyncio.sleep(0.1)
    meanwhile = await pay(http, 15)
    assert (meanwhile.status_code, meanwhile.json()["code"]) == (409, "request_in_progress")
    assert (await slow).status_code == 201
    assert (await pay(http, 15)).headers["idempotency-replayed"] == "true"
    assert await rows(database) == 1


async def test_twenty_repeats_at_once_act_once(
    http: httpx2.AsyncClient, database: Database
) -> None:
    answers = await asyncio.gather(*(pay(http) for _ in range(20)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert await rows(database) == 1


async def test_a_stored_answer_is_forgotten_after_a_day_of_sandbox_time(
    http: httpx2.AsyncClient, database: Database
) -> None:
    await pay(http)
    async with database.transaction() as db:
        await clock.advance(db, 86_400)
    assert "idempotency-replayed" not in (await pay(http)).headers
    assert await rows(database) == 2


async def test_twenty_repeats_at_once_with_an_expired_key_act_once(
    http: httpx2.AsyncClient, database: Database
) -> None:
    await pay(http)
    async with database.transaction() as db:
        await clock.advance(db, 86_400)
    answers = await asyncio.gather(*(pay(http) for _ in range(20)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert await rows(database) == 2


async def test_who_saw_an_expired_answer_forgets_no_fresh_one(
    http: httpx2.AsyncClient, database: Database
) -> None:
    """It looked before another committed, and got the lock after: both saw the old answer."""
    await pay(http)
    async with database.transaction() as db:
        await clock.advance(db, 86_400)
    fresh = await pay(http)
    where = {"tenant": "mch_1", "route": "/v1/checkout/sessions", "key": "k-1", "hours": 24}
    asked = idempotency._Asked("mch_1", "/v1/checkout/sessions", "k-1", "")
    with pytest.raises(idempotency.RequestInProgress):
        async with database.transaction() as db:
            await idempotency._one_row(db, idempotency._FORGET, where, asked)
    assert (await pay(http)).content == fresh.content
    assert (await pay(http)).headers["idempotency-replayed"] == "true"


async def test_a_client_of_an_older_version_gets_the_shapes_that_it_knows(
    http: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is one version so far: the seam is tried with a change that nobody published."""

    def undo(made: dict[str, object]) -> dict[str, object]:
        return {"tenant" if name == "party" else name: value for name, value in made.items()}

    undos = (api_version.Undo("2026-11-20", "thing", undo),)
    old = ("2026-10-01", *api_version.VERSIONS)
    monkeypatch.setattr(api_version, "VERSIONS", old)
    plain = api_version.shaped
    monkeypatch.setattr(api_version, "shaped", lambda body, version: plain(body, version, undos))
    new = await pay(http)
    asked = head() | {"Sandbox-Version": "2026-10-01"}
    body = {"amount_tiyn": 5}
    again = await http.post("/v1/checkout/sessions", json=body, headers=asked)
    assert again.headers["sandbox-version"] == "2026-10-01"
    assert again.headers["idempotency-replayed"] == "true", "kept once, whatever the version"
    assert (new.json()["party"], "tenant" in new.json()) == ("mch_1", False)
    assert (again.json()["tenant"], "party" in again.json()) == ("mch_1", False)


def test_changes_are_taken_back_newest_first_inside_lists_and_objects() -> None:
    def rename(old: str, new: str) -> Callable[[api_version.Object], api_version.Object]:
        return lambda made: {old if name == new else name: v for name, v in made.items()}

    undos = (
        api_version.Undo("2026-02-01", "thing", rename("a", "b")),
        api_version.Undo("2026-03-01", "thing", rename("b", "c")),
    )
    thing = {
        "object": "thing",
        "c": 1,
        "in": [{"object": "thing", "c": 2}, {"object": "x", "c": 3}],
    }
    for version, name in (("2026-01-01", "a"), ("2026-02-01", "b"), ("2026-03-01", "c")):
        found = api_version.shaped({"data": [thing]}, version, undos)["data"][0]
        assert (found[name], found["in"][0][name], found["in"][1]["c"]) == (1, 2, 3)
    assert thing["c"] == 1


async def test_access_follows_the_role(http: httpx2.AsyncClient) -> None:
    own = await http.get("/v1/events", headers=head(idem=None))
    everything = await http.get("/v1/events", headers=head(key="rg", secret="four", idem=None))
    assert own.json() == {"merchant": "mch_1", "access": "own"}
    assert everything.json() == {"merchant": None, "access": "all"}
    assert own.headers["request-id"].startswith("req_")
