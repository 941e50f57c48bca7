"""Attestations of a running sandbox, made, exported and verified by command."""

import json
from pathlib import Path
from typing import Any

import pytest

from merchants.client import MerchantClient
from sandbox.bank.accounts import RESERVE_IBAN
from sandbox.cli import pay
from sandbox.cli.endpoints import Running, wait_for
from tests.journeys.customers import CHAINS
from tests.journeys.stack import command, last_json


@pytest.fixture(scope="module")
def made(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an attestation, the log after it, the bank's statement, and a branch."""
    running, folder = stack.running, tmp_path_factory.mktemp("attested")
    with MerchantClient(running.endpoints["api"], running.key("merchant")) as shop:
        for chain in CHAINS:
            session = shop.create_session(20_000)
            pay.pay(running, stack.data_dir, session["id"], chain, "resident", None)
        running.quiesce()
    home = ("--data-dir", str(stack.data_dir), "--json")
    file = folder / "att.json"
    assert command("attest", "make", str(file), *home).returncode == 0
    assert command("log", "export", str(folder / "log"), *home).returncode == 0
    id_ = json.loads(file.read_text())["id"]
    branch = running.get(f"/v1/reserve/attestations/{id_}/branch", "merchant")
    (folder / "branch.json").write_text(json.dumps(branch))
    statements = running.get("/v1/bank/statements", "operator", account=RESERVE_IBAN)
    (folder / "statement.json").write_text(json.dumps(statements["data"][0]))
    return folder


def _verify(made: Path, file: Path, vkey: str) -> tuple[int, dict[str, Any]]:
    answer = command(
        "attest", "verify", str(file), "--log", str(made / "log"), "--vkey", vkey,
        "--statement", str(made / "statement.json"), "--json",
    )  # fmt: skip
    return answer.returncode, last_json(answer.stdout)


def test_an_attestation_is_recomputed_offline_from_the_log_of_both_chains(
    made: Path, sandbox: Running
) -> None:
    vkey = sandbox.endpoints["log_vkey"]
    code, report = _verify(made, made / "att.json", vkey)
    assert (code, report["differences"]) == (0, [])
    said = report["said"]
    assert {one["chain"] for one in said["chains"]} == set(CHAINS)
    assert all(one["supply_units"] >= 10**10 for one in said["chains"])
    assert said["ratio"] >= "1.0000"


def test_an_attestation_that_was_altered_is_refused_by_name(
    made: Path, sandbox: Running, tmp_path: Path
) -> None:
    altered = json.loads((made / "att.json").read_text())
    altered["chains"][0]["supply_units"] -= 1
    file = tmp_path / "altered.json"
    file.write_text(json.dumps(altered))
    code, report = _verify(made, file, sandbox.endpoints["log_vkey"])
    assert (code, [one["code"] for one in report["differences"]]) == (1, ["file"])


def test_a_merchants_branch_is_verified_offline(
    made: Path, sandbox: Running, tmp_path: Path
) -> None:
    vkey = sandbox.endpoints["log_vkey"]
    shown = json.loads((made / "branch.json").read_text())
    assert {one["chain"] for one in shown["branches"]} == set(CHAINS)
    answer = command("attest", "branch", str(made / "branch.json"), "--vkey", vkey)
    assert answer.returncode == 0, answer.stderr
    shown["branches"][0]["units"] += 1
    (tmp_path / "branch.json").write_text(json.dumps(shown))
    answer = command("attest", "branch", str(tmp_path / "branch.json"), "--vkey", vkey, "--json")
    assert answer.returncode == 1
    assert last_json(answer.stdout)["differences"][0]["code"] == "branch"


def test_a_running_sandbox_reconciles_itself(sandbox: Running) -> None:
    found = wait_for(
        "a turn",
        lambda: sandbox.get("/v1/reserve", "regulator"),
        lambda reserve: reserve["reconciliation"] is not None,
    )
    assert found["reconciliation"]["lines_red"] == 0
    assert found["breaches"] == []
    assert found["reconciliation"]["lines_judged"] > 20
