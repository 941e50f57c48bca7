"""`sandbox faults`: each fault on each chain, what the session, the log and the books say while it
lasts, and that all of it is whole again afterwards (DESIGN 4).
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner

from merchants.client import MerchantClient
from sandbox.chains.evm import wallet as evm_wallet
from sandbox.chains.solana import wallet as solana_wallet
from sandbox.cli.commands import app
from sandbox.cli.endpoints import JsonObject, Running, wait_for
from sandbox.cli.fault_control import FaultRefused
from tests.journeys.customers import CHAINS, address_of, funded, option_of, rpc, sends
from tests.journeys.stack import command, last_json
from tests.journeys.test_payments import all_events

PRICE_TIYN, ENOUGH_TIYN = 10_000, 50_000
Faults = Callable[..., Any]


@pytest.fixture(params=[pytest.param("solana", marks=pytest.mark.long), "evm"])
def chain(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def run(folder: Path, *arguments: str) -> Any:
    """`sandbox faults …` in this process: its answer, or what it raised."""
    done = CliRunner().invoke(app, ["faults", *arguments, "--data-dir", str(folder), "--json"])
    if done.exception is not None:
        raise done.exception
    return last_json(done.output)


@pytest.fixture
def faults(folder: Path, chain: str) -> Faults:
    return lambda verb, *more: run(folder, verb, "--chain", chain, *more)


@pytest.fixture
def shop(sandbox: Running, folder: Path) -> Iterator[MerchantClient]:
    """The merchant; afterwards every fault is gone and nothing is amiss."""
    with MerchantClient(sandbox.endpoints["api"], sandbox.key("merchant"), tries=7) as client:
        yield client
    cleared = run(folder, "clear")
    nothing = {
        "rpc": {"kind": "off"}, "drop": 0, "delayMs": 0, "stick": False,
        "paused": False, "finalityHeld": False,
    }  # fmt: skip
    for name in CHAINS:
        assert {key: cleared[name][key] for key in nothing} == nothing
    sandbox.quiesce()
    audit = sandbox.get("/v1/sandbox/audit")
    assert audit["ok"], [check for check in audit["checks"] if not check["ok"]]


class Customer:
    """A key with money that pays one session in one transaction."""

    def __init__(self, sandbox: Running, chain: str, shop: MerchantClient) -> None:
        self._sandbox, self._chain, self._shop = sandbox, chain, shop
        self._key = funded(sandbox, chain, ENOUGH_TIYN)
        self.address = address_of(self._key)
        self.session: str = (created := shop.create_session(PRICE_TIYN))["id"]
        self._created = created
        self.tx = ""

    def sends(self) -> "Customer":
        """Give the transaction to the node, as it may behave now."""
        self.tx = asyncio.run(sends(self._sandbox, self._chain, self._key, self._created))
        return self

    def state(self) -> tuple[str, str, str | None, str | None]:
        """The session's status and reason, its payment's chain and settlement state."""
        session = self._shop.session(self.session)
        payment = session["payment"] or {}
        return (
            session["status"], session["reason"],
            payment.get("chain_state"), payment.get("settlement_state"),
        )  # fmt: skip

    def becomes(self, *wanted: str | None) -> None:
        found = None
        for _ in range(200):
            if (found := self.state()) == wanted:
                return
            time.sleep(0.1)
        raise AssertionError(f"{self.session} is {found}, not {wanted}")

    def payments(self) -> list[JsonObject]:
        found: list[JsonObject] = self._shop.session(self.session)["payments"]
        return found

    def is_captured(self) -> None:
        self.becomes("complete", "none", "final", "unsettled")
        assert [payment["tx"] for payment in self.payments()] == [self.tx]
        assert self.books() == {"suspense": (0, 0, 0), "posted": 2}

    def units(self) -> int:
        """What the customer holds at the newest confirmed state."""
        option = option_of(self._created, self._chain)
        balance: Any = {"solana": solana_wallet.balance, "evm": evm_wallet.balance}[self._chain]
        token = option["mint" if self._chain == "solana" else "token"]
        url = self._sandbox.endpoints[f"{self._chain}_rpc"]
        return int(asyncio.run(balance(url, self.address, token)))

    def told(self) -> list[str]:
        """The types of the events about this session and its payments, in the log's order."""
        ids = {self.session, *(p["id"] for p in self.payments())}
        return [e["type"] for e in all_events(self._sandbox) if e["data"].get("id") in ids]

    def books(self) -> JsonObject:
        """The session's suspense account, and how many posted entries its payment has."""

        async def ask() -> JsonObject:
            db = await asyncpg.connect(self._sandbox.endpoints["database"])
            try:
                row = await db.fetchrow(
                    "SELECT coalesce(sum(posted), 0) AS posted,"
                    " coalesce(sum(pending_credit), 0) AS credit,"
                    " coalesce(sum(pending_debit), 0) AS debit"
                    " FROM balance JOIN account ON account.id = account_id WHERE code LIKE $1",
                    f"%suspense:{self.session}",
                )
                posted = await db.fetchval(
                    "SELECT count(*) FROM entry LEFT JOIN resolution ON entry_id = entry.id"
                    " WHERE coalesce(outcome, kind) = 'posted'"
                    " AND split_part(ref, ':', 1) IN"
                    " (SELECT id FROM payment WHERE session = $1)",
                    self.session,
                )
            finally:
                await db.close()
            return {"suspense": tuple(map(int, row)), "posted": posted}

        return asyncio.run(ask())


