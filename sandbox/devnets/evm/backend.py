"""What a chain runs on: a node that speaks JSON-RPC, anvil or the fallback."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import orjson

from sandbox.devnets.json_rpc import RpcError

Calls = list[tuple[str, tuple[Any, ...]]]


class Backend(ABC):
    """A running node with one chain. Every failure to answer is AnvilGone."""

    can_go_back = True  # reorgs
    can_dump = True  # its state, for checkpoints

    @property
    @abstractmethod
    def pid(self) -> int | None:
        """The process of its own, if it has one."""

    @abstractmethod
    async def post(self, body: bytes) -> bytes:
        """Give a JSON-RPC body as it is and get the answer as it is. Raises AnvilGone."""

    @abstractmethod
    async def ended(self) -> None:
        """Wait until it has ended by itself."""

    @abstractmethod
    def resident_mb(self) -> int:
        """Memory that it holds; 0 where the system does not say."""

    @abstractmethod
    async def stop(self) -> None:
        """End it at once: it holds nothing that the journal does not."""

    async def call(self, method: str, *params: Any) -> Any:
        """The result of one method. Raises RpcError as the node refused, and AnvilGone."""
        return _result(orjson.loads(await self.post(orjson.dumps(_request(method, params)))))

    async def call_many(self, calls: Calls) -> list[Any]:
        """One batch; gives results, in order. Raises the first RpcError, and AnvilGone."""
        return [_result(answer) for answer in await self._batch(calls)]

    async def try_many(self, calls: Calls) -> list[RpcError | None]:
        """One batch; gives each call's refusal, or None for what was done. Raises AnvilGone."""
        return [_refusal(answer) for answer in await self._batch(calls)]

    async def _batch(self, calls: Calls) -> list[dict[str, Any]]:
        if not calls:
            return []
        body = orjson.dumps([_request(method, params) for method, params in calls])
        answers: list[dict[str, Any]] = orjson.loads(await self.post(body))
        return answers


def _request(method: str, params: tuple[Any, ...]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def _refusal(answer: dict[str, Any]) -> RpcError | None:
    if (error := answer.get("error")) is None:
        return None
    return RpcError(error["code"], error["message"], error.get("data"))


def _result(answer: dict[str, Any]) -> Any:
    if (refusal := _refusal(answer)) is not None:
        raise refusal
    return answer["result"]
