"""Transactions in, blocks out: refusals, receipts, finality, bursts, the heartbeat."""

import asyncio
import time

import pytest
from eth_account import Account
from web3.exceptions import Web3RPCError

from tests.devnets.evm.chain import ETHER, FAUCET, GWEI, OTHER, Chain, Refused, transfer, until


async def test_what_is_no_hex_is_refused(chain: Chain) -> None:
    wrong: list[list[object]] = [[], ["00"], ["0x0"], ["0xzz"], [1], [None], ["0x00", 1], [[]]]
    for params in wrong:
        with pytest.raises(Refused) as refused:
            await chain.call("eth_sendRawTransaction", *params)
        assert refused.value.code == -32602


async def test_garbage_and_blobs_and_repeats_are_refused(chain: Chain) -> None:
    for raw in ("0x", "0x03c0", "0x02c0", "0x" + "ff" * 100):
        with pytest.raises(Refused):
            await chain.send(raw)
    await chain.call("sandbox_pause")
    raw = transfer(0)
    await chain.send(raw)
    with pytest.raises(Refused, match="already imported"):
        await chain.send(raw)
    await chain.call("sandbox_resume")
    await chain.receipt(await chain.call("web3_sha3", raw))
    with pytest.raises(Refused, match="nonce too low"):
        await chain.send(raw)


async def test_web3_sends_and_reads_a_receipt(chain: Chain) -> None:
    w3 = chain.web3()
    try:
        assert await w3.eth.chain_id == 31337
        assert await w3.eth.accounts == []
        tx = {
            "from": FAUCET.address,
            "to": OTHER,
            "value": ETHER,
            "nonce": await w3.eth.get_transaction_count(FAUCET.address),
            "chainId": 31337,
            "gas": await w3.eth.estimate_gas({"to": OTHER, "value": ETHER}),
            "maxFeePerGas": 2 * await w3.eth.gas_price,
            "maxPriorityFeePerGas": await w3.eth.max_priority_fee,
        }
        tx.pop("from")
        sent = await w3.eth.send_raw_transaction(FAUCET.sign_transaction(tx).raw_transaction)
        receipt = await w3.eth.wait_for_transaction_receipt(sent, timeout=10, poll_latency=0.02)
        assert receipt["status"] == 1
        assert await w3.eth.get_balance(OTHER) == ETHER
        with pytest.raises(Web3RPCError, match="nonce too low"):
            await w3.eth.send_raw_transaction(FAUCET.sign_transaction(tx).raw_transaction)
    finally:
        await w3.provider.disconnect()


async def test_a_lone_transaction_is_mined_at_once_in_a_block_of_its_own(
    stopped_chain: Chain,
) -> None:
    chain = stopped_chain
    # Nothing but a transaction brings a block within the patience of this test.
    await chain.start(block_ms=200, final_delay_ms=600_000)
    before = await chain.height()
    for nonce in range(3):
        await chain.pay(nonce)
    assert await chain.height() == before + 3


async def test_a_block_is_final_after_two_more_which_follow_by_themselves(
    stopped_chain: Chain,
) -> None:
    chain = stopped_chain
    await chain.start(final_delay_ms=600_000)
    number = int((await chain.pay(0))["blockNumber"], 16)
    await asyncio.sleep(0.3)
    assert await chain.height() == number  # the delay is not over
    assert int((await chain.head("finalized"))["number"], 16) == max(0, number - 2)
    await chain.call("sandbox_setPace", {"finalDelayMs": 300})
    await chain.final(number)
    await asyncio.sleep(0.8)
    assert await chain.height() == number + 2  # and then it is quiet