@pytest.fixture
def customer(sandbox: Running, shop: MerchantClient, chain: str) -> Customer:
    return Customer(sandbox, chain, shop)


CONFIRMED = ("complete", "none", "confirmed", "none")
OPEN = ("open", "none", None, None)


def depth_of(sandbox: Running, chain: str, tx: str) -> int:
    """How many of the youngest blocks a reorg must replace to hit `tx`. The chain is paused."""
    url = sandbox.endpoints[f"{chain}_rpc"]
    if chain == "evm":
        block = int(rpc(url, "eth_getTransactionReceipt", tx)["blockNumber"], 16)
        return int(rpc(url, "eth_blockNumber"), 16) - block + 1
    [status] = rpc(url, "getSignatureStatuses", [tx])["value"]
    return len(rpc(url, "getBlocks", status["slot"], None, {"commitment": "confirmed"}))


def confirmed_and_held(customer: Customer, faults: Faults) -> None:
    faults("hold-finality")
    customer.sends().becomes(*CONFIRMED)
    faults("pause")


def test_what_a_chain_cannot_do_is_refused_by_name(
    folder: Path, sandbox: Running, faults: Faults, chain: str
) -> None:
    for bad in (
        ("rpc", "limp"), ("rpc", "error", "200"), ("rpc", "error", "soon"), ("rpc", "hang", "5s"),
        ("reorg", "--blocks", "100000"), ("stick", "--sender", "nobody"),
        ("drop", "--tx", "0x" + "77" * 32), *([("expire",)] if chain == "evm" else []),
    ):  # fmt: skip
        with pytest.raises(FaultRefused):
            faults(*bad)
    said = command("faults", "rpc", "--chain", chain, "limp", "--data-dir", str(folder))
    assert said.returncode == 1
    assert "kind must be off, lag, error" in said.stderr
    assert "Traceback" not in said.stderr
    listed = command("faults", "list", "--chain", chain, "--data-dir", str(folder))
    assert f"{chain}: no faults" in listed.stdout


def test_a_payment_that_a_reorg_took_is_open_again_and_can_be_paid_again(
    sandbox: Running, customer: Customer, faults: Faults, chain: str
) -> None:
    confirmed_and_held(customer, faults)
    assert customer.books() == {"suspense": (0, PRICE_TIYN, 0), "posted": 0}
    replaced = faults("reorg", "--blocks", str(depth_of(sandbox, chain, customer.tx)))
    assert (replaced["transactions"], replaced["included_again"]) == (1, 0)
    faults("resume")
    customer.becomes("open", "reverted", None, None)
    assert [p["chain_state"] for p in customer.payments()] == ["reverted"]
    assert customer.books() == {"suspense": (0, 0, 0), "posted": 0}
    wait_for(
        "the events",
        lambda: customer.told()[-2:],
        lambda told: told == ["payment.reverted", "checkout.session.reverted"],
    )
    faults("clear")
    customer.sends()
    wait_for("the second payment", customer.state, lambda s: s[3] == "unsettled")
    sandbox.quiesce()
    assert customer.told().count("payment.captured") == 1


def test_a_payment_that_comes_again_after_a_reorg_is_the_same_payment(
    sandbox: Running, customer: Customer, faults: Faults, chain: str
) -> None:
    confirmed_and_held(customer, faults)
    depth = depth_of(sandbox, chain, customer.tx)
    replaced = faults("reorg", "--blocks", str(depth), "--keep")
    assert (replaced["transactions"], replaced["included_again"]) == (1, 1)
    faults("clear")
    customer.is_captured()
    sandbox.quiesce()
    told = customer.told()
    for kind in ("payment.final", "payment.captured"):
        assert told.count(kind) == 1


def test_a_lost_transaction_pays_nothing_and_the_same_wallet_pays_again(
    sandbox: Running, customer: Customer, faults: Faults, chain: str
) -> None:
    assert faults("drop", "--count", "1")[chain]["drop"] == 1
    customer.sends()
    sandbox.quiesce()
    assert customer.state() == OPEN
    customer.sends().is_captured()


def test_a_delayed_transaction_pays_when_it_comes(
    customer: Customer, faults: Faults, chain: str
) -> None:
    faults("delay", "2s")
    customer.sends()
    assert faults("list")[chain]["kept"] == [customer.tx]
    assert customer.state() == OPEN
    faults("delay", "off")
    customer.is_captured()
    assert faults("list")[chain]["kept"] == []


