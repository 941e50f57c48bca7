"""The HTTP kit: roles and idempotency, over a real database."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest
from starlette.requests import ClientDisconnect

from sandbox.core import clock
from sandbox.core.db import Database
from sandbox.core.http import (
    idempotency,
)
from sandbox.core.http.limits import MAX_BODY_BYTES
from tests.core.kit import head, pay, rows


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


async def test_access_follows_the_role(http: httpx2.AsyncClient) -> None:
    own = await http.get("/v1/events", headers=head(idem=None))
    everything = await http.get("/v1/events", headers=head(key="rg", secret="four", idem=None))
    assert own.json() == {"merchant": "mch_1", "access": "own"}
    assert everything.json() == {"merchant": None, "access": "all"}
    assert own.headers["request-id"].startswith("req_")


async def test_slow_senders_leave_the_connections_to_the_database_to_others(
    http: httpx2.AsyncClient,
) -> None:
    slow = 12  # more than one process has connections
    reading, whole = asyncio.Semaphore(0), asyncio.Event()

    async def parts() -> AsyncIterator[bytes]:
        yield b'{"amount_tiyn"'
        reading.release()
        await whole.wait()
        yield b": 5}"

    async def send(idem: str) -> int:
        headers = head(idem=idem) | {"Content-Type": "application/json"}
        answer = await http.post("/v1/checkout/sessions", content=parts(), headers=headers)
        return answer.status_code

    senders = [asyncio.create_task(send(f"slow-{number}")) for number in range(slow)]
    try:
        async with asyncio.timeout(10):
            for _ in senders:
                await reading.acquire()
            assert (await pay(http)).status_code == 201
    finally:
        whole.set()
    assert await asyncio.gather(*senders) == [201] * slow


async def test_who_leaves_before_its_body_is_sent_is_no_bug_of_ours(
    http: httpx2.AsyncClient, database: Database
) -> None:
    async def broken_off() -> AsyncIterator[bytes]:
        yield b"{"
        raise ClientDisconnect

    answer = await http.post("/v1/checkout/sessions", content=broken_off(), headers=head())
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert await rows(database) == 0
