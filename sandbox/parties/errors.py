"""What the slice `parties` refuses by name."""

from sandbox.core.errors import SandboxError


class TaxNumberInvalid(SandboxError):
    """Not an IIN or BIN. The number itself is not repeated: it identifies a person."""

    status, code = 422, "tax_number_invalid"
    fields = ("bin", "tax_number")

    def __init__(self, reason: str) -> None:
        super().__init__("not a valid BIN or IIN of Kazakhstan", reason=reason)


class IbanInvalid(SandboxError):
    """Not an IBAN of a bank in Kazakhstan."""

    status, code = 422, "iban_invalid"
    fields = ("iban",)

    def __init__(self, reason: str) -> None:
        super().__init__("not a valid IBAN of Kazakhstan", reason=reason)


class IbanIsOurs(SandboxError):
    """Tenge of others never go to the reserve or to the issuer's own account."""

    status, code = 422, "iban_is_ours"
    fields = ("iban",)

    def __init__(self) -> None:
        super().__init__("this account is the issuer's own, nobody else is paid to it")


class KbeContradictsPayee(SandboxError):
    """The beneficiary code names a sector that the payee's number excludes."""

    status, code = 422, "kbe_contradicts_payee"
    fields = ("kbe",)

    def __init__(self, kbe: str, payee: str) -> None:
        super().__init__(f"KBe {kbe} does not fit a payee with {payee.upper()}", kbe=kbe)


class MerchantStatusFixed(SandboxError):
    """From this status no way leads to the one asked for; who is closed stays closed."""

    status, code = 409, "merchant_status_fixed"

    def __init__(self, merchant: str, is_: str, asked: str) -> None:
        super().__init__(
            f"the merchant is {is_} and cannot become {asked}",
            merchant=merchant,
            merchant_status=is_,
        )


class MerchantSuspended(SandboxError):
    """An operator suspended the merchant: no new sessions, no payouts."""

    status, code = 409, "merchant_suspended"

    def __init__(self, merchant: str) -> None:
        super().__init__("the merchant is suspended and takes no payments", merchant=merchant)


class MerchantClosed(SandboxError):
    """The merchant gave up: what is left is settled and refunded, nothing new begins."""

    status, code = 409, "merchant_closed"

    def __init__(self, merchant: str) -> None:
        super().__init__("the merchant is closed and takes no payments", merchant=merchant)


class FeePlanReplaced(SandboxError):
    """A newer plan was offered: consent to what is offered now."""

    status, code = 409, "fee_plan_replaced"
    fields = ("version",)

    def __init__(self, version: int, newest: int) -> None:
        super().__init__(
            f"version {version} was replaced by {newest}", version=version, newest=newest
        )


class NotYours(SandboxError):
    """A merchant may not set what the operator vouches for."""

    status, code = 403, "operator_sets_this"

    def __init__(self, fields: list[str]) -> None:
        super().__init__(f"only the operator sets {', '.join(fields)}", fields=fields)


class RoleNotGrantable(SandboxError):
    """A key hands out no more rights than its holder has."""

    status, code = 403, "role_not_grantable"
    fields = ("role",)

    def __init__(self, role: str) -> None:
        super().__init__(f"this key may not make keys of the role {role}", role=role)


class PartyMissing(SandboxError):
    """Keys of merchants and developers belong to a merchant."""

    status, code = 422, "party_missing"
    fields = ("merchant_id",)

    def __init__(self, role: str) -> None:
        super().__init__(f"a key of the role {role} needs a merchant_id", role=role)


class KeyEnded(SandboxError):
    """A key that was revoked or has expired gets no new secret; make a new key."""

    status, code = 409, "key_ended"

    def __init__(self, key: str) -> None:
        super().__init__("the key is revoked or has expired", key=key)


class KeyOutlivesItsMaker(SandboxError):
    """A key that expires puts no secret into its holder's hands that lives longer."""

    status, code = 403, "key_outlives_its_maker"
    fields = ("expires_in_s",)

    def __init__(self, expires_at: str) -> None:
        super().__init__(f"the key that asks expires at {expires_at}", expires_at=expires_at)
