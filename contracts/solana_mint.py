"""The Token-2022 mint of the token: one transaction that makes it, with all its extensions.

Layouts: Token-2022 program, as tried on the bundled build (SOLANA.md, section 1).
"""

import struct
from dataclasses import dataclass

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from contracts.token import TokenSpec

TOKEN_2022 = Pubkey.from_string("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")
SYSTEM = Pubkey.from_string("11111111111111111111111111111111")

# 165 of a token account + 1 for the account type, then type, length and value per extension.
_METADATA_POINTER, _PERMANENT_DELEGATE, _PAUSABLE = 64, 32, 33
MINT_SPACE = 166 + sum(4 + size for size in (_METADATA_POINTER, _PERMANENT_DELEGATE, _PAUSABLE))

_METADATA_INITIALIZE = bytes.fromhex("d2e11ea258b84d8d")


@dataclass(frozen=True, slots=True)
class MintAuthorities:
    """Who holds which right over the mint."""

    mint: Pubkey
    metadata: Pubkey
    freeze: Pubkey
    delegate: Pubkey
    pause: Pubkey


def final_size(spec: TokenSpec) -> int:
    """Bytes of the mint once the program has added the metadata: the rent must cover these."""
    texts = sum(4 + len(text.encode()) for text in (spec.name, spec.symbol, spec.uri))
    return MINT_SPACE + 4 + 32 + 32 + texts + 4


def create_mint(
    spec: TokenSpec, payer: Pubkey, mint: Pubkey, may: MintAuthorities, lamports: int
) -> list[Instruction]:
    """The instructions of one transaction, signed by payer, mint and mint authority.

    `lamports` is the rent for `final_size`. The order is the program's: every extension before
    the mint is initialised, the metadata after it.
    """
    return [
        _create_account(payer, mint, lamports),
        _on_mint(mint, b"\x27\x00" + bytes(may.metadata) + bytes(mint)),
        _on_mint(mint, b"\x23" + bytes(may.delegate)),
        _on_mint(mint, b"\x2c\x00" + bytes(may.pause)),
        _on_mint(
            mint,
            b"\x14" + bytes([spec.decimals]) + bytes(may.mint) + b"\x01" + bytes(may.freeze),
        ),
        _metadata(spec, mint, may),
    ]


def _create_account(payer: Pubkey, mint: Pubkey, lamports: int) -> Instruction:
    data = struct.pack("<IQQ", 0, lamports, MINT_SPACE) + bytes(TOKEN_2022)
    accounts = [AccountMeta(payer, True, True), AccountMeta(mint, True, True)]
    return Instruction(SYSTEM, data, accounts)


def _on_mint(mint: Pubkey, data: bytes) -> Instruction:
    return Instruction(TOKEN_2022, data, [AccountMeta(mint, False, True)])


def _metadata(spec: TokenSpec, mint: Pubkey, may: MintAuthorities) -> Instruction:
    accounts = [
        AccountMeta(mint, False, True),
        AccountMeta(may.metadata, False, False),
        AccountMeta(mint, False, False),
        AccountMeta(may.mint, True, False),
    ]
    texts = b"".join(_text(text) for text in (spec.name, spec.symbol, spec.uri))
    return Instruction(TOKEN_2022, _METADATA_INITIALIZE + texts, accounts)


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<I", len(encoded)) + encoded
