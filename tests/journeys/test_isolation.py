"""Who may call what and see whose: the role table and two merchants, over every route."""

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from sandbox.cli import pay
from sandbox.cli.endpoints import JsonObject, Running, wait_for
from sandbox.core.http.roles import ROLES, RULES, Role

NOWHERE = "00000000000000000000000000"
# What an id in a path of the table is of: the list that shows such objects.
LISTS = {
    "merchant_id": "/v1/merchants",
    "key_id": "/v1/api_keys",
    "session_id": "/v1/checkout/sessions",
    "payment_id": "/v1/payments",
    "refund_id": "/v1/refunds",
    "stray_id": "/v1/stray_transfers",
    "settlement_id": "/v1/settlements",
    "payout_id": "/v1/payouts",
    "event_id": "/v1/events",
    "endpoint_id": "/v1/webhook_endpoints",
    "delivery_id": "/v1/webhook_deliveries",
}
OWN = sorted(rule for rule, access in RULES.items() if access.get("merchant") == "own")
# The stream has tests of its own in the log's.
OWN_LISTS = [
    path for method, path in OWN
    # What it asked itself, with the ids it tried, is the thief's own.
    if method == "GET" and "{" not in path
    and path not in ("/v1/events/stream", "/v1/request_logs")
]  # fmt: skip


@dataclass
class Shop:
    """A merchant of the running sandbox with one object of each kind."""

    id: str
    iban: str
    key: str
    http: httpx2.Client
    ids: dict[str, list[str]] = field(default_factory=dict)

    def call(self, method: str, path: str, body: JsonObject | None = None) -> httpx2.Response:
        headers = {
            "Authorization": f"Bearer {self.key}",
            "Idempotency-Key": secrets.token_hex(12),
        }
        return self.http.request(
            method, path, headers=headers, json=body if method == "POST" else None
        )

    def made(self, path: str, body: JsonObject) -> Any:
        answer = self.call("POST", path, body)
        assert answer.is_success, answer.text
        return answer.json()

    def listed(self, path: str) -> list[str]:
        answer = self.call("GET", f"{path}?limit=100")
        assert answer.status_code == 200, answer.text
        return [row["id"] for row in answer.json()["data"]]


def open_shop(sandbox: Running, http: httpx2.Client, iban: str, folder: Path) -> Shop:
    """A new merchant that was paid, overpaid, has refunded, settled, and listens."""
    asked = {"name": f"Shop of {iban}", "bin": "260340000002", "iban": iban}
    merchant = sandbox.post("/v1/merchants", asked)
    key = sandbox.post("/v1/api_keys", {"role": "merchant", "merchant_id": merchant["id"]})
    shop = Shop(merchant["id"], iban, key["key"], http)
    shop.made("/v1/webhook_endpoints", {"url": "http://127.0.0.1:9/hook"})
    first = shop.made("/v1/checkout/sessions", {"amount_tiyn": 10_000, "description": "tea"})
    pay.pay(sandbox, folder, first["id"], "solana", "resident", 12_000)
    sandbox.quiesce()
    payment = shop.listed("/v1/payments")[0]
    shop.made("/v1/refunds", {"payment": payment, "amount_tiyn": 1_000})
    sandbox.quiesce()
    shop.made("/v1/settlements", {})
    # A second payment that is in no batch: what a stranger might want to refund.
    second = shop.made("/v1/checkout/sessions", {"amount_tiyn": 5_000})
    pay.pay(sandbox, folder, second["id"], "solana", "resident", None)
    shop.made("/v1/checkout/sessions", {"amount_tiyn": 7_000})
    sandbox.quiesce()
    shop.ids = {name: shop.listed(path) for name, path in LISTS.items()}
    for name, found in shop.ids.items():
        assert found, name
    return shop


@pytest.fixture(scope="module")
def http(stack: Any) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=stack.running.endpoints["api"], timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def shops(stack: Any, http: httpx2.Client) -> tuple[Shop, Shop]:
    running = stack.running
    ibans = ("KZ62722C000000000011", "KZ35722C000000000012")
    return (
        open_shop(running, http, ibans[0], stack.data_dir),
        open_shop(running, http, ibans[1], stack.data_dir),
    )


def body_of(method: str, template: str, victim: Shop) -> JsonObject | None:
    """A body that would act on the victim's things."""
    bodies: dict[str, JsonObject] = {
        "/v1/refunds": {"payment": victim.ids["payment_id"][0], "amount_tiyn": 1},
        "/v1/settlements": {"merchant_id": victim.id},
        "/v1/api_keys": {"role": "merchant", "merchant_id": victim.id},
        "/v1/api_keys/{key_id}/rotate": {"overlap_s": 0},
        "/v1/stray_transfers/{stray_id}/resolve": {"action": "refund"},
        "/v1/checkout/sessions/{session_id}/cancel": {},
        "/v1/merchants/{merchant_id}": {"iban": "KZ62722C000000000011"},
        "/v1/merchants/{merchant_id}/settlement_terms": {"mode": "payout"},
        "/v1/merchants/{merchant_id}/fee_plans/{version}/consent": {},
        "/v1/webhook_endpoints/{endpoint_id}": {"status": "disabled"},
        "/v1/webhook_endpoints/{endpoint_id}/rotate_secret": {},
    }
    return bodies.get(template) if method == "POST" else None


