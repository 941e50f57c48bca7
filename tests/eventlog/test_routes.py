import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from sandbox.core.api_version import LATEST
from sandbox.core.db import Database, Leader
from sandbox.eventlog import sequencer
from sandbox.eventlog.errors import BadReceipt
from sandbox.eventlog.export import export_url
from sandbox.eventlog.keys import LogKey
from sandbox.eventlog.merkle import leaf_hash
from sandbox.eventlog.proofs import verify_receipt
from sandbox.eventlog.tiles import decode_bundle, decode_hashes
from sandbox.eventlog.verify import verify_export, verify_url
from tests.eventlog.facts import append
from tests.eventlog.serving import Serving, bearer, create_app
from tests.eventlog.serving import key as api_key


@pytest.fixture
async def served(db_url: str) -> AsyncIterator[Serving]:
    async with Serving(create_app(db_url, signals=False)) as served:
        yield served


@pytest.fixture
async def http(served: Serving) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=served.url, trust_env=False) as client:
        yield client


@pytest.fixture
async def log(database: Database, leader: Leader, key: LogKey) -> list[str]:
    """258 events: the first of nobody, then by turns of two merchants; in three checkpoints."""
    ids = await append(database, 1, None, "minting.halted")
    await sequencer.Sequencer(database, leader, key).step()
    for count, merchant in ((100, "mch_1"), (56, "mch_2")):
        ids += await append(database, count, merchant)
    await sequencer.Sequencer(database, leader, key).step()
    ids += await append(database, 101, "mch_1", "payment.captured")
    await sequencer.Sequencer(database, leader, key).step()
    return ids


async def get(http: httpx2.AsyncClient, path: str, who: str | None, **params: Any) -> Any:
    answer = await http.get(path, params=params, headers=bearer(who) if who else {})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_entries_are_refused_without_a_key_and_to_every_role_but_the_regulator(
    http: httpx2.AsyncClient, log: list[str]
) -> None:
    path = "/log/tile/entries/000"
    assert (await http.get(path)).status_code == 401
    for who in ("m1", "operator", "issuer"):
        refused = await http.get(path, headers=bearer(who))
        assert (refused.status_code, refused.json()["code"]) == (403, "role_may_not")
    assert (await http.get(path, headers=bearer("regulator"))).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "0/001.p/3",
        "0/001",
        "0/002.p/1",
        "1/000",
        "1/000.p/2",
        "2/000.p/1",
        "00/000",
        "64/000",
        "x/000",
        "0/0",
        "0/000.p/256",
        "0/x000/000",
    ],
)
async def test_a_tile_that_the_log_has_not_or_spelled_otherwise_is_not_found(
    http: httpx2.AsyncClient, log: list[str], path: str
) -> None:
    assert (await http.get(f"/log/tile/{path}")).status_code == 404


async def test_a_log_that_is_not_open_yet_says_so(http: httpx2.AsyncClient) -> None:
    for path in ("/log/checkpoint", "/log/vkey"):
        answer = await http.get(path)
        assert (answer.status_code, answer.json()["code"]) == (503, "log_not_open")


@pytest.mark.parametrize("after", ["x", "1:", "0:5", "-2", "1:2:3", "9" * 30])
async def test_a_cursor_in_any_other_form_is_refused(
    http: httpx2.AsyncClient, log: list[str], after: str
) -> None:
    answer = await http.get("/v1/events", params={"after": after}, headers=bearer("m1"))
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_cursor")


@pytest.mark.parametrize("type_", ["", "%", "payment.", "payment*", "'", "*.final"])
async def test_an_event_type_in_any_other_form_is_refused(
    http: httpx2.AsyncClient, log: list[str], type_: str
) -> None:
    answer = await http.get("/v1/events", params={"type": type_}, headers=bearer("m1"))
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_event_type")


async def test_another_merchants_event_answers_as_if_it_were_not_there(
    http: httpx2.AsyncClient, log: list[str]
) -> None:
    for path in (f"/v1/events/{log[101]}", f"/v1/events/{log[101]}/proof"):
        assert (await http.get(path, headers=bearer("m1"))).status_code == 404
        assert (await http.get(path, headers=bearer("m2"))).status_code == 200
        assert (await http.get(path, headers=bearer("issuer"))).status_code == 403
    assert (await http.get(f"/v1/events/{log[0]}", headers=bearer("m1"))).status_code == 404


async def test_private_fields_reach_their_owner_only(
    http: httpx2.AsyncClient, log: list[str]
) -> None:
    own = await get(http, f"/v1/events/{log[1]}", "m1")
    assert own["data"]["description"] == "note 0"
    for who in ("regulator", "operator"):
        seen = await get(http, f"/v1/events/{log[1]}", who)
        assert "description" not in seen["data"]
    bundle = await http.get("/log/tile/entries/000", headers=bearer("regulator"))
    assert b"note 0" not in bundle.content


