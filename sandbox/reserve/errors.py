"""What the reserve refuses by name."""

from sandbox.core.errors import SandboxError


class ChainUnknown(SandboxError):
    """This world has no such chain."""

    status, code = 422, "chain_unknown"

    def __init__(self, chain: str, known: list[str]) -> None:
        super().__init__(f"no chain {chain} here", chain=chain, known=known)


class DepositUnknown(SandboxError):
    """A mint names the deposit it converts; this one was never received."""

    status, code = 404, "deposit_unknown"

    def __init__(self, deposit: str) -> None:
        super().__init__(f"no deposit {deposit}", deposit=deposit)


class DepositExhausted(SandboxError):
    """A mint converts its own deposit and no more; mints under way count as spent."""

    status, code = 409, "deposit_exhausted"

    def __init__(self, deposit: str, asked_tiyn: int, left_tiyn: int) -> None:
        super().__init__(
            f"asked {asked_tiyn} tiyn, {left_tiyn} of {deposit} left to mint",
            deposit=deposit,
            asked_tiyn=asked_tiyn,
            left_tiyn=left_tiyn,
        )


class MintingHalted(SandboxError):
    """Minting is off until someone finds out why."""

    status, code = 409, "minting_halted"

    def __init__(self, reason: str) -> None:
        super().__init__(f"minting is halted: {reason}", reason=reason)


class SupplyCapExceeded(SandboxError):
    """CONTRACT 2: supply per chain stays below what the ledger's columns hold."""

    status, code = 409, "supply_cap_exceeded"

    def __init__(self, chain: str, cap_tiyn: int) -> None:
        super().__init__(
            f"{chain} would hold more than {cap_tiyn} tiyn", chain=chain, cap_tiyn=cap_tiyn
        )


class ReserveShort(SandboxError):
    """I2 does not hold: the reserve is smaller than what is owed."""

    status, code = 409, "reserve_short"

    def __init__(self, reserve_tiyn: int, owed_tiyn: int) -> None:
        super().__init__(
            f"the reserve is {reserve_tiyn} tiyn, {owed_tiyn} are owed",
            reserve_tiyn=reserve_tiyn,
            owed_tiyn=owed_tiyn,
        )


class MintingNotHalted(SandboxError):
    """There is no halt to lift."""

    status, code = 409, "minting_not_halted"

    def __init__(self) -> None:
        super().__init__("minting is on")


class IntakeNotOver(SandboxError):
    """Units that may still be redeemed are not sent back; cancel first."""

    status, code = 409, "still_open"

    def __init__(self, intake: str) -> None:
        super().__init__(f"{intake} still waits for its units", intake=intake)


class NotRetryable(SandboxError):
    """The act does not fit the state that the object is in."""

    status, code = 409, "wrong_status"

    def __init__(self, id_: str, status: str, act: str) -> None:
        super().__init__(f"{id_} is {status} and cannot be {act}", id=id_, object_status=status)


class RemainderShort(SandboxError):
    """More is asked back than lies there unredeemed."""

    status, code = 409, "remainder_short"

    def __init__(self, intake: str, asked_units: int, left_units: int) -> None:
        super().__init__(
            f"asked {asked_units} units of {intake}, {left_units} can be sent back",
            intake=intake,
            asked_units=asked_units,
            left_units=left_units,
        )


class SameChain(SandboxError):
    """A move ends on another chain than it begins."""

    status, code = 422, "same_chain"

    def __init__(self, chain: str) -> None:
        super().__init__(f"a move from {chain} goes to another chain", chain=chain)
