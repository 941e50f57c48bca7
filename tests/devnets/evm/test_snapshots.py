"""Named copies of the chain: what is refused, that all is as it was, and kills in between."""

import asyncio
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.asyncio.client import connect

from sandbox.devnets import snapshot_folder
from sandbox.devnets.evm import process
from sandbox.devnets.evm.snapshots import folder_of
from sandbox.devnets.journal_file import JournalFile, framed
from tests.devnets.evm.chain import FAUCET, OTHER, Chain, Refused, transfer, until
from tests.devnets.evm.test_process import refused

HOUR_MS = 3_600_000
Calls = list[tuple[str, list[Any]]]


async def content(chain: Chain) -> Any:
    """Every block, receipt, log and state that a client can ask for, and the pool."""
    height = await chain.height()
    asked: Calls = [("eth_getBlockByNumber", [hex(n), True]) for n in range(height + 1)]
    asked += [("eth_getBlockReceipts", [hex(n)]) for n in range(height + 1)]
    asked += [
        (method, [account, hex(n)])
        for n in range(max(0, height - 60), height + 1)
        for account in (FAUCET.address, OTHER)
        for method in ("eth_getBalance", "eth_getTransactionCount")
    ]
    asked += [
        ("eth_getBlockByNumber", ["finalized", False]),
        ("eth_getBalance", [OTHER, "finalized"]),
        ("eth_getTransactionCount", [FAUCET.address, "pending"]),
        ("eth_getLogs", [{"fromBlock": "0x0", "toBlock": "latest"}]),
        ("txpool_content", []),
    ]
    found = await chain.post(
        [{"jsonrpc": "2.0", "id": 1, "method": name, "params": given} for name, given in asked]
    )
    clock = await chain.call("sandbox_getClock")
    answers = [each["result"] for each in found]
    return [*answers, clock["offsetMs"], clock["frozenAtMs"], clock["blockTime"]]


async def play(chain: Chain, nonce: int) -> None:
    """Payments in some blocks, a moved clock, and one that waits for a nonce."""
    for at in range(3):
        await chain.send(transfer(nonce + at, value=7))
        await chain.call("sandbox_mine", {"blocks": 1})
    await chain.send(transfer(nonce + 9))
    await chain.call("sandbox_mine", {"blocks": 1})


@pytest.fixture
async def still(chain: Chain) -> Chain:
    """A chain that makes blocks when it is told to, with some content."""
    await chain.quiet()
    await chain.call("sandbox_pause")
    await chain.call("sandbox_setClock", {"offsetMs": HOUR_MS, "frozenAtMs": 2_000_000_000_000})
    await play(chain, 0)
    return chain


@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_no_name_is_refused(shared_chain: Chain) -> None:
    still = shared_chain
    asked: list[Any] = [{}, {"name": None}, {"name": 7}, {"name": "../x"}, {"name": ""}]
    asked += [{"name": name} for name in (".", "..", "a/b", ".making", "-a", "ä", "x" * 65)]
    asked += [{"name": "a", "force": True}]
    before = await content(still)
    for method in ("sandbox_snapshot", "sandbox_restore", "sandbox_deleteSnapshot"):
        for each in asked:
            with pytest.raises(Refused, match="name") as found:
                await still.call(method, each)
            assert found.value.code == -32602
    assert await content(still) == before
    assert await still.call("sandbox_listSnapshots") == []


@pytest.mark.asyncio(loop_scope="module")
async def test_none_is_overwritten_and_one_that_is_not_there_is_refused(
    shared_chain: Chain,
) -> None:
    still, one = shared_chain, {"name": "one"}
    await still.call("sandbox_snapshot", one)
    with pytest.raises(Refused, match="there is a snapshot one already: delete it first"):
        await still.call("sandbox_snapshot", one)
    for method in ("sandbox_restore", "sandbox_deleteSnapshot"):
        with pytest.raises(Refused, match="there is no snapshot two"):
            await still.call(method, {"name": "two"})
    assert [each["name"] for each in await still.call("sandbox_listSnapshots")] == ["one"]
    assert await still.call("sandbox_deleteSnapshot", one) == {"deleted": "one"}
    assert await still.call("sandbox_listSnapshots") == []
    await still.call("sandbox_snapshot", one)


