"""What the bank refuses by name."""

from sandbox.core.errors import SandboxError


class BankReferenceConflict(SandboxError):
    """The bank reference names another credit already; references are unique per account."""

    status, code = 409, "bank_reference_conflict"

    def __init__(self, reference: str) -> None:
        super().__init__(
            f"the bank reference {reference} belongs to a credit with other contents",
            bank_reference=reference,
        )


class ReversalExceedsBalance(SandboxError):
    """The bank takes back what is on the account, and no more."""

    status, code = 409, "reversal_exceeds_balance"

    def __init__(self, amount_tiyn: int, balance_tiyn: int) -> None:
        super().__init__(
            f"{amount_tiyn} tiyn are to be taken back, {balance_tiyn} are there",
            amount_tiyn=amount_tiyn,
            balance_tiyn=balance_tiyn,
        )


class BankReferenceReserved(SandboxError):
    """References with this beginning are the bank's own."""

    status, code = 422, "bank_reference_reserved"

    def __init__(self, reference: str, prefix: str) -> None:
        super().__init__(
            f"bank references that begin with {prefix} are the bank's own",
            bank_reference=reference,
        )
