"""Reads Token-2022 account data (SOLANA.md, section 2)."""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from solders.pubkey import Pubkey

_AMOUNT, _STATE = slice(64, 72), 108
_FROZEN = 2
_EXTENSIONS = 166
_METADATA_POINTER, _PERMANENT_DELEGATE, _METADATA, _PAUSABLE_CONFIG = 18, 12, 19, 26
_EXTENSION_NAMES = {
    _METADATA_POINTER: "metadata_pointer",
    _PERMANENT_DELEGATE: "permanent_delegate",
    _METADATA: "token_metadata",
    _PAUSABLE_CONFIG: "pausable_config",
}


@dataclass(frozen=True, slots=True)
class Mint:
    """What a mint's account says. `authorities`: role → address, empty where nobody holds it."""

    supply_units: int
    decimals: int
    authorities: Mapping[str, str]
    is_paused: bool
    name: str
    symbol: str
    uri: str
    extensions: tuple[str, ...]


def account_data(account: Mapping[str, Any]) -> bytes:
    """The bytes of an account that the node gave in base64."""
    return base64.b64decode(account["data"][0])


def parse_mint(data: bytes) -> Mint:
    """A mint with the extensions of this token; what is not there is empty."""
    found = dict(extensions(data))
    pausable = found.get(_PAUSABLE_CONFIG, bytes(33))
    metadata = found.get(_METADATA, bytes(76))
    name, symbol, uri = _texts(metadata[64:], 3)
    return Mint(
        supply_units=int.from_bytes(data[36:44], "little"),
        decimals=data[44],
        authorities={
            "mint_authority": _optional(data[0:36]),
            "metadata_authority": _address(metadata[:32]),
            "metadata_pointer": _address(found.get(_METADATA_POINTER, bytes(64))[:32]),
            "freeze_authority": _optional(data[46:82]),
            "permanent_delegate": _address(found.get(_PERMANENT_DELEGATE, bytes(32))),
            "pause_authority": _address(pausable[:32]),
        },
        is_paused=pausable[32] == 1,
        name=name,
        symbol=symbol,
        uri=uri,
        extensions=tuple(_EXTENSION_NAMES.get(kind, f"extension_{kind}") for kind in found),
    )


def token_amount(data: bytes) -> int:
    """Units in a token account."""
    return int.from_bytes(data[_AMOUNT], "little")


def is_account_frozen(data: bytes) -> bool:
    """False where no token account is: anybody may have sent SOL to its address before."""
    return data[_STATE : _STATE + 1] == bytes([_FROZEN])


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


def _address(raw: bytes) -> str:
    """Zeros are nobody's key (Token-2022, `OptionalNonZeroPubkey`)."""
    return str(Pubkey(raw)) if any(raw) else ""


def _optional(raw: bytes) -> str:
    """`COption`: four bytes say whether there is one."""
    return str(Pubkey(raw[4:36])) if raw[0] else ""


def _texts(raw: bytes, count: int) -> list[str]:
    found, at = [], 0
    for _ in range(count):
        size = int.from_bytes(raw[at : at + 4], "little")
        found.append(raw[at + 4 : at + 4 + size].decode("utf-8", "replace"))
        at += 4 + size
    return found
