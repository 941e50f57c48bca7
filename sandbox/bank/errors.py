"""What the bank refuses by name."""

from sandbox.core.errors import SandboxError


class BankReferenceConflict(SandboxError):
    """The bank reference names another credit already; references are unique per account."""

    status, code = 409, "bank_reference_conflict"
    fields = ("bank_reference",)

    def __init__(self, reference: str) -> None:
        super().__init__(
            f"the bank reference {reference} belongs to a credit with other contents",
            bank_reference=reference,
        )


class ReversalExceedsBalance(SandboxError):
    """The bank takes back what is on the account, and no more."""

    status, code = 409, "reversal_exceeds_balance"
    fields = ("amount_tiyn",)

    def __init__(self, amount_tiyn: int, balance_tiyn: int) -> None:
        super().__init__(
            f"{amount_tiyn} tiyn are to be taken back, {balance_tiyn} are there",
            amount_tiyn=amount_tiyn,
            balance_tiyn=balance_tiyn,
        )


class BankReferenceReserved(SandboxError):
    """References with this beginning are the bank's own."""

    status, code = 422, "bank_reference_reserved"
    fields = ("bank_reference",)

    def __init__(self, reference: str, prefix: str) -> None:
        super().__init__(
            f"bank references that begin with {prefix} are the bank's own",
            bank_reference=reference,
        )


class PaymentCodeInvalid(SandboxError):
    """KNP, KBe or KOd of a payment order is missing or malformed."""

    status = 422
    codes = (
        "knp_missing",
        "knp_invalid",
        "kbe_missing",
        "kbe_invalid",
        "kod_missing",
        "kod_invalid",
    )

    def __init__(self, name: str, value: str) -> None:
        self.code = f"{name}_invalid" if value else f"{name}_missing"
        super().__init__(f"a payment order needs a {name.upper()}, this is {value!r}", field=name)


class KbeContradictsPayee(SandboxError):
    """The sector of the KBe is not the payee's: 9 is for people, who have an IIN."""

    status, code = 422, "kbe_contradicts_payee"
    fields = ("kbe",)

    def __init__(self, kbe: str) -> None:
        super().__init__(f"the sector of KBe {kbe} is not the payee's", kbe=kbe)


class ValueDateNotBankingDay(SandboxError):
    """The rail is closed on the value date."""

    status, code = 422, "value_date_not_banking_day"

    def __init__(self, day: str) -> None:
        super().__init__(f"{day} is no banking day", value_date=day)


class TextNotWritable(SandboxError):
    """The text has characters that an XML message cannot carry."""

    status, code = 422, "text_not_writable"

    def __init__(self, field: str) -> None:
        super().__init__(f"{field} has control characters that no message can carry", field=field)


class AmountAboveRail(SandboxError):
    """More than the rail carries in one payment."""

    status, code = 422, "amount_above_rail"
    fields = ("amount_tiyn",)

    def __init__(self, rail: str, amount_tiyn: int, max_tiyn: int) -> None:
        super().__init__(
            f"{amount_tiyn} tiyn, the rail {rail} carries at most {max_tiyn}",
            rail=rail,
            max_tiyn=max_tiyn,
        )
