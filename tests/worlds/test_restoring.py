"""A world that is left and taken up again: money, time, keys of requests, the log."""

import asyncio
import base64
import json
import secrets
import threading
import time
from pathlib import Path

import httpx2
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from merchants.client import MerchantClient
from sandbox.chains.solana import tx as solana_tx
from sandbox.cli import pay
from sandbox.cli.endpoints import JsonObject, Running, wait_for
from sandbox.eventlog.keys import of_epoch
from sandbox.eventlog.verify import verify_export, verify_url
from tests.journeys.customers import CHAINS, Stubborn, funded, option_of, rpc
from tests.journeys.stack import Stack, command, last_json
from tests.worlds.doing import (
    Hooks,
    raw,
    red,
    restore,
    save,
    sessions,
    told,
    vkey_now,
)

PRICE_TIYN = 10_000


def buy(sandbox: Running, folder: Path, shop: MerchantClient, chain: str) -> JsonObject:
    """A session that was paid; everything is at rest afterwards."""
    session = shop.create_session(PRICE_TIYN)
    pay.pay(sandbox, folder, session["id"], chain, "resident", None)
    sandbox.quiesce()
    return shop.session(session["id"])


def test_what_happened_since_then_never_did_and_everything_goes_on(
    sandbox: Running, folder: Path, shop: MerchantClient
) -> None:
    assert raw(sandbox, "POST", "/v1/sandbox/reset").status_code == 200  # others paid before
    before = {chain: buy(sandbox, folder, shop, chain) for chain in CHAINS}
    key = secrets.token_hex(8)
    body = {"amount_tiyn": 700}
    first = shop.post("/v1/checkout/sessions", body, key=key)
    waiting = shop.create_session(PRICE_TIYN)
    kept = save(sandbox, "two-paid")
    assert kept["payments"] == len(before)
    known, reserve = sessions(shop), sandbox.get("/v1/reserve")
    for chain in CHAINS:
        buy(sandbox, folder, shop, chain)
    shop.settle(sandbox.endpoints["keys"]["merchant_id"])
    sandbox.advance(3 * 86_400)
    sandbox.quiesce()
    assert sessions(shop) != known

    moved_in = restore(sandbox, "two-paid")

    assert sessions(shop) == known
    assert sandbox.get("/v1/reserve") == reserve
    assert shop.get("/v1/settlements")["data"] == []
    assert moved_in["epoch"] == kept["epoch"] + 1
    assert kept["now"] <= moved_in["now"] < sandbox.get("/v1/sandbox/clock")["now"]
    assert shop.post("/v1/checkout/sessions", body, key=key) == first
    assert red(sandbox) == []
    # Nonces of operators, block hashes and the float are those of this world.
    for chain in CHAINS:
        again = buy(sandbox, folder, shop, chain)
        assert (again["status"], again["reasons"]) == ("complete", [])
    pay.pay(sandbox, folder, waiting["id"], "evm", "resident", None)
    sandbox.quiesce()
    refund = shop.refund(before["evm"]["payment"]["id"], 1_000)
    settled = shop.settle(sandbox.endpoints["keys"]["merchant_id"])
    sandbox.quiesce()
    assert shop.get(f"/v1/refunds/{refund['id']}")["status"] == "completed"
    done = wait_for(
        "the settlement",
        lambda: shop.get(f"/v1/settlements/{settled['id']}"),
        lambda found: bool(found["status"] == "settled"),
    )
    assert done["check"]["unexplained_tiyn"] == 0
    assert red(sandbox) == []


