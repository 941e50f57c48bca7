"""A reorg on request: the youngest blocks are replaced, as a customer's node would see it."""

from __future__ import annotations

import secrets
from typing import Any

from sandbox.devnets.evm.blocks import block_of, done, hex_of, sends
from sandbox.devnets.evm.journal import Record, Reorg
from sandbox.devnets.evm.node import Node
from sandbox.devnets.evm.pool import signed


async def reorg(node: Node, depth: int, *, reinclude: bool) -> dict[str, Any]:
    """Replace the `depth` youngest blocks by as many others, whose hashes differ.

    Their transactions are lost, or mined again in the first new block (those of impersonated
    accounts are always lost: nobody signed them).
    """
    async with node.changing() as anvil:
        first = node.head.number - depth + 1
        old = await anvil.call_many(
            [("eth_getBlockByNumber", (hex(first + n), False)) for n in range(-1, depth)]
        )
        hashes = [tx for block in old[1:] for tx in block["transactions"]]
        raws = await anvil.call_many([("eth_getRawTransactionByHash", (tx,)) for tx in hashes])
        lost = [signed(bytes.fromhex(raw[2:])) for raw in raws]
        await anvil.call("anvil_rollback", depth)
        # Two empty blocks with one stamp and one parent would have one hash, so the new ones
        # pay their fees elsewhere.
        fees_to = "0x" + secrets.token_hex(20)
        await done(anvil.call("anvil_setCoinbase", fees_to))
        node.head = block_of(old[0])
        gone = Reorg(depth, fees_to)
        node.went_back(gone)
        before: list[Record] = [gone]
        if reinclude:
            lost = [tx for tx, was in zip(lost, hashes, strict=True) if was == hex_of(tx.hash)]
            refused = await anvil.try_many(sends(lost))
            again = [tx for tx, error in zip(lost, refused, strict=True) if error is None]
            before += again
            for tx in again:
                node.pool.take(tx)
        found = await node.mine_in_turn(anvil, depth, before)
    await node.show(found)
    return {
        "droppedBlocks": depth,
        "droppedTransactions": len(hashes),
        "minedTransactions": sum(len(block["transactions"]) for block in found),
        "blockNumber": hex(node.head.number),
        "blockHash": hex_of(node.head.hash),
        "parentHash": old[0]["hash"],
    }
