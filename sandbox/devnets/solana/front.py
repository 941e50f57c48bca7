"""How requests reach the chain: the methods of `rpc`, and subscriptions on a WebSocket."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from solders.pubkey import Pubkey

from sandbox.devnets.faults import Sent
from sandbox.devnets.json_rpc import INVALID_REQUEST, RpcError, failed, parsed
from sandbox.devnets.solana import execution, rpc
from sandbox.devnets.solana.encode import signature_text
from sandbox.devnets.solana.node import Node
from sandbox.devnets.solana.params import Params
from sandbox.devnets.solana.send import read_sent
from sandbox.devnets.solana.subscriptions import Hub, methods_for
from sandbox.devnets.transport import Answer, Connection

# What a batch may take before other connections have a turn, and before the rest is refused.
_BATCH_TURN: Final = 50  # requests
_BATCH_TURN_S: Final = 0.01
MAX_BATCH_ANSWER: Final = 256 << 20  # bytes


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
        return await self._answered(body, None), False

    def join(self, connection: Connection) -> Answer:
        extra = methods_for(self._hub, self._node, connection)

        async def answer(body: bytes) -> tuple[bytes, bool]:
            return await self._answered(body, extra), False

        return answer

    async def _answered(self, body: bytes, extra: rpc.Extra | None) -> bytes:
        if body.lstrip()[:1] != b"[":
            return rpc.answer(self._node, body, extra)
        try:
            batch = parsed(body)
        except RpcError as error:
            return rpc.dump(failed(None, error))
        answers, size, loop = list[bytes](), 0, asyncio.get_running_loop()
        turn = loop.time()
        for index, request in enumerate(batch):
            if index % _BATCH_TURN == _BATCH_TURN - 1 or loop.time() - turn > _BATCH_TURN_S:
                await asyncio.sleep(0)
                turn = loop.time()
            if size > MAX_BATCH_ANSWER:
                given = _refused(request)
            else:
                given = rpc.one(self._node, request, extra)
            if given is not None:
                answers.append(rpc.dump(given))
                size += len(answers[-1])
        return b"[%b]" % b",".join(answers) if answers else b""

    def leave(self, connection: Connection) -> None:
        self._hub.drop_sink(connection)


def _refused(request: Any) -> dict[str, Any] | None:
    """For what stands behind the answers that a batch may have; it is not carried out."""
    if not isinstance(request, dict):
        return failed(None, RpcError(INVALID_REQUEST, "Invalid request"))
    if "id" not in request:
        return None
    why = f"The answers of this batch are above {MAX_BATCH_ANSWER >> 20} MiB: ask for less"
    return failed(request["id"], RpcError(INVALID_REQUEST, why))
