"""`jsonParsed`: token accounts and mints with extensions, lookup tables, and the instructions
people look at. What is not known here is shown undecoded by the caller.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from solders.account import Account
from solders.pubkey import Pubkey

from sandbox.devnets.solana import durable_nonces
from sandbox.devnets.solana.parsed_instructions import PARSERS
from sandbox.devnets.solana.tokens import (
    NATIVE_MINT,
    PROGRAM_NAMES,
    TOKEN_PROGRAMS,
    is_mint,
    is_token_account,
    ui_amount,
)

LOOKUP_TABLES = Pubkey.from_string("AddressLookupTab1e1111111111111111111111111")
_STATES = {0: "uninitialized", 1: "initialized", 2: "frozen"}
_TLV_START = 166
_NO_SLOT = 2**64 - 1


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
        else:
            return None
        return {
            "program": PROGRAM_NAMES[owner],
            "parsed": {"type": kind, "info": info},
            "space": len(data),
        }
    if (nonce := durable_nonces.data_of(account)) is not None:
        return {
            "program": "nonce",
            "parsed": {
                "type": "initialized",
                "info": {
                    "authority": _key(nonce[durable_nonces.AUTHORITY]),
                    "blockhash": _key(nonce[durable_nonces.VALUE]),
                    "feeCalculator": {"lamportsPerSignature": str(_u64(nonce, 72))},
                },
            },
            "space": len(data),
        }
    if owner == LOOKUP_TABLES and len(data) >= 56 and data[:4] == b"\x01\0\0\0":
        return {
            "program": "address-lookup-table",
            "parsed": {"type": "lookupTable", "info": _lookup_table(data)},
            "space": len(data),
        }
    return None


def _key(data: bytes) -> str:
    return str(Pubkey(data))


def _key_or_none(data: bytes) -> str | None:
    return _key(data) if any(data) else None


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
    if (extensions := _extensions(data)) is not None:
        info["extensions"] = extensions
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
    if (extensions := _extensions(data)) is not None:
        info["extensions"] = extensions
    return info


def _extensions(data: bytes) -> list[dict[str, Any]] | None:
    if len(data) <= _TLV_START:
        return None
    found, at = [], _TLV_START
    while at + 4 <= len(data):
        kind = int.from_bytes(data[at : at + 2], "little")
        size = int.from_bytes(data[at + 2 : at + 4], "little")
        if kind == 0:
            break
        value = data[at + 4 : at + 4 + size]
        found.append(_extension(kind, value))
        at += 4 + size
    return found


def _extension(kind: int, value: bytes) -> dict[str, Any]:
    match kind:
        case 7:
            return {"extension": "immutableOwner"}
        case 12:
            return {
                "extension": "permanentDelegate",
                "state": {"delegate": _key_or_none(value[:32])},
            }
        case 18:
            return {
                "extension": "metadataPointer",
                "state": {
                    "authority": _key_or_none(value[:32]),
                    "metadataAddress": _key_or_none(value[32:64]),
                },
            }
        case 19:
            return {"extension": "tokenMetadata", "state": _metadata(value)}
        case 26:
            return {
                "extension": "pausableConfig",
                "state": {"authority": _key_or_none(value[:32]), "paused": bool(value[32])},
            }
        case 27:
            return {"extension": "pausableAccount"}
    return {"extension": "unparseableExtension"}


def _metadata(value: bytes) -> dict[str, Any]:
    at = 64

    def text() -> str:
        nonlocal at
        size = int.from_bytes(value[at : at + 4], "little")
        out = value[at + 4 : at + 4 + size].decode("utf-8", "replace")
        at += 4 + size
        return out

    name, symbol, uri = text(), text(), text()
    count = int.from_bytes(value[at : at + 4], "little")
    at += 4
    return {
        "updateAuthority": _key_or_none(value[:32]),
        "mint": _key(value[32:64]),
        "name": name,
        "symbol": symbol,
        "uri": uri,
        "additionalMetadata": [[text(), text()] for _ in range(count)],
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