def test_what_is_stuck_pays_when_it_is_freed_and_others_pay_meanwhile(
    sandbox: Running, shop: MerchantClient, customer: Customer, faults: Faults, chain: str
) -> None:
    other = Customer(sandbox, chain, shop)
    faults("stick", "--sender", customer.address)
    customer.sends()
    other.sends().is_captured()
    assert customer.state() == OPEN
    assert faults("clear")[chain]["stick"] is False
    customer.is_captured()


def attempts(sandbox: Running, intent: str) -> list[str]:
    """The states of the transactions that were signed for an intent."""

    async def ask() -> list[str]:
        db = await asyncpg.connect(sandbox.endpoints["database"])
        try:
            rows = await db.fetch(
                "SELECT state FROM chain_attempt WHERE intent_id = $1 ORDER BY n", intent
            )
        finally:
            await db.close()
        return [row["state"] for row in rows]

    return asyncio.run(ask())


def refunded(sandbox: Running, customer: Customer, refund: JsonObject) -> None:
    """Exactly once: on the chain, in the log and in what the API says."""
    wait_for(
        "the refund",
        lambda: sandbox.get(f"/v1/refunds/{refund['id']}"),
        lambda found: found["status"] == "completed",
    )
    assert customer.units() == ENOUGH_TIYN - PRICE_TIYN + 4_000
    sandbox.quiesce()
    told = [e["type"] for e in all_events(sandbox) if e["data"].get("id") == refund["id"]]
    assert told == ["refund.requested", "refund.completed"]


def test_a_lost_refund_is_sent_again_and_arrives_once(
    sandbox: Running, shop: MerchantClient, customer: Customer, faults: Faults
) -> None:
    customer.sends().is_captured()
    faults("drop")
    refund = shop.refund(customer.payments()[0]["id"], 4_000)
    refunded(sandbox, customer, refund)
    assert attempts(sandbox, refund["id"]) == ["done"]


def test_a_stuck_refund_waits_and_arrives_once(
    sandbox: Running, shop: MerchantClient, customer: Customer, faults: Faults, chain: str
) -> None:
    """On Solana its blockhash expires meanwhile, so that another transaction is signed."""
    customer.sends().is_captured()
    faults("stick", "--sender", sandbox.endpoints["kzte"][f"{chain}_treasury"])
    refund = shop.refund(customer.payments()[0]["id"], 4_000)
    wait_for("the send", lambda: faults("list")[chain]["kept"], bool)
    assert sandbox.get(f"/v1/refunds/{refund['id']}")["status"] == "pending"
    if chain == "solana":
        faults("expire")
        wait_for("the second", lambda: len(attempts(sandbox, refund["id"])), lambda n: n == 2)
    assert customer.units() == ENOUGH_TIYN - PRICE_TIYN
    faults("clear")
    refunded(sandbox, customer, refund)
    assert attempts(sandbox, refund["id"]).count("done") == 1


def test_nothing_is_captured_while_finality_is_held(customer: Customer, faults: Faults) -> None:
    faults("hold-finality")
    customer.sends().becomes(*CONFIRMED)
    time.sleep(1)  # many times what finality takes here
    assert customer.state() == CONFIRMED
    assert customer.books() == {"suspense": (0, PRICE_TIYN, 0), "posted": 0}
    faults("hold-finality", "--release")
    customer.is_captured()


def test_a_chain_without_blocks_confirms_nothing_and_goes_on(
    customer: Customer, faults: Faults
) -> None:
    faults("pause")
    customer.sends()
    time.sleep(1)
    assert customer.state() == OPEN
    faults("resume")
    customer.is_captured()


@pytest.mark.parametrize("chain", ["solana"], indirect=True)
def test_a_transaction_whose_blockhash_expired_on_the_way_pays_nothing(
    sandbox: Running, customer: Customer, faults: Faults
) -> None:
    faults("delay", "1s")
    customer.sends()
    faults("expire")
    wait_for("its end", lambda: faults("list")["solana"]["kept"], lambda kept: not kept)
    faults("delay", "off")
    sandbox.quiesce()
    assert customer.state() == OPEN
    customer.sends().is_captured()


@pytest.mark.parametrize("fault", [("error", "503"), ("error", "429"), ("hang",)])
def test_while_the_rpc_is_away_nothing_moves_and_then_all_of_it_does(
    customer: Customer, faults: Faults, chain: str, fault: tuple[str, ...]
) -> None:
    faults("pause")
    customer.sends()
    set_ = faults("rpc", *fault)[chain]["rpc"]
    assert set_["kind"] == fault[0]
    faults("resume")
    time.sleep(1)
    assert customer.state() == OPEN
    assert faults("list")[chain]["rpc"] == set_, "control methods meet no fault"
    faults("rpc", "off")
    customer.is_captured()


def test_a_lagging_rpc_makes_payments_late_and_loses_none(
    customer: Customer, faults: Faults
) -> None:
    faults("rpc", "lag", "300ms")
    customer.sends().is_captured()