def test_the_log_left_behind_stays_readable_and_verifies_offline(
    sandbox: Running, folder: Path, shop: MerchantClient
) -> None:
    shop.create_session(1)
    save(sandbox, "logged")
    shop.create_session(2)
    sandbox.quiesce()
    epoch = sandbox.get("/v1/sandbox/clock")["epoch"]
    early, former = raw(sandbox, "GET", "/log/checkpoint").content, vkey_now(folder)
    size = int(early.split(b"\n")[1])
    partial = f"tile/0/{size // 256:03}.p/{size % 256}"
    tile = raw(sandbox, "GET", f"/log/{partial}").content
    shop.create_session(3)
    sandbox.quiesce()

    restore(sandbox, "logged")

    sealed = folder / "log" / f"e{epoch}"
    wait_for("the files", sealed.is_dir, bool)
    first_seen = folder.parent / "early"
    first_seen.write_bytes(early)
    offline = verify_export(sealed, former, first_seen)
    assert (offline.findings, offline.since_size) == ([], size)
    regulator = sandbox.key("regulator")
    over_http = verify_url(sandbox.endpoints["api"], former, regulator, first_seen, epoch=epoch)
    assert over_http == offline
    # Who saw the log when it was shorter still finds what was published then.
    assert raw(sandbox, "GET", f"/log/e{epoch}/{partial}").content == tile
    assert raw(sandbox, "GET", f"/log/e{epoch}/tile/0/{size // 256:03}.p/255").status_code == 404
    entries = raw(sandbox, "GET", f"/log/e{epoch}/tile/entries/{size // 256:03}.p/{size % 256}")
    assert entries.status_code == 403

    now = vkey_now(folder)
    assert now == of_epoch(former, epoch + 1) != former
    assert verify_url(sandbox.endpoints["api"], now, regulator).findings == []
    assert verify_url(sandbox.endpoints["api"], now, regulator, epoch=epoch + 1).findings == []
    leaf, *mine = told(sandbox)
    assert (leaf["type"], leaf["position"]) == ("world.restored", 0)
    assert leaf["data"]["left"]["size"] == offline.size
    assert leaf["data"]["left"]["epoch"] == epoch
    assert leaf["data"]["kept"]["size"] < size
    assert [event["type"] for event in mine] == ["world.restored"]
    [own] = told(sandbox, "merchant")
    assert (own["sequence"], own["data"]["restored"]) == (1, "logged")
    assert own["data"]["left"]["sequence"] > own["data"]["kept"]["sequence"]


def test_every_listener_is_told_whatever_it_listens_to(
    sandbox: Running, shop: MerchantClient
) -> None:
    """An endpoint that wants refunds only, and a stream that was open all the time."""
    with Hooks() as hooks:
        shop.post("/v1/webhook_endpoints", {"url": hooks.url, "types": ["refund.completed"]})
        sandbox.quiesce()
        save(sandbox, "heard")
        epoch = sandbox.get("/v1/sandbox/clock")["epoch"]
        listener = Listener(sandbox, until_epoch=epoch + 1)
        assert listener.connected.wait(20)
        made = [shop.create_session(amount)["id"] for amount in range(1, 20)]
        restore(sandbox, "heard")
        listener.thread.join(20)
        [body] = wait_for("the webhook", lambda: list(hooks.bodies), lambda found: bool(found))
    assert b'"type":"world.restored"' in body
    # Of both epochs, every number once and in order; what was made is told before the end.
    for one in (epoch, epoch + 1):
        numbers = [number for at, number, _ in listener.heard if at == one]
        assert numbers == list(range(1, len(numbers) + 1))
    assert {told for at, _, told in listener.heard if at == epoch} >= set(made)
    assert listener.heard[-1][:2] == (epoch + 1, 1)


class Listener:
    """Follows a merchant's stream, comes back when it ends, and stops in another epoch."""

    def __init__(self, sandbox: Running, until_epoch: int) -> None:
        self._url = f"{sandbox.endpoints['api']}/v1/events/stream"
        self._headers = {"Authorization": f"Bearer {sandbox.key('merchant')}"}
        self._until = until_epoch
        self.heard: list[tuple[int, int, str]] = []
        self.connected = threading.Event()
        self.thread = threading.Thread(target=self._follow)
        self.thread.start()

    def _follow(self) -> None:
        while not self.heard or self.heard[-1][0] < self._until:
            headers = dict(self._headers)
            if self.heard:
                headers["Last-Event-ID"] = f"{self.heard[-1][0]}:{self.heard[-1][1]}"
            with httpx2.stream("GET", self._url, headers=headers, timeout=20) as answer:
                if answer.status_code == 200:
                    self._read(answer)

    def _read(self, answer: httpx2.Response) -> None:
        for line in answer.iter_lines():
            self.connected.set()
            if line.startswith("data: "):
                event = json.loads(line.removeprefix("data: "))
                told = str(event["data"].get("id"))
                self.heard.append((event["epoch"], event["sequence"], told))
                if event["epoch"] >= self._until:
                    return


