"""A Token-2022 mint with metadata, permanent delegate and pause, byte by byte, for tests."""

from __future__ import annotations

import struct

from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account
from spl.token.instructions import get_associated_token_address

from tests.devnets.solana.chain import Chain

TOKEN_2022 = Pubkey.from_string("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")
ASSOCIATED = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")
MEMO = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
SYSTEM = Pubkey.default()
MINT_SPACE = 307
DECIMALS = 2


def ata(owner: Pubkey, mint: Pubkey) -> Pubkey:
    return get_associated_token_address(owner, mint, TOKEN_2022)


def _call(data: bytes, *accounts: tuple[Pubkey, str]) -> Instruction:
    """`w` writable, `s` signer."""
    metas = [AccountMeta(key, "s" in flags, "w" in flags) for key, flags in accounts]
    return Instruction(TOKEN_2022, data, metas)


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<I", len(raw)) + raw


async def make_mint(chain: Chain, payer: Keypair, mint: Keypair | None = None) -> Pubkey:
    """A mint whose every authority is `payer`."""
    mint, boss = mint or Keypair(), bytes(payer.pubkey())
    key = mint.pubkey()
    name, symbol, uri = "Test Tenge", "TKZT", "https://example.test/t.json"
    metadata = 4 + 64 + sum(4 + len(text) for text in (name, symbol, uri)) + 4
    lamports = (128 + MINT_SPACE + metadata) * 6_960
    await chain.do(
        create_account(
            CreateAccountParams(
                from_pubkey=payer.pubkey(),
                to_pubkey=key,
                lamports=lamports,
                space=MINT_SPACE,
                owner=TOKEN_2022,
            )
        ),
        _call(b"\x27\x00" + boss + bytes(key), (key, "w")),
        _call(b"\x23" + boss, (key, "w")),
        _call(b"\x2c\x00" + boss, (key, "w")),
        _call(bytes([0x14, DECIMALS]) + boss + b"\x01" + boss, (key, "w")),
        _call(
            bytes.fromhex("d2e11ea258b84d8d") + _text(name) + _text(symbol) + _text(uri),
            (key, "w"),
            (payer.pubkey(), ""),
            (key, ""),
            (payer.pubkey(), "s"),
        ),
        signers=[payer, mint],
    )
    return key


def open_account(payer: Pubkey, owner: Pubkey, mint: Pubkey) -> Instruction:
    return Instruction(
        ASSOCIATED,
        b"\x01",
        [
            AccountMeta(payer, True, True),
            AccountMeta(ata(owner, mint), False, True),
            AccountMeta(owner, False, False),
            AccountMeta(mint, False, False),
            AccountMeta(SYSTEM, False, False),
            AccountMeta(TOKEN_2022, False, False),
        ],
    )


def mint_to(mint: Pubkey, owner: Pubkey, authority: Pubkey, units: int) -> Instruction:
    data = b"\x0e" + struct.pack("<QB", units, DECIMALS)
    return _call(data, (mint, "w"), (ata(owner, mint), "w"), (authority, "s"))


def pay(
    mint: Pubkey,
    payer: Pubkey,
    receiver: Pubkey,
    units: int,
    *references: Pubkey,
    decimals: int = DECIMALS,
) -> Instruction:
    """TransferChecked between the associated accounts, with reference keys behind."""
    data = b"\x0c" + struct.pack("<QB", units, decimals)
    return _call(
        data,
        (ata(payer, mint), "w"),
        (mint, ""),
        (ata(receiver, mint), "w"),
        (payer, "s"),
        *((reference, "") for reference in references),
    )


def plain_transfer(mint: Pubkey, payer: Pubkey, receiver: Pubkey, units: int) -> Instruction:
    data = b"\x03" + struct.pack("<Q", units)
    return _call(data, (ata(payer, mint), "w"), (ata(receiver, mint), "w"), (payer, "s"))


def burn(mint: Pubkey, owner: Pubkey, authority: Pubkey, units: int) -> Instruction:
    data = b"\x0f" + struct.pack("<QB", units, DECIMALS)
    return _call(data, (ata(owner, mint), "w"), (mint, "w"), (authority, "s"))


def freeze(mint: Pubkey, owner: Pubkey, authority: Pubkey, *, thaw: bool = False) -> Instruction:
    return _call(
        b"\x0b" if thaw else b"\x0a", (ata(owner, mint), "w"), (mint, ""), (authority, "s")
    )


def pause(mint: Pubkey, authority: Pubkey, *, resume: bool = False) -> Instruction:
    return _call(b"\x2c\x02" if resume else b"\x2c\x01", (mint, "w"), (authority, "s"))


def approve(mint: Pubkey, owner: Pubkey, delegate: Pubkey, units: int) -> Instruction:
    data = b"\x0d" + struct.pack("<QB", units, DECIMALS)
    return _call(data, (ata(owner, mint), "w"), (mint, ""), (delegate, ""), (owner, "s"))


def close(mint: Pubkey, owner: Pubkey) -> Instruction:
    return _call(b"\x09", (ata(owner, mint), "w"), (owner, "w"), (owner, "s"))


def memo(text: bytes) -> Instruction:
    return Instruction(MEMO, text, [])
