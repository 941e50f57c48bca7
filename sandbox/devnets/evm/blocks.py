"""Blocks and transactions in the words of the node's RPC, and what a refusal means half-way."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Iterable
from typing import Any, TypeVar

from sandbox.devnets.evm.errors import AnvilGone
from sandbox.devnets.evm.journal import Block, Tx
from sandbox.devnets.json_rpc import RpcError

T = TypeVar("T")


def hex_of(value: bytes) -> str:
    return "0x" + value.hex()


def sends(txs: Iterable[Tx]) -> list[tuple[str, tuple[Any, ...]]]:
    """The calls that put transactions into the node's pool."""
    return [("eth_sendRawTransaction", (hex_of(tx.raw),)) for tx in txs]


def block_of(found: dict[str, Any]) -> Block:
    return Block(
        int(found["number"], 16),
        int(found["timestamp"], 16),
        bytes.fromhex(found["hash"][2:]),
        tuple(bytes.fromhex(tx[2:]) for tx in found["transactions"]),
    )


async def done(answer: Awaitable[T]) -> T:
    """In the middle of a change a refusal is a broken node, not the caller's mistake."""
    try:
        return await answer
    except RpcError as error:
        sys.stderr.write(f"anvil refused in the middle of a change: {error.message}\n")
        raise AnvilGone(error.message) from None
