"""Scenarios played in a running sandbox: the events they promise are told, on both chains."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from sandbox.cli.endpoints import ApiError, JsonObject, Running
from sandbox.lab.scenarios import ALL, PAYERS, PLAYS, Scenario
from tests.journeys.customers import CHAINS
from tests.journeys.stack import Stack, command

QUICK = ("short", "twice", "wrong_token", "reorged", "token_contract", "empty")
"""Played with every change; all of them in the long run."""


def played(sandbox: Running, scenario: str, chain: str, **more: Any) -> JsonObject:
    asked = {"scenario": scenario, "chain": chain, **more}
    answer: JsonObject = sandbox.post("/v1/sandbox/triggers", asked, "merchant")
    return answer


def keeps_its_promise(sandbox: Running, one: Scenario, chain: str) -> None:
    answer = played(sandbox, one.name, chain)
    assert answer["waiting_for"] == []
    if answer["refused"] is not None:
        assert answer["refused"]["code"] in one.refused
        return
    assert {event["type"] for event in answer["events"]} == set(one.events)
    assert not answer["moved_clock"] or one.moves_clock
    # Only what it did, and nothing that anybody made up.
    for event in answer["events"]:
        assert sandbox.get(f"/v1/events/{event['id']}")["type"] == event["type"]


def test_what_cannot_be_triggered_is_refused_by_name(sandbox: Running) -> None:
    for body, code in (
        ({"scenario": "nothing"}, "scenario_unknown"),
        ({"scenario": "short", "chain": "bitcoin"}, "chain_unknown"),
        ({"scenario": "short", "session": "cs_nothing"}, "not_found"),
        ({"scenario": "settled", "session": "cs_nothing"}, "scenario_takes_no_session"),
        ({"scenario": "short", "amount_tiyn": 0}, "invalid_request"),
    ):
        with pytest.raises(ApiError) as refused:
            sandbox.post("/v1/sandbox/triggers", body)
        assert refused.value.code == code, body


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize("chain", CHAINS)
def test_a_payer_brings_about_what_it_promises(sandbox: Running, chain: str, name: str) -> None:
    keeps_its_promise(sandbox, next(one for one in PAYERS if one.name == name), chain)


def test_of_ten_settlements_at_once_one_wins(sandbox: Running) -> None:
    answer = played(sandbox, "settle_race", "evm")
    assert answer["waiting_for"] == []
    [told] = [line for line in answer["did"] if "were answered" in line]
    answers = told.partition("answered: ")[2].split(", ")
    assert answers[0] == "9 × nothing_to_settle"
    assert answers[1].startswith("1 × stl_")


def test_every_scenario_stands_in_the_list_and_in_the_help(sandbox: Running) -> None:
    listed = sandbox.get("/v1/sandbox/triggers")["data"]
    assert [one["name"] for one in listed] == [one.name for one in ALL]
    said = command("trigger", "--help").stdout
    for one in ALL:
        assert f"\n   {one.name} " in said, one.name
        for type_ in one.events:
            assert type_ in said


def test_a_scenario_is_triggered_from_the_command_line(stack: Stack) -> None:
    where = ("--data-dir", str(stack.data_dir))
    answer = json.loads(command("trigger", "checkout.session.canceled", "--json", *where).stdout)
    assert {event["type"] for event in answer["events"]} == {
        "checkout.session.created",
        "checkout.session.canceled",
    }
    assert "checkout.session.canceled" in command("trigger", "session_canceled", *where).stdout
    refused = command("trigger", "nothing", *where)
    assert refused.returncode == 1
    assert "no scenario nothing" in refused.stderr


def test_pay_takes_a_payer_by_name_or_by_the_amounts_ending(sandbox: Running, stack: Stack) -> None:
    where = ("--data-dir", str(stack.data_dir), "--chain", "evm", "--json")
    for amount, named in ((40_000, ("--as", "short")), (40_004, ())):
        session = sandbox.post("/v1/checkout/sessions", {"amount_tiyn": amount}, "merchant")
        paid = json.loads(command("pay", session["id"], *named, *where).stdout)
        assert (paid["scenario"], paid["session"]) == ("short", session["id"])
        shown = sandbox.get(f"/v1/checkout/sessions/{session['id']}")
        assert (shown["status"], shown["reason"]) == ("open", "underpaid")


def test_a_button_of_the_payment_page_has_a_simulated_payer_pay(sandbox: Running) -> None:
    session = sandbox.post("/v1/checkout/sessions", {"amount_tiyn": 30_000}, "merchant")
    url, api = f"/pay/{session['id']}/simulate", sandbox.endpoints["api"]
    with httpx2.Client(base_url=api, timeout=60) as browser:
        page = browser.get(f"/pay/{session['id']}?lang=en").text
        assert '<button name="profile" value="over">Pay too much</button>' in page
        foreign = browser.post(url, data={"profile": "over"}, headers={"Origin": "http://a.test"})
        assert (foreign.status_code, foreign.json()["code"]) == (403, "origin_not_allowed")
        for body, code in (
            ({"profile": "settled"}, "scenario_unknown"),
            ({"profile": "over", "chain": "bitcoin"}, "not_found"),
            ({"amount": "1"}, "invalid_request"),
        ):
            assert browser.post(url, json=body).json()["code"] == code
        form = {"profile": "over", "chain": "evm"}
        sent = browser.post(f"{url}?lang=en", data=form, headers={"Origin": api})
        assert (sent.status_code, sent.headers["location"]) == (
            303,
            f"/pay/{session['id']}?lang=en",
        )
    until = time.monotonic() + 30
    while (shown := sandbox.get(f"/v1/checkout/sessions/{session['id']}"))["status"] == "open":
        assert time.monotonic() < until
    assert (shown["status"], shown["reason"]) == ("complete", "overpaid")


class Caller:
    """A merchant's server that sees exactly what comes back, or that nothing does."""

    def __init__(self, sandbox: Running, role: Any = "merchant") -> None:
        self._key = sandbox.key(role)
        self._http = httpx2.Client(base_url=sandbox.endpoints["api"], timeout=20)

    def close(self) -> None:
        self._http.close()

    def ask(self, key: str, simulate: str | None, method: str = "POST") -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self._key}", "Idempotency-Key": key}
        if simulate is not None:
            headers["Sandbox-Simulate"] = simulate
        body = {"json": {"amount_tiyn": 12_300}} if method == "POST" else {}
        return self._http.request(method, "/v1/checkout/sessions", headers=headers, **body)