async def test_a_burst_of_500_is_mined_whole(chain: Chain) -> None:
    keys = [Account.from_key((n + 1).to_bytes(32, "big")) for n in range(5)]
    for key in keys:
        await chain.call("anvil_setBalance", key.address, hex(ETHER))
    raws = [transfer(nonce, key=key) for nonce in range(100) for key in keys]
    first = await chain.height() + 1

    async def one_by_one(some: list[str]) -> list[str]:
        return [await chain.send(raw) for raw in some]

    alone = await asyncio.gather(*(one_by_one(raws[n:250:10]) for n in range(10)))
    batch = [
        {"jsonrpc": "2.0", "id": n, "method": "eth_sendRawTransaction", "params": [raw]}
        for n, raw in enumerate(raws[250:])
    ]
    together = [answer["result"] for answer in await chain.post(batch)]
    hashes = {*together, *(tx for some in alone for tx in some)}
    assert len(hashes) == 500

    async def mined() -> bool:
        counts = [
            await chain.call("eth_getTransactionCount", key.address, "latest") for key in keys
        ]
        return all(int(count, 16) == 100 for count in counts)

    await until(mined, "500 mined transactions")
    seen = [
        tx
        for number in range(first, await chain.height() + 1)
        for tx in (await chain.head(hex(number)))["transactions"]
    ]
    assert len(seen) == 500
    assert set(seen) == hashes
    assert await chain.call("txpool_status") == {"pending": "0x0", "queued": "0x0"}


async def test_a_nonce_from_the_future_waits_for_those_before_it(chain: Chain) -> None:
    later = await chain.send(transfer(1))
    await asyncio.sleep(0.3)
    assert await chain.call("eth_getTransactionReceipt", later) is None
    await chain.pay(0)
    assert (await chain.receipt(later))["status"] == "0x1"


async def test_an_underpriced_transaction_does_not_hold_up_others(stopped_chain: Chain) -> None:
    chain = stopped_chain
    await chain.start()
    key = Account.from_key("0x" + "0e" * 32)
    await chain.call("anvil_setBalance", key.address, hex(ETHER))
    await chain.call("sandbox_pause")
    cheap = await chain.send(transfer(0, key=key, tip=0, most=GWEI))
    await chain.call("anvil_setNextBlockBaseFeePerGas", hex(10 * GWEI))
    await chain.call("sandbox_resume")
    receipt = await chain.pay(0)
    await chain.final(int(receipt["blockNumber"], 16))
    assert await chain.call("eth_getTransactionReceipt", cheap) is None
    with pytest.raises(Refused, match="less than block base fee"):
        await chain.send(transfer(1, tip=0, most=GWEI))
    # The same nonce at a better price replaces it.
    assert (await chain.pay(0, key=key))["status"] == "0x1"
    assert await chain.call("eth_getTransactionByHash", cheap) is None


async def test_a_transaction_at_exactly_the_next_base_fee_is_mined_and_replayed(
    stopped_chain: Chain,
) -> None:
    chain = stopped_chain
    await chain.start()
    await chain.call("sandbox_pause")
    await chain.call("sandbox_mine", {"blocks": 3})  # behind any block that was being made
    base = int((await chain.head("pending"))["baseFeePerGas"], 16)
    assert base < int((await chain.head())["baseFeePerGas"], 16)
    sent = await chain.send(transfer(0, tip=0, most=base))
    await chain.call("sandbox_resume")
    receipt = await chain.receipt(sent)
    await chain.kill()
    await chain.start()
    assert await chain.call("eth_getTransactionReceipt", sent) == receipt


async def test_an_idle_chain_has_a_heartbeat(stopped_chain: Chain) -> None:
    await stopped_chain.start(heartbeat_ms=200)
    first, at = await stopped_chain.height(), time.monotonic()

    async def several() -> bool:
        return await stopped_chain.height() >= first + 6

    await until(several, "a heartbeat")
    made = await stopped_chain.height() - first
    assert made <= (time.monotonic() - at) / 0.2 + 3


async def test_a_doubled_transaction_is_mined_once(chain: Chain) -> None:
    await chain.call("sandbox_setSendingFault", {"copies": 5})
    sent = await chain.call("eth_sendRawTransaction", transfer(0, value=7))
    await chain.call("sandbox_clearFaults")
    await chain.receipt(sent)
    await chain.call("sandbox_mine", {"blocks": 2})
    assert int(await chain.call("eth_getBalance", OTHER, "latest"), 16) == 7
    assert await chain.call("eth_getTransactionCount", FAUCET.address, "pending") == "0x1"
