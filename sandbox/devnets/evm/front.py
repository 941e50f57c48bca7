"""How requests reach the chain: `rpc`, and subscriptions on a WebSocket."""

from __future__ import annotations

import re
from typing import Any

from sandbox.devnets.evm.blocks import hex_of
from sandbox.devnets.evm.methods import CONTROL_PREFIXES
from sandbox.devnets.evm.node import Node
from sandbox.devnets.evm.pool import signed
from sandbox.devnets.evm.rpc import Rpc
from sandbox.devnets.evm.subscriptions import Hub
from sandbox.devnets.faults import Faults, Sent
from sandbox.devnets.transport import Answer, Connection


class Sending:
    """How transactions come to this chain."""

    method = "eth_sendRawTransaction"

    def read(self, params: list[Any]) -> Sent | None:
        # Imported where it runs: it is seldom needed.
        from eth_account import Account

        try:
            raw = bytes.fromhex(str(params[0]).removeprefix("0x"))
            sender = Account.recover_transaction(raw)
        except Exception:  # whatever it cannot read, anvil refuses with its own words
            return None
        return Sent(hex_of(signed(raw).hash), (str(sender).lower(),))

    def address(self, text: str) -> str | None:
        return text.lower() if re.fullmatch("0x[0-9a-fA-F]{40}", text) else None


class Front:
    """What the transport asks."""

    cors_headers = b"content-type"

    def __init__(self, node: Node, rpc: Rpc, hub: Hub, faults: Faults, *, has_keys: bool) -> None:
        self._node, self._rpc, self._hub = node, rpc, hub
        self.faults, self._has_keys = faults, has_keys

    def is_up(self) -> bool:
        return self._node.up

    def is_control(self, method: str) -> bool:
        # Without dev accounts only impersonated ones can send what nobody signed.
        return method.startswith(CONTROL_PREFIXES) or (
            method == "eth_sendTransaction" and not self._has_keys
        )

    async def answer(self, body: bytes) -> tuple[bytes, bool]:
        return await self._rpc.answer(body)

    def join(self, connection: Connection) -> Answer:
        extra = self._hub.methods_for(connection)
        return lambda body: self._rpc.answer(body, extra)

    def leave(self, connection: Connection) -> None:
        self._hub.leave(connection)