def test_another_merchants_statement_is_not_found_as_xml(shops: tuple[Shop, Shop]) -> None:
    thief, victim = shops
    for day in ("2026-11-19", "2027-01-05"):
        answer = thief.call("GET", f"/v1/bank/statements/{victim.iban}/{day}.xml")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


# Accounts have numbers of their own, which no list shows; keys of requests and their log have tests
# of their own; an attestation is everybody's, and only the branch in it is the caller's.
@pytest.mark.parametrize(
    ("method", "template"),
    [
        r
        for r in OWN
        if re.search(r"\{\w+_id\}", r[1])
        and "attestation_id" not in r[1]
        and "request_id" not in r[1]
    ],
)
def test_another_merchants_object_is_not_found_on_any_route(
    shops: tuple[Shop, Shop], method: str, template: str
) -> None:
    [name] = re.findall(r"\{(\w+_id)\}", template)
    asked, template = template, template.replace("{version}", "1")
    thief, victim = shops
    body = body_of(method, asked, victim)
    for id_ in victim.ids[name]:
        path = template.replace("{" + name + "}", id_)
        answer = thief.call(method, path, body)
        assert answer.status_code == 404, (path, answer.text)
        assert answer.json()["code"] == "not_found"
    for name_, path_ in LISTS.items():
        assert victim.listed(path_) == victim.ids[name_], "and nothing changed"


@pytest.mark.parametrize("template", ["/v1/refunds", "/v1/settlements", "/v1/api_keys"])
def test_a_body_that_names_another_merchants_object_finds_nothing(
    shops: tuple[Shop, Shop], template: str
) -> None:
    thief, victim = shops
    answer = thief.call("POST", template, body_of("POST", template, victim))
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("template", OWN_LISTS)
def test_no_list_shows_another_merchants_objects(shops: tuple[Shop, Shop], template: str) -> None:
    thief, victim = shops
    cursors = [id_ for ids in victim.ids.values() for id_ in ids[:1]]
    filters = ("endpoint", "event", "merchant_id", "starting_after", "ending_before", "account")
    asked = [""] + [f"&{name}={id_}" for name in filters for id_ in (*cursors, victim.iban)]
    for query in asked:
        own = "account=" + thief.iban if template == "/v1/bank/statements" else ""
        if "account=" in query:
            own = ""
        answer = thief.call("GET", f"{template}?limit=100&{own}{query}")
        if answer.is_error:
            assert answer.status_code in (404, 422), answer.text
            continue
        for ids in victim.ids.values():
            for id_ in ids:
                assert id_ not in answer.text.replace(query[1:], ""), (template, query)
        assert victim.iban not in answer.text


ROLE_KEYS: tuple[Role, ...] = tuple(role for role in ROLES if role != "public")


@pytest.fixture(scope="module")
def keys(stack: Any, shops: tuple[Shop, Shop]) -> dict[Role, str]:
    """A key of each role that nobody seeded."""
    running, found = stack.running, {}
    for role in ROLE_KEYS:
        owner = {"merchant_id": shops[0].id} if role in ("merchant", "developer") else {}
        found[role] = running.post("/v1/api_keys", {"role": role, **owner})["key"]
    return found


@pytest.mark.parametrize(("method", "template"), sorted(RULES))
def test_each_route_answers_each_role_as_the_table_says(
    http: httpx2.Client, keys: dict[Role, str], method: str, template: str
) -> None:
    path = re.sub(r"\{\w+(:path)?\}", NOWHERE, template)
    rule = RULES[(method, template)]
    for role in ROLES:
        if template == "/v1/sandbox/reset" and rule.get(role) == "yes":
            continue  # it would leave the world that these keys live in; tests/worlds asks it
        headers = {"Authorization": f"Bearer {keys[role]}"} if role != "public" else {}
        # Neither a key nor a body that fits: who may call it is refused for that, and does nothing.
        body = b'{"no such member": 1}' if method == "POST" else None
        if template == "/v1/events/stream":
            headers["Last-Event-ID"] = "not a cursor"
        answer = http.request(method, path, headers=headers, content=body)
        if role not in rule:
            assert answer.status_code == (401 if role == "public" else 403), (role, answer.text)
        elif rule[role] == "seeded":
            assert answer.status_code == 403, (role, answer.text)
        else:
            assert answer.status_code not in (401, 403), (role, answer.text)
            assert answer.status_code < 500, (role, answer.text)


def test_a_revoked_key_is_no_key(stack: Any, shops: tuple[Shop, Shop]) -> None:
    shop, _ = shops
    made = shop.made("/v1/api_keys", {"role": "merchant"})
    other = Shop(shop.id, shop.iban, made["key"], shop.http)
    assert other.call("GET", "/v1/payments").status_code == 200
    assert shop.call("DELETE", f"/v1/api_keys/{made['id']}").status_code == 200
    wait_for(
        "the end of the key",
        lambda: other.call("GET", "/v1/payments").status_code,
        lambda status: status == 401,
        5,
    )