async def test_a_damaged_snapshot_is_refused_and_the_chain_goes_on(still: Chain) -> None:
    await still.call("sandbox_snapshot", {"name": "one"})
    file = still.data_dir / "snapshots" / "one" / "journal.bin"
    good = file.read_bytes()
    with JournalFile(file) as frames:
        first, *others = [payload for payload, _ in frames.payloads()]
    foreign = first.replace(b'"chain_id":31337', b'"chain_id":31338')
    for hurt in (
        b"garbage" * 1_000,
        good[:400] + bytes([good[400] ^ 1]) + good[401:],
        b"".join(map(framed, [foreign, *others])),
        b"".join(map(framed, [first, *others[:2], *others[3:]])),  # a block lacks its transaction
        None,
    ):
        file.unlink() if hurt is None else file.write_bytes(hurt)
        await still.call("sandbox_mine", {"blocks": 1})
        before = await content(still)
        with pytest.raises(Refused, match="snapshot one cannot be used"):
            await still.call("sandbox_restore", {"name": "one"})
        assert await content(still) == before
        assert not list(still.data_dir.glob("restoring*"))
    await still.call("sandbox_mine", {"blocks": 1})
    before = await content(still)
    await still.kill()
    await still.start_still()
    assert await content(still) == before


@pytest.mark.asyncio(loop_scope="module")
async def test_a_snapshot_that_cannot_be_written_changes_nothing(shared_chain: Chain) -> None:
    still = shared_chain
    shutil.rmtree(still.data_dir / "snapshots", ignore_errors=True)
    (still.data_dir / "snapshots").write_text("in the way")
    before = await content(still)
    with pytest.raises(Refused, match="the snapshot cannot be written"):
        await still.call("sandbox_snapshot", {"name": "one"})
    (still.data_dir / "snapshots").unlink()
    assert await still.call("sandbox_listSnapshots") == []
    assert await content(still) == before
    await still.call("sandbox_snapshot", {"name": "one"})


async def test_everything_is_as_it_was_and_goes_on_as_it_would_have(still: Chain) -> None:
    about = await still.call("sandbox_snapshot", {"name": "one"})
    head, good = await still.head(), await content(still)
    assert about == {
        "name": "one",
        "blockNumber": head["number"],
        "blockHash": head["hash"],
        "transactions": 3,
        "time": int(head["timestamp"], 16),
    }
    for blocks in (3, 100):
        await still.call("sandbox_setClock", {"offsetMs": 0, "frozenAtMs": None})
        await still.send(transfer(3, value=5))
        await still.call("sandbox_mine", {"blocks": blocks})
        await still.call("sandbox_holdFinality", {"hold": True})
        await still.call("sandbox_reorg", {"blocks": 2, "force": True})
        assert await still.call("sandbox_restore", {"name": "one"}) == {
            "name": "one",
            "blockNumber": head["number"],
            "blockHash": head["hash"],
        }
        assert await content(still) == good
        faults = await still.call("sandbox_getFaults")
        assert (faults["paused"], faults["finalityHeld"]) == (True, False)
        await still.call("sandbox_reorg", {"blocks": 3, "force": True, "mode": "reinclude"})
        await still.call("sandbox_restore", {"name": "one"})
        await still.kill()
        await still.start_still()
        assert await content(still) == good
    await play(still, 3)  # the nonces that were free then
    assert [each["name"] for each in await still.call("sandbox_listSnapshots")] == ["one"]


async def test_a_restored_chain_makes_no_block_of_its_own_and_finishes_what_it_owed(
    chain: Chain,
) -> None:
    await chain.quiet()
    await chain.call("sandbox_snapshot", {"name": "quiet"})
    await chain.call("sandbox_setPace", {"finalDelayMs": 600_000})
    paid = await chain.pay(0)
    await chain.call("sandbox_snapshot", {"name": "owing"})
    await chain.call("sandbox_setPace", {"finalDelayMs": 0})
    await chain.final(int(paid["blockNumber"], 16))
    height = await chain.height()
    await chain.call("sandbox_restore", {"name": "owing"})
    await chain.final(int(paid["blockNumber"], 16))  # two blocks follow it again
    assert await chain.height() == height
    await chain.call("sandbox_restore", {"name": "quiet"})
    # A block that nobody asked for would come at once, and before the answer to the payment.
    assert int((await chain.pay(0))["blockNumber"], 16) == height - 2


