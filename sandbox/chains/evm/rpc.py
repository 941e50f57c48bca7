"""An EVM node: which of its refusals pass, and how much it takes at once.

web3's formatting of a log costs five times its transport (EVM.md, section 10), and its import a
sixth of a process's start.
"""

from sandbox.chains.json_rpc import TIMEOUT_S, JsonRpc

EXECUTION_REVERTED = 3


class Node(JsonRpc):
    # Resource unavailable, limit exceeded, internal error (EIP-1474).
    passing = frozenset({-32002, -32005, -32603})
    max_batch = 256

    def __init__(self, url: str, part: str = "evm", *, timeout_s: float = TIMEOUT_S) -> None:
        super().__init__(url, part, timeout_s=timeout_s)
