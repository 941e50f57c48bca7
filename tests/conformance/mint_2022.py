"""What neither solana-py 0.39 nor 0.41 can build or read: the Token-2022 extensions of our mint.

Runs in both environments, so it may import solders and the standard library only.
"""

from __future__ import annotations

import struct
from typing import Any

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account

TOKEN_2022 = Pubkey.from_string("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")
MEMO = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
SPACE = 307
NAME, SYMBOL, URI = "Test Tenge", "TKZT", "https://example.test/t.json"
MEMO_TEXT = "order 7 №"


def _call(data: bytes, *accounts: tuple[Pubkey, str]) -> Instruction:
    """`w` writable, `s` signer."""
    metas = [AccountMeta(key, "s" in flags, "w" in flags) for key, flags in accounts]
    return Instruction(TOKEN_2022, data, metas)


def _text(text: str) -> bytes:
    return struct.pack("<I", len(text.encode())) + text.encode()


METADATA = _text(NAME) + _text(SYMBOL) + _text(URI)
FULL_SPACE = SPACE + 4 + 64 + len(METADATA) + 4


def make(boss: Pubkey, mint: Pubkey, lamports: int) -> list[Instruction]:
    """The mint with two decimals, whose every authority is `boss`."""
    new = CreateAccountParams(
        from_pubkey=boss, to_pubkey=mint, lamports=lamports, space=SPACE, owner=TOKEN_2022
    )
    who = bytes(boss)
    return [
        create_account(new),
        _call(b"\x27\x00" + who + bytes(mint), (mint, "w")),
        _call(b"\x23" + who, (mint, "w")),
        _call(b"\x2c\x00" + who, (mint, "w")),
        _call(b"\x14\x02" + who + b"\x01" + who, (mint, "w")),
        _call(
            bytes.fromhex("d2e11ea258b84d8d") + METADATA,
            (mint, "w"),
            (boss, ""),
            (mint, ""),
            (boss, "s"),
        ),
    ]


def pause(mint: Pubkey, authority: Pubkey) -> Instruction:
    return _call(b"\x2c\x01", (mint, "w"), (authority, "s"))


def resume(mint: Pubkey, authority: Pubkey) -> Instruction:
    return _call(b"\x2c\x02", (mint, "w"), (authority, "s"))


def with_reference(transfer: Instruction, reference: Pubkey) -> Instruction:
    """What no builder of solana-py has a place for: a key that does not sign, behind the owner."""
    seen = AccountMeta(reference, is_signer=False, is_writable=False)
    return Instruction(transfer.program_id, bytes(transfer.data), [*transfer.accounts, seen])


def state(info: dict[str, Any], extension: str) -> dict[str, Any]:
    """An extension's state in a mint's `jsonParsed` info."""
    (found,) = (one for one in info["extensions"] if one["extension"] == extension)
    return dict(found["state"])


def facts(info: dict[str, Any], boss: Pubkey) -> dict[str, Any]:
    """The mint as the facts of test_clients.py want it told."""
    return {
        "decimals": info["decimals"],
        "supply": int(info["supply"]),
        "name": state(info, "tokenMetadata")["name"],
        "symbol": state(info, "tokenMetadata")["symbol"],
        "paused": state(info, "pausableConfig")["paused"],
        "delegate": state(info, "permanentDelegate")["delegate"] == str(boss),
        "extensions": sorted(
            one["extension"][0].upper() + one["extension"][1:] for one in info["extensions"]
        ),
    }


def failed_logs(logs: list[str]) -> int:
    return sum("failed" in line for line in logs)
