"""What the lab refuses by name."""

from sandbox.core.errors import SandboxError


class FloatRefilling(SandboxError):
    """The faucet's float is short; more is being minted, and the same request may come again."""

    status, code = 503, "float_refilling"

    def __init__(self, chain: str) -> None:
        super().__init__(f"the float on {chain} is being refilled", chain=chain)


class FaucetToItself(SandboxError):
    """The faucet pays out of the treasury, so it cannot pay into it."""

    status, code = 422, "faucet_to_own_address"
    fields = ("address",)

    def __init__(self, chain: str, address: str) -> None:
        super().__init__("this address is the sandbox's own", chain=chain, address=address)


class ClockNotMovable(SandboxError):
    """A chain without control methods would not follow (CONTRACT 6)."""

    status, code = 409, "clock_not_movable"

    def __init__(self, chain: str) -> None:
        super().__init__(f"the clock of {chain} cannot be moved", chain=chain)


class StillBusy(SandboxError):
    """The sandbox did not come to rest in time; `left` says what it still does."""

    status, code = 504, "still_busy"

    def __init__(self, timeout_s: int, left: list[str]) -> None:
        super().__init__(f"still busy after {timeout_s} s", timeout_s=timeout_s, left=left)
