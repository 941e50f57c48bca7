"""Named copies of the chain: what is refused, that all is as it was, and kills in between."""

import asyncio
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from solders.keypair import Keypair
from websockets.asyncio.client import connect

from sandbox.devnets import snapshot_folder
from sandbox.devnets.journal_file import write_whole
from sandbox.devnets.snapshot_folder import SnapshotRefused
from sandbox.devnets.solana import process
from sandbox.devnets.solana.bank import Bank
from sandbox.devnets.solana.snapshots import Snapshots
from tests.devnets.solana.banks import DEPTHS, content, new_keys, pay, play
from tests.devnets.solana.chain import SOL, Chain, Refused, move
from tests.devnets.solana.test_restarts import run

CONFIRMED = {"commitment": "confirmed"}


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/b", "a\\b", "a.b", ".making", "-a", "_", "ä", "x" * 65, "a\0"],
)
def test_a_name_that_could_be_a_path_is_refused(tmp_path: Path, name: str) -> None:
    bank, kept = Bank.open(tmp_path, DEPTHS), Snapshots(tmp_path)
    before = sorted(tmp_path.iterdir())
    for ask in (
        lambda: kept.take(bank, name),
        lambda: kept.restore(name, bank, DEPTHS, 10),
        lambda: kept.delete(name),
    ):
        with pytest.raises(SnapshotRefused, match="letters, digits"):
            ask()
    assert sorted(tmp_path.iterdir()) == before


async def test_methods_refuse_what_is_no_name(chain: Chain) -> None:
    asked: list[dict[str, Any]] = [{}, {"name": None}, {"name": 7}, {"name": "../x"}]
    for method in ("sandbox_snapshot", "sandbox_restore", "sandbox_deleteSnapshot"):
        for each in asked:
            with pytest.raises(Refused, match="name"):
                await chain.call(method, each)


def test_none_is_overwritten_and_one_that_is_not_there_is_refused(tmp_path: Path) -> None:
    bank, kept = Bank.open(tmp_path, DEPTHS), Snapshots(tmp_path)
    kept.take(bank, "one")
    with pytest.raises(SnapshotRefused, match="there is a snapshot one already"):
        kept.take(bank, "one")
    for ask in (lambda: kept.restore("two", bank, DEPTHS, 10), lambda: kept.delete("two")):
        with pytest.raises(SnapshotRefused, match="there is no snapshot two"):
            ask()
    assert [about.name for about in kept.listed()] == ["one"]
    kept.delete("one")
    assert kept.listed() == []
    kept.take(bank, "one")


@pytest.mark.parametrize("hurt", ["journal.bin", "chain.db", "gone"])
def test_a_damaged_snapshot_is_refused_and_the_chain_goes_on(tmp_path: Path, hurt: str) -> None:
    bank, kept = Bank.open(tmp_path, DEPTHS), Snapshots(tmp_path)
    play(bank)
    kept.take(bank, "one")
    if hurt == "gone":
        (tmp_path / "snapshots" / "one" / "chain.db").unlink()
    else:
        (tmp_path / "snapshots" / "one" / hurt).write_bytes(b"garbage" * 1_000)
    pay(bank, new_keys()[0], SOL)
    before = content(bank, new_keys())
    with pytest.raises(SnapshotRefused, match="snapshot one cannot be used"):
        kept.restore("one", bank, DEPTHS, 10)
    assert content(bank, new_keys()) == before
    bank.seal()
    before = content(bank, new_keys())
    kept.tidy()
    assert content(Bank.open(tmp_path, DEPTHS), new_keys()) == before


