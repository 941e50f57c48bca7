"""Reading instruction data: integers, keys and strings, and nothing behind the end.

Every read past the end raises IndexError, which parsers take for "not parsable".
"""

from __future__ import annotations

from typing import Any

from solders.pubkey import Pubkey


def u32(data: bytes, at: int) -> int:
    return int.from_bytes(take(data, at, 4), "little")


def u64(data: bytes, at: int) -> int:
    return int.from_bytes(take(data, at, 8), "little")


def key(data: bytes, at: int) -> str:
    return str(Pubkey(take(data, at, 32)))


def key_or_none(data: bytes, at: int) -> str | None:
    return key(data, at) if any(take(data, at, 32)) else None


def text(data: bytes, at: int, length_bytes: int) -> tuple[str, int]:
    """A string behind its length, and where it ends (bincode has 8 length bytes, Borsh 4)."""
    size = int.from_bytes(take(data, at, length_bytes), "little")
    end = at + length_bytes + size
    return take(data, at + length_bytes, size).decode("utf-8"), end


def take(data: bytes, at: int, size: int) -> bytes:
    if at + size > len(data):
        raise IndexError(at)
    return data[at : at + size]


def typed(kind: str, **info: Any) -> dict[str, Any]:
    return {"type": kind, "info": info}
