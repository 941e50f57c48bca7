"""Pays the fee of a customer who has tokens and no SOL: one payment, and we are its fee payer only.

The rules of a Solana Pay transaction request hold for it: memo before, transfer last, references
after its four accounts, and every signature but the customer's is there (SOLANA.md, section 7).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import Transaction

from sandbox.chains.errors import PayerCannotPay, SponsorEmpty
from sandbox.chains.solana import tx
from sandbox.chains.solana.rpc import Rpc
from sandbox.chains.solana.state import (
    account_data,
    is_account_frozen,
    is_mint_paused,
    token_amount,
)

# Two signatures, and what keeps an account of its size alive.
FEE_LAMPORTS, RENT_LAMPORTS = 2 * 5_000, 890_880
_CONFIRMED: dict[str, Any] = {"commitment": "confirmed"}


@dataclass(frozen=True, slots=True)
class Offered:
    """A transaction without the payer's signature, and the chain that it is for."""

    raw: bytes
    genesis: str


class Sponsor:
    """Signs with `key` and nothing else; it is in no instruction."""

    def __init__(
        self, rpc: Rpc, chain: str, token: tx.Token, treasury: Pubkey, key: Keypair
    ) -> None:
        self._rpc, self._chain, self._token = rpc, chain, token
        self._treasury, self._key = treasury, key

    async def payment(self, option: Mapping[str, Any], account: str, amount_units: int) -> Offered:
        """Raises `PayerCannotPay`, `SponsorEmpty`: what is offered would go through now."""
        payer, sponsor = Pubkey.from_string(account), self._key.pubkey()
        if payer in (sponsor, self._treasury) or not payer.is_on_curve():
            raise PayerCannotPay(self._chain, account, "it is nobody's wallet")
        token = self._token
        source, destination = (
            tx.token_account(owner, token.mint) for owner in (payer, self._treasury)
        )
        asked = [str(key) for key in (token.mint, source, destination, sponsor)]
        view = {**_CONFIRMED, "encoding": "base64"}
        genesis, newest, found = await self._rpc.batch(
            [
                ("getGenesisHash", []),
                ("getLatestBlockhash", [_CONFIRMED]),
                ("getMultipleAccounts", [asked, view]),
            ]
        )
        mint, held, ours, purse = found["value"]
        if purse is None or purse["lamports"] < FEE_LAMPORTS + RENT_LAMPORTS:
            raise SponsorEmpty(self._chain)
        if why := _obstacle(mint, held, ours, amount_units):
            raise PayerCannotPay(self._chain, account, why)
        references = [Pubkey.from_string(option["reference"])]
        acts = [
            tx.memo(option["memo"]),
            tx.transfer_units(token, payer, self._treasury, amount_units, references),
        ]
        assert all(meta.pubkey != sponsor for act in acts for meta in act.accounts)
        blockhash = Hash.from_string(newest["value"]["blockhash"])
        message = Message.new_with_blockhash(acts, sponsor, blockhash)
        transaction = Transaction.new_unsigned(message)
        transaction.partial_sign([self._key], blockhash)
        return Offered(bytes(transaction), genesis)


def _obstacle(
    mint: Mapping[str, Any] | None,
    held: Mapping[str, Any] | None,
    ours: Mapping[str, Any] | None,
    amount_units: int,
) -> str:
    """Why the payment would fail on chain, at our cost; empty when it would not."""
    if mint is None or ours is None:
        return "the token is not there"
    if is_mint_paused(account_data(mint)):
        return "the token is paused"
    if is_account_frozen(account_data(ours)):
        return "the treasury is frozen"
    if held is None:
        return "it has no account of this token"
    if is_account_frozen(account_data(held)):
        return "it is frozen"
    units = token_amount(account_data(held))
    return "" if units >= amount_units else f"it has {units} units of {amount_units}"
