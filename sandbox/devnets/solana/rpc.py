"""JSON-RPC 2.0: one request or a batch in, bytes out. No exception of a method gets past here."""

from __future__ import annotations

import sys
import traceback
from typing import Any

import orjson

from sandbox.devnets.solana import control, read_accounts, read_chain, read_history, send
from sandbox.devnets.solana.errors import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    RpcError,
)
from sandbox.devnets.solana.node import Method, Node
from sandbox.devnets.solana.params import Params

MAX_BATCH = 1_000

METHODS: dict[str, Method] = {
    **read_chain.METHODS,
    **read_accounts.METHODS,
    **read_history.METHODS,
    **send.METHODS,
}

Extra = dict[str, Method]


def parse(body: bytes | str) -> Any:
    """The JSON of a request; -32700 when it is none."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise RpcError(PARSE_ERROR, "Parse error") from None


def answer(node: Node, body: bytes | str, extra: Extra | None = None) -> bytes | None:
    """The whole answer, or None when the caller asked for none (notifications only)."""
    try:
        request = parse(body)
    except RpcError as error:
        return orjson.dumps(failed(None, error))
    if not isinstance(request, list):
        single = one(node, request, extra)
        return None if single is None else dump(single)
    if not request:
        return orjson.dumps(failed(None, RpcError(INVALID_REQUEST, "Invalid request")))
    if len(request) > MAX_BATCH:
        refusal = RpcError(INVALID_REQUEST, f"Batch too large; max {MAX_BATCH}")
        return orjson.dumps(failed(None, refusal))
    answers = [given for entry in request if (given := one(node, entry, extra)) is not None]
    return dump(answers) if answers else None


def dump(value: Any) -> bytes:
    return orjson.dumps(value)


def failed(request_id: Any, error: RpcError) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "error": error.to_json(), "id": request_id}


def one(node: Node, request: Any, extra: Extra | None = None) -> dict[str, Any] | None:
    """One request object; None for a notification."""
    if not isinstance(request, dict) or not isinstance(method := request.get("method"), str):
        return failed(None, RpcError(INVALID_REQUEST, "Invalid request"))
    request_id = request.get("id")
    if request_id is not None and not isinstance(request_id, str | int | float):
        return failed(None, RpcError(INVALID_REQUEST, "Invalid request"))
    if "id" not in request:
        return None  # notifications (kit and web3.js ping so) are swallowed
    try:
        handler = METHODS.get(method) or (extra or {}).get(method)
        if handler is None and node.control:
            handler = control.METHODS.get(method)
        if handler is None:
            raise RpcError(METHOD_NOT_FOUND, "Method not found")
        result = handler(node, Params(request.get("params")))
    except RpcError as error:
        return failed(request_id, error)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # pyo3 panics are no Exceptions
        traceback.print_exc(file=sys.stderr)
        return failed(request_id, RpcError(INTERNAL_ERROR, "Internal error"))
    return {"jsonrpc": "2.0", "result": result, "id": request_id}
