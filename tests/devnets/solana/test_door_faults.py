"""Faults between clients and the chain, in a process: doubled transactions, calls that fail."""

import asyncio

import pytest
from httpx2 import HTTPStatusError
from solders.keypair import Keypair

from tests.devnets.solana.chain import SOL, Chain, move

CONFIRMED = {"commitment": "confirmed"}


@pytest.mark.parametrize("preflight", [False, True])
async def test_a_doubled_transaction_counts_once(chain: Chain, preflight: bool) -> None:
    payer, receiver = await chain.wallet(), Keypair().pubkey()
    await chain.advance(1)
    await chain.call("sandbox_setSendingFault", {"copies": 5})
    raw = await chain.sign(move(payer, receiver, SOL), signers=[payer])
    await chain.send(raw, skipPreflight=not preflight)
    await chain.call("sandbox_setSendingFault", {"stick": True})
    other = await chain.sign(move(payer, receiver, SOL + 1), signers=[payer])
    for _ in range(2):
        await chain.send(other, skipPreflight=not preflight)
    await chain.call("sandbox_setSendingFault", {"stick": False})
    while (await chain.call("sandbox_getFaults"))["kept"]:
        await asyncio.sleep(0.01)
    await chain.advance(1)
    assert await chain.balance(receiver, "confirmed") == 2 * SOL + 1
    rows = await chain.call("getSignaturesForAddress", str(receiver), CONFIRMED)
    assert len(rows) == 2
    assert await chain.balance(payer.pubkey(), "confirmed") == 8 * SOL - 1 - 2 * 5_000


async def test_so_many_calls_fail_and_the_next_one_is_answered(chain: Chain) -> None:
    fault = {"kind": "error", "status": 429, "calls": 3, "method": "getBlockHeight"}
    assert (await chain.call("sandbox_setRpcFault", fault))["rpc"] == fault
    assert await chain.call("getSlot") == 0  # another method
    body = {"jsonrpc": "2.0", "id": 1, "method": "getBlockHeight"}
    for _ in range(3):
        answer = await chain.http.post(chain.rpc, json=body)
        with pytest.raises(HTTPStatusError):
            answer.raise_for_status()
        assert answer.status_code == 429
    assert (await chain.http.post(chain.rpc, json=body)).json()["result"] == 0
    assert (await chain.call("sandbox_getFaults"))["rpc"] == {"kind": "off"}
