"""Durable nonces: transactions whose hash is the value of a nonce account, used once and advanced.

As agave checks and advances them: the value is a hash of the newest block's, so it moves once per
slot at most, and a transaction that fails uses it up as well.
"""

from __future__ import annotations

import hashlib
from typing import Final

from solders.account import Account
from solders.message import Message, MessageV0, MessageV1
from solders.pubkey import Pubkey

from sandbox.devnets.solana.fees import LAMPORTS_PER_SIGNATURE

_SYSTEM: Final = Pubkey.default()
_ADVANCE: Final = b"\x04\0\0\0"
_SIZE: Final = 80
_IN_USE: Final = b"\x01\0\0\0\x01\0\0\0"  # of the current version, and initialised
AUTHORITY: Final = slice(8, 40)
VALUE: Final = slice(40, 72)


def next_value(newest_hash: bytes) -> bytes:
    """What a nonce becomes when it is advanced on top of a block."""
    return hashlib.sha256(b"DURABLE_NONCE" + newest_hash).digest()


def account_of(message: Message | MessageV0 | MessageV1) -> Pubkey | None:
    """The account that instruction 0 advances, if it is an advance of a nonce."""
    instructions, keys = message.instructions, message.account_keys
    if not instructions:
        return None
    first = instructions[0]
    if keys[first.program_id_index] != _SYSTEM or bytes(first.data)[:4] != _ADVANCE:
        return None
    header, accounts = message.header, bytes(first.accounts)
    if not accounts or accounts[0] >= len(keys):
        return None
    index, signers = accounts[0], header.num_required_signatures
    is_writable = index < signers - header.num_readonly_signed_accounts or (
        signers <= index < len(keys) - header.num_readonly_unsigned_accounts
    )
    return keys[index] if is_writable else None


def is_usable(
    message: Message | MessageV0 | MessageV1, account: Account | None, newest_hash: bytes
) -> bool:
    """Whether the message may run on the value that its nonce account holds now."""
    data = data_of(account)
    if data is None or data[VALUE] != bytes(message.recent_blockhash):
        return False
    if data[VALUE] == next_value(newest_hash):
        return False  # advanced in this slot already
    signers = message.header.num_required_signatures
    authority, keys = Pubkey(data[AUTHORITY]), message.account_keys
    return any(
        index < signers and keys[index] == authority
        for index in bytes(message.instructions[0].accounts)
    )


def stamped(before: Account | None, after: Account | None, newest_hash: bytes) -> Account | None:
    """A nonce account with the value that it gets here; None when the account moved none.

    LiteSVM takes the transaction's hash for the newest one.
    """
    if after is None or (data := data_of(after)) is None:
        return None
    old = data_of(before)
    if old is not None and old[VALUE] == data[VALUE]:
        return None
    return advanced(after, newest_hash)


def advanced(account: Account, newest_hash: bytes) -> Account:
    """The nonce account with its next value; authority and lamports stay."""
    data = account.data[: VALUE.start] + next_value(newest_hash)
    data += LAMPORTS_PER_SIGNATURE.to_bytes(8, "little")
    return Account(lamports=account.lamports, data=data, owner=_SYSTEM)


def data_of(account: Account | None) -> bytes | None:
    """The data of a nonce account in use."""
    if account is None or account.owner != _SYSTEM:
        return None
    data = account.data
    return data if len(data) == _SIZE and data[: len(_IN_USE)] == _IN_USE else None
