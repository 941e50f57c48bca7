"""Every named refusal of checkout, refunds and the stray desk."""

from sandbox.core.errors import SandboxError


class SessionNotOpen(SandboxError):
    """Only an open session can be canceled (CONTRACT 5, session edges)."""

    status, code = 409, "session_not_open"

    def __init__(self, session: str, state: str) -> None:
        super().__init__(f"the session is {state}, not open", session=session, session_status=state)


class ReferenceInUse(SandboxError):
    """`unique_reference` was asked for, and another open session has this reference."""

    status, code = 409, "reference_in_use"
    fields = ("client_reference_id",)

    def __init__(self, session: str) -> None:
        super().__init__(
            "an open session with this client_reference_id asks for another amount",
            session=session,
        )


class PaymentNotFinal(SandboxError):
    """The money is not the merchant's yet: ask again when the payment is final and captured."""

    status, code = 409, "payment_not_final"
    again = True
    fields = ("payment",)

    def __init__(self, payment: str, chain_state: str) -> None:
        super().__init__(
            "the payment is not captured yet; refund or resolve it after its payment.captured",
            payment=payment,
            chain_state=chain_state,
            retryable=chain_state == "confirmed",
        )


class RefundExceedsPayment(SandboxError):
    """All refunds of a payment, pending ones included, never exceed what it counted for."""

    status, code = 409, "refund_exceeds_payment"
    fields = ("amount_tiyn",)

    def __init__(self, asked_tiyn: int, left_tiyn: int) -> None:
        super().__init__(
            f"asked {asked_tiyn} tiyn, {left_tiyn} left",
            asked_tiyn=asked_tiyn,
            left_tiyn=left_tiyn,
        )


class InsufficientMerchantBalance(SandboxError):
    """Refunds are paid from unsettled claims, then from the refund reserve on the same chain; this
    payment is being settled, or the reserve holds less."""

    status, code = 409, "insufficient_merchant_balance"
    fields = ("amount_tiyn",)

    def __init__(self, asked_tiyn: int, available_tiyn: int) -> None:
        super().__init__(
            "the merchant has neither unsettled money nor refund reserve left for this refund",
            asked_tiyn=asked_tiyn,
            available_tiyn=available_tiyn,
        )


class TreasuryShort(SandboxError):
    """Units are sent from the treasury, and it has too few until deposit addresses are swept."""

    status, code = 409, "treasury_short"
    again = True

    def __init__(self, chain: str, asked_units: int, available_units: int) -> None:
        super().__init__(
            "the treasury of this chain has too few units until the next settlement sweeps more",
            chain=chain,
            asked_units=asked_units,
            available_units=available_units,
        )


class StrayResolved(SandboxError):
    """The stray transfer was resolved before, or its refund is on its way."""

    status, code = 409, "stray_already_resolved"

    def __init__(self, stray: str, resolution: str) -> None:
        super().__init__(f"it is resolved already: {resolution}", id=stray, resolution=resolution)


class StrayNotFinal(SandboxError):
    """The chain may still take the money back."""

    status, code = 409, "stray_not_final"
    again = True

    def __init__(self, stray: str, chain_state: str) -> None:
        super().__init__(
            "the transfer is not final yet, or its session still waits to be captured",
            id=stray,
            chain_state=chain_state,
            retryable=chain_state != "reverted",
        )


class StrayNotAcceptable(SandboxError):
    """Nobody can be credited with it: no session, another token, less than a tiyn, settled."""

    status, code = 409, "stray_not_acceptable"

    def __init__(self, stray: str, why: str) -> None:
        super().__init__(why, id=stray)


class StrayBurned(SandboxError):
    """Units that their holder burned cannot be sent back: their tenge are paid instead."""

    status, code = 409, "stray_burned"

    def __init__(self, stray: str, source: str) -> None:
        super().__init__(
            f"{source} burned it: POST /v1/reserve/burns/{stray}/redeem pays its tenge",
            id=stray,
            source=source,
        )


class StrayNotRefundable(SandboxError):
    """The sandbox sends back KZTE only."""

    status, code = 409, "stray_not_refundable"

    def __init__(self, stray: str, token: str) -> None:
        super().__init__(
            "another token than KZTE has no place in the books and is not sent back",
            id=stray,
            token=token,
        )
