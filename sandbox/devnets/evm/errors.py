"""What callers are told: JSON-RPC refusals in the words of EIP-1474, and the end of anvil."""

from __future__ import annotations

from typing import Any

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
RESOURCE_UNAVAILABLE = -32002
TRANSACTION_REJECTED = -32003


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


def invalid_params(message: str) -> RpcError:
    return RpcError(INVALID_PARAMS, f"Invalid params: {message}")


class AnvilGone(Exception):
    """The anvil process ended or stopped answering; what it was asked may or may not be done."""


class Unavailable(RpcError):
    """anvil is being started and the journal replayed: the same request will do in a moment."""

    def __init__(self) -> None:
        super().__init__(
            RESOURCE_UNAVAILABLE,
            "the chain is being restored after a restart of its node: send the request again",
            {"retryable": True},
        )