@pytest.mark.asyncio(loop_scope="module")
async def test_subscriptions_go_on_with_the_restored_head(shared_chain: Chain) -> None:
    still = shared_chain
    await still.call("sandbox_pause")
    await still.call("sandbox_snapshot", {"name": "told"})
    head = await still.head()
    async with connect(still.ws) as ws:
        await ws.send('{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}')
        name = json.loads(await ws.recv())["result"]
        await still.call("sandbox_mine", {"blocks": 2})
        for number in (1, 2):
            assert _told(await ws.recv(), name)["number"] == hex(int(head["number"], 16) + number)
        await still.call("sandbox_restore", {"name": "told"})
        assert _told(await ws.recv(), name)["hash"] == head["hash"]
        await still.call("sandbox_mine", {"blocks": 1})
        assert _told(await ws.recv(), name)["parentHash"] == head["hash"]


def _told(message: str | bytes, subscription: str) -> dict[str, Any]:
    params = json.loads(message)["params"]
    assert params["subscription"] == subscription
    told: dict[str, Any] = params["result"]
    return told


@pytest.mark.asyncio(loop_scope="module")
async def test_what_was_on_its_way_does_not_reach_the_restored_chain(shared_chain: Chain) -> None:
    still = shared_chain
    await still.call("sandbox_snapshot", {"name": "sent"})
    await still.call("sandbox_setSendingFault", {"stick": True})
    tx = await still.send(transfer(0))
    await still.call("sandbox_restore", {"name": "sent"})
    assert (await still.call("sandbox_clearFaults"))["kept"] == []
    await still.call("sandbox_mine", {"blocks": 2})
    assert await still.call("eth_getTransactionReceipt", tx) is None


async def test_a_restore_while_payments_run_loses_none_that_it_says_it_took(
    chain: Chain,
) -> None:
    """A hash that is answered after the restore is of the restored chain; none is half in both."""
    await chain.quiet()
    await chain.call("sandbox_snapshot", {"name": "one"})
    done = asyncio.Event()
    answered: list[tuple[int, str]] = []
    unexpected: list[Refused] = []

    def is_of_a_restore(refusal: Refused) -> bool:
        return bool(refusal.data) or "nonce" in refusal.message

    async def pay() -> None:
        while not done.is_set():
            before = restores
            try:
                nonce = await chain.call("eth_getTransactionCount", FAUCET.address, "pending")
                tx = await chain.send(transfer(int(nonce, 16)))
            except Refused as refusal:
                unexpected.extend(() if is_of_a_restore(refusal) else (refusal,))
            else:
                answered.extend([(before, tx)] * (before == restores))

    restores = 0
    paying = asyncio.create_task(pay())
    for _ in range(8):
        await asyncio.sleep(0.1)
        await chain.call("sandbox_restore", {"name": "one"})
        restores += 1
    await asyncio.sleep(0.2)
    done.set()
    await paying
    assert unexpected == []
    last = [tx for when, tx in answered if when == restores]
    assert last
    assert len(answered) > len(last)
    for tx in last:
        await chain.receipt(tx)
    latest = await chain.head()
    for number in range(int(latest["number"], 16), 0, -1):
        block = await chain.call("eth_getBlockByNumber", hex(number - 1), False)
        assert block["hash"] == latest["parentHash"]
        latest = block


