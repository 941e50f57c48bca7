"""Solana instructions that the sandbox and its customers send, and how they are signed.

Layouts: SOLANA.md, section 1. Amounts are base units of the token.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import Transaction

from contracts.solana_mint import SYSTEM, TOKEN_2022
from sandbox.chains.port import Signed

TOKEN = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
ATA_PROGRAM = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")
MEMO_V1 = Pubkey.from_string("Memo1UhkJRfHyvLMcVucJwxXeuD728EqVDDwQDxFMNo")
MEMO_V2 = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
LAMPORTS_PER_SOL = 10**9
# SHA-256 of `spl_token_metadata_interface:update_the_authority`, its first eight bytes.
_UPDATE_METADATA_AUTHORITY = bytes.fromhex("d7e4a6e45464567b")


@dataclass(frozen=True, slots=True)
class Token:
    """Which token the instructions are about."""

    mint: Pubkey
    decimals: int


def token_account(owner: Pubkey, mint: Pubkey) -> Pubkey:
    """The associated token account of `owner`; under Token-2022 it differs from the classic one."""
    seeds = [bytes(owner), bytes(TOKEN_2022), bytes(mint)]
    return Pubkey.find_program_address(seeds, ATA_PROGRAM)[0]


def create_token_account(payer: Pubkey, owner: Pubkey, token: Token) -> Instruction:
    """Make the associated account of `owner` unless it exists; `payer` pays its rent."""
    accounts = [
        AccountMeta(payer, True, True),
        AccountMeta(token_account(owner, token.mint), False, True),
        AccountMeta(owner, False, False),
        AccountMeta(token.mint, False, False),
        AccountMeta(SYSTEM, False, False),
        AccountMeta(TOKEN_2022, False, False),
    ]
    return Instruction(ATA_PROGRAM, b"\x01", accounts)


def memo(text: str) -> Instruction:
    return Instruction(MEMO_V2, text.encode(), [])


def give_sol(payer: Pubkey, recipient: Pubkey, lamports: int) -> Instruction:
    return transfer(TransferParams(from_pubkey=payer, to_pubkey=recipient, lamports=lamports))


def mint_to(token: Token, owner: Pubkey, authority: Pubkey, amount_units: int) -> Instruction:
    accounts = [
        AccountMeta(token.mint, False, True),
        AccountMeta(token_account(owner, token.mint), False, True),
        AccountMeta(authority, True, False),
    ]
    return Instruction(TOKEN_2022, _checked(14, amount_units, token.decimals), accounts)


def burn(token: Token, owner: Pubkey, amount_units: int) -> Instruction:
    """Out of the owner's associated account, by the owner."""
    accounts = [
        AccountMeta(token_account(owner, token.mint), False, True),
        AccountMeta(token.mint, False, True),
        AccountMeta(owner, True, False),
    ]
    return Instruction(TOKEN_2022, _checked(15, amount_units, token.decimals), accounts)


def transfer_units(
    token: Token,
    source: Pubkey,
    destination: Pubkey,
    amount_units: int,
    references: Iterable[Pubkey] = (),
) -> Instruction:
    """From the owner `source` to the owner `destination`, between their associated accounts.

    `references` are appended read-only, in order (Solana Pay, transfer request).
    """
    accounts = [
        AccountMeta(token_account(source, token.mint), False, True),
        AccountMeta(token.mint, False, False),
        AccountMeta(token_account(destination, token.mint), False, True),
        AccountMeta(source, True, False),
        *(AccountMeta(reference, False, False) for reference in references),
    ]
    return Instruction(TOKEN_2022, _checked(12, amount_units, token.decimals), accounts)


def gather_units(token: Token, account: Pubkey, owner: Pubkey, amount_units: int) -> Instruction:
    """From another token account of `owner` into its associated one."""
    return take_units(token, account, owner, owner, amount_units)


def take_units(
    token: Token, account: Pubkey, destination: Pubkey, authority: Pubkey, amount_units: int
) -> Instruction:
    """Out of a token account to the owner `destination`, by its owner or the permanent delegate."""
    accounts = [
        AccountMeta(account, False, True),
        AccountMeta(token.mint, False, False),
        AccountMeta(token_account(destination, token.mint), False, True),
        AccountMeta(authority, True, False),
    ]
    return Instruction(TOKEN_2022, _checked(12, amount_units, token.decimals), accounts)


def freeze(token: Token, account: Pubkey, authority: Pubkey) -> Instruction:
    """One token account: nothing comes in or goes out."""
    return _on_account(10, token, account, authority)


def thaw(token: Token, account: Pubkey, authority: Pubkey) -> Instruction:
    return _on_account(11, token, account, authority)


def pause(token: Token, authority: Pubkey) -> Instruction:
    return _on_mint(b"\x2c\x01", token, authority)


def resume(token: Token, authority: Pubkey) -> Instruction:
    return _on_mint(b"\x2c\x02", token, authority)


def set_authority(token: Token, kind: int, authority: Pubkey, new: Pubkey) -> Instruction:
    """Hand a right over the mint on; `kind` is the program's `AuthorityType`."""
    return _on_mint(bytes([6, kind, 1]) + bytes(new), token, authority)


def set_metadata_authority(token: Token, authority: Pubkey, new: Pubkey) -> Instruction:
    """The same for the text in the mint, which has an authority of its own."""
    return _on_mint(_UPDATE_METADATA_AUTHORITY + bytes(new), token, authority)


def sign(
    instructions: Sequence[Instruction],
    signers: Sequence[Keypair],
    blockhash: Hash,
    valid_until_height: int,
) -> Signed:
    """Sign; the first signer pays. The transaction's id is its first signature."""
    message = Message.new_with_blockhash(list(instructions), signers[0].pubkey(), blockhash)
    by_key = {signer.pubkey(): signer for signer in signers}
    needed = message.account_keys[: message.header.num_required_signatures]
    transaction = Transaction([by_key[key] for key in needed], message, blockhash)
    return Signed(str(transaction.signatures[0]), bytes(transaction), valid_until_height)


def _checked(op: int, amount_units: int, decimals: int) -> bytes:
    return struct.pack("<BQB", op, amount_units, decimals)


def _on_account(op: int, token: Token, account: Pubkey, authority: Pubkey) -> Instruction:
    accounts = [
        AccountMeta(account, False, True),
        AccountMeta(token.mint, False, False),
        AccountMeta(authority, True, False),
    ]
    return Instruction(TOKEN_2022, bytes([op]), accounts)


def _on_mint(data: bytes, token: Token, authority: Pubkey) -> Instruction:
    accounts = [AccountMeta(token.mint, False, True), AccountMeta(authority, True, False)]
    return Instruction(TOKEN_2022, data, accounts)
