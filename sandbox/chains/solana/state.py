"""Reads Token-2022 account data (SOLANA.md, section 2)."""

from collections.abc import Iterator

_AMOUNT, _STATE = slice(64, 72), 108
_FROZEN = 2
_EXTENSIONS = 166
_PAUSABLE_CONFIG = 26


def token_amount(data: bytes) -> int:
    """Units in a token account."""
    return int.from_bytes(data[_AMOUNT], "little")


def is_account_frozen(data: bytes) -> bool:
    return data[_STATE] == _FROZEN


def is_mint_paused(data: bytes) -> bool:
    return any(kind == _PAUSABLE_CONFIG and value[32] == 1 for kind, value in extensions(data))


def extensions(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(type, value) of each extension of a mint or token account."""
    at = _EXTENSIONS
    while at + 4 <= len(data):
        kind = int.from_bytes(data[at : at + 2], "little")
        size = int.from_bytes(data[at + 2 : at + 4], "little")
        if kind == 0:
            return
        yield kind, data[at + 4 : at + 4 + size]
        at += 4 + size
