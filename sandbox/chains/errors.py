"""Named refusals of the slice that are not about one call to a node."""

from collections.abc import Iterable

from sandbox.core.errors import SandboxError


class WrongChain(SandboxError):
    """The node answers for another chain than the one this world was deployed on."""

    status, code = 409, "wrong_chain"

    def __init__(self, chain: str, expected: str, found: str, what: str = "genesis") -> None:
        super().__init__(
            f"{chain}: this world lives on the chain with {what} {expected}, the node has {found}",
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


class KeyNotHeld(NoKeys):
    """The chain names a key for a role that this process does not have: it was rotated elsewhere,
    or the key file is an old one."""

    def __init__(self, chain: str, role: str, address: str) -> None:
        SandboxError.__init__(
            self,
            f"{chain}: {role} is {address}, and its key is not among ours",
            chain=chain,
            role=role,
            address=address,
        )


class KeyFileDamaged(KeyNotHeld):
    """The key file can be neither read nor added to."""

    code = "key_file_damaged"
    again = False

    def __init__(self, chain: str, role: str) -> None:
        why = f"{chain}: the key file cannot be read or written, so {role} cannot sign"
        SandboxError.__init__(self, why, chain=chain, role=role)


class RoleGivenUp(SandboxError):
    """Nobody can do this any more: the role was given up for good."""

    status, code = 409, "role_given_up"
    fields = ("role",)

    def __init__(self, chain: str, role: str) -> None:
        super().__init__(f"{chain}: nobody holds {role} any more", chain=chain, role=role)


class NotRotatable(SandboxError):
    """This role's key is not one that the sandbox can change on this chain."""

    status, code = 422, "role_not_rotatable"
    fields = ("role",)

    def __init__(self, chain: str, role: str, rotatable: Iterable[str]) -> None:
        known = ", ".join(rotatable) or "none"
        super().__init__(
            f"{chain}: {role} cannot be rotated here; these can: {known}", chain=chain, role=role
        )


class RotationUnderWay(SandboxError):
    """The role gets a new key already; everything else on its chain waits for that."""

    status, code = 409, "rotation_under_way"
    again = True

    def __init__(self, chain: str, role: str, order: str) -> None:
        super().__init__(
            f"{chain}: {role} is getting a new key already; see order {order}",
            chain=chain,
            role=role,
            order=order,
        )


class NotSeizable(SandboxError):
    """Not another holder's units, or not to another holder.

    What the sandbox holds itself stands in its books as somebody's money: a seizure would leave
    them without it, or bring units that are nobody's.
    """

    status, code = 422, "not_seizable"

    def __init__(self, chain: str, holder: str, recipient: str, why: str) -> None:
        super().__init__(
            f"{chain}: nothing can be seized from {holder} for {recipient}: {why}",
            chain=chain,
            holder=holder,
            recipient=recipient,
        )


class NotSponsored(SandboxError):
    """Whoever pays here pays the fees too."""

    status, code = 422, "not_sponsored"

    def __init__(self, chain: str) -> None:
        super().__init__(f"{chain}: payers need native coin for the fee", chain=chain)


class SponsorEmpty(SandboxError):
    """What there was for fees is used up; the next start of the sandbox fills it again."""

    status, code = 503, "sponsor_empty"

    def __init__(self, chain: str) -> None:
        super().__init__(f"{chain}: nothing is left for the fees of others", chain=chain)


class PayerCannotPay(SandboxError):
    """The payment would fail, and its fee would be lost."""

    status, code = 409, "payer_cannot_pay"
    fields = ("account",)

    def __init__(self, chain: str, account: str, why: str) -> None:
        super().__init__(f"{chain}: {account} cannot pay: {why}", chain=chain, account=account)


class NothingToSweep(SandboxError):
    """Sessions are paid at the treasury itself here, or none was named."""

    status, code = 422, "nothing_to_sweep"

    def __init__(self, chain: str) -> None:
        super().__init__(f"{chain}: there is no deposit address to sweep", chain=chain)


class ChainNotHalted(SandboxError):
    """There is no halt to lift."""

    status, code = 409, "chain_not_halted"

    def __init__(self, chain: str) -> None:
        super().__init__(f"{chain} is not halted", chain=chain)


class BadPaymentUrl(SandboxError):
    """Not a payment URL that the chain's test wallet can pay."""

    status, code = 422, "bad_payment_url"


class PaymentRefused(SandboxError):
    """The test wallet's payment was refused, or failed on chain; no tokens moved."""

    status, code = 409, "payment_refused"
