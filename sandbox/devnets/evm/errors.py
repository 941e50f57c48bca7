"""What callers are told: JSON-RPC refusals in the words of EIP-1474, and the end of anvil."""

from __future__ import annotations

from sandbox.devnets.json_rpc import INVALID_PARAMS, RpcError

RESOURCE_UNAVAILABLE = -32002
TRANSACTION_REJECTED = -32003


def invalid_params(message: str) -> RpcError:
    return RpcError(INVALID_PARAMS, f"Invalid params: {message}")


class AnvilGone(Exception):
    """The anvil process ended or stopped answering; what it was asked may or may not be done."""


class Unavailable(RpcError):
    """anvil is being started and the journal replayed, or the chain went back to a snapshot: the
    same request will do in a moment.
    """

    def __init__(self) -> None:
        super().__init__(
            RESOURCE_UNAVAILABLE,
            "the chain is being restored after a restart of its node or from a snapshot: send the"
            " request again",
            {"retryable": True},
        )
