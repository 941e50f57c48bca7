"""A log of several epochs, verified offline as the one history of its world."""

import base64
import json
from pathlib import Path

import pytest

from merchants.client import MerchantClient
from sandbox.cli import pay
from sandbox.cli.endpoints import JsonObject, Running, wait_for
from sandbox.eventlog.errors import BadReceipt
from sandbox.eventlog.export import export_url
from sandbox.eventlog.keys import of_epoch
from sandbox.eventlog.proofs import verify_receipt
from sandbox.eventlog.verify import verify_export, verify_url
from sandbox.reserve.verify import verify as verify_attestation
from sandbox.reserve.verify import verify_branch
from sandbox.settlement.verification import verify as verify_settlement
from tests.journeys.stack import command
from tests.worlds.doing import raw, red, restore, save, told, vkey_now


def buy(sandbox: Running, folder: Path, shop: MerchantClient) -> None:
    session = shop.create_session(20_000)
    pay.pay(sandbox, folder, session["id"], "evm", "resident", None)
    sandbox.quiesce()


def attested(sandbox: Running) -> JsonObject:
    made = sandbox.post("/v1/reserve/attestations", {}, "issuer")
    found: JsonObject = wait_for(
        "the attestation",
        lambda: sandbox.get(f"/v1/reserve/attestations/{made['id']}", "issuer"),
        lambda one: one["position"] is not None,
    )
    return found


def newest_proof(sandbox: Running) -> JsonObject:
    event = told(sandbox, "merchant")[-1]["id"]
    found: JsonObject = sandbox.get(f"/v1/events/{event}/proof", "merchant")
    return found


def checkpoint(sandbox: Running, path: Path) -> Path:
    path.write_bytes(raw(sandbox, "GET", "/log/checkpoint").content)
    return path


def test_everything_that_is_signed_verifies_offline_after_restores_of_restores(
    sandbox: Running, folder: Path, shop: MerchantClient, tmp_path: Path
) -> None:
    api, regulator = sandbox.endpoints["api"], sandbox.key("regulator")
    buy(sandbox, folder, shop)
    before, early = attested(sandbox), newest_proof(sandbox)
    monday = checkpoint(sandbox, tmp_path / "monday")
    save(sandbox, "line-1")
    shop.create_session(1)
    left, gone = attested(sandbox), newest_proof(sandbox)
    unkept = checkpoint(sandbox, tmp_path / "unkept")

    # A snapshot made in a restored epoch, taken up again behind another restore.
    first = restore(sandbox, "line-1")["epoch"]
    settled = shop.settle(sandbox.endpoints["keys"]["merchant_id"])
    sandbox.quiesce()
    save(sandbox, "line-2")
    buy(sandbox, folder, shop)
    restore(sandbox, "line-1")
    second = restore(sandbox, "line-2")["epoch"]
    assert (second, red(sandbox)) == (first + 2, [])
    buy(sandbox, folder, shop)
    after = attested(sandbox)
    assert red(sandbox) == []

    log, vkey = tmp_path / "log", vkey_now(folder)
    export_url(api, regulator, log)
    report = verify_export(log, vkey)
    line = [one.epoch for one in report.former]
    assert (report.findings, line[:2]) == ([], [first, early["epoch"]])
    assert {path.name for path in log.glob("e*")} == {f"e{epoch}" for epoch in line}
    # The one that runs says the same, and both still begin with what was seen before.
    over_http = verify_url(api, vkey, regulator, monday)
    assert (over_http.findings, over_http.former) == ([], report.former)
    assert verify_export(log, vkey, monday).findings == []
    assert [one.code for one in verify_export(log, vkey, unkept).findings] == ["world_restored"]
    # Whoever has kept the first epoch's key is told which epoch it is.
    [named, unsigned] = verify_export(log, of_epoch(vkey, 1)).findings
    assert (named.code, unsigned.code) == ("vkey_differs", "checkpoint_bad")
    assert f"--epoch {second}" in named.detail
    former = log / f"e{early['epoch']}"
    assert verify_export(former, of_epoch(vkey, early["epoch"]), unkept).findings == []

    for made in (before, after):
        assert verify_attestation(made, log, vkey).differences == []
    assert any(one["supply_units"] > 0 for one in after["chains"])
    assert [one.code for one in verify_attestation(left, log, vkey).differences] == ["not_logged"]

    branch = sandbox.get(f"/v1/reserve/attestations/{before['id']}/branch", "merchant")
    assert branch["branches"]
    assert verify_branch(branch, vkey).differences == []

    # What happened before the restore is proven to be of this world; what was left is not.
    proof = sandbox.get(f"/v1/events/{event_of(early)}/proof", "merchant")
    assert [link["epoch"] for link in proof["continued"][:2]] == [second, first]
    assert verify_receipt(proof, vkey) == early["position"]
    for stale in (early, gone, {**gone, "continued": proof["continued"]}):
        with pytest.raises(BadReceipt, match="take the receipt anew"):
            verify_receipt(stale, vkey)
    assert verify_receipt(early, of_epoch(vkey, early["epoch"])) == early["position"]
    refused = raw(sandbox, "GET", f"/v1/events/{event_of(gone)}/proof")
    assert (refused.status_code, refused.json()["code"]) == (404, "not_found")

    # A settlement of one epoch with a payment of another.
    wait_for(
        "the settlement",
        lambda: shop.get(f"/v1/settlements/{settled['id']}"),
        lambda found: bool(found["status"] == "settled"),
    )
    file = shop.get(f"/v1/settlements/{settled['id']}/report", proofs=1)
    assert {one["epoch"] for one in file["proofs"].values()} >= {early["epoch"], first}
    assert verify_settlement(file, vkey).settlement == settled["id"]

    # By command, and with a former epoch that is gone.
    (tmp_path / "after.json").write_text(json.dumps(after))
    by_hand = ("attest", "verify", str(tmp_path / "after.json"), "--log", str(log), "--vkey", vkey)
    assert command(*by_hand).returncode == 0
    former.rename(tmp_path / "hidden")
    assert "log_epoch_missing" in command(*by_hand).stdout


def event_of(receipt: JsonObject) -> str:
    return str(json.loads(base64.b64decode(receipt["leaf"]))["id"])
