"""What the API shows wallets that pay without coin."""

from typing_extensions import TypedDict


class TransactionAsker(TypedDict):
    """Who asks for the payment, for the wallet to show."""

    label: str
    icon: str


class SponsoredTransaction(TypedDict):
    """A transaction that lacks only the payer's signature."""

    transaction: str
    message: str
