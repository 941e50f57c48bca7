"""`kill -9` in the middle of a snapshot or a restore: one world or the other, never a mixture."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest

from merchants.client import MerchantClient
from sandbox.cli import pay
from sandbox.cli.endpoints import Running, wait_for
from sandbox.core import failpoints
from sandbox.eventlog.verify import verify_export
from tests.journeys.customers import CHAINS
from tests.journeys.stack import Stack
from tests.worlds.doing import SNAPSHOTS, names, raw, red, restore, save, told, vkey_now

pytestmark = pytest.mark.long

PRICE_TIYN = 10_000


@pytest.fixture(scope="module")
def armed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, Path]]:
    """A stack whose supervisor ends itself where it is told to, and the folder to say so."""
    folder = tmp_path_factory.mktemp("points")
    told_so = {failpoints.POINTS: str(folder), failpoints.TEST_BUILD: "1"}
    os.environ.update(told_so)
    stack = Stack(tmp_path_factory.mktemp("killed") / "sandbox", slot_ms=20)
    try:
        stack.up()
        yield stack, folder
        stack.down()
    finally:
        for name in told_so:
            del os.environ[name]


def shop_of(sandbox: Running) -> MerchantClient:
    return MerchantClient(sandbox.endpoints["api"], sandbox.key("merchant"), tries=8)


def pay_on_both(sandbox: Running, stack: Stack) -> set[str]:
    """Sessions that were paid, one on each chain."""
    paid = set()
    for chain in CHAINS:
        with shop_of(sandbox) as shop:
            session = shop.create_session(PRICE_TIYN)
        pay.pay(sandbox, stack.data_dir, session["id"], chain, "resident", None)
        paid.add(session["id"])
    sandbox.quiesce()
    return paid


def completed(sandbox: Running) -> set[str]:
    with shop_of(sandbox) as shop:
        found = shop.get("/v1/checkout/sessions", limit=100)["data"]
    return {one["id"] for one in found if one["status"] == "complete"}


def ask_and_die(stack: Stack, path: str, body: object) -> None:
    """The supervisor ends itself while it does what it is asked for; its children go with it."""
    assert stack.running is not None
    assert stack.process is not None
    with suppress(httpx2.TransportError):
        raw(stack.running, "POST", path, json=body)
    assert stack.process.wait(60) == -signal.SIGKILL


def test_one_world_or_the_other_wherever_the_supervisor_is_killed(
    armed: tuple[Stack, Path],
) -> None:
    stack, points = armed
    sandbox = stack.running
    assert sandbox is not None
    old = pay_on_both(sandbox, stack)
    save(sandbox, "old")
    epochs = [sandbox.get("/v1/sandbox/clock")["epoch"]]
    for point, is_done in (
        ("snapshot.begun", False),
        ("snapshot.copied", False),
        ("snapshot.kept", True),
        ("restore.copied", False),
        ("restore.chosen", True),
        ("restore.renewed", True),
        ("restore.finished", True),
    ):
        new = old | pay_on_both(sandbox, stack)
        (points / point).write_text("1")
        if point.startswith("snapshot"):
            ask_and_die(stack, SNAPSHOTS, {"name": point.replace(".", "-")})
            wanted = new
        else:
            ask_and_die(stack, f"{SNAPSHOTS}/old/restore", {})
            wanted = old if is_done else new
        sandbox = stack.up()
        assert completed(sandbox) == wanted, point
        assert red(sandbox) == [], point
        assert (point.replace(".", "-") in names(sandbox)) == (
            is_done and point.startswith("snapshot")
        )
        epoch = sandbox.get("/v1/sandbox/clock")["epoch"]
        if is_done and point.startswith("restore"):
            assert epoch > epochs[-1]
            assert told(sandbox)[0]["type"] == "world.restored"
            epochs.append(epoch)
            check_sealed(stack, epochs[-2])
        assert epoch == epochs[-1]
        # And it lives on: both chains pay, and it can go back and forth.
        assert len(pay_on_both(sandbox, stack)) == 2
        assert red(sandbox) == []
        epochs.append(restore(sandbox, "old")["epoch"])
        assert epochs[-1] > epochs[-2]
        assert completed(sandbox) == old


def check_sealed(stack: Stack, epoch: int) -> None:
    """What was left is there to the last byte, although nobody came to write it then."""
    sealed = stack.data_dir / "log" / f"e{epoch}"
    wait_for("the files", sealed.is_dir, bool)
    vkey = (sealed / "vkey").read_text().strip()
    assert vkey.split("+")[2] == vkey_now(stack.data_dir).split("+")[2]
    assert verify_export(sealed, vkey).findings == []


@pytest.mark.parametrize("victim", ["worker", "api", "solana", "evm", "postgres"])
@pytest.mark.parametrize("point", ["restore.copied", "restore.chosen", "restore.renewed"])
def test_a_part_that_is_killed_meanwhile_comes_back_to_one_world(
    armed: tuple[Stack, Path], victim: str, point: str
) -> None:
    stack, points = armed
    sandbox = stack.running
    assert sandbox is not None
    if "parts" not in names(sandbox):
        pay_on_both(sandbox, stack)
        save(sandbox, "parts")
    restore(sandbox, "parts")
    old = completed(sandbox)
    new = old | pay_on_both(sandbox, stack)
    pid = stack.pids()[victim]
    (points / point).write_text(f"1 {pid}")
    answers: list[httpx2.Response] = []

    def ask() -> None:
        with suppress(httpx2.TransportError):
            answers.append(raw(sandbox, "POST", f"{SNAPSHOTS}/parts/restore"))

    asking = threading.Thread(target=ask)
    asking.start()
    asking.join(90)
    wait_for(
        "everything",
        lambda: ready(sandbox),
        bool,
        timeout_s=90,
    )
    assert not (points / point).exists(), "nobody was killed"
    found = completed(sandbox)
    assert found in (old, new)
    if answers and answers[0].status_code == 200:
        assert found == old
    if point != "restore.copied":
        assert found == old
    assert red(sandbox) == []
    pay_on_both(sandbox, stack)
    assert red(sandbox) == []


def ready(sandbox: Running) -> bool:
    try:
        return raw(sandbox, "GET", "/readyz").status_code == 200
    except httpx2.TransportError:
        return False
