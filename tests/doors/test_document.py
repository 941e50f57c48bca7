"""The API held to its own document by schemathesis: no 5xx, nothing that the document forbids.

Once per role, with the operations that the role may call and ids of objects that exist. The two
refusals from 500 on that CONTRACT 10 has are in the document, with their codes; no others pass.
"""

import copy
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from sandbox.cli import pay
from sandbox.cli.endpoints import JsonObject, Running
from tests.shapes import closed

ROLES = ("operator", "developer", "merchant", "issuer", "regulator")
# Between them they may call every operation but few; all roles have their turn in the long run.
CHECKS = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance"),
    *("response_schema_conformance", "response_headers_conformance"),
)
# The stream does not end by itself; tests/eventlog reads it. Another world would take the ids of
# this one with it, and everybody is refused while one moves in; tests/worlds breaks those.
LEFT_OUT = (
    "/v1/events/stream",
    "/v1/sandbox/snapshots",
    "/v1/sandbox/snapshots/{name}/restore",
    "/v1/sandbox/reset",
    "/v1/sandbox/forks",
    # Whoever switches a limit on is held by it from there on.
    "/v1/sandbox/rate_limits",
)
LISTS = {
    "merchant_id": "/v1/merchants",
    "session_id": "/v1/checkout/sessions",
    "payment_id": "/v1/payments",
    "refund_id": "/v1/refunds",
    "stray_id": "/v1/stray_transfers",
    "settlement_id": "/v1/settlements",
    "payout_id": "/v1/payouts",
    "deposit_id": "/v1/reserve/deposits",
    "issuance_id": "/v1/reserve/issuances",
    "event_id": "/v1/events",
    "endpoint_id": "/v1/webhook_endpoints",
    "delivery_id": "/v1/webhook_deliveries",
}
SEED = 20_261_121


@pytest.fixture(scope="module")
def ids(stack: Any) -> dict[str, list[str]]:
    """Ids of objects of each kind, after a day with a bit of everything."""
    sandbox: Running = stack.running
    sandbox.post("/v1/webhook_endpoints", {"url": "http://127.0.0.1:9/hook"}, "merchant")
    for chain in ("solana", "evm"):
        made = sandbox.post("/v1/checkout/sessions", {"amount_tiyn": 10_000}, "merchant")
        pay.pay(sandbox, stack.data_dir, made["id"], chain, "resident", 12_000)
        sandbox.quiesce()
        [payment] = sandbox.get(f"/v1/checkout/sessions/{made['id']}")["payments"]
        asked = {"payment": payment["id"], "amount_tiyn": 1_000}
        sandbox.post("/v1/refunds", asked, "merchant")
        sandbox.quiesce()
    sandbox.post("/v1/settlements", {}, "merchant")
    sandbox.quiesce()
    sandbox.advance(86_400)
    sandbox.quiesce()
    found = {
        name: [row["id"] for row in sandbox.get(path, limit=100)["data"]][:5]
        for name, path in LISTS.items()
    }
    # Not one that is in use: a run that revokes its own key would see nothing but refusals.
    merchant = sandbox.endpoints["keys"]["merchant_id"]
    spare = {"role": "developer", "merchant_id": merchant}
    found["key_id"] = [sandbox.post("/v1/api_keys", spare)["id"] for _ in range(4)]
    asked = {
        "name": "Spare",
        "bin": "260340000302",
        "iban": "KZ41722C000000000001",
        "knp": "859",
        "kbe": "17",
    }
    found["spare_merchant_id"] = [sandbox.post("/v1/merchants", asked)["id"]]
    found["account"] = [row["iban"] for row in sandbox.get("/v1/merchants")["data"]]
    found["level"], found["path"] = ["0"], ["000.p/1", "000.p/7"]
    assert all(found.values()), found
    return found


def key_of(sandbox: Running, role: str) -> str:
    if role != "developer":
        return str(sandbox.endpoints["keys"][role])
    merchant = sandbox.endpoints["keys"]["merchant_id"]
    asked = {"role": "developer", "merchant_id": merchant}
    return str(sandbox.post("/v1/api_keys", asked)["key"])


def part_of(document: JsonObject, role: str, ids: dict[str, list[str]]) -> JsonObject:
    """The document with the operations of a role, and ids that exist beside one that does not."""
    part = copy.deepcopy(document)
    for path, operations in list(part["paths"].items()):
        for method, operation in list(operations.items()):
            if path in LEFT_OUT or role not in operation.get("x-roles", {role: "yes"}):
                del operations[method]
                continue
            for parameter in operation.get("parameters", ()):
                # Who is closed stays closed: not the merchant that others use.
                spare = f"spare_{parameter['name']}" if path.endswith("/status") else ""
                if (known := ids.get(spare, ids.get(parameter["name"]))) is not None:
                    parameter["schema"] = {"type": "string", "enum": [*known, "nothing_of_it"]}
        if not operations:
            del part["paths"][path]
    for model, schema in part["components"]["schemas"].items():
        if not model.endswith("In"):
            # An answer with a member that its shape does not name contradicts the document too.
            if model != "Problem":
                part["components"]["schemas"][model] = closed(schema)
            continue
        fields = schema.get("properties", {})
        for name in ("payment", "deposit"):
            if name in fields:
                fields[name] = {"type": "string", "enum": ids[f"{name}_id"]}
        if "timeout_s" in fields:
            # Nothing here is worth a minute of waiting.
            fields["timeout_s"] = {"type": "integer", "minimum": 0, "maximum": 1}
    return part


