"""JSON-RPC 2.0 as both devnets speak it: refusals, answers, and what is no request at all."""

from __future__ import annotations

from typing import Any, Final

import orjson

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
MAX_BATCH: Final = 1_000


class RpcError(Exception):
    """A refusal that the caller sees as the JSON-RPC `error` member."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data

    def to_json(self) -> dict[str, Any]:
        """The `error` member; `data` only when there is some."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.data is not None:
            error["data"] = self.data
        return error


def done(request_id: Any, result: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "result": result}


def failed(request_id: Any, error: RpcError) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "error": error.to_json()}


def parsed(body: bytes | str) -> Any:
    """One request, or a list of at most MAX_BATCH. Raises RpcError for what is neither."""
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise RpcError(PARSE_ERROR, "Parse error") from None
    if asked == []:
        raise RpcError(INVALID_REQUEST, "Invalid request")
    if isinstance(asked, list) and len(asked) > MAX_BATCH:
        raise RpcError(INVALID_REQUEST, f"Batch too large; max {MAX_BATCH}")
    return asked


def method_of(asked: Any) -> str:
    """The method that a request object names. Raises RpcError for what is no request."""
    if not isinstance(asked, dict) or not isinstance(method := asked.get("method"), str):
        raise RpcError(INVALID_REQUEST, "Invalid request")
    if not isinstance(asked.get("id"), str | int | float | None):
        raise RpcError(INVALID_REQUEST, "Invalid request")
    return method
