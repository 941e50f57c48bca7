"""What the reserve refuses by name."""

from sandbox.core.errors import SandboxError


class ChainUnknown(SandboxError):
    """This world has no such chain."""

    status, code = 422, "chain_unknown"
    fields = ("chain", "from_chain")

    def __init__(self, chain: str, known: list[str]) -> None:
        super().__init__(
            f"no chain {chain}; there are {', '.join(known)}", chain=chain, known=known
        )


class DepositUnknown(SandboxError):
    """A mint names the deposit it converts; this one was never received."""

    status, code = 404, "deposit_unknown"
    fields = ("deposit",)

    def __init__(self, deposit: str) -> None:
        super().__init__(f"no deposit {deposit}", deposit=deposit)


class DepositExhausted(SandboxError):
    """A mint converts its own deposit and no more; mints under way count as spent."""

    status, code = 409, "deposit_exhausted"
    fields = ("amount_tiyn",)

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
    fields = ("amount_tiyn",)

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


class NotAttestedYet(SandboxError):
    """The attestation was asked for, and the worker has not made it yet."""

    status, code = 409, "not_attested_yet"
    again = True

    def __init__(self, attestation: str) -> None:
        super().__init__(f"{attestation} is not made yet", attestation=attestation)


class BreachStands(SandboxError):
    """What turned minting off is still so; it is repaired first, by whoever knows how."""

    status, code = 409, "breach_stands"

    def __init__(self, breaches: list[str]) -> None:
        said = "; ".join(breaches)
        super().__init__(f"minting stays off: {said}", breaches=breaches)


class NotReconciledYet(SandboxError):
    """No whole turn of checks has ended since minting was turned off."""

    status, code = 409, "not_reconciled_yet"
    again = True

    def __init__(self, not_made: list[str]) -> None:
        super().__init__(
            "no whole reconciliation has ended since the halt: ask again in a moment",
            not_made=not_made,
        )


class DepositReversed(SandboxError):
    """The bank took this deposit back: nothing of it may be minted."""

    status, code = 409, "deposit_reversed"

    def __init__(self, deposit: str) -> None:
        super().__init__(f"the bank took {deposit} back", deposit=deposit)


class NothingMissing(SandboxError):
    """The reversal is settled, or own money is on its way."""

    status, code = 409, "nothing_missing"

    def __init__(self, reversal: str, is_: str) -> None:
        super().__init__(f"{reversal} is {is_}", reversal=reversal, is_=is_)


class NothingOwed(SandboxError):
    """The customer owes nothing that own money covered."""

    status, code = 409, "nothing_owed"

    def __init__(self, reversal: str, is_: str) -> None:
        super().__init__(f"{reversal} is {is_}, and its customer owes nothing", reversal=reversal)


class NotWrittenOff(SandboxError):
    """There is no write-off to take back."""

    status, code = 409, "not_written_off"

    def __init__(self, reversal: str) -> None:
        super().__init__(f"nothing of {reversal} is written off", reversal=reversal)


class StatementStale(SandboxError):
    """Nobody knows what the bank holds now: its newest statement is too old, or there is none."""

    status, code = 409, "statement_stale"

    def __init__(self, age_s: int | None, max_age_s: int) -> None:
        said = "there is none" if age_s is None else f"the newest is {age_s} s old"
        super().__init__(
            f"a statement of at most {max_age_s} s is needed, {said}",
            age_s=age_s,
            max_age_s=max_age_s,
        )


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
    fields = ("amount_units",)

    def __init__(self, intake: str, asked_units: int, left_units: int) -> None:
        super().__init__(
            f"asked {asked_units} units of {intake}, {left_units} can be sent back"
            if left_units
            else f"nothing of {intake} can be sent back",
            intake=intake,
            asked_units=asked_units,
            left_units=left_units,
        )


class BurnNotFinal(SandboxError):
    """A burn that may still leave its chain is paid to nobody."""

    status, code = 409, "stray_not_final"
    again = True

    def __init__(self, burn: str, chain_state: str) -> None:
        super().__init__(
            f"{burn} is {chain_state}",
            id=burn,
            chain_state=chain_state,
            retryable=chain_state != "reverted",
        )


class BurnRedeemed(SandboxError):
    """What was burned is paid once."""

    status, code = 409, "stray_already_resolved"

    def __init__(self, burn: str, redemption: str) -> None:
        super().__init__(f"{redemption} pays {burn}", id=burn, redemption=redemption)


class BurnTooSmall(SandboxError):
    """Less than a tiyn was burned: there is nothing to pay."""

    status, code = 409, "less_than_a_tiyn"

    def __init__(self, burn: str, units: int) -> None:
        super().__init__(f"{burn} burned {units} units, less than a tiyn", id=burn, units=units)


class SameChain(SandboxError):
    """A move ends on another chain than it begins."""

    status, code = 422, "same_chain"
    fields = ("to_chain", "chain")

    def __init__(self, chain: str) -> None:
        super().__init__(f"a move from {chain} goes to another chain", chain=chain)
