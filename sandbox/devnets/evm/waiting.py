"""Transactions that stay in the pool, and why each of them is in no block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import rlp  # type: ignore[import-untyped]  # no type marker

from sandbox.devnets.evm.blocks import hex_of
from sandbox.devnets.evm.journal import Tx, Unsigned
from sandbox.devnets.evm.node import Node
from sandbox.devnets.json_rpc import RpcError

_LEGACY: Final = 0xC0  # the first byte of a list


@dataclass(frozen=True, slots=True)
class Waiting:
    hash: str
    sender: str
    nonce: int
    seconds: int
    why: str
    is_payable: bool  # it could be mined, so leaving it out is the node's fault

    def __str__(self) -> str:
        return (
            f"transaction {self.hash} of {self.sender} (nonce {self.nonce})"
            f" waits for {self.seconds} s: {self.why}"
        )


async def waiting(node: Node, seconds: float) -> list[Waiting]:
    """What has waited for longer than `seconds`; nothing while the chain is away.

    What the node has let go leaves the pool here.
    """
    old = node.pool.older_than(seconds)
    if not old:
        return []
    try:
        content, block = await node.look(
            [("txpool_content", ()), ("eth_getBlockByNumber", ("pending", False))]
        )
    except RpcError:
        return []
    base_fee = int(block["baseFeePerGas"], 16)
    held = {
        tx["hash"]: (part, tx)
        for part in ("pending", "queued")
        for by_nonce in content[part].values()
        for tx in by_nonce.values()
    }
    await _forget_gone(node, [each for each in old if hex_of(each) not in held])
    nonces: dict[str, int] = {}
    found = []
    for tx_hash, age in old.items():
        if (place := held.get(hex_of(tx_hash))) is None:
            continue  # gone, or one of two with the same nonce
        part, tx = place
        sender = tx["from"]
        if part == "queued" and sender not in nonces:
            nonces[sender] = await _next_nonce(node, sender)
        why, is_payable = _why(part, tx, base_fee, nonces.get(sender, 0))
        nonce = int(tx["nonce"], 16)
        found.append(Waiting(tx["hash"], sender, nonce, int(age), why, is_payable))
    return found


async def _forget_gone(node: Node, tx_hashes: list[bytes]) -> None:
    try:
        found = await node.look(
            [("eth_getTransactionByHash", (hex_of(each),)) for each in tx_hashes]
        )
    except RpcError:
        return
    node.forget([each for each, tx in zip(tx_hashes, found, strict=True) if tx is None])


async def _next_nonce(node: Node, sender: str) -> int:
    try:
        (count,) = await node.look([("eth_getTransactionCount", (sender, "pending"))])
    except RpcError:
        return 0
    return int(count, 16)


def _why(part: str, tx: dict[str, Any], base_fee: int, next_nonce: int) -> tuple[str, bool]:
    if part == "queued" and int(tx["nonce"], 16) > next_nonce:
        return f"nonce gap, the sender's next nonce is {next_nonce}", False
    offer = int(tx.get("maxFeePerGas") or tx.get("gasPrice") or "0x0", 16)
    if offer < base_fee:
        return f"underpriced, it offers {offer} wei per gas and a block takes {base_fee}", False
    return "payable, the next block should hold it", True


async def forgotten(node: Node) -> list[str]:
    """One line for each signed transaction that the node has let go since the last call.

    anvil does so when the base fee rises above an offer. Those that were replaced are not named.
    """
    gone = [tx for tx in _taken_out(node) if isinstance(tx, Tx)]
    if not gone:
        return []
    facts = [_facts(tx) for tx in gone]
    try:
        block, *counts = await node.look(
            [
                ("eth_getBlockByNumber", ("pending", False)),
                *(("eth_getTransactionCount", (sender, "pending")) for sender, _, _ in facts),
            ]
        )
    except RpcError:
        return []
    base_fee = int(block["baseFeePerGas"], 16)
    return [
        f"transaction {hex_of(tx.hash)} of {sender} (nonce {nonce}) left the pool without a block:"
        f" it offers {offer} wei per gas and a block takes {base_fee}, so send another"
        for tx, (sender, nonce, offer), count in zip(gone, facts, counts, strict=True)
        if int(count, 16) <= nonce
    ]


def _taken_out(node: Node) -> list[Tx | Unsigned]:
    found = list(node.forgotten)
    node.forgotten.clear()
    return found


def _facts(tx: Tx) -> tuple[str, int, int]:
    """Sender, nonce and offer in wei per gas."""
    # Imported where it runs: it is seldom needed, and costs more than all the rest of a start.
    from eth_account import Account

    sender = str(Account.recover_transaction(tx.raw)).lower()
    kind = tx.raw[0] if tx.raw[0] < _LEGACY else 0
    fields = rlp.decode(tx.raw[1:] if kind else tx.raw)
    nonce, offer = (fields[1], fields[2 if kind == 1 else 3]) if kind else fields[:2]
    return sender, int.from_bytes(nonce, "big"), int.from_bytes(offer, "big")