async def test_a_kill_in_the_middle_leaves_one_chain_or_the_other(
    still: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    await still.call("sandbox_snapshot", {"name": "one"})
    restored = await content(still)
    await still.send(transfer(3, value=5))
    await still.call("sandbox_mine", {"blocks": 2})
    former = await content(still)
    monkeypatch.setenv("SANDBOX_TEST_BUILD", "1")
    for point, left in (("loaded", former), ("chosen", restored)):
        await still.kill()
        monkeypatch.setenv("SANDBOX_FAILPOINTS", f"evm.restore.{point}:1")
        await still.start()
        with pytest.raises(httpx2.TransportError):
            await still.call("sandbox_restore", {"name": "one"})
        await still.kill()
        await still.start_still()
        assert await content(still) == left
        assert not list(still.data_dir.glob("restoring*"))


class Killed(BaseException):
    pass


@pytest.mark.parametrize("point", range(9))
def test_a_kill_at_any_step_on_disk_leaves_one_chain_or_the_other(
    tmp_path: Path, point: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files alone: `load` and `choose` are what a restore does to them."""
    data_dir = tmp_path
    (data_dir / "snapshots" / "one").mkdir(parents=True)
    for file in ("journal.bin", "checkpoint.bin"):
        (data_dir / file).write_text(f"former {file}")
        (data_dir / "snapshots" / "one" / file).write_text(f"restored {file}")
    about = {"number": 1, "hash": "0x", "transactions": 0, "time": 0, "followers": 0}
    (data_dir / "snapshots" / "one" / "about.json").write_text(json.dumps({"name": "one", **about}))
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
        folder = folder_of(data_dir)
        with pytest.raises(Killed):
            folder.choose() if folder.load("one") else None
    folder_of(data_dir).tidy()
    which = "former" if point < 4 else "restored"
    assert (data_dir / "journal.bin").read_text() == f"{which} journal.bin"
    checkpoint = data_dir / "checkpoint.bin"
    if checkpoint.exists():  # it is a cache
        assert checkpoint.read_text() == f"{which} checkpoint.bin"
    assert not list(data_dir.glob("restoring*"))


async def test_a_damaged_chain_can_be_started_from_a_snapshot(still: Chain) -> None:
    await still.call("sandbox_snapshot", {"name": "good"})
    good = await content(still)
    await still.stop()
    (still.data_dir / "journal.bin").write_bytes(b"garbage")
    argv = process.command(still.data_dir)
    code, said = await refused(argv)
    assert (code, "start it with --restore and one of good, or choose" in said) == (3, True)
    code, said = await refused([*argv, "--restore", "bad"])
    has = f"there is no snapshot bad: {still.data_dir} has good; name another with --restore"
    assert (code, said) == (2, f"{has}, or start without\n")
    code, said = await refused([*argv, "--restore", "good", "--chain-id", "1"])
    assert code == 2
    assert "made with --chain-id 31337, not 1" in said
    running = await process.start([*argv, "--restore", "good"])
    await running.stop()
    await still.start_still()
    assert await content(still) == good


async def test_a_large_chain_waits_in_a_second_node(chain: Chain, tmp_path: Path) -> None:
    """Growing it takes longer than its restore may; the second node is gone with the process."""
    await chain.quiet()
    await chain.call("sandbox_pause")
    for at in range(0, 320, 4):
        for nonce in range(at, at + 4):
            await chain.send(transfer(nonce))
        await chain.call("sandbox_mine", {"blocks": 1})
    about = await chain.call("sandbox_snapshot", {"name": "large"})
    assert about["transactions"] == 320

    async def is_there() -> bool:
        return (await chain.call("sandbox_health"))["spare"] == "large"

    good = await content(chain)
    for _ in range(2):
        await until(is_there, "the second node")
        await chain.send(transfer(320))
        await chain.call("sandbox_mine", {"blocks": 1})
        before = (await chain.call("sandbox_health"))["anvilPid"]
        await chain.call("sandbox_restore", {"name": "large"})
        assert (await chain.call("sandbox_health"))["anvilPid"] != before
        assert await content(chain) == good
    folder = chain.data_dir / "snapshots" / "large"
    assert (folder / "checkpoint.bin").stat().st_size > 0  # written on the way to it
    await chain.call("sandbox_restore", {"name": "large"})  # before the second node is there
    assert await content(chain) == good
    await chain.call("sandbox_deleteSnapshot", {"name": "large"})
    assert (await chain.call("sandbox_health"))["spare"] is None
    assert await content(chain) == good


@pytest.mark.long
async def test_kills_at_any_moment_leave_a_chain_that_there_was(stopped_chain: Chain) -> None:
    """Restores to and fro, each cut short somewhere: never a mixture of two chains."""
    chain, moments = stopped_chain, random.Random(27)
    await chain.start()
    await chain.quiet()
    await chain.call("sandbox_pause")
    known = {}
    for nonce in range(0, 9, 3):
        for at in range(3):
            await chain.send(transfer(nonce + at, value=nonce + 1))
            await chain.call("sandbox_mine", {"blocks": 1})
        name = f"at-{nonce}"
        await chain.call("sandbox_snapshot", {"name": name})
        known[name] = json.dumps(await content(chain))
    former, delay, ends = "at-6", 0.05, set()
    for _ in range(40):  # the moment comes closer and closer to the one at which it is decided
        wanted = moments.choice(sorted(known.keys() - {former}))
        asked = asyncio.create_task(chain.call("sandbox_restore", {"name": wanted}))
        await asyncio.sleep(delay)
        await chain.kill()
        answered = isinstance((await asyncio.gather(asked, return_exceptions=True))[0], dict)
        await chain.start_still()
        found = json.dumps(await content(chain))
        assert found == known[wanted] or (found == known[former] and not answered)
        is_restored = found == known[wanted]
        ends.add((is_restored, answered))
        former = wanted if is_restored else former
        delay *= moments.uniform(0.6, 0.9) if is_restored else moments.uniform(1.1, 1.4)
    assert {is_restored for is_restored, _ in ends} == {False, True}