def test_a_snapshot_that_cannot_be_written_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank, kept = Bank.open(tmp_path, DEPTHS), Snapshots(tmp_path)

    def full(path: Path, _content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(snapshot_folder, "write_whole", full)
    with pytest.raises(SnapshotRefused, match=r"cannot be written: .*No space left"):
        kept.take(bank, "one")
    monkeypatch.setattr(snapshot_folder, "write_whole", write_whole)
    assert kept.listed() == []
    kept.take(bank, "one")


def test_everything_is_as_it_was_and_goes_on_as_it_would_have(tmp_path: Path) -> None:
    bank, kept = Bank.open(tmp_path, DEPTHS), Snapshots(tmp_path)
    play(bank)
    bank.set_clock(9, 2_000_000_100_000)
    record = pay(bank, new_keys()[0], SOL)  # processed: it is sealed
    kept.take(bank, "one")
    assert bank.tip.slot == record.slot
    good, keys = content(bank, new_keys()), new_keys()
    known = [r.signature for r in bank.history.listed(bytes(keys[1]), 2**62, 500)]
    for seal in (3, 200):  # a checkpoint lies between
        pay(bank, keys[1], 7 * SOL)
        bank.set_clock(0, None)
        bank.advance(seal)
        bank = kept.restore("one", bank, DEPTHS, 2_000)
        assert content(bank, keys) == good
        assert (bank.clock.offset_ms, bank.clock.frozen_at_ms) == (9, 2_000_000_100_000)
        assert all(bank.is_known(signature) for signature in known)
        assert content(Bank.open(tmp_path, DEPTHS), keys) == good
        before = bank.tip.hash
        pay(bank, keys[0], SOL)
        bank.advance(2)
        assert bank.history.blocks[-2].previous == before
        bank.reorg(1)
        bank.advance(2_000)
        bank._checkpoints.wait()  # the other one below would read while it writes
        assert content(Bank.open(tmp_path, DEPTHS), keys) == content(bank, keys)
    # The snapshot is a copy: what happens to the chain does not reach it.
    assert content(kept.restore("one", bank, DEPTHS, 2_000), keys) == good


class Killed(BaseException):
    pass


@pytest.mark.parametrize("point", range(7))
def test_a_kill_in_the_middle_of_a_restore_leaves_one_chain_or_the_other(
    tmp_path: Path, point: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank, kept, keys = Bank.open(tmp_path, DEPTHS), Snapshots(tmp_path), new_keys()
    play(bank)
    kept.take(bank, "one")
    restored = content(bank, keys)
    pay(bank, keys[0], SOL)
    bank.advance(300)
    former = content(bank, keys)
    passed = 0

    def dies_at(step: Callable[..., Any]) -> Callable[..., Any]:
        def run(*given: Any, **named: Any) -> Any:
            nonlocal passed
            passed += 1
            if passed > point:
                raise Killed
            return step(*given, **named)

        return run

    with monkeypatch.context() as patch:
        patch.setattr(snapshot_folder, "copy", dies_at(snapshot_folder.copy))
        patch.setattr(snapshot_folder, "sync_folder", dies_at(snapshot_folder.sync_folder))
        patch.setattr(os, "rename", dies_at(os.rename))
        patch.setattr(os, "replace", dies_at(os.replace))
        patch.setattr(shutil, "rmtree", dies_at(shutil.rmtree))
        with pytest.raises(Killed):
            kept.restore("one", bank, DEPTHS, 2_000)
    Snapshots(tmp_path).tidy()
    again = Bank.open(tmp_path, DEPTHS)
    assert content(again, keys) == (former if point < 4 else restored)
    assert not (tmp_path / "restoring").exists()
    again.advance(3)


async def test_subscriptions_end_with_their_connections_and_reads_go_on(chain: Chain) -> None:
    payer, receiver = await chain.wallet(), Keypair().pubkey()
    await chain.advance(40)
    kept = await chain.call("sandbox_snapshot", {"name": "before"})
    assert kept["slot"] == 40
    raw = await chain.sign(move(payer, receiver, SOL), signers=[payer])
    await chain.send(raw)
    await chain.advance(2)
    async with connect(chain.ws) as deaf, connect(chain.ws) as ws:
        await ws.send('{"jsonrpc":"2.0","id":1,"method":"slotSubscribe"}')
        await ws.recv()
        await ws.send(
            json.dumps({"id": 2, "method": "sandbox_restore", "params": [{"name": "before"}]})
        )
        restored = json.loads(await ws.recv())["result"]
        assert restored["slot"] == 41
        await ws.wait_closed()
        assert ws.close_code == 1012
        assert "before" in (ws.close_reason or "")
        await deaf.send('{"jsonrpc":"2.0","id":1,"method":"getSlot"}')  # it had none
        assert json.loads(await deaf.recv())["result"] == 9
    assert await chain.balance(receiver) == 0
    await chain.send(raw)  # as if it had never been
    await chain.advance(1)
    assert await chain.balance(receiver, "confirmed") == SOL
    found = await chain.call("sandbox_listSnapshots")
    assert [(each["name"], each["slot"]) for each in found] == [("before", 40)]
    await chain.kill()
    await chain.start()
    assert await chain.balance(receiver, "confirmed") == SOL
    await chain.call("sandbox_deleteSnapshot", {"name": "before"})
    assert await chain.call("sandbox_listSnapshots") == []


async def test_what_was_on_its_way_does_not_reach_the_restored_chain(chain: Chain) -> None:
    payer, receiver = await chain.wallet(), Keypair().pubkey()
    await chain.advance(1)
    await chain.call("sandbox_snapshot", {"name": "one"})
    await chain.call("sandbox_setSendingFault", {"stick": True})
    await chain.pay(payer, receiver, SOL)
    await chain.call("sandbox_restore", {"name": "one"})
    assert (await chain.call("sandbox_clearFaults"))["kept"] == []
    await chain.call("sandbox_pause")
    await chain.advance(1)
    assert await chain.balance(receiver) == 0


async def test_a_damaged_chain_can_be_started_from_a_snapshot(chain: Chain) -> None:
    payer, receiver = await chain.wallet(), Keypair().pubkey()
    await chain.pay(payer, receiver, SOL)
    await chain.advance(1)
    await chain.call("sandbox_snapshot", {"name": "good"})
    await chain.stop()
    (chain.data_dir / "journal.bin").write_bytes(b"garbage")
    code, _, said = await run(process.command(chain.data_dir))
    assert (code, b"start it with --restore and one of good, or choose" in said) == (3, True)
    code, _, said = await run([*process.command(chain.data_dir), "--restore", "bad"])
    has = f"there is no snapshot bad: {chain.data_dir} has good; name another with --restore"
    assert (code, said.decode()) == (2, f"{has}, or start without\n")
    argv = [*process.command(chain.data_dir), "--restore", "good"]
    running = await process.start(argv, stderr=asyncio.subprocess.DEVNULL)
    await running.stop()
    await chain.start()
    assert await chain.balance(receiver, "confirmed") == SOL
