"""What the ledger refuses by name."""

from sandbox.core.errors import SandboxError


class InsufficientFunds(SandboxError):
    """The account would go below its floor, pending legs that lower it counted.

    Raised before anything is written; amounts are in minor units of the account's asset.
    """

    status, code = 409, "insufficient_funds"

    def __init__(self, account: str, asked: int, available: int) -> None:
        self.account, self.asked, self.available = account, asked, available
        super().__init__(
            f"{account}: asked {asked}, available {available}",
            account=account,
            asked=asked,
            available=available,
        )


class DuplicateReference(SandboxError):
    """An entry with this business reference exists; the transaction cannot go on."""

    status, code = 409, "duplicate_reference"

    def __init__(self, ref: str) -> None:
        self.ref = ref
        super().__init__(f"an entry {ref} exists already", ref=ref)


class AlreadyResolved(SandboxError):
    """The pending entry was posted or voided before; the transaction cannot go on."""

    status, code = 409, "already_resolved"

    def __init__(self, ref: str) -> None:
        self.ref = ref
        super().__init__(f"the entry {ref} is resolved already", ref=ref)


class AlreadyReversed(SandboxError):
    """The entry was taken back before; the transaction cannot go on."""

    status, code = 409, "already_reversed"

    def __init__(self, ref: str) -> None:
        self.ref = ref
        super().__init__(f"the entry that {ref} reverses is reversed already", ref=ref)


class NotReversible(SandboxError):
    """Only what is posted, and moved no units on a chain, can be taken back by an entry."""

    status, code = 409, "not_reversible"

    def __init__(self, ref: str, reason: str) -> None:
        self.ref = ref
        super().__init__(f"the entry {ref} cannot be reversed: {reason}", ref=ref, reason=reason)