def test_a_transaction_signed_before_pays_the_restored_session_again(
    sandbox: Running, shop: MerchantClient
) -> None:
    solana, evm = funded(sandbox, "solana", 20_000), funded(sandbox, "evm", 20_000)
    bills = {chain: shop.create_session(PRICE_TIYN) for chain in CHAINS}
    stubborn = Stubborn(sandbox, evm, bills["evm"])
    sandbox.quiesce()
    signed = signed_by(sandbox, solana, bills["solana"])
    save(sandbox, "signed")
    for _ in range(2):
        rpc(sandbox.endpoints["solana_rpc"], "sendTransaction", signed, {"encoding": "base64"})
        asyncio.run(stubborn.pay())
        sandbox.quiesce()
        for bill in bills.values():
            paid = shop.session(bill["id"])
            assert (paid["status"], paid["received_units"]) == ("complete", PRICE_TIYN)
        assert red(sandbox) == []
        restore(sandbox, "signed")
        assert {shop.session(bill["id"])["status"] for bill in bills.values()} == {"open"}


def signed_by(sandbox: Running, key: Keypair, session: JsonObject) -> str:
    """An ordinary payment, base64, valid as long as its block hash."""
    url = sandbox.endpoints["solana_rpc"]
    option, latest = option_of(session, "solana"), rpc(url, "getLatestBlockhash")["value"]
    mint, treasury = (Pubkey.from_string(option[name]) for name in ("mint", "recipient"))
    coin = solana_tx.Token(mint, sandbox.endpoints["kzte"]["decimals"])
    moved = solana_tx.transfer_units(coin, key.pubkey(), treasury, option["amount_units"])
    reference = AccountMeta(Pubkey.from_string(option["reference"]), False, False)
    paid = Instruction(moved.program_id, moved.data, [*moved.accounts, reference])
    known, height = Hash.from_string(latest["blockhash"]), latest["lastValidBlockHeight"]
    return base64.b64encode(solana_tx.sign([paid], [key], known, height).raw).decode()


def test_requests_meanwhile_are_done_or_refused_and_none_is_done_by_half(
    sandbox: Running, shop: MerchantClient
) -> None:
    sandbox.quiesce()
    save(sandbox, "busy")
    known = set(sessions(shop))
    stop, answers = threading.Event(), list[tuple[int, str, float]]()

    def ask() -> None:
        headers = {"Authorization": f"Bearer {sandbox.key('merchant')}"}
        with httpx2.Client(base_url=sandbox.endpoints["api"], headers=headers) as client:
            while not stop.is_set():
                answer = client.post(
                    "/v1/checkout/sessions",
                    json={"amount_tiyn": 5},
                    headers={"Idempotency-Key": secrets.token_hex(8)},
                )
                said = answer.json()
                answers.append(
                    (answer.status_code, said.get("code") or said["id"], time.monotonic())
                )

    asking = [threading.Thread(target=ask) for _ in range(3)]
    for thread in asking:
        thread.start()
    wait_for("sessions", lambda: len(answers), lambda count: count > 20)
    began = time.monotonic()
    restore(sandbox, "busy")
    ended = time.monotonic()
    wait_for(
        "sessions of the new world",
        lambda: [a for a in answers if a[2] > ended and a[0] == 201],
        lambda found: len(found) > 5,
    )
    stop.set()
    for thread in asking:
        thread.join()
    refused = {(status, what) for status, what, _ in answers if status != 201}
    assert refused == {(503, "world_is_changing")}
    made = {what for status, what, _ in answers if status == 201}
    live = set(sessions_of(shop)) - known
    assert live <= made
    before = {what for status, what, at in answers if status == 201 and at < began}
    after = {what for status, what, at in answers if status == 201 and at > ended}
    assert before & live == set()
    assert after <= live
    sandbox.quiesce()
    created = [e["data"]["id"] for e in told(sandbox) if e["type"] == "checkout.session.created"]
    assert set(created) == live
    assert len(created) == len(live)
    assert red(sandbox) == []


def sessions_of(shop: MerchantClient) -> list[str]:
    found: list[str] = []
    while True:
        after = {"starting_after": found[-1]} if found else {}
        page = shop.get("/v1/checkout/sessions", limit=100, **after)
        found += [one["id"] for one in page["data"]]
        if not page["has_more"]:
            return found


