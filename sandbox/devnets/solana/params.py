"""Positional JSON-RPC parameters, read strictly: every wrong shape is -32602 by name."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection
from typing import Any

from solders.pubkey import Pubkey
from solders.signature import Signature

from sandbox.devnets.json_rpc import RpcError
from sandbox.devnets.solana import base58
from sandbox.devnets.solana.bank import Level
from sandbox.devnets.solana.encode import ACCOUNT_ENCODINGS
from sandbox.devnets.solana.errors import invalid_params

U64_MAX = 2**64 - 1
_MAX_SHOWN = 80
_LEVELS: dict[str, Level] = {
    "processed": "processed",
    "confirmed": "confirmed",
    "finalized": "finalized",
    # Names of older clients.
    "recent": "processed",
    "single": "confirmed",
    "singleGossip": "confirmed",
    "root": "finalized",
    "max": "finalized",
}


def shown(found: Any) -> str:
    """What came, for a message: no longer than a line, whatever it was."""
    text = str(found)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def unknown_variant(found: Any, expected: str | None = None) -> RpcError:
    """An option's value that no validator knows, or that is not served here."""
    end = "." if expected is None else f", expected {expected}."
    return invalid_params(f"Invalid params: unknown variant `{shown(found)}`{end}")


class Config:
    """The trailing options object of a method."""

    def __init__(self, value: dict[str, Any]) -> None:
        self.value = value

    def level(self, default: Level = "finalized") -> Level:
        return level(self.value.get("commitment"), default)

    def account_encoding(self, default: str) -> str:
        found = self.value.get("encoding")
        if found is None:
            return default
        if found not in ACCOUNT_ENCODINGS:
            raise unknown_variant(found)
        return str(found)

    def data_slice(self) -> tuple[int, int] | None:
        found = self.value.get("dataSlice")
        if found is None:
            return None
        if not isinstance(found, dict):
            raise invalid_params("Invalid params: invalid type for dataSlice.")
        return u64(found.get("offset"), "offset"), u64(found.get("length"), "length")

    def within(self, name: str) -> Config:
        """The options inside an option."""
        found = self.value.get(name)
        if found is None:
            return Config({})
        if not isinstance(found, dict):
            raise invalid_params(f"Invalid params: invalid type for {name}, expected an object.")
        return Config(found)

    def key(self, name: str) -> bytes | None:
        found = self.value.get(name)
        return None if found is None else pubkey(found)

    def u64(self, name: str) -> int | None:
        found = self.value.get(name)
        return None if found is None else u64(found, name)

    def flag(self, name: str, *, default: bool = False) -> bool:
        found = self.value.get(name)
        if found is None:
            return default
        if not isinstance(found, bool):
            raise invalid_params(f"Invalid params: invalid type for {name}, expected a boolean.")
        return found

    def text(self, name: str) -> str | None:
        found = self.value.get(name)
        if found is not None and not isinstance(found, str):
            raise invalid_params(f"Invalid params: invalid type for {name}, expected a string.")
        return found

    def one_of(self, name: str, known: Collection[str]) -> str | None:
        """The value of an option that has a few names only."""
        found = self.text(name)
        if found is not None and found not in known:
            raise unknown_variant(found)
        return found

    def max_version(self) -> int | None:
        return self.u64("maxSupportedTransactionVersion")


class Params:
    """The `params` member. Objects are refused: the interface is positional."""

    def __init__(self, value: Any) -> None:
        if value is None:
            value = []
        if not isinstance(value, list):
            raise invalid_params("Invalid params: expected an array.")
        self.values: list[Any] = value

    def __len__(self) -> int:
        return len(self.values)

    def get(self, index: int) -> Any:
        return self.values[index] if index < len(self.values) else None

    def need(self, index: int) -> Any:
        if (found := self.get(index)) is None:
            raise invalid_params(f"`params` should have at least {index + 1} argument(s)")
        return found

    def text(self, index: int) -> str:
        found = self.need(index)
        if not isinstance(found, str):
            raise invalid_params("Invalid params: invalid type, expected a string.")
        return found

    def key(self, index: int) -> bytes:
        return pubkey(self.need(index))

    def u64(self, index: int) -> int:
        return u64(self.need(index), "number")

    def strings(self, index: int, most: int) -> list[str]:
        found = self.need(index)
        if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
            raise invalid_params("Invalid params: invalid type, expected an array of strings.")
        if len(found) > most:
            raise invalid_params(f"Too many inputs provided; max {most}")
        return found

    def config(self, index: int) -> Config:
        found = self.get(index)
        if found is None:
            return Config({})
        if not isinstance(found, dict):
            raise invalid_params("Invalid params: invalid type, expected an object.")
        return Config(found)


def level(found: Any, default: Level) -> Level:
    if found is None:
        return default
    if not isinstance(found, str) or found not in _LEVELS:
        raise unknown_variant(found, "a commitment")
    return _LEVELS[found]


def u64(found: Any, name: str) -> int:
    if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found <= U64_MAX:
        raise invalid_params(f"Invalid params: invalid value for {name}, expected u64.")
    return found


def whole(found: Any, name: str, least: int, most: int) -> int:
    if not isinstance(found, int) or isinstance(found, bool) or not least <= found <= most:
        raise invalid_params(f"Invalid params: {name} must be a whole number {least}..{most}.")
    return found


def pubkey(found: Any) -> bytes:
    if not isinstance(found, str):
        raise invalid_params("Invalid param: expected a public key string")
    try:
        return bytes(Pubkey.from_string(found))
    except ValueError as error:
        raise _unreadable(error) from None


def signature(found: Any) -> bytes:
    if not isinstance(found, str):
        raise invalid_params("Invalid param: expected a signature string")
    try:
        return bytes(Signature.from_string(found))
    except ValueError as error:
        raise _unreadable(error) from None


def _unreadable(error: ValueError) -> RpcError:
    """As validators say it: the names of ParsePubkeyError and ParseSignatureError."""
    kind = "WrongSize" if "wrong size" in str(error) else "Invalid"
    return invalid_params(f"Invalid param: {kind}")


def blockhash(found: Any) -> bytes:
    return pubkey(found)  # the same 32 bytes of base58


def wire_bytes(text: str, encoding: str, most: int) -> bytes:
    """Decode a transaction or message; `most` bytes bounds the text before any work is done."""
    if encoding not in ("base58", "base64", "binary"):
        raise invalid_params(
            f"unsupported encoding: {shown(encoding)}. Supported encodings: base58, base64"
        )
    if len(text) > most * 2:
        raise invalid_params(f"{encoding} encoded transaction too large: {len(text)} bytes")
    try:
        if encoding == "base64":
            return base64.b64decode(text, validate=True)
        return base58.decode(text)
    except (ValueError, binascii.Error) as error:
        raise invalid_params(f"invalid {encoding} encoding: {error}") from None
