"""A chain from a seed, in step with transactions: the same one each time."""

from pathlib import Path
from typing import Any

from sandbox.core.chance import START
from sandbox.devnets.evm.node import FINAL_DEPTH
from tests.devnets.evm.chain import Chain, transfer


async def played(chain: Chain, *, kill: bool) -> list[Any]:
    """Hash, number and stamp of the last block after two payments, each final when it is sent."""
    for nonce in range(2):
        receipt = await chain.call("eth_getTransactionReceipt", await chain.send(transfer(nonce)))
        final = await chain.call("eth_getBlockByNumber", "finalized", False)
        assert receipt["blockNumber"] == final["number"]
        if kill:
            await chain.kill()
            await chain.start()
    head = await chain.call("eth_getBlockByNumber", "latest", False)
    final = await chain.call("eth_getBlockByNumber", "finalized", False)
    return [head["hash"], int(head["number"], 16), int(head["timestamp"], 16), final["number"]]


async def pending(chain: Chain) -> str:
    """A payment that is answered though no block will have it."""
    return await chain.send(transfer(2))


async def test_one_seed_gives_one_chain_in_which_each_block_with_a_payment_is_final(
    tmp_path: Path,
) -> None:
    found = []
    for name, seed, kill in (("a", 7, False), ("b", 7, True), ("c", 8, False)):
        # A pace that nobody would wait for: it does not count here.
        chain = Chain(tmp_path / name, seed=seed, block_ms=3_600_000)
        try:
            await chain.start()
            found.append(await played(chain, kill=kill))
            await chain.call("sandbox_pause")
            assert await chain.call("eth_getTransactionReceipt", await pending(chain)) is None
        finally:
            await chain.close()
    assert found[0] == found[1]
    assert found[0][0] != found[2][0]
    blocks = 2 * (1 + FINAL_DEPTH)
    assert found[0][1:] == [blocks, int(START.timestamp()), hex(blocks - FINAL_DEPTH)]