def test_webhooks_that_wait_for_a_retry_wait_for_it_again(
    sandbox: Running, shop: MerchantClient
) -> None:
    with Hooks() as hooks:
        hooks.status = 500
        endpoint = shop.post(
            "/v1/webhook_endpoints", {"url": hooks.url, "types": ["checkout.session.created"]}
        )

        def delivery() -> JsonObject:
            rows = shop.get("/v1/webhook_deliveries", endpoint=endpoint["id"])["data"]
            # World.restored, which it gets too, has a newer one.
            found: JsonObject = min(rows, key=lambda row: row["id"])
            return found

        shop.create_session(1)
        wait_for("an attempt", lambda: hooks.bodies, lambda found: len(found) == 1)
        sandbox.quiesce()
        waiting = delivery()
        assert (waiting["status"], waiting["attempts"]) == ("pending", 1)
        save(sandbox, "retrying")
        hooks.status = 200
        for _ in range(2):
            sandbox.advance(3_600)
            sandbox.quiesce()
            assert delivery()["status"] == "delivered"
            restore(sandbox, "retrying")
            assert delivery()["next_attempt_at"] == waiting["next_attempt_at"]
        shop.delete(f"/v1/webhook_endpoints/{endpoint['id']}")


def test_the_document_shows_what_is_answered(sandbox: Running, shop: MerchantClient) -> None:
    with httpx2.Client(base_url=sandbox.endpoints["api"]) as client:
        paths = client.get("/openapi.json").json()["paths"]
    shown = paths["/v1/sandbox/snapshots/{name}/restore"]["post"]["responses"]["200"]
    example = shown["content"]["application/json"]["example"]
    answer = restore(sandbox, "initial")
    assert {name: type(value) for name, value in example.items()} == {
        name: type(value) for name, value in answer.items()
    }
    assert "Idempotency-Key" not in str(paths["/v1/sandbox/reset"]["post"].get("parameters"))


def test_one_command_at_a_time(sandbox: Running, stack: Stack) -> None:
    answers: list[httpx2.Response] = []

    def ask() -> None:
        answers.append(raw(sandbox, "POST", "/v1/sandbox/reset"))

    asking = [threading.Thread(target=ask) for _ in range(4)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    said = sorted((one.status_code, one.json().get("code")) for one in answers)
    assert said[0] == (200, None)
    assert set(said) <= {
        (200, None),
        (409, "world_command_under_way"),
        (503, "world_is_changing"),
    }
    assert red(sandbox) == []


def test_a_frozen_clock_stays_frozen_at_its_instant(sandbox: Running) -> None:
    sandbox.post("/v1/sandbox/clock", {"freeze": True})
    frozen = sandbox.get("/v1/sandbox/clock")["now"]
    save(sandbox, "frozen")
    sandbox.post("/v1/sandbox/clock", {"freeze": False})
    sandbox.advance(3_600)
    assert restore(sandbox, "frozen")["now"] == frozen
    assert sandbox.get("/v1/sandbox/clock")["now"] == frozen
    chain = rpc(sandbox.endpoints["solana_rpc"], "sandbox_getClock")
    assert chain["frozenAtMs"] is not None
    sandbox.post("/v1/sandbox/clock", {"freeze": False})


def test_drills_of_the_chains_end_with_a_restore(sandbox: Running) -> None:
    url = sandbox.endpoints["solana_rpc"]
    rpc(url, "sandbox_pause")
    rpc(url, "sandbox_holdFinality", {"hold": True})
    raw(sandbox, "POST", "/v1/sandbox/reset")
    faults = rpc(url, "sandbox_getFaults")
    assert (faults["paused"], faults["finalityHeld"]) == (False, False)


def test_the_command_line_says_where_the_world_is_in_one_line_of_json(
    stack: Stack, sandbox: Running
) -> None:
    """The commands for people are typed by the test of docs/worlds.md."""
    done = command("reset", "--data-dir", str(stack.data_dir), "--json")
    assert done.returncode == 0, done.stderr
    epoch = sandbox.get("/v1/sandbox/clock")["epoch"]
    answer = last_json(done.stdout)
    assert (answer["restored"], answer["epoch"]) == ("initial", epoch)
    assert red(sandbox) == []
