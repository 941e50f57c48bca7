"""The `Request-Id` of an answer finds what the worker did because of it."""

import json
from pathlib import Path
from threading import Thread
from typing import Any

import httpx2

from merchants.listen import Receiver
from sandbox.cli import pay
from sandbox.cli.endpoints import Running, wait_for
from tests.journeys.customers import address_of, new_key
from tests.journeys.test_payments import captured
from tests.journeys.test_trouble import shop_of


def asked(sandbox: Running, path: str, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """(request id, body) of a POST as the seeded merchant."""
    answer = httpx2.post(
        sandbox.endpoints["api"] + path,
        json=body,
        headers={
            "Authorization": f"Bearer {sandbox.key('merchant')}",
            "Idempotency-Key": f"traced-{path}-{json.dumps(body)}",
        },
        timeout=30,
    )
    assert answer.is_success, answer.text
    return answer.headers["Request-Id"], answer.json()


def lines(folder: Path, request_id: str, **having: str) -> list[dict[str, Any]]:
    """What the worker said of one request; only lines with these members."""
    said = (folder / "logs" / "worker.log").read_text().splitlines(keepends=True)
    # The last line may be half written.
    found = [json.loads(line) for line in said if request_id in line and line.endswith("\n")]
    return [line for line in found if having.items() <= line.items()]


def told(
    folder: Path, request_id: str, *events: str, count: int, **having: str
) -> list[dict[str, Any]]:
    """The first `count` lines of these events, waited for."""
    return wait_for(
        "the worker's lines",
        lambda: [line for line in lines(folder, request_id, **having) if line["event"] in events],
        lambda found: len(found) >= count,
    )


def test_a_command_to_a_chain_is_told_with_the_request_that_asked_for_it(
    sandbox: Running, folder: Path
) -> None:
    for chain in ("solana", "evm"):
        body = {"chain": chain, "address": address_of(new_key(chain)), "amount_tiyn": 1_000}
        request_id, grant = asked(sandbox, "/v1/sandbox/faucet", body)
        found = told(folder, request_id, "intent signed", "intent done", count=2)
        assert [line["event"] for line in found] == ["intent signed", "intent done"]
        assert {line["intent"] for line in found} == {grant["id"]}


def test_a_webhook_is_told_with_the_request_that_caused_its_event(
    sandbox: Running, folder: Path
) -> None:
    with Receiver() as receiver, shop_of(sandbox) as shop:
        Thread(target=receiver.serve_forever, daemon=True).start()
        _, endpoint = asked(sandbox, "/v1/webhook_endpoints", {"url": receiver.url})
        receiver.secret = endpoint["secret"]
        # As other tests leave them behind: the attempts for it fail, and are told as well.
        _, deaf = asked(sandbox, "/v1/webhook_endpoints", {"url": "http://127.0.0.1:9/nobody"})
        made, session = asked(sandbox, "/v1/checkout/sessions", {"amount_tiyn": 5_000})
        pay.pay(sandbox, folder, session["id"], "solana", "traced", None)
        payment = captured(shop, session["id"])["payment"]["id"]
        back, refund = asked(sandbox, "/v1/refunds", {"payment": payment, "amount_tiyn": 1_000})
        for request_id, types in (
            (made, ["checkout.session.created"]),
            (back, ["refund.requested", "refund.completed"]),
        ):
            attempts = told(
                folder, request_id, "webhook attempt", count=len(types), endpoint=endpoint["id"]
            )
            assert {line["delivery_status"] for line in attempts} == {"delivered"}
            events = [shop.get(f"/v1/events/{line['event_id']}") for line in attempts]
            assert sorted(event["type"] for event in events) == sorted(types)
            assert not any("request_id" in event for event in events)
        commands = [line for line in lines(folder, back) if "intent" in line]
        assert {line["intent"] for line in commands} == {refund["id"]}
        receiver.shutdown()
        for made_here in (endpoint, deaf):
            shop.delete(f"/v1/webhook_endpoints/{made_here['id']}")