@pytest.fixture
def caller(sandbox: Running) -> Iterator[Caller]:
    made = Caller(sandbox)
    yield made
    made.close()


def test_a_simulation_that_is_none_or_nobodys_is_refused(sandbox: Running, caller: Caller) -> None:
    answer = caller.ask("sim-1", "earthquake")
    assert (answer.status_code, answer.json()["code"]) == (400, "simulation_unknown")
    assert "answer_lost" in answer.json()["known"]
    answer = caller.ask("sim-2", "error", method="GET")
    assert (answer.status_code, answer.json()["code"]) == (400, "simulation_not_here")
    other = Caller(sandbox, "regulator")
    answer = other.ask("sim-3", "error")
    other.close()
    assert (answer.status_code, answer.json()["code"]) == (403, "role_may_not")


@pytest.mark.parametrize(
    ("simulation", "status", "code"),
    [
        ("error", 500, "simulated_error"),
        ("unavailable", 503, "unavailable"),
        ("rate_limited", 429, "rate_limited"),
    ],
)
def test_what_is_refused_by_simulation_was_not_carried_out_and_may_come_again(
    caller: Caller, simulation: str, status: int, code: str
) -> None:
    key = f"refused-{simulation}"
    answer = caller.ask(key, simulation)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["simulated"] is True
    again = caller.ask(key, None)
    assert again.status_code == 201
    assert "idempotency-replayed" not in again.headers


@pytest.mark.parametrize(
    ("simulation", "is_done"), [("answer_lost", True), ("request_lost", False)]
)
def test_a_lost_answer_was_carried_out_once_and_a_lost_request_not(
    caller: Caller, simulation: str, is_done: bool
) -> None:
    with pytest.raises(httpx2.TransportError):
        caller.ask(simulation, simulation)
    again = caller.ask(simulation, None)
    assert again.status_code == 201
    assert again.headers.get("idempotency-replayed") == ("true" if is_done else None)


@pytest.mark.long
@pytest.mark.parametrize("one", [*PAYERS, *PLAYS], ids=lambda one: one.name)
@pytest.mark.parametrize("chain", CHAINS)
def test_every_scenario_keeps_its_promise(sandbox: Running, chain: str, one: Scenario) -> None:
    keeps_its_promise(sandbox, one, chain)


@pytest.mark.long
def test_after_all_of_them_the_books_are_in_order(sandbox: Running) -> None:
    sandbox.quiesce()
    audit = sandbox.get("/v1/sandbox/audit")
    assert audit["ok"], [check for check in audit["checks"] if not check["ok"]]
