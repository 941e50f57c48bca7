"""kill -9 of the front, of anvil, of both: what was answered stays, and nothing is doubled."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from aiohttp import (
    ClientError,
    ClientResponseError,
    ClientSession,
    TraceConfig,
    TraceRequestExceptionParams,
)
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak
from web3 import AsyncHTTPProvider, AsyncWeb3
from web3.providers.rpc.utils import ExceptionRetryConfiguration

from sandbox.devnets.evm.anvil import find_program
from sandbox.devnets.processes import Process
from tests.devnets.evm.chain import ETHER, FAUCET, OTHER, Chain, Refused, transfer, until


async def history(chain: Chain) -> list[dict[str, Any]]:
    """Every block with its stamp, hash and transactions, oldest first."""
    return [await chain.head(hex(n)) for n in range(await chain.height() + 1)]


def stamps(blocks: list[dict[str, Any]]) -> list[int]:
    return [int(block["timestamp"], 16) for block in blocks]


def dead(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


async def kill_front(chain: Chain) -> None:
    port, anvil = int(chain.rpc.rsplit(":", 1)[1]), chain.anvil_pid()
    assert chain.running is not None
    await chain.running.kill()

    async def is_gone() -> bool:
        return Process.of(anvil) is None

    await until(is_gone, "the end of anvil with its front")
    await chain.start(port=port)


async def kill_anvil(chain: Chain) -> None:
    dead(chain.anvil_pid())


async def kill_both(chain: Chain) -> None:
    port = int(chain.rpc.rsplit(":", 1)[1])
    assert chain.running is not None
    dead(chain.anvil_pid())
    await chain.running.kill()
    await chain.start(port=port)


@pytest.mark.parametrize("kill", [kill_front, kill_anvil, kill_both])
async def test_twenty_payments_survive_kills_in_their_middle(
    stopped_chain: Chain, kill: Callable[[Chain], Awaitable[None]]
) -> None:
    chain = stopped_chain
    await chain.start(block_ms=20)
    receipts: dict[str, dict[str, Any]] = {}
    blocks_seen: dict[str, str] = {}

    async def send(raw: str) -> str:
        """As a client with retries does: what is known already was sent."""
        try:
            return await chain.send(raw)
        except httpx2.HTTPError:
            return ""
        except Refused as error:
            if "already" in error.message or "too low" in error.message:
                return tx_id(raw)
            raise

    async def receipt(tx_hash: str) -> Any:
        with contextlib.suppress(httpx2.HTTPError):
            return await chain.call("eth_getTransactionReceipt", tx_hash)

    async def pay(raw: str) -> None:
        tx_hash = await until(lambda: send(raw), "a hash")
        found = await until(lambda: receipt(tx_hash), "a receipt")
        receipts[tx_hash] = found
        blocks_seen[found["blockNumber"]] = found["blockHash"]

    async def customer(nonces: range, key: LocalAccount) -> None:
        for nonce in nonces:
            await pay(transfer(nonce, key=key))

    keys = [Account.from_key((n + 1).to_bytes(32, "big")) for n in range(4)]
    for key in keys:
        await chain.call("anvil_setBalance", key.address, hex(ETHER))
    paying = [asyncio.create_task(customer(range(5), key)) for key in keys]
    for least in (4, 12):
        while len(receipts) < least:
            await asyncio.sleep(0.001)
        await kill(chain)
    await asyncio.gather(*paying)
    assert len(receipts) == 20
    for tx_hash, seen in receipts.items():
        assert seen["status"] == "0x1"
        assert await chain.call("eth_getTransactionReceipt", tx_hash) == seen
    assert int(await chain.call("eth_getBalance", OTHER, "latest"), 16) == 20
    blocks = await history(chain)
    assert all(blocks[int(n, 16)]["hash"] == seen for n, seen in blocks_seen.items())
    assert stamps(blocks) == sorted(stamps(blocks))
    mined = [tx for block in blocks for tx in block["transactions"]]
    assert len(mined) == 20
    assert set(mined) == receipts.keys()


@pytest.mark.parametrize("kill", [kill_front, kill_anvil, kill_both])
async def test_a_kill_in_a_burst_of_twenty_keeps_every_receipt_and_every_hash_that_was_answered(
    stopped_chain: Chain, kill: Callable[[Chain], Awaitable[None]]
) -> None:
    chain = stopped_chain
    await chain.start(block_ms=5)
    raws = [transfer(nonce) for nonce in range(20)]
    answered: set[str] = set()
    receipts: dict[str, dict[str, Any]] = {}
    newest = 0

    async def send(raw: str) -> None:
        with contextlib.suppress(httpx2.HTTPError, Refused):
            answered.add(await chain.send(raw))

    async def look(tx_hash: str) -> None:
        nonlocal newest
        with contextlib.suppress(httpx2.HTTPError, Refused):
            while tx_hash not in receipts:
                found = await chain.call("eth_getTransactionReceipt", tx_hash)
                if found is not None:
                    receipts[tx_hash] = found
                newest = max(newest, int((await chain.head())["timestamp"], 16))

    for round_ in range(3):
        sending = [asyncio.create_task(send(raw)) for raw in raws]
        looking = [asyncio.create_task(look(tx_id(raw))) for raw in raws]
        least = min(20, len(answered) + 4 + 3 * round_)
        while len(answered) < least and not all(task.done() for task in sending):
            await asyncio.sleep(0)
        await kill(chain)
        await asyncio.gather(*sending)
        for task in looking:
            task.cancel()
        await asyncio.gather(*looking, return_exceptions=True)
        await until(lambda: chain.call("eth_blockNumber"), "the chain")
        for tx_hash, seen in receipts.items():
            assert await chain.call("eth_getTransactionReceipt", tx_hash) == seen
        assert int((await chain.head())["timestamp"], 16) >= newest
    assert answered
    # What was answered is mined without being sent again (the nonces before it are sent first).
    for raw in raws:
        if tx_id(raw) not in answered:
            with contextlib.suppress(Refused):
                await chain.send(raw)
    for raw in raws:
        assert (await chain.receipt(tx_id(raw)))["status"] == "0x1"
    assert int(await chain.call("eth_getBalance", OTHER, "latest"), 16) == 20
    blocks = await history(chain)
    mined = [tx for block in blocks for tx in block["transactions"]]
    assert sorted(mined) == sorted(map(tx_id, raws))
    assert stamps(blocks) == sorted(stamps(blocks))


def tx_id(raw: str) -> str:
    return "0x" + keccak(bytes.fromhex(raw[2:])).hex()


async def test_a_clean_restart_gives_the_same_chain_with_its_receipts_and_logs(
    stopped_chain: Chain,
) -> None:
    chain = stopped_chain
    await chain.start()
    keys = [Account.from_key((n + 1).to_bytes(32, "big")) for n in range(25)]
    for key in keys:
        await chain.call("anvil_setBalance", key.address, hex(ETHER))
    # Equal fees from many senders: only the order of arrival orders the block.
    sent = await asyncio.gather(*(chain.send(transfer(0, key=key)) for key in keys))
    receipts = [await chain.receipt(tx) for tx in sent]
    # A contract whose constructor logs: PUSH1 0 PUSH1 0 LOG0 STOP.
    deploy = FAUCET.sign_transaction(
        {
            "data": "0x60006000a000",
            "value": 0,
            "gas": 100_000,
            "maxFeePerGas": 20 * 10**9,
            "maxPriorityFeePerGas": 10**9,
            "nonce": 0,
            "chainId": 31337,
        }
    )
    receipts.append(await chain.receipt(await chain.send(f"0x{deploy.raw_transaction.hex()}")))
    assert len(receipts[-1]["logs"]) == 1
    await chain.call("sandbox_mine", {"blocks": 120})
    before = await history(chain)
    everything = {"fromBlock": "0x0", "toBlock": "latest"}
    logs = await chain.call("eth_getLogs", everything)
    assert await chain.stop() == 0
    await chain.start()
    after = await history(chain)
    assert after[: len(before)] == before
    again = [await chain.call("eth_getTransactionReceipt", r["transactionHash"]) for r in receipts]
    assert again == receipts
    assert await chain.call("eth_getLogs", everything) == logs
    assert len(logs) == 1


async def test_what_waits_in_the_pool_survives_a_kill(stopped_chain: Chain) -> None:
    chain = stopped_chain
    await chain.start()
    await chain.call("sandbox_pause")
    sent = [await chain.send(transfer(nonce)) for nonce in (0, 1, 3)]
    dropped = await chain.send(transfer(2))
    assert await chain.call("sandbox_drop", {"tx": dropped}) == {"dropped": True}
    await chain.kill()
    await chain.start()
    for tx in sent[:2]:
        assert (await chain.receipt(tx))["status"] == "0x1"
    assert await chain.call("eth_getTransactionByHash", dropped) is None
    assert await chain.call("txpool_status") == {"pending": "0x0", "queued": "0x1"}


async def test_requests_while_anvil_is_away_get_a_retryable_error(
    stopped_chain: Chain, tmp_path: Path
) -> None:
    # It does not come back before it may: how long that takes is up to the machine.
    away, program = tmp_path / "away", tmp_path / "anvil"
    wait = f'while [ -e "{away}" ]; do sleep 0.05; done'
    program.write_text(f'#!/bin/sh\n{wait}\nexec "{find_program()}" "$@"\n')
    program.chmod(0o755)
    chain = stopped_chain
    await chain.start(anvil=program)
    receipt = await chain.pay(0)
    away.touch()
    dead(chain.anvil_pid())

    async def is_away() -> bool:
        return (await chain.http.get(f"{chain.rpc}/health")).status_code == 503

    await until(is_away, "the end of anvil being noticed")
    request = {"jsonrpc": "2.0", "id": 7, "method": "eth_blockNumber", "params": []}
    send = {"jsonrpc": "2.0", "id": 8, "method": "eth_sendRawTransaction", "params": [transfer(1)]}
    for body in (request, send, [request, send]):
        answer = await chain.http.post(chain.rpc, json=body)
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        for one in answer.json() if isinstance(body, list) else [answer.json()]:
            assert one["error"]["code"] == -32002
            assert one["error"]["data"] == {"retryable": True}
    # web3.py asks again by itself. Its own five tries last two seconds; a start may take longer.
    tries = ExceptionRetryConfiguration(errors=(ClientError, TimeoutError), retries=9)
    provider = AsyncHTTPProvider(chain.rpc, exception_retry_configuration=tries)
    refused = asyncio.Event()

    async def note(_session: object, _context: object, found: TraceRequestExceptionParams) -> None:
        assert isinstance(found.exception, ClientResponseError)
        assert found.exception.status == 503
        refused.set()

    trace = TraceConfig()
    trace.on_request_exception.append(note)
    await provider.cache_async_session(ClientSession(raise_for_status=True, trace_configs=[trace]))
    w3 = AsyncWeb3(provider)
    try:
        asking = asyncio.create_task(w3.eth.get_block_number())
        await asyncio.wait_for(refused.wait(), 30)
        away.unlink()
        assert await asking >= int(receipt["blockNumber"], 16)
    finally:
        await w3.provider.disconnect()
    assert (await chain.http.get(f"{chain.rpc}/health")).text == "ok"


async def test_control_changes_survive_a_kill(stopped_chain: Chain) -> None:
    chain = stopped_chain
    await chain.start()
    ghost, code = "0x" + "ab" * 20, "0x60006000f3"
    await chain.call("anvil_setBalance", ghost, hex(5 * ETHER))
    await chain.call("hardhat_setCode", OTHER, code)
    await chain.call("anvil_impersonateAccount", ghost)
    request = {"from": ghost, "to": FAUCET.address, "value": hex(ETHER)}
    receipt = await chain.receipt(await chain.call("eth_sendTransaction", request))
    await chain.call("anvil_stopImpersonatingAccount", ghost)
    await chain.call("anvil_setStorageAt", OTHER, "0x1", "0x" + "00" * 31 + "07")
    head = await chain.head()
    await chain.kill()
    await chain.start()
    assert await chain.call("eth_getTransactionReceipt", receipt["transactionHash"]) == receipt
    assert (await chain.head(head["number"]))["hash"] == head["hash"]
    assert await chain.call("eth_getCode", OTHER, "latest") == code
    assert int(await chain.call("eth_getStorageAt", OTHER, "0x1", "latest"), 16) == 7
    with pytest.raises(Refused, match="No Signer"):
        await chain.call("eth_sendTransaction", request)


async def test_an_address_is_funded_once(stopped_chain: Chain) -> None:
    chain = stopped_chain
    await chain.start()
    full = int(await chain.call("eth_getBalance", FAUCET.address, "latest"), 16)
    await chain.pay(0, value=ETHER)
    assert await chain.stop() == 0
    await chain.start(fund=(FAUCET.address, OTHER))
    assert int(await chain.call("eth_getBalance", FAUCET.address, "latest"), 16) < full - ETHER
    assert int(await chain.call("eth_getBalance", OTHER, "latest"), 16) == full


async def test_an_anvil_that_grows_over_its_limit_is_replaced(stopped_chain: Chain) -> None:
    chain = stopped_chain
    await chain.start(anvil_memory_mb=1)
    receipt = await chain.pay(0)
    first = chain.anvil_pid()

    async def is_replaced() -> bool:
        try:
            return chain.anvil_pid() != first
        except AssertionError:
            return False

    await until(is_replaced, "another anvil")
    again = await until(
        lambda: chain.call("eth_getTransactionReceipt", receipt["transactionHash"]), "a receipt"
    )
    assert again == receipt
    second = chain.anvil_pid()
    await asyncio.sleep(1.3)  # large by right: it is not replaced for ever
    assert chain.anvil_pid() == second
