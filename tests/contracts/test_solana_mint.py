"""The mint on the real Token-2022 program, in a machine of its own."""

from dataclasses import replace

import pytest
from solders.account import Account
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import Message
from solders.pubkey import Pubkey
from solders.token.state import Mint
from solders.transaction import Transaction
from solders.transaction_metadata import FailedTransactionMetadata, TransactionMetadata

from contracts import token
from contracts.solana_mint import TOKEN_2022, MintAuthorities, create_mint, final_size
from sandbox.chains.solana.state import extensions, is_mint_paused

PAYER, MINT, ISSUER, ADMIN, COMPLIANCE, BAILIFF, GUARDIAN = (Keypair() for _ in range(7))
MAY = MintAuthorities(
    mint=ISSUER.pubkey(),
    metadata=ADMIN.pubkey(),
    freeze=COMPLIANCE.pubkey(),
    delegate=BAILIFF.pubkey(),
    pause=GUARDIAN.pubkey(),
)


def made(
    spec: token.TokenSpec, missing_lamports: int = 0
) -> tuple[TransactionMetadata | FailedTransactionMetadata, Account | None, int]:
    """(result, the mint's account, bytes of the transaction)."""
    svm = LiteSVM()
    svm.airdrop(PAYER.pubkey(), 10**10)
    lamports = svm.minimum_balance_for_rent_exemption(final_size(spec)) - missing_lamports
    acts = create_mint(spec, PAYER.pubkey(), MINT.pubkey(), MAY, lamports)
    blockhash = svm.latest_blockhash()
    message = Message.new_with_blockhash(acts, PAYER.pubkey(), blockhash)
    transaction = Transaction([PAYER, MINT, ISSUER], message, blockhash)
    result = svm.send_transaction(transaction)
    return result, svm.get_account(MINT.pubkey()), len(bytes(transaction))


def test_rent_for_less_than_the_final_size_is_refused() -> None:
    result, account, _ = made(token.load(), missing_lamports=1)
    assert isinstance(result, FailedTransactionMetadata)
    assert "InsufficientFundsForRent" in str(result.err())
    assert account is None


@pytest.mark.parametrize("decimals", [2, 6])
@pytest.mark.parametrize("name", ["KZTE Sandbox Tenge", "Теңге құмсалғышы ₸"])
def test_one_transaction_makes_the_mint_with_all_its_extensions(decimals: int, name: str) -> None:
    spec = replace(token.load(), decimals=decimals, name=name)
    result, account, size = made(spec)
    assert isinstance(result, TransactionMetadata), result
    assert size <= 1232
    assert account is not None
    assert account.owner == TOKEN_2022
    assert len(account.data) == final_size(spec)
    mint = Mint.from_bytes(account.data[:82])
    assert (mint.decimals, mint.supply) == (decimals, 0)
    assert mint.mint_authority == ISSUER.pubkey()
    assert mint.freeze_authority == COMPLIANCE.pubkey()
    found = dict(extensions(account.data))
    assert found[18] == bytes(ADMIN.pubkey()) + bytes(MINT.pubkey())
    assert Pubkey(found[12]) == BAILIFF.pubkey()
    assert found[26] == bytes(GUARDIAN.pubkey()) + b"\0"
    metadata = found[19]
    assert metadata[:64] == bytes(ADMIN.pubkey()) + bytes(MINT.pubkey())
    for text in (spec.name, spec.symbol, spec.uri):
        encoded = text.encode()
        assert len(encoded).to_bytes(4, "little") + encoded in metadata
    assert not is_mint_paused(account.data)