async def test_the_regulator_reads_all_by_position_in_pages(
    http: httpx2.AsyncClient, log: list[str]
) -> None:
    seen: list[dict[str, Any]] = []
    more = True
    while more:
        params = {"after": f"1:{seen[-1]['position']}"} if seen else {}
        page = await get(http, "/v1/events", "regulator", **params)
        seen += page["data"]
        more = page["has_more"]
    assert [event["id"] for event in seen] == log
    assert [event["position"] for event in seen] == list(range(258))
    assert seen[0]["sequence"] is None
    assert seen[0] | {"id": "", "created": ""} == {
        "object": "event",
        "id": "",
        "type": "minting.halted",
        "created": "",
        "epoch": 1,
        "position": 0,
        "sequence": None,
        "api_version": LATEST,
        "data": {"object": "payment", "amount_units": 0},
    }


async def test_a_merchant_reads_its_own_by_gapless_sequence(
    http: httpx2.AsyncClient, log: list[str]
) -> None:
    page = await get(http, "/v1/events", "m1", after="195")
    assert [event["sequence"] for event in page["data"]] == [196, 197, 198, 199, 200, 201]
    assert {event["position"] for event in page["data"]} == {None}
    assert page["has_more"] is False
    first = await get(http, "/v1/events", "m1", limit=3)
    assert [event["id"] for event in first["data"]] == log[1:4]
    assert first["has_more"] is True


async def test_events_are_filtered_by_type_and_by_group(
    http: httpx2.AsyncClient, log: list[str]
) -> None:
    captured = await get(http, "/v1/events", "m1", type="payment.captured", limit=1)
    assert captured["data"][0]["sequence"] == 101
    group = await get(http, "/v1/events", "regulator", type=["minting.*"])
    assert [event["position"] for event in group["data"]] == [0]


async def test_a_cursor_of_another_epoch_starts_anew(
    http: httpx2.AsyncClient, log: list[str]
) -> None:
    page = await get(http, "/v1/events", "m1", after="2:150", limit=1)
    assert page["data"][0]["sequence"] == 1


async def test_tiles_and_bundles_are_served_for_every_published_size(
    http: httpx2.AsyncClient, log: list[str]
) -> None:
    for width, name in ((1, "000.p/1"), (157, "000.p/157"), (256, "000"), (2, "001.p/2")):
        bundle = await http.get(f"/log/tile/entries/{name}", headers=bearer("regulator"))
        hashes = await http.get(f"/log/tile/0/{name}")
        assert hashes.headers["content-type"] == "application/octet-stream"
        entries = decode_bundle(bundle.content, width)
        assert decode_hashes(hashes.content, width) == [leaf_hash(entry) for entry in entries]
    assert len((await http.get("/log/tile/1/000.p/1")).content) == 32


async def test_a_merchants_receipt_verifies_with_the_key_alone(
    http: httpx2.AsyncClient, log: list[str], key: LogKey
) -> None:
    receipt = await get(http, f"/v1/events/{log[150]}/proof", "m2")
    assert receipt.keys() == {"epoch", "position", "leaf", "proof", "checkpoint"}
    assert verify_receipt(receipt, key.vkey(1)) == 150
    assert json.loads(base64.b64decode(receipt["leaf"]))["id"] == log[150]
    for changed in (
        {"position": 151},
        {"epoch": 2},
        {"proof": receipt["proof"][:-1]},
        {"leaf": base64.b64encode(b"{}").decode()},
        {"checkpoint": receipt["checkpoint"].replace("258", "259")},
    ):
        with pytest.raises(BadReceipt):
            verify_receipt(receipt | changed, key.vkey(1))
    with pytest.raises(BadReceipt):
        verify_receipt(receipt, key.vkey(2))


async def test_a_running_log_and_its_export_verify_with_the_key_alone(
    served: Serving,
    database: Database,
    leader: Leader,
    log: list[str],
    key: LogKey,
    tmp_path: Path,
) -> None:
    vkey = key.vkey(1)
    report = await asyncio.to_thread(verify_url, served.url, vkey, api_key("regulator"))
    assert report.findings == []
    assert (report.size, report.entries, report.origin) == (258, 258, "log.example/e1")
    public = await asyncio.to_thread(verify_url, served.url, vkey)
    assert public.ok
    assert (public.size, public.entries) == (258, 0)
    refused = await asyncio.to_thread(verify_url, served.url, vkey, api_key("m1"))
    assert [finding.code for finding in refused.findings] == ["refused"]

    folder = tmp_path / "export"
    await asyncio.to_thread(export_url, served.url, api_key("regulator"), folder)
    assert verify_export(folder, vkey).ok
    await append(database, 300)
    await sequencer.Sequencer(database, leader, key).step()
    since = folder / "checkpoint"
    grown = await asyncio.to_thread(verify_url, served.url, vkey, api_key("regulator"), since)
    assert grown.findings == []
    assert (grown.size, grown.since_size) == (558, 258)


async def test_a_verifier_that_reaches_nobody_says_so(key: LogKey) -> None:
    report = await asyncio.to_thread(verify_url, "http://127.0.0.1:9", key.vkey(1))
    assert [finding.code for finding in report.findings] == ["unreadable"]
