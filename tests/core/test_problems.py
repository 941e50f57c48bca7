"""What a refusal says, what is kept under a key, and the shapes of older versions."""

from collections.abc import Callable
from urllib.parse import quote

import httpx2
import pytest

from sandbox.core import api_version, clock
from sandbox.core.db import Database
from tests.core.kit import head, pay


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
