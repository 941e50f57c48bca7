"""What settlement refuses by name."""

from sandbox.core.errors import SandboxError


class NothingToSettle(SandboxError):
    """No captured payment waits for a batch, and nothing is carried from earlier ones."""

    status, code = 409, "nothing_to_settle"

    def __init__(self, merchant: str) -> None:
        super().__init__("nothing is captured and unsettled", merchant=merchant)


class PaymentCodeMissing(SandboxError):
    """A tenge payment needs a purpose code and a beneficiary code (KAZAKHSTAN 2.7)."""

    status, code = 409, "payment_code_missing"

    def __init__(self, merchant: str, missing: str) -> None:
        super().__init__(
            f"the merchant has no {missing}, which every tenge payout must carry",
            merchant=merchant,
            missing=missing,
        )


class MerchantMissing(SandboxError):
    """An operator has to say whose payments are to be settled."""

    status, code = 422, "merchant_id_missing"

    def __init__(self) -> None:
        super().__init__("name the merchant: merchant_id")
