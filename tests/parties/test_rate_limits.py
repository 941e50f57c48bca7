"""Rate limits: off until a party wants to see a 429, and then its own affair."""

from collections.abc import Iterator

import httpx2
import pytest
from fastapi import FastAPI

from sandbox.core.db import Database
from sandbox.core.http.rate_limits import Buckets, Limit, RateLimited
from tests.parties.test_routes import bearer

SWITCH = "/v1/sandbox/rate_limits"


async def switch(http: httpx2.AsyncClient, key: str, **to: int | None) -> httpx2.Response:
    return await http.post(SWITCH, json=to, headers=bearer(key))


async def statuses(http: httpx2.AsyncClient, key: str, times: int) -> list[int]:
    return [
        (await http.get("/v1/merchants", headers=bearer(key))).status_code for _ in range(times)
    ]


@pytest.mark.parametrize(
    "wrong",
    [{}, {"requests_per_s": 0}, {"requests_per_s": 1.5}, {"requests_per_s": None, "burst": 1}],
)
async def test_a_limit_that_makes_no_sense_is_refused(
    http: httpx2.AsyncClient, keys: dict[str, str], wrong: dict[str, int | None]
) -> None:
    answer = await switch(http, keys["merchant"], **wrong)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_above_the_limit_it_is_429_with_the_time_to_wait(
    http: httpx2.AsyncClient, app: FastAPI, keys: dict[str, str]
) -> None:
    own = keys["merchant"]
    assert (await switch(http, own, requests_per_s=2, burst=3)).json()["burst"] == 3
    good = await http.get("/v1/merchants", headers=bearer(own))
    assert good.headers["ratelimit-policy"] == '"key";q=3;w=2'
    assert good.headers["ratelimit"] == '"key";r=2;t=1'
    assert await statuses(http, own, 3) == [200, 200, 429]
    refused = await http.get("/v1/merchants", headers=bearer(own))
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert refused.json()["retryable"] is True
    assert refused.headers["retry-after"] == str(refused.json()["retry_after_s"]) == "1"
    assert refused.headers["ratelimit"] == '"key";r=0;t=1'
    app.state.wall_s += 0.5
    assert await statuses(http, own, 2) == [200, 429]


async def test_a_limited_post_is_not_kept_under_its_key(
    http: httpx2.AsyncClient, app: FastAPI, keys: dict[str, str]
) -> None:
    await switch(http, keys["merchant"], requests_per_s=1)
    await statuses(http, keys["merchant"], 1)
    headers = bearer(keys["merchant"]) | {"Idempotency-Key": "k"}
    refused = await http.post("/v1/api_keys", json={"role": "merchant"}, headers=headers)
    assert refused.status_code == 429
    app.state.wall_s += 1
    made = await http.post("/v1/api_keys", json={"role": "merchant"}, headers=headers)
    assert (made.status_code, "idempotency-replayed" in made.headers) == (201, False)


async def test_a_limit_is_each_keys_own_and_no_other_partys(
    http: httpx2.AsyncClient, keys: dict[str, str]
) -> None:
    own = bearer(keys["merchant"])
    second = (await http.post("/v1/api_keys", json={"role": "merchant"}, headers=own)).json()
    await switch(http, keys["merchant"], requests_per_s=1)
    assert await statuses(http, keys["merchant"], 2) == [200, 429]
    assert await statuses(http, second["key"], 2) == [200, 429]
    assert await statuses(http, keys["operator"], 5) == [200] * 5
    assert (await http.get(SWITCH, headers=bearer(keys["operator"]))).json()["burst"] is None


async def test_the_switch_itself_is_never_closed(
    http: httpx2.AsyncClient, keys: dict[str, str]
) -> None:
    own = keys["merchant"]
    await switch(http, own, requests_per_s=1)
    assert await statuses(http, own, 2) == [200, 429]
    read = await http.get(SWITCH, headers=bearer(own))
    assert (read.status_code, read.json()["requests_per_s"]) == (200, 1)
    off = await switch(http, own, requests_per_s=None)
    assert (off.status_code, off.json()["requests_per_s"]) == (200, None)
    assert await statuses(http, own, 5) == [200] * 5
    good = await http.get("/v1/merchants", headers=bearer(own))
    assert "ratelimit" not in good.headers


async def test_merchants_that_nobody_seeded_switch_nothing(
    http: httpx2.AsyncClient, database: Database, keys: dict[str, str]
) -> None:
    made = await http.post(
        "/v1/api_keys", json={"role": "merchant"}, headers=bearer(keys["merchant"])
    )
    answer = await switch(http, made.json()["key"], requests_per_s=1)
    assert (answer.status_code, answer.json()["code"]) == (403, "role_may_not")


def test_a_bucket_fills_to_its_burst_and_no_further() -> None:
    now: Iterator[float] = iter([0.0, 0.0, 0.0, 100.0, 100.0, 100.0])
    buckets, limit = Buckets(lambda: next(now)), Limit(1, 2)
    assert [buckets.take("k", limit) for _ in range(2)] == ['"key";r=1;t=1', '"key";r=0;t=2']
    with pytest.raises(RateLimited):
        buckets.take("k", limit)
    assert [buckets.take("k", limit) for _ in range(2)] == ['"key";r=1;t=1', '"key";r=0;t=2']
    with pytest.raises(RateLimited):
        buckets.take("k", limit)
