"""How requests reach the chain: the methods of `rpc`, and subscriptions on a WebSocket."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from solders.pubkey import Pubkey

from sandbox.devnets.faults import Sent
from sandbox.devnets.json_rpc import RpcError, failed, parsed
from sandbox.devnets.solana import execution, rpc
from sandbox.devnets.solana.encode import signature_text
from sandbox.devnets.solana.node import Node
from sandbox.devnets.solana.params import Params
from sandbox.devnets.solana.send import read_sent
from sandbox.devnets.solana.subscriptions import Hub, methods_for
from sandbox.devnets.transport import Answer, Connection

_BATCH_TURN: Final = 50  # requests of a batch between two looks at other connections


class Sending:
    """How transactions come to this chain."""

    method = "sendTransaction"

    def read(self, params: list[Any]) -> Sent | None:
        try:
            given = Params(params)
            sent = read_sent(given, given.config(1))
        except RpcError:
            return None
        if not execution.is_signed(sent):
            return None
        message = sent.tx.message
        signers = message.account_keys[: message.header.num_required_signatures]
        return Sent(signature_text(sent.signature), tuple(map(str, signers)))

    def address(self, text: str) -> str | None:
        try:
            return str(Pubkey.from_string(text))
        except ValueError:
            return None


class Front:
    """What the transport asks."""

    cors_headers = b"content-type, solana-client"

    def __init__(self, node: Node, hub: Hub) -> None:
        self._node, self._hub, self.faults = node, hub, node.faults

    def is_up(self) -> bool:
        return True

    def is_control(self, method: str) -> bool:
        return method.startswith("sandbox_")

    async def answer(self, body: bytes) -> tuple[bytes, bool]:
        """Like `rpc.answer`, but a long batch lets others have a turn."""
        if body.lstrip()[:1] != b"[":
            return rpc.answer(self._node, body), False
        try:
            batch = parsed(body)
        except RpcError as error:
            return rpc.dump(failed(None, error)), False
        answers = []
        for index, request in enumerate(batch):
            if index % _BATCH_TURN == _BATCH_TURN - 1:
                await asyncio.sleep(0)
            if (given := rpc.one(self._node, request)) is not None:
                answers.append(given)
        return rpc.dump(answers) if answers else b"", False

    def join(self, connection: Connection) -> Answer:
        extra = methods_for(self._hub, self._node, connection)

        async def answer(body: bytes) -> tuple[bytes, bool]:
            return rpc.answer(self._node, body, extra), False

        return answer

    def leave(self, connection: Connection) -> None:
        self._hub.drop_sink(connection)
