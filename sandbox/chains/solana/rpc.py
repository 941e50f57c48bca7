"""A Solana node: which of its refusals pass, and how much it takes at once."""

from sandbox.chains.json_rpc import TIMEOUT_S, JsonRpc


class Rpc(JsonRpc):
    # Node unhealthy or behind, block not (yet) there, context slot ahead, internal error.
    passing = frozenset({-32004, -32005, -32007, -32009, -32014, -32016, -32603})
    max_batch = 64

    def __init__(self, url: str, part: str = "solana", *, timeout_s: float = TIMEOUT_S) -> None:
        super().__init__(url, part, timeout_s=timeout_s)
