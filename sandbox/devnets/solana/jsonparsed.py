"""`jsonParsed`: token accounts and mints with extensions, lookup tables, and the instructions
people look at. What is not known here is shown undecoded by the caller.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from solders.account import Account
from solders.pubkey import Pubkey

from sandbox.devnets.solana.parsed_accounts import parse_other
from sandbox.devnets.solana.parsed_extensions import extensions
from sandbox.devnets.solana.parsed_instructions import PARSERS
from sandbox.devnets.solana.tokens import (
    MULTISIG_LEN,
    NATIVE_MINT,
    PROGRAM_NAMES,
    TOKEN_PROGRAMS,
    is_mint,
    is_token_account,
    ui_amount,
)

LOOKUP_TABLES = Pubkey.from_string("AddressLookupTab1e1111111111111111111111111")
_STATES = {0: "uninitialized", 1: "initialized", 2: "frozen"}


def parse_account(
    key: bytes, account: Account, decimals: Callable[[bytes], int]
) -> dict[str, Any] | None:
    """The `data` member of a parsed account, or None when no parser knows it."""
    data, owner = account.data, account.owner
    if owner in TOKEN_PROGRAMS:
        if is_mint(data):
            kind, info = "mint", _mint(data)
        elif is_token_account(data):
            kind, info = "account", _token_account(data, decimals)
        elif len(data) == MULTISIG_LEN:
            kind, info = "multisig", _multisig(data)
        else:
            return None
        return {
            "program": PROGRAM_NAMES[owner],
            "parsed": {"type": kind, "info": info},
            "space": len(data),
        }
    if owner == LOOKUP_TABLES and len(data) >= 56 and data[:4] == b"\x01\0\0\0":
        return {
            "program": "address-lookup-table",
            "parsed": {"type": "lookupTable", "info": _lookup_table(data)},
            "space": len(data),
        }
    return parse_other(key, account)


def _key(data: bytes) -> str:
    return str(Pubkey(data))


def _u64(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 8], "little")


def _mint(data: bytes) -> dict[str, Any]:
    info: dict[str, Any] = {
        "mintAuthority": _key(data[4:36]) if data[0] else None,
        "supply": str(_u64(data, 36)),
        "decimals": data[44],
        "isInitialized": bool(data[45]),
        "freezeAuthority": _key(data[50:82]) if data[46] else None,
    }
    if (found := extensions(data)) is not None:
        info["extensions"] = found
    return info


def _token_account(data: bytes, decimals: Callable[[bytes], int]) -> dict[str, Any]:
    mint = data[0:32]
    places = 9 if mint == bytes(NATIVE_MINT) else decimals(mint)
    info: dict[str, Any] = {
        "mint": _key(mint),
        "owner": _key(data[32:64]),
        "tokenAmount": ui_amount(_u64(data, 64), places),
        "state": _STATES[data[108]],
        "isNative": bool(data[109]),
    }
    if data[72]:
        info["delegate"] = _key(data[76:108])
        info["delegatedAmount"] = ui_amount(_u64(data, 121), places)
    if data[109]:
        info["rentExemptReserve"] = ui_amount(_u64(data, 113), 9)
    if data[129]:
        info["closeAuthority"] = _key(data[133:165])
    if (found := extensions(data)) is not None:
        info["extensions"] = found
    return info


def _multisig(data: bytes) -> dict[str, Any]:
    signers = [data[at : at + 32] for at in range(3, MULTISIG_LEN, 32)]
    return {
        "numRequiredSigners": data[0],
        "numValidSigners": data[1],
        "isInitialized": bool(data[2]),
        "signers": [_key(signer) for signer in signers if any(signer)],
    }


def _lookup_table(data: bytes) -> dict[str, Any]:
    info: dict[str, Any] = {
        "addresses": [_key(data[at : at + 32]) for at in range(56, len(data) - 31, 32)],
        "deactivationSlot": str(_u64(data, 4)),
        "lastExtendedSlot": str(_u64(data, 12)),
        "lastExtendedSlotStartIndex": data[20],
    }
    if data[21]:
        info["authority"] = _key(data[22:54])
    return info


def parse_instruction(program: str, accounts: list[str], data: bytes) -> dict[str, Any] | None:
    """`{program, parsed}` or None. Malformed data is simply not parsed."""
    entry = PARSERS.get(program)
    if entry is None:
        return None
    name, parse = entry
    try:
        parsed = parse(accounts, data)
    except (LookupError, ValueError):
        return None
    return None if parsed is None else {"program": name, "parsed": parsed}
