"""Named refusals of the slice that are not about one call to a node."""

from sandbox.core.errors import SandboxError


class WrongChain(SandboxError):
    """The node answers for another chain than the one this world was deployed on."""

    status, code = 409, "wrong_chain"

    def __init__(self, chain: str, expected: str, found: str) -> None:
        super().__init__(
            f"{chain}: this world lives on the chain with genesis {expected}, the node has {found}",
            chain=chain,
            expected=expected,
            found=found,
        )


class NotDeployed(SandboxError):
    """The token has not been deployed on this chain."""

    status, code = 503, "chain_not_deployed"

    def __init__(self, chain: str) -> None:
        super().__init__(f"the token is not deployed on {chain}", chain=chain)


class NoKeys(SandboxError):
    """This process holds no keys of the chain: only the worker signs."""

    status, code = 503, "chain_keys_missing"

    def __init__(self, chain: str) -> None:
        super().__init__(f"this process cannot sign for {chain}", chain=chain)


class ChainNotHalted(SandboxError):
    """There is no halt to lift."""

    status, code = 409, "chain_not_halted"

    def __init__(self, chain: str) -> None:
        super().__init__(f"{chain} is not halted", chain=chain)
