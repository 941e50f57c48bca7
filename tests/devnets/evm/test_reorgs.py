"""Faults on demand: reorgs with and without the transactions, held finality, pause, drop."""

import asyncio
from typing import Any

import pytest

from tests.devnets.evm.chain import OTHER, Chain, Refused, transfer


async def test_a_reorg_that_cannot_be_is_refused(chain: Chain) -> None:
    await chain.call("sandbox_mine", {"blocks": 10})
    wrong: list[dict[str, Any]] = [
        {},
        {"blocks": 0},
        {"blocks": 3},
        {"blocks": "1"},
        {"blocks": 1, "mode": "maybe"},
        {"blocks": 63, "force": True},
    ]
    head = await chain.head("0xa")
    for asked in wrong:
        with pytest.raises(Refused) as refused:
            await chain.call("sandbox_reorg", asked)
        assert refused.value.code == -32602
    assert await chain.head("0xa") == head


async def test_a_dropped_transaction_is_gone_and_its_nonce_is_free(chain: Chain) -> None:
    await chain.quiet()
    await chain.call("sandbox_holdFinality", {"hold": True})
    receipt = await chain.pay(0, value=5)
    done = await chain.call("sandbox_reorg", {"blocks": 1, "mode": "drop"})
    assert (done["droppedBlocks"], done["droppedTransactions"], done["minedTransactions"]) == (
        1,
        1,
        0,
    )
    assert await chain.call("eth_getTransactionReceipt", receipt["transactionHash"]) is None
    assert await chain.call("eth_getBlockByHash", receipt["blockHash"], False) is None
    assert int(await chain.call("eth_getBalance", OTHER, "latest"), 16) == 0
    again = await chain.pay(0, value=6)
    assert again["status"] == "0x1"
    assert int(await chain.call("eth_getBalance", OTHER, "latest"), 16) == 6


async def test_reincluded_transactions_come_back_in_another_block(chain: Chain) -> None:
    await chain.quiet()
    await chain.call("sandbox_holdFinality", {"hold": True})
    old = [await chain.pay(nonce) for nonce in range(5)]
    height = await chain.height()
    done = await chain.call("sandbox_reorg", {"blocks": 5, "mode": "reinclude"})
    assert (done["droppedTransactions"], done["minedTransactions"]) == (5, 5)
    assert await chain.height() == height
    for receipt in old:
        new = await chain.call("eth_getTransactionReceipt", receipt["transactionHash"])
        assert new["status"] == "0x1"
        assert new["blockHash"] != receipt["blockHash"]
    assert int(await chain.call("eth_getBalance", OTHER, "latest"), 16) == 5


async def test_a_reorg_changes_every_hash_even_of_empty_blocks_in_frozen_time(
    chain: Chain,
) -> None:
    clock = await chain.call("sandbox_getClock")
    frozen = {"offsetMs": 0, "frozenAtMs": clock["unixTimeMs"]}
    await chain.call("sandbox_setClock", frozen)
    await chain.call("sandbox_pause")
    await chain.call("sandbox_mine", {"blocks": 8})
    height = await chain.height()
    before = [(await chain.head(hex(height - n)))["hash"] for n in range(6)]
    await chain.call("sandbox_reorg", {"blocks": 5, "force": True})
    after = [(await chain.head(hex(height - n)))["hash"] for n in range(6)]
    assert all(new != old for new, old in zip(after[:5], before[:5], strict=True))
    assert after[5] == before[5]


async def test_a_reorg_below_final_needs_to_be_asked_for_by_name(chain: Chain) -> None:
    await chain.quiet()
    receipt = await chain.pay(0)
    number = int(receipt["blockNumber"], 16)
    await chain.final(number)
    depth = await chain.height() - number + 1
    with pytest.raises(Refused):
        await chain.call("sandbox_reorg", {"blocks": depth})
    await chain.call("sandbox_reorg", {"blocks": depth, "force": True})
    assert await chain.call("eth_getTransactionReceipt", receipt["transactionHash"]) is None


async def test_a_chain_with_reorgs_survives_a_kill(stopped_chain: Chain) -> None:
    chain = stopped_chain
    await chain.start()
    await chain.quiet()
    await chain.call("sandbox_holdFinality", {"hold": True})
    lost = await chain.pay(0, value=1)
    await chain.call("sandbox_reorg", {"blocks": 1})
    kept = await chain.pay(0, value=2)
    await chain.pay(1, value=4)
    await chain.call("sandbox_reorg", {"blocks": 2, "mode": "reinclude"})
    kept = await chain.call("eth_getTransactionReceipt", kept["transactionHash"])
    head = await chain.head()
    await chain.kill()
    await chain.start()
    assert (await chain.head(head["number"]))["hash"] == head["hash"]
    assert await chain.call("eth_getTransactionReceipt", kept["transactionHash"]) == kept
    assert await chain.call("eth_getTransactionReceipt", lost["transactionHash"]) is None
    assert int(await chain.call("eth_getBalance", OTHER, "latest"), 16) == 6


async def test_held_finality_stays_while_blocks_go_on_and_then_catches_up(chain: Chain) -> None:
    first = await chain.pay(0)
    await chain.final(int(first["blockNumber"], 16))
    held = await chain.call("sandbox_holdFinality", {"hold": True})
    receipts = [await chain.pay(nonce) for nonce in range(1, 6)]
    for tag in ("finalized", "safe"):
        assert (await chain.head(tag))["number"] == held["finalized"]
    balance = await chain.call("eth_getBalance", OTHER, "finalized")
    assert int(balance, 16) == 1
    asked = [
        {"jsonrpc": "2.0", "id": 1, "method": "eth_getBalance", "params": [OTHER, "finalized"]}
    ]
    assert (await chain.post(asked))[0]["result"] == balance
    await chain.call("sandbox_holdFinality", {"hold": False})
    await chain.final(int(receipts[-1]["blockNumber"], 16))


async def test_a_paused_chain_mines_only_what_it_is_told_to(chain: Chain) -> None:
    await chain.call("sandbox_pause")
    sent = await chain.send(transfer(0))
    await asyncio.sleep(0.3)
    assert await chain.call("eth_getTransactionReceipt", sent) is None
    await chain.call("sandbox_mine", {"blocks": 1})
    assert (await chain.call("eth_getTransactionReceipt", sent))["status"] == "0x1"


async def test_a_dropped_transaction_leaves_the_pool(chain: Chain) -> None:
    await chain.call("sandbox_pause")
    sent = await chain.send(transfer(0))
    assert await chain.call("sandbox_drop", {"tx": sent}) == {"dropped": True}
    assert await chain.call("sandbox_drop", {"tx": sent}) == {"dropped": False}
    assert await chain.call("eth_getTransactionByHash", sent) is None
    for wrong in ("0x12", "zz" * 33, None):
        with pytest.raises(Refused, match="transaction hash"):
            await chain.call("sandbox_drop", {"tx": wrong})
