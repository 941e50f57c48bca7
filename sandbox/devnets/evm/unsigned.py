"""`eth_sendTransaction`: of a dev account (anvil signs) or of an impersonated one (nobody does)."""

from __future__ import annotations

from typing import Any, Final

from sandbox.devnets.evm.blocks import hex_of
from sandbox.devnets.evm.journal import Tx, Unsigned
from sandbox.devnets.evm.node import Node
from sandbox.devnets.evm.pool import signed

_FILLED: Final = (
    *("from", "to", "value", "gas", "gasPrice", "maxFeePerGas", "maxPriorityFeePerGas"),
    *("nonce", "input", "accessList", "type"),
)


async def send_request(node: Node, request: Any) -> str:
    """Give it to the pool, with what anvil filled in; gives its hash. Raises RpcError."""
    async with node.changing() as anvil:
        tx_hash: str = await anvil.call("eth_sendTransaction", request)
        raw = bytes.fromhex((await anvil.call("eth_getRawTransactionByHash", tx_hash))[2:])
        tx: Tx | Unsigned = signed(raw)
        if hex_of(signed(raw).hash) != tx_hash:
            filled = await anvil.call("eth_getTransactionByHash", tx_hash)
            given = {name: filled[name] for name in _FILLED if filled.get(name) is not None}
            if "maxFeePerGas" in given:
                given.pop("gasPrice", None)
            tx = Unsigned(tx_hash, given)
        node.write([tx])
        node.pool.take(tx)
    node.work.set()
    if node.observer is not None:
        await node.observer.on_pending(tx_hash)
    return tx_hash