def operations_of(part: JsonObject) -> Iterator[tuple[str, str, JsonObject]]:
    """(method, path, operation) of each operation of a document."""
    for path, operations in part["paths"].items():
        for method, operation in operations.items():
            yield method.upper(), path, operation


def settings_of(part: JsonObject, role: str, *, is_whole: bool) -> str:
    """schemathesis.toml: which refusals from 500 on are documented, and what is covered here."""
    written = ""
    for method, path, operation in operations_of(part):
        own = ""
        if refusals := [code for code in operation["responses"] if code.startswith("5")]:
            expected = ["2xx", "4xx", *refusals]
            own += f"checks.not_a_server_error.expected-statuses = {expected}\n"
        first = next(one for one in ROLES if one in operation["x-roles"])
        if role != first and not is_whole:
            # Borders of types are the same for all who may call it: one role walks along them.
            own += "phases.examples.enabled = false\nphases.coverage.enabled = false\n"
        if own:
            written += f'[[operations]]\ninclude-name = "{method} {path}"\n{own}'
    return written


def hold(
    sandbox: Running, part: JsonObject, role: str, folder: Path, *options: str, is_whole: bool
) -> None:
    """Run schemathesis on a part of the document. Fails with what it said."""
    key = key_of(sandbox, role)
    path = folder / "openapi.json"
    path.write_text(json.dumps(part))
    (folder / "schemathesis.toml").write_text(settings_of(part, role, is_whole=is_whole))
    run = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--no-color", "run", str(path)),
            *("--url", sandbox.endpoints["api"], "--checks", ",".join(CHECKS)),
            *("--header", f"Authorization: Bearer {key}"),
            *("--seed", str(SEED), "--generation-database", "none", "--no-shrink"),
            *("--suppress-health-check", "all", "--request-timeout", "60", "--warnings", "off"),
            *options,
        ],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=900,
    )
    assert run.returncode == 0, run.stdout[-12_000:] + run.stderr[-2_000:]
    assert "No issues found" in run.stdout, run.stdout[-3_000:]
    url, headers = sandbox.endpoints["api"] + "/v1/reserve", {"Authorization": f"Bearer {key}"}
    assert httpx2.get(url, headers=headers).status_code == 200, "it had a key until the end"


@pytest.fixture(scope="module")
def document(stack: Any) -> JsonObject:
    found: JsonObject = httpx2.get(stack.running.endpoints["api"] + "/openapi.json").json()
    return found


def stays_whole(sandbox: Running) -> None:
    """After all that was asked, and with the bank mended, the books are right."""
    for fault in sandbox.get("/v1/sandbox/faults", "operator")["data"]:
        switch = {"fault": fault["fault"], "times": 0}
        sandbox.post("/v1/sandbox/faults", switch, "operator")
    sandbox.quiesce(120)
    audit = sandbox.get("/v1/sandbox/audit")
    assert audit["ok"], [check for check in audit["checks"] if not check["ok"]]


@pytest.mark.parametrize("role", [pytest.param("operator", marks=pytest.mark.long), "merchant"])
def test_no_answer_of_the_api_contradicts_its_document(
    sandbox: Running, document: JsonObject, ids: dict[str, list[str]], role: str, tmp_path: Path
) -> None:
    part = part_of(document, role, ids)
    bounds = ("--phases", "examples,coverage,fuzzing", "--max-examples", "2")
    hold(sandbox, part, role, tmp_path, *bounds, is_whole=False)
    stays_whole(sandbox)


def test_an_answer_that_contradicts_the_document_is_found(
    sandbox: Running, document: JsonObject, ids: dict[str, list[str]], tmp_path: Path
) -> None:
    part = part_of(document, "operator", ids)
    path = "/v1/sandbox/clock"
    wrong = part["paths"][path]["get"]
    wrong["responses"]["200"]["content"]["application/json"]["schema"] = {"type": "integer"}
    part["paths"] = {path: {"get": wrong}}
    with pytest.raises(AssertionError, match="Response violates schema"):
        hold(sandbox, part, "operator", tmp_path, "--max-examples", "1", is_whole=True)
    wrong["responses"]["200"]["content"]["application/json"]["schema"] = {
        "$ref": "#/components/schemas/Clock"
    }
    del part["components"]["schemas"]["Clock"]["properties"]["offset_ms"]
    part["components"]["schemas"]["Clock"]["required"].remove("offset_ms")
    with pytest.raises(AssertionError, match="offset_ms"):
        hold(sandbox, part, "operator", tmp_path, "--max-examples", "1", is_whole=True)


def test_only_three_refusals_from_500_on_are_documented(document: JsonObject) -> None:
    found = {
        (method, path, code)
        for method, path, operation in operations_of(document)
        for code in operation["responses"]
        if code.startswith("5") and path.startswith("/v1/")
    }
    # What changes the world may find no supervisor, or no room.
    worlds = {one for one in found if one[1] in LEFT_OUT or "/snapshots" in one[1]}
    assert {code for _, _, code in worlds} == {"501", "507"}
    found -= worlds
    assert found == {
        ("POST", "/v1/sandbox/faucet", "503"),
        ("POST", "/v1/sandbox/quiesce", "504"),
        ("POST", "/v1/sandbox/triggers", "504"),
    }


@pytest.mark.soak
@pytest.mark.parametrize("role", ROLES)
def test_no_answer_contradicts_the_document_for_ten_minutes(
    sandbox: Running, document: JsonObject, ids: dict[str, list[str]], role: str, tmp_path: Path
) -> None:
    part = part_of(document, role, ids)
    hold(sandbox, part, role, tmp_path, "--max-time", "120", is_whole=True)
    stays_whole(sandbox)
