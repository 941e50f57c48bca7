"""A fork: another sandbox that begins where a snapshot was, beside the one it came from."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from merchants.client import MerchantClient
from sandbox.cli import pay
from sandbox.cli.endpoints import Running, wait_for
from sandbox.eventlog.export import export_url
from sandbox.eventlog.verify import verify_export, verify_url
from sandbox.reserve.verify import verify as verify_attestation
from tests.journeys.customers import CHAINS
from tests.journeys.stack import Stack, command, last_json
from tests.worlds.doing import names, raw, red, restore, save, sessions, told, vkey_now

pytestmark = pytest.mark.long

PRICE_TIYN = 10_000


def shop_of(sandbox: Running) -> MerchantClient:
    return MerchantClient(sandbox.endpoints["api"], sandbox.key("merchant"), tries=8)


def pay_on_both(sandbox: Running, stack: Stack) -> None:
    with shop_of(sandbox) as shop:
        for chain in CHAINS:
            session = shop.create_session(PRICE_TIYN)
            pay.pay(sandbox, stack.data_dir, session["id"], chain, "resident", None)
    sandbox.quiesce()


def test_two_sandboxes_go_their_own_ways_from_one_snapshot(
    stack: Stack, sandbox: Running, tmp_path: Path
) -> None:
    pay_on_both(sandbox, stack)
    save(sandbox, "fork-of")
    save(sandbox, "not-taken")
    with shop_of(sandbox) as shop:
        known = sessions(shop)
    pay_on_both(sandbox, stack)
    target = tmp_path / "forked" / "sandbox"
    done = command("fork", "fork-of", str(target), "--data-dir", str(stack.data_dir), "--json")
    assert last_json(done.stdout)["data_dir"] == str(target)
    again = command("fork", "fork-of", str(target), "--data-dir", str(stack.data_dir))
    assert again.returncode == 1
    other = Stack(target, slot_ms=20)
    forked = other.up()
    try:
        assert forked.endpoints["api"] != sandbox.endpoints["api"]
        with shop_of(forked) as shop:
            assert set(sessions(shop)) == set(known)
        assert sorted(names(forked)) == ["fork-of", "initial"]
        assert red(forked) == []
        pay_on_both(forked, other)
        pay_on_both(sandbox, stack)
        assert (red(forked), red(sandbox)) == ([], [])
        # The same key under other names: no two trees of one name.
        ours, theirs = vkey_now(stack.data_dir), vkey_now(target)
        assert ours.split("+")[0] != theirs.split("+")[0]
        assert verify_url(forked.endpoints["api"], theirs, forked.key("regulator")).findings == []
        assert told(forked)[0]["type"] == "world.restored"
        former = told(forked)[0]["data"]["kept"]["epoch"]
        sealed = target / "log" / f"e{former}"
        wait_for("the files", sealed.is_dir, bool)
        assert verify_export(sealed, (sealed / "vkey").read_text()).findings == []
        log = tmp_path / "log"
        export_url(forked.endpoints["api"], forked.key("regulator"), log)
        whole = verify_export(log, theirs)
        assert (whole.findings, whole.former[0].epoch) == ([], former)
        made = forked.post("/v1/reserve/attestations", {}, "issuer")
        made = wait_for(
            "the attestation",
            lambda: forked.get(f"/v1/reserve/attestations/{made['id']}", "issuer"),
            lambda one: one["position"] is not None,
        )
        export_url(forked.endpoints["api"], forked.key("regulator"), log)
        assert verify_attestation(made, log, theirs).differences == []
        assert raw(forked, "POST", "/v1/sandbox/reset").status_code == 200
        with shop_of(forked) as shop:
            assert set(sessions(shop)) == set(known)
        first = restore(forked, "fork-of")["epoch"]
        other.down()
        forked = other.up()
        assert restore(forked, "fork-of")["epoch"] == first + 1
        assert red(forked) == []
    finally:
        other.down()


def test_a_fork_of_a_fork_goes_on_from_both(stack: Stack, sandbox: Running, tmp_path: Path) -> None:
    """Its epoch is above theirs: a world's events are in the order of their epochs."""
    from_ = stack
    with ExitStack() as until:
        for name in ("one", "two"):
            assert from_.running is not None
            pay_on_both(from_.running, from_)
            save(from_.running, f"fork-{name}")
            target = tmp_path / name / "sandbox"
            done = command("fork", f"fork-{name}", str(target), "--data-dir", str(from_.data_dir))
            assert done.returncode == 0, done.stderr
            from_ = Stack(target, slot_ms=20)
            forked = from_.up()
            until.callback(from_.down)
        pay_on_both(forked, from_)
        assert red(forked) == []
        log = tmp_path / "log"
        export_url(forked.endpoints["api"], forked.key("regulator"), log)
        report = verify_export(log, vkey_now(target))
        assert report.findings == []
        epochs = [told(forked)[0]["epoch"], *(one.epoch for one in report.former)]
        assert epochs == sorted(epochs, reverse=True)
        assert epochs[2] == sandbox.get("/v1/sandbox/clock")["epoch"]
