"""The settlement report: what it shows, and that a file with one altered value is found out."""

import copy
import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.bank import simulator
from sandbox.cli import settlement as command
from sandbox.cli.log import VkeyNeeded
from sandbox.settlement import objects
from sandbox.settlement.verification import ReportWrong, verify
from tests.settlement.conftest import BIN, SHOP_IBAN, Town
from tests.settlement.logged import alterations, altered, report_of, sequenced


@pytest.fixture
def town(swept_town: Town) -> Town:
    """With deposit addresses: what a report tells is the same without."""
    return swept_town


async def settled_with_refund(town: Town) -> str:
    """The golden example's batch, paid out to its end."""
    first, _ = await town.pay(6000), await town.pay(4000)
    await town.refund(first, 2000)
    made = await town.settle()
    await town.world.carry_out()
    await town.bank_and_books()
    await town.set_clock("2026-11-20T09:00")
    await town.bank_and_books()
    return str(made["id"])


async def test_a_report_of_another_merchant_is_not_found(town: Town) -> None:
    id_ = await settled_with_refund(town)
    await town.merchant("other", SHOP_IBAN)
    answer = await town.world.get(f"/v1/settlements/{id_}/report", "other")
    assert answer.status_code == 404


async def test_proofs_before_the_log_has_the_events_are_refused_by_name(town: Town) -> None:
    id_ = await settled_with_refund(town)
    answer = await town.world.get(f"/v1/settlements/{id_}/report?proofs=1", "shop")
    assert (answer.status_code, answer.json()["code"]) == (409, "event_not_in_log_yet")
    plain = await town.get(f"/v1/settlements/{id_}/report")
    assert {line["position"] for line in plain["lines"]} == {None}


async def test_every_line_leads_to_payment_transaction_entry_and_position(
    any_town: Town, tmp_path: Path
) -> None:
    town = any_town
    id_ = await settled_with_refund(town)
    vkey = await sequenced(town, tmp_path)
    report = await report_of(town, id_)
    assert [(one["amount_tiyn"], one["refunded_tiyn"]) for one in report["lines"]] == [
        (6000, 2000),
        (4000, 0),
    ]
    for line in report["lines"]:
        payment = await town.get(f"/v1/payments/{line['payment']}")
        assert (line["tx"], line["entry"]) == (payment["tx"], payment["capture_entry"])
        assert report["proofs"][line["event"]]["position"] == line["position"]
    (refund,) = report["lines"][0]["refunds"]
    assert (refund["amount_tiyn"], refund["position"] is None) == (2000, False)
    (burn,) = report["burns"]
    assert burn["tx"]
    assert burn["entry"]
    assert report["fee"] | {"event": "", "epoch": 1, "position": 0, "entry": ""} == {
        "status": "paid",
        "amount_tiyn": 80,
        "collected_tiyn": 0,
        "vat_tiyn": 11,
        "without_vat_tiyn": 69,
        "entry": "",
        "event": "",
        "epoch": 1,
        "position": 0,
    }
    assert (report["payout"]["status"], report["payout"]["iban"]) == ("completed", SHOP_IBAN)
    assert report["check"] == (await town.settlement(id_))["check"]
    held = verify(report, vkey)
    assert (held.lines, held.check["paid_tiyn"]) == (2, 7920)


async def test_whoever_is_not_the_owner_sees_no_account_and_can_verify_all_else(
    town: Town, tmp_path: Path
) -> None:
    id_ = await settled_with_refund(town)
    vkey = await sequenced(town, tmp_path)
    report = await report_of(town, id_, "regulator")
    assert SHOP_IBAN not in str(report)
    assert "iban_salt" not in report["payout"]
    assert verify(report, vkey).lines == 2


async def test_each_altered_value_of_a_report_is_found(town: Town, tmp_path: Path) -> None:
    id_ = await settled_with_refund(town)
    vkey = await sequenced(town, tmp_path)
    report = await report_of(town, id_)
    verify(report, vkey)
    tried = list(alterations(report))
    assert len(tried) > 150
    passed = []
    for path, value in tried:
        try:
            verify(altered(report, path, value), vkey)
        except ReportWrong:
            continue
        passed.append(path)
    assert passed == []


async def test_the_first_line_that_is_wrong_is_named(town: Town, tmp_path: Path) -> None:
    id_ = await settled_with_refund(town)
    vkey = await sequenced(town, tmp_path)
    report = await report_of(town, id_)
    payment = report["lines"][1]["payment"]
    with pytest.raises(ReportWrong) as wrong:
        verify(altered(report, ("lines", 1, "fee_tiyn"), 41), vkey)
    assert f"lines[1] ({payment})" in str(wrong.value)


@pytest.mark.parametrize("part", ["lines", "burns", "history", "openings", "payout", "check"])
async def test_a_report_with_something_left_out_is_found(
    town: Town, tmp_path: Path, part: str
) -> None:
    id_ = await settled_with_refund(town)
    vkey = await sequenced(town, tmp_path)
    report = await report_of(town, id_)
    without: dict[str, Any] = {name: value for name, value in report.items() if name != part}
    with pytest.raises(ReportWrong):
        verify(without, vkey)
    if report[part] and isinstance(report[part], list):
        with pytest.raises(ReportWrong):
            verify(report | {part: report[part][1:]}, vkey)


