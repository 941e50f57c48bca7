"""How requests reach the chain: `rpc`, and subscriptions on a WebSocket."""

from __future__ import annotations

from sandbox.devnets.evm.node import Node
from sandbox.devnets.evm.rpc import Rpc
from sandbox.devnets.evm.subscriptions import Hub
from sandbox.devnets.transport import Answer, Connection


class Front:
    """What the transport asks."""

    cors_headers = b"content-type"

    def __init__(self, node: Node, rpc: Rpc, hub: Hub) -> None:
        self._node, self._rpc, self._hub = node, rpc, hub

    def is_up(self) -> bool:
        return self._node.up

    async def answer(self, body: bytes) -> tuple[bytes, bool]:
        return await self._rpc.answer(body)

    def join(self, connection: Connection) -> Answer:
        extra = self._hub.methods_for(connection)
        return lambda body: self._rpc.answer(body, extra)

    def leave(self, connection: Connection) -> None:
        self._hub.leave(connection)
