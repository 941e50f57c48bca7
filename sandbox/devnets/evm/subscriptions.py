"""`eth_subscribe` over WebSocket: new heads, logs, pending transactions.

The front's own, so that they outlive anvil and never show what is not on disk. As with anvil, a
reorg is seen by its new heads only: no log comes with `removed: true`.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from typing import Any, Final

import orjson

from sandbox.devnets.evm.errors import invalid_params
from sandbox.devnets.evm.node import Node
from sandbox.devnets.evm.rpc import Extra
from sandbox.devnets.json_rpc import RpcError
from sandbox.devnets.transport import Connection

_KINDS: Final = ("newHeads", "logs", "newPendingTransactions", "syncing")
_NOT_IN_HEADER: Final = ("transactions", "uncles", "size", "totalDifficulty", "withdrawals")
_MAX_EACH: Final = 100
_MAX_WAITING: Final = 10_000


class Hub:
    """All subscriptions of all connections; an observer of the node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._found: dict[str, tuple[Connection, str, Any]] = {}
        self._blocks: asyncio.Queue[dict[str, Any]] = asyncio.Queue(_MAX_WAITING)

    def __len__(self) -> int:
        return len(self._found)

    def methods_for(self, connection: Connection) -> Extra:
        """`eth_subscribe` and `eth_unsubscribe` of one connection."""

        async def subscribe(params: list[Any]) -> str:
            if not params or params[0] not in _KINDS:
                raise invalid_params(f"the first parameter must be one of {', '.join(_KINDS)}")
            if sum(1 for owner, _, _ in self._found.values() if owner is connection) >= _MAX_EACH:
                raise invalid_params(f"a connection has at most {_MAX_EACH} subscriptions")
            wanted = params[1] if len(params) > 1 else {}
            if params[0] == "logs":
                if not isinstance(wanted, dict):
                    raise invalid_params("a filter object is expected")
                await self._logs(wanted, "0x" + self._node.head.hash.hex())  # refuses a bad filter
            name = "0x" + secrets.token_hex(16)
            self._found[name] = (connection, params[0], wanted)
            return name

        async def unsubscribe(params: list[Any]) -> bool:
            name = params[0] if params and isinstance(params[0], str) else ""
            if name not in self._found or self._found[name][0] is not connection:
                return False
            del self._found[name]
            return True

        return {"eth_subscribe": subscribe, "eth_unsubscribe": unsubscribe}

    def leave(self, connection: Connection) -> None:
        for name in [name for name, found in self._found.items() if found[0] is connection]:
            del self._found[name]

    async def on_block(self, block: dict[str, Any]) -> None:
        if self._found:
            with contextlib.suppress(asyncio.QueueFull):
                self._blocks.put_nowait(block)

    async def on_restore(self, head: dict[str, Any]) -> None:
        """Subscriptions go on: as after a reorg, they see it by the head."""
        while not self._blocks.empty():
            self._blocks.get_nowait()
        await self.on_block({**head, "transactions": []})

    async def on_pending(self, tx_hash: str) -> None:
        self._tell("newPendingTransactions", tx_hash)

    async def run(self) -> None:
        """Tell of blocks, in order, until cancelled."""
        while True:
            block = await self._blocks.get()
            header = {name: value for name, value in block.items() if name not in _NOT_IN_HEADER}
            self._tell("newHeads", header)
            if not block["transactions"]:
                continue
            for name, (connection, kind, wanted) in list(self._found.items()):
                if kind == "logs":
                    with contextlib.suppress(RpcError):
                        for log in await self._logs(wanted, block["hash"]):
                            connection.push(_note(name, log))

    def _tell(self, wanted: str, result: Any) -> None:
        for name, (connection, kind, _) in list(self._found.items()):
            if kind == wanted:
                connection.push(_note(name, result))

    async def _logs(self, wanted: dict[str, Any], block_hash: str) -> list[dict[str, Any]]:
        only: dict[str, Any] = {"blockHash": block_hash}
        only |= {name: wanted[name] for name in ("address", "topics") if name in wanted}
        body = {"jsonrpc": "2.0", "id": 1, "method": "eth_getLogs", "params": [only]}
        answer = orjson.loads(await self._node.read(orjson.dumps(body)))
        if (error := answer.get("error")) is not None:
            raise RpcError(error["code"], error["message"])
        logs: list[dict[str, Any]] = answer["result"]
        return logs


def _note(name: str, result: Any) -> dict[str, Any]:
    return {
        "jsonrpc": "2.0",
        "method": "eth_subscription",
        "params": {"subscription": name, "result": result},
    }