async def test_a_refund_or_proof_left_out_is_found(town: Town, tmp_path: Path) -> None:
    id_ = await settled_with_refund(town)
    vkey = await sequenced(town, tmp_path)
    report = await report_of(town, id_)
    event = report["lines"][0]["refunds"][0]["event"]
    hidden = copy.deepcopy(report)
    hidden["lines"][0]["refunds"] = []
    del hidden["proofs"][event]
    with pytest.raises(ReportWrong, match="refunded"):
        verify(hidden, vkey)
    for id_ in report["proofs"]:
        rest = {event: proof for event, proof in report["proofs"].items() if event != id_}
        with pytest.raises(ReportWrong):
            verify(report | {"proofs": rest}, vkey)


async def test_another_logs_key_proves_nothing(town: Town, tmp_path: Path) -> None:
    id_ = await settled_with_refund(town)
    await sequenced(town, tmp_path)
    report = await report_of(town, id_)
    other = "log.example/kzte-settlement+5e64352b+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c"
    with pytest.raises(ReportWrong, match="receipt"):
        verify(report, other)


async def test_a_returned_payout_is_the_next_reports_opening(town: Town, tmp_path: Path) -> None:
    await town.pay(6000)
    first = await town.settle()
    await town.world.carry_out()
    await town.bank_and_books()
    await town.set_clock("2026-11-20T09:00")
    await town.bank_and_books()
    async with town.database.transaction() as db:
        await simulator.return_payment(db, first["payout"]["id"])
    await town.bank_and_books()
    await town.pay(1000)
    second = await town.settle()
    await town.world.carry_out()
    await town.bank_and_books()
    vkey = await sequenced(town, tmp_path)
    report = await report_of(town, second["id"])
    assert [(one["source"], one["amount_tiyn"]) for one in report["openings"]] == [
        (first["payout"]["id"], 5940)
    ]
    assert verify(report, vkey).check["opening_tiyn"] == 5940
    page = await town.world.get(f"/v1/settlements/{second['id']}/report?format=html", "shop")
    assert first["payout"]["id"] in page.text
    passed = []
    for path, value in alterations(report["openings"], ("openings",)):
        try:
            verify(altered(report, path, value), vkey)
            passed.append(path)
        except ReportWrong:
            pass
    assert passed == []


async def test_lines_beyond_what_the_leaf_holds_are_found_by_their_hash(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "LINES_IN_AN_EVENT", 1)
    id_ = await settled_with_refund(town)
    vkey = await sequenced(town, tmp_path)
    report = await report_of(town, id_)
    assert verify(report, vkey).lines == 2
    for path, value in alterations(report["lines"], ("lines",)):
        with pytest.raises(ReportWrong):
            verify(altered(report, path, value), vkey)
    with pytest.raises(ReportWrong):
        verify(report | {"lines": report["lines"][:1]}, vkey)


@pytest.mark.parametrize("as_json", [False, True])
async def test_the_command_names_the_first_wrong_line_and_ends_with_1(
    town: Town, tmp_path: Path, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    id_ = await settled_with_refund(town)
    vkey = await sequenced(town, tmp_path)
    report = await report_of(town, id_)
    file = tmp_path / "report.json"
    file.write_text(json.dumps(report))
    assert command.verify(file, vkey, tmp_path, as_json) == 0
    assert id_ in capsys.readouterr().out
    file.write_text(json.dumps(altered(report, ("lines", 0, "amount_tiyn"), 6001)))
    assert command.verify(file, vkey, tmp_path, as_json) == 1
    said = capsys.readouterr().out
    assert "lines[0]" in said
    assert "6001, the log proves 6000" in said
    assert command.verify(file, "no key", tmp_path, as_json) == 1
    assert "vkey" in capsys.readouterr().out
    file.write_text("no report")
    with pytest.raises(command.ReportUnreadable):
        command.verify(file, vkey, tmp_path, as_json)
    with pytest.raises(VkeyNeeded):
        command.verify(file, None, tmp_path, as_json)


async def test_csv_and_page_show_the_same_lines(town: Town) -> None:
    id_ = await settled_with_refund(town)
    path = f"/v1/settlements/{id_}/report"
    as_json = await town.get(path)
    as_csv = await town.world.get(f"{path}?format=csv", "shop")
    assert as_csv.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(as_csv.text)))
    lines = [row for row in rows if row["row"] == "line"]
    assert [(row["id"], int(row["net_tiyn"])) for row in lines] == [
        (line["payment"], line["net_tiyn"]) for line in as_json["lines"]
    ]
    check = {row["id"]: int(row["amount_tiyn"]) for row in rows if row["row"] == "check"}
    assert check == as_json["check"]
    page = await town.world.get(f"{path}?format=html", "shop")
    assert page.headers["content-type"].startswith("text/html")
    assert as_json["lines"][0]["tx"] in page.text
    (refund,) = (one for line in as_json["lines"] for one in line["refunds"])
    assert refund["tx"] in page.text
    assert refund["entry"] in page.text
    assert "mode payout" in page.text
    assert BIN in page.text
    assert BIN not in (await town.world.get(f"{path}?format=html", "operator")).text


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("text/csv", "text/csv"),
        ("text/html,application/xhtml+xml;q=0.9", "text/html"),
        ("*/*", "application/json"),
        ("image/png", "application/json"),
    ],
)
async def test_accept_chooses_the_form(town: Town, accept: str, form: str) -> None:
    await town.pay(6000)
    made = await town.ask()
    answer = await town.world.http.get(
        f"/v1/settlements/{made['id']}/report",
        headers={"Authorization": f"Bearer {town.world.keys['shop']}", "Accept": accept},
    )
    assert answer.headers["content-type"].startswith(form)


async def test_an_unknown_form_is_refused(town: Town) -> None:
    await town.pay(6000)
    made = await town.ask()
    answer = await town.world.get(f"/v1/settlements/{made['id']}/report?format=pdf", "shop")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
