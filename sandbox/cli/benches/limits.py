"""The limit: what LiteSVM alone does with the transaction that a payment is."""

import secrets
import time
from dataclasses import fields

from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import Transaction
from solders.transaction_metadata import FailedTransactionMetadata

from contracts import token as specification
from contracts.solana_mint import MintAuthorities, create_mint
from sandbox.chains.solana import tx

LAMPORTS = 10**12


class LimitFailed(Exception):
    """LiteSVM refused a transaction of the measurement."""


def litesvm_transfers_per_second(count: int) -> float:
    """Memo + transferChecked with a reference per second, signatures checked, nothing around it.

    Building and signing is not counted: a customer's wallet does that.
    """
    svm = LiteSVM()
    svm.with_transaction_history(0)
    wallet, treasury, mint = Keypair(), Keypair(), Keypair()
    svm.airdrop(wallet.pubkey(), LAMPORTS)
    spec = specification.load()
    roles = MintAuthorities(*(wallet.pubkey() for _ in fields(MintAuthorities)))
    coin = tx.Token(mint.pubkey(), spec.decimals)

    def send(instructions: list[Instruction], signers: list[Keypair]) -> None:
        message = Message.new_with_blockhash(instructions, wallet.pubkey(), svm.latest_blockhash())
        _must_land(svm, Transaction(signers, message, svm.latest_blockhash()))

    send(list(create_mint(spec, wallet.pubkey(), mint.pubkey(), roles, 10**7)), [wallet, mint])
    owners = (wallet.pubkey(), treasury.pubkey())
    send([tx.create_token_account(wallet.pubkey(), owner, coin) for owner in owners], [wallet])
    send([tx.mint_to(coin, wallet.pubkey(), wallet.pubkey(), count)], [wallet])
    blockhash = svm.latest_blockhash()
    signed = [payment(coin, wallet, treasury.pubkey(), blockhash) for _ in range(count)]
    began = time.perf_counter()
    for transaction in signed:
        _must_land(svm, transaction)
    return count / (time.perf_counter() - began)


def payment(coin: tx.Token, wallet: Keypair, treasury: Pubkey, blockhash: Hash) -> Transaction:
    reference = Pubkey(secrets.token_bytes(32))
    instructions = [
        tx.memo(f"cs_{secrets.token_hex(13)}"),
        tx.transfer_units(coin, wallet.pubkey(), treasury, 1, [reference]),
    ]
    message = Message.new_with_blockhash(instructions, wallet.pubkey(), blockhash)
    return Transaction([wallet], message, blockhash)


def _must_land(svm: LiteSVM, transaction: Transaction) -> None:
    result = svm.send_transaction(transaction)
    if isinstance(result, FailedTransactionMetadata):
        raise LimitFailed(str(result.err()))
