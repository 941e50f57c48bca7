"""Faults of every part in one table: switched on in a running sandbox, felt, and over again."""

import json
from typing import Any

import httpx2
import pytest

from sandbox.cli.endpoints import ApiError, JsonObject, Running, wait_for
from sandbox.core.http.simulating import SIMULATIONS
from sandbox.lab.faults import FAULTS
from tests.journeys.stack import Stack, command, last_json
from tests.worlds.doing import Hooks


def rows(sandbox: Running, fault: str) -> list[JsonObject]:
    table = sandbox.get("/v1/sandbox/faults")["data"]
    return [row for row in table if row["fault"] == fault]


def switch(sandbox: Running, fault: str, times: int, **more: Any) -> None:
    sandbox.post("/v1/sandbox/faults", {"fault": fault, "times": times, **more})


def test_a_fault_that_is_none_or_none_of_this_chain_is_refused(sandbox: Running) -> None:
    for fault, chain, code in (
        ("chain.earthquake", None, "fault_unknown"),
        ("chain.no_blocks", "bitcoin", "chain_unknown"),
        ("chain.rpc_stale", "evm", "fault_refused"),
        ("chain.reorg", "evm", "fault_refused"),
    ):
        with pytest.raises(ApiError) as refused:
            switch(sandbox, fault, 1000, **({"chain": chain} if chain else {}))
        assert refused.value.code == code, fault


def test_every_fault_says_what_breaks_and_what_recovers_and_can_be_switched(
    sandbox: Running,
) -> None:
    table = sandbox.get("/v1/sandbox/faults")["data"]
    assert {row["fault"] for row in table} == FAULTS.keys()
    for row in table:
        assert row["means"]
        assert row["recovers"]
        assert row["times"] == 0, row["fault"]
    for row in table:
        # These would strike this test's own requests, or the blocks of the others.
        if row["happens_at_once"] or row["fault"] == "chain.rpc_silent":
            continue
        where = {"chain": row["chain"]} if row["chain"] else {}
        # So many that the worker's own requests do not use them up meanwhile.
        switch(sandbox, row["fault"], 100 if "rpc_" not in row["fault"] else 3, **where)
        switch(sandbox, row["fault"], 0, **where)
    assert {row["times"] for row in sandbox.get("/v1/sandbox/faults")["data"]} == {0}
    sandbox.quiesce()


def test_a_drill_lasts_until_it_is_switched_off_and_on_its_chain_only(sandbox: Running) -> None:
    switch(sandbox, "chain.no_finality", 1, chain="evm")
    on = {row["chain"]: row["times"] for row in rows(sandbox, "chain.no_finality")}
    switch(sandbox, "chain.no_finality", 0)
    assert on == {"solana": 0, "evm": 1}
    assert {row["times"] for row in rows(sandbox, "chain.no_finality")} == {0}


def test_an_answer_lost_by_a_switch_is_recovered_from_by_a_repeat(
    sandbox: Running, stack: Stack
) -> None:
    where = ("--data-dir", str(stack.data_dir), "--json")
    on = json.loads(command("faults", "switch", "api.answer_lost", *where).stdout)
    assert [row["times"] for row in on["data"] if row["fault"] == "api.answer_lost"] == [1]
    headers = {
        "Authorization": f"Bearer {sandbox.key('merchant')}",
        "Idempotency-Key": "lost-by-a-switch",
    }
    with httpx2.Client(base_url=sandbox.endpoints["api"], timeout=20) as shop:
        with pytest.raises(httpx2.TransportError):
            shop.post("/v1/checkout/sessions", json={"amount_tiyn": 9_900}, headers=headers)
        again = shop.post("/v1/checkout/sessions", json={"amount_tiyn": 9_900}, headers=headers)
    assert again.headers["idempotency-replayed"] == "true"
    assert [row["times"] for row in rows(sandbox, "api.answer_lost")] == [0]


def test_a_fault_of_no_chain_is_listed_and_ended_with_the_rest(stack: Stack) -> None:
    where = ("--data-dir", str(stack.data_dir), "--json")
    command("faults", "switch", "bank.delay", "--times", "2", *where)
    assert json.loads(command("faults", "list", *where).stdout)["elsewhere"] == {"bank.delay": 2}
    of_one_chain = json.loads(command("faults", "clear", "--chain", "evm", *where).stdout)
    assert of_one_chain.keys() == {"evm"}
    assert json.loads(command("faults", "list", *where).stdout)["elsewhere"] == {"bank.delay": 2}
    assert json.loads(command("faults", "clear", *where).stdout)["elsewhere"] == {}


def test_a_new_wallet_pays_while_the_tokens_that_it_was_given_are_not_final(
    sandbox: Running, stack: Stack
) -> None:
    session = sandbox.post("/v1/checkout/sessions", {"amount_tiyn": 9_900}, "merchant")["id"]
    switch(sandbox, "chain.no_finality", 1, chain="solana")
    try:
        where = ("--data-dir", str(stack.data_dir), "--json")
        paid = json.loads(command("pay", session, "--as", "in-a-hurry", *where).stdout)
    finally:
        switch(sandbox, "chain.no_finality", 0)
    assert (paid["name"], paid["status"]) == ("in-a-hurry", "complete")


def test_a_webhook_whose_answer_is_lost_is_explained_and_taken_once_more(
    sandbox: Running, stack: Stack
) -> None:
    sandbox.quiesce()  # what others told before is not sent to this receiver
    with Hooks() as hooks:
        wanted = {"url": hooks.url, "types": ["checkout.session.created"]}
        endpoint = sandbox.post("/v1/webhook_endpoints", wanted, "merchant")
        where = ("--data-dir", str(stack.data_dir), "--json")
        assert command("faults", "switch", "webhook.answer_lost", *where).returncode == 0
        session = sandbox.post("/v1/checkout/sessions", {"amount_tiyn": 9_900}, "merchant")
        # It is over when the answer was lost, and so is the switch.
        wait_for(
            "the attempt",
            lambda: rows(sandbox, "webhook.answer_lost")[0]["times"] == 0 and hooks.bodies,
            bool,
        )
        assert command("clock", "advance", "6s", *where).returncode == 0
        sandbox.quiesce()
        told = last_json(command("explain", session["id"], *where).stdout)
        steps = {step["code"]: step for step in told["steps"] if step["kind"] == "delivery"}
        assert steps["webhook.failed"]["values"]["error"] == "simulated: webhook.answer_lost"
        assert steps["webhook.delivered"]["values"]["attempts"] == 2
        first, again = hooks.bodies
        assert first == again
        assert sandbox.get("/v1/sandbox/audit")["ok"] is True
    sandbox.delete(f"/v1/webhook_endpoints/{endpoint['id']}", "merchant")


def test_the_table_is_shown_on_the_command_line(stack: Stack) -> None:
    where = ("--data-dir", str(stack.data_dir))
    said = command("faults", "all", *where).stdout
    for name in FAULTS:
        assert name in said
    assert "nothing is switched on" in command(
        "faults", "switch", "bank.delay", "--times", "0", *where
    ).stdout  # fmt: skip


def test_every_simulation_is_a_fault_too() -> None:
    assert {f"api.{name}" for name in SIMULATIONS} <= FAULTS.keys()
