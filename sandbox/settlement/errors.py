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
    fields = ("merchant_id",)

    def __init__(self) -> None:
        super().__init__("name the merchant: merchant_id")


class WalletMissing(SandboxError):
    """Tokens can be sent only where the merchant has a wallet."""

    status, code = 422, "wallet_missing"
    fields = ("wallets",)

    def __init__(self, mode: str) -> None:
        super().__init__(f"the mode {mode} needs a wallet on one chain at least", mode=mode)


class WalletChainUnknown(SandboxError):
    """No such chain in this sandbox."""

    status, code = 422, "wallet_chain_unknown"
    fields = ("wallets",)

    def __init__(self, chain: str, known: list[str]) -> None:
        super().__init__(f"no chain {chain}; there are {', '.join(known)}", chain=chain)


class WalletIsOurs(SandboxError):
    """What is sent to one of the sandbox's own addresses would reach nobody."""

    status, code = 422, "wallet_is_ours"
    fields = ("wallets",)

    def __init__(self, chain: str, address: str) -> None:
        super().__init__("this address is the sandbox's own", chain=chain, address=address)


class SplitShareWrong(SandboxError):
    """A split needs the share that is paid out in tenge, and no other mode has one."""

    status, code = 422, "split_share_wrong"
    fields = ("split_bps",)

    def __init__(self, mode: str) -> None:
        said = (
            "the mode split needs split_bps, the share that is paid out in tenge"
            if mode == "split"
            else f"split_bps belongs to the mode split, this is {mode}"
        )
        super().__init__(said, mode=mode)
