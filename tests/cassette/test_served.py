"""A recording through its doors: recorded by the proxy, served offline, sent again elsewhere."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Thread
from typing import Any

import httpx2
import pytest

from sandbox.cassette import tape
from sandbox.cassette.offline import Server
from sandbox.cassette.proxy import ACTS, recording
from sandbox.cassette.replaying import ActUnknown, Replay
from sandbox.cassette.tape import Cassette
from sandbox.cassette.world import World

HERE, THERE = "cs_01m838z2g0000002hayhsh0pde", "cs_01m838z2g000009mpfe3mw64dp"
KEY = "sk_sbx_01m838z2g000003b8jb2a25e2c_" + "a" * 32
NEW_KEY = "sk_sbx_01m838z2g000003b8jb2a25e2d_" + "b" * 32
LOG = "kzte.local/log/e1\n7\nroot=\n\n— sig\n"


def line(method: str, path: str, answer: Any, request: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "kind": "exchange", "method": method, "path": path, "caller": "merchant",
        "idempotency_key": "k1" if method == "POST" else None, "headers": {},
        "request": None if request is None else {"json": request}, "status": 200,
        "answer_headers": {}, "answer": {"text": answer} if isinstance(answer, str)
        else {"json": answer},
    } | more  # fmt: skip


def a_world(*lines: dict[str, Any], merchant: str = "mch_1") -> Cassette:
    """What a sandbox answers; the first lines are those that every recording asks for."""
    return Cassette(
        tape.header(merchant=merchant, kzte={"mint": merchant * 9}),
        [
            line("GET", "/log/checkpoint", LOG),
            line("GET", "/v1/sandbox/clock", {"now": "2026-11-23", "frozen": True}),
            line("POST", "/v1/sandbox/quiesce", {"quiet": True}, {"timeout_s": 60}),
            line("GET", "/v1/events?limit=100&after=1:6", {"data": [], "has_more": False}),
            *lines,
        ],
    )


@contextmanager
def served(*lines: dict[str, Any], merchant: str = "mch_1") -> Iterator[World]:
    server = Server(a_world(*lines, merchant=merchant))
    serving = Thread(target=server.serve_forever, daemon=True)
    serving.start()
    keys = {"merchant_id": merchant, "merchant": KEY, "operator": "sk_o", "regulator": "sk_r"}
    world = World({"api": server.url, "keys": keys, "kzte": {"mint": merchant * 9}})
    try:
        yield world
    finally:
        world.close()
        server.shutdown()
        serving.join()
        server.server_close()


def recorded(world: World, *asked: Sequence[Any]) -> Cassette:
    header = world.header()
    with recording(world) as (url, recorder), httpx2.Client(base_url=url) as client:
        for method, path, body, headers in asked:
            client.request(method, path, json=body, headers=headers)
    return world.finished(header, recorder.steps)


def test_what_is_not_recorded_is_refused_by_name_and_told() -> None:
    with served() as world:
        answer = world.http.get("/v1/payouts")
    assert (answer.status_code, answer.json()["code"]) == (501, "not_recorded")


def test_offline_answers_come_in_their_order_and_the_last_one_stays() -> None:
    lines = [line("GET", "/v1/x", {"status": status}) for status in ("open", "complete")]
    with served(*lines) as world:
        found = [world.http.get("/v1/x").json()["status"] for _ in range(3)]
    assert found == ["open", "complete", "complete"]


def test_offline_a_body_is_found_whatever_the_order_of_its_members() -> None:
    with served(line("POST", "/v1/x", {"ok": 1}, {"a": 1, "b": [2]}, status=201)) as world:
        assert world.http.post("/v1/x", json={"b": [2], "a": 1}).status_code == 201
        assert world.http.post("/v1/x", json={"b": [2], "a": 2}).status_code == 501


def test_no_secret_is_on_a_recording_and_the_program_gets_it_all_the_same() -> None:
    made = line("POST", "/v1/api_keys", {"key": NEW_KEY, "secret": "whsec_c2VjcmV0"}, {"role": "m"})
    with served(made) as world:
        header = world.header()
        with recording(world) as (url, recorder):
            headers = {"Authorization": f"Bearer {KEY}", "Idempotency-Key": "k1"}
            answer = httpx2.post(f"{url}/v1/api_keys", json={"role": "m"}, headers=headers)
            httpx2.get(f"{url}/v1/x", headers={"Authorization": f"Bearer {NEW_KEY}"})
        assert answer.json() == {"key": NEW_KEY, "secret": "whsec_c2VjcmV0"}
        found = world.finished(header, recorder.steps)
    text = str(found)
    assert not [secret for secret in (KEY, NEW_KEY, "c2VjcmV0") if secret in text]
    assert [step["caller"] for step in found.steps] == [
        "merchant", "key 01m838z2g000003b8jb2a25e2d",
    ]  # fmt: skip
    assert found.steps[0]["idempotency_key"] == "k1"


def test_the_address_of_the_sandbox_is_not_on_a_recording() -> None:
    with served(line("GET", "/v1/x", {"url": "{api}/pay/1"})) as world:
        found = recorded(world, ("GET", "/v1/x", None, {}))
        assert world.url not in str(found.steps)
    assert found.steps[0]["answer"] == {"json": {"url": "{api}/pay/1"}}


def test_replayed_requests_name_what_this_world_calls_otherwise() -> None:
    told = a_world(merchant="mch_01m838z2g00000017ghn5wm69v")
    del told.steps[:]
    told.steps.extend([
        line("POST", "/v1/x", {"id": HERE}, {"amount": 1}),
        line("GET", f"/v1/x/{HERE}", {"id": HERE}),
        {"kind": "act", "act": "pay", "session": HERE, "tx": "a" * 64},
        line("POST", "/v1/y", {}, {"of": HERE, "tx": "a" * 64}),
    ])  # fmt: skip
    there = [
        line("POST", "/v1/x", {"id": THERE}, {"amount": 1}),
        line("GET", f"/v1/x/{THERE}", {"id": THERE}),
        line("POST", "/v1/y", {}, {"of": THERE, "tx": "b" * 64}),
    ]
    with served(*there, merchant="mch_01m838z2g00000017ghn5wm69w") as world:
        made = Replay(world, {"pay": lambda asked: {**asked, "tx": "b" * 64}}).play(told)
    assert [step.get("status", "act") for step in made.steps] == [200, 200, "act", 200]
    assert made.steps[2]["session"] == THERE


def test_an_act_that_nobody_knows_is_refused_by_name() -> None:
    told = a_world()
    told.steps[:] = [{"kind": "act", "act": "fly"}]
    with served() as world, pytest.raises(ActUnknown, match="fly"):
        Replay(world, {}).play(told)


def test_what_the_command_line_did_past_the_api_is_an_act() -> None:
    with served() as world:
        header = world.header()
        with recording(world) as (url, recorder):
            httpx2.post(url + ACTS, json={"act": "pay", "session": HERE})
        found = world.finished(header, recorder.steps)
    assert found.steps == [{"kind": "act", "act": "pay", "session": HERE}]
