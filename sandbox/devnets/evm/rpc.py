"""JSON-RPC 2.0 at the front: what is passed on, what the front does itself, what is refused."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson

from sandbox.devnets.evm import control, methods
from sandbox.devnets.evm.control import Control
from sandbox.devnets.evm.errors import Unavailable, invalid_params
from sandbox.devnets.evm.node import Node
from sandbox.devnets.evm.unsigned import send_request
from sandbox.devnets.json_rpc import (
    INTERNAL_ERROR,
    METHOD_NOT_FOUND,
    RpcError,
    done,
    failed,
    method_of,
    parsed,
)

_FINAL_TAGS: Final = ("finalized", "safe")
Extra = dict[str, Callable[[list[Any]], Awaitable[Any]]]


class Rpc:
    """Answers one body. `has_control` opens the methods that change the chain."""

    def __init__(self, node: Node, handles: Control, *, has_control: bool, has_keys: bool) -> None:
        self._node, self._handles = node, handles
        self._has_control, self._has_keys = has_control, has_keys

    async def answer(self, body: bytes, extra: Extra | None = None) -> tuple[bytes, bool]:
        """The answer, empty for notifications only; and whether the chain was away."""
        try:
            asked = parsed(body)
        except RpcError as error:
            return _dump(failed(None, error)), False
        if isinstance(asked, list):
            return await self._batch(asked, extra)
        if self._passes(asked):
            try:
                return await self._node.read(self._body(asked, body)), False
            except RpcError as error:
                return _dump(failed(asked.get("id"), error)), isinstance(error, Unavailable)
        given = await self._one(asked, extra)
        return (b"" if given is None else _dump(given)), _is_away(given)

    async def _batch(self, asked: list[Any], extra: Extra | None) -> tuple[bytes, bool]:
        answers: list[dict[str, Any] | None] = []
        at = 0
        while at < len(asked):
            # Runs of one kind go to anvil together: that is what batches are for.
            end = at
            while end < len(asked) and _is_send(asked[end]):
                end += 1
            if end > at:
                answers += await self._send_many(asked[at:end])
                at = end
                continue
            while end < len(asked) and self._passes(asked[end]):
                end += 1
            if end > at:
                answers += await self._read_many(asked[at:end])
                at = end
                continue
            answers.append(await self._one(asked[at], extra))
            at += 1
        given = [answer for answer in answers if answer is not None]
        return (_dump(given) if given else b""), any(_is_away(answer) for answer in given)

    async def _read_many(self, asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
        try:
            found = orjson.loads(await self._node.read(self._body(asked, b"")))
        except RpcError as error:
            return [failed(request.get("id"), error) for request in asked]
        return list(found)

    async def _send_many(self, asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
        raws = [_raw(request["params"]) for request in asked]
        good = [raw for raw in raws if raw is not None]
        try:
            given = iter(await self._node.send(good))
            await self._handles.producer.follow()
        except RpcError as error:
            return [failed(request["id"], error) for request in asked]
        refusal = invalid_params("a signed transaction as 0x-prefixed hex is expected")
        found = [refusal if raw is None else next(given) for raw in raws]
        return [
            failed(request["id"], result)
            if isinstance(result, RpcError)
            else done(request["id"], result)
            for request, result in zip(asked, found, strict=True)
        ]

    async def _one(self, asked: Any, extra: Extra | None) -> dict[str, Any] | None:
        """One request object; None for a notification."""
        try:
            method = method_of(asked)
        except RpcError as error:
            return failed(None, error)
        if "id" not in asked:
            return None
        request_id, params = asked["id"], asked.get("params", [])
        if _is_send(asked):
            return (await self._send_many([asked]))[0]
        try:
            if not isinstance(params, list):
                raise invalid_params("an array is expected")
            return done(request_id, await self._do(method, params, extra))
        except RpcError as error:
            return failed(request_id, error)
        except Exception:
            # A bug of ours: one request fails with a code, its trace stays in our own log.
            traceback.print_exc(file=sys.stderr)
            return failed(request_id, RpcError(INTERNAL_ERROR, "Internal error"))

    async def _do(self, method: str, params: list[Any], extra: Extra | None) -> Any:
        if extra is not None and method in extra:
            return await extra[method](params)
        if method == "eth_sendTransaction" and (self._has_control or self._has_keys):
            if not params or not isinstance(params[0], dict):
                raise invalid_params("a transaction object is expected")
            sent = await send_request(self._node, params[0])
            await self._handles.producer.follow()
            return sent
        if method.startswith(methods.CONTROL_PREFIXES):
            if not self._has_control:
                raise RpcError(METHOD_NOT_FOUND, f"{method} is there with --faults only")
            if (done := control.METHODS.get(method)) is not None:
                return await done(self._handles, params)
            if method in methods.CONTROL_CHANGE:
                return await self._node.change(method, params)
            if (instead := methods.INSTEAD.get(method)) is not None:
                raise RpcError(METHOD_NOT_FOUND, f"{method} is not served: {instead}")
        raise RpcError(METHOD_NOT_FOUND, f"Method not found: {method}")

    def _passes(self, asked: Any) -> bool:
        """Whether a well-formed request goes to anvil as it is."""
        if not isinstance(asked, dict) or not isinstance(method := asked.get("method"), str):
            return False
        if not isinstance(asked.get("id", ()), str | int | float | None):
            return False
        if method in methods.READ or (self._has_keys and method in methods.SIGN):
            return True
        return self._has_control and method in methods.CONTROL_READ

    def _body(self, asked: Any, body: bytes) -> bytes:
        """The body for anvil; while finality is held, its tags name the held block."""
        if self._node.held_final is not None:
            number = hex(self._node.final_number)
            requests = asked if isinstance(asked, list) else [asked]
            for request in requests:
                if "params" in request:
                    request["params"] = _hold(request["params"], number)
            return orjson.dumps(asked)
        return body or orjson.dumps(asked)


def _hold(value: Any, number: str) -> Any:
    if isinstance(value, str):
        return number if value in _FINAL_TAGS else value
    if isinstance(value, list):
        return [_hold(each, number) for each in value]
    if isinstance(value, dict):
        return {name: _hold(each, number) for name, each in value.items()}
    return value


def _is_send(asked: Any) -> bool:
    return (
        isinstance(asked, dict)
        and asked.get("method") == "eth_sendRawTransaction"
        and isinstance(asked.get("id"), str | int | float)
        and isinstance(asked.get("params"), list)
    )


def _raw(params: list[Any]) -> bytes | None:
    if len(params) != 1 or not isinstance(params[0], str) or not params[0].startswith("0x"):
        return None
    try:
        return bytes.fromhex(params[0][2:])
    except ValueError:
        return None


def _is_away(answer: dict[str, Any] | None) -> bool:
    error = (answer or {}).get("error") or {}
    data = error.get("data")
    return isinstance(data, dict) and data.get("retryable") is True


def _dump(value: Any) -> bytes:
    return orjson.dumps(value)
