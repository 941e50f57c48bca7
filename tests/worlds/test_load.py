"""Worlds kept, left and forked while people pay on both chains: each epoch is sound by itself."""

import threading
from contextlib import closing
from pathlib import Path

import pytest

from merchants.client import MerchantClient
from sandbox.chains.errors import PaymentRefused
from sandbox.chains.port import ChainUnavailable
from sandbox.cli import pay
from sandbox.cli.endpoints import ApiError, GaveUp, NoAnswer, Running, wait_for
from sandbox.eventlog.keys import of_epoch
from sandbox.eventlog.verify import verify_export
from tests.journeys.customers import CHAINS
from tests.journeys.stack import Stack
from tests.worlds.doing import raw, red, restore, save, vkey_now

pytestmark = pytest.mark.long

ROUNDS = 3


class Crowd:
    """People who pay one bill after another, whatever world they are in."""

    def __init__(self, sandbox: Running, folder: Path) -> None:
        self._sandbox, self._folder = sandbox, folder
        self._stop = threading.Event()
        self.paid = 0
        self.refusals: set[tuple[int, str]] = set()
        self.bugs: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._pay, args=(chain, f"{chain}-{number}"))
            for chain in CHAINS
            for number in range(2)
        ]
        for thread in self._threads:
            thread.start()

    def _pay(self, chain: str, name: str) -> None:
        with closing(Running(self._sandbox.endpoints)) as running:
            self._pay_with(running, chain, name)

    def _pay_with(self, running: Running, chain: str, name: str) -> None:
        while not self._stop.is_set():
            try:
                bill = running.post("/v1/checkout/sessions", {"amount_tiyn": 700}, "merchant")
                pay.pay(running, self._folder, bill["id"], chain, name, None)
                self.paid += 1
            except ApiError as refused:
                self.refusals.add((refused.status, refused.code))
            except (GaveUp, NoAnswer, ChainUnavailable, PaymentRefused):
                continue  # the chain that it had asked is another one now
            except Exception as bug:
                self.bugs.append(bug)
                return

    def more(self, count: int) -> None:
        """Wait until so many more have paid."""
        wanted = self.paid + count
        wait_for("payments", lambda: self.paid, lambda paid: paid >= wanted, timeout_s=120)

    def go_home(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(120)


def test_every_epoch_is_sound_while_people_pay_on_both_chains(
    stack: Stack, sandbox: Running
) -> None:
    crowd = Crowd(sandbox, stack.data_dir)
    epochs = []
    try:
        for number in range(ROUNDS):
            crowd.more(6)
            epochs.append(save(sandbox, f"load-{number}")["epoch"])
            crowd.more(6)
            restore(sandbox, f"load-{number}")
            assert red(sandbox) == []
        crowd.more(6)
        body = {"name": "load-0", "data_dir": "loaded"}
        assert raw(sandbox, "POST", "/v1/sandbox/forks", json=body).status_code == 201
        crowd.more(2)
    finally:
        crowd.go_home()
    assert crowd.bugs == []
    assert {status for status, _ in crowd.refusals} <= {404, 409, 503}
    sandbox.quiesce(120)
    assert red(sandbox) == []
    for epoch in epochs:
        sealed = stack.data_dir / "log" / f"e{epoch}"
        wait_for("the files", sealed.is_dir, bool)
        report = verify_export(sealed, of_epoch(vkey_now(stack.data_dir), epoch))
        assert report.findings == []
        assert report.size > 10
    other = Stack(stack.data_dir / "forks" / "loaded", slot_ms=20)
    forked = other.up()
    try:
        assert red(forked) == []
        with MerchantClient(forked.endpoints["api"], forked.key("merchant")) as shop:
            bill = shop.create_session(700)
        pay.pay(forked, other.data_dir, bill["id"], "evm", "resident", None)
        forked.quiesce()
        assert red(forked) == []
    finally:
        other.down()
