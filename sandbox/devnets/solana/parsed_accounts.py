"""Parsed accounts that are neither tokens nor lookup tables: sysvars, nonces, programs.

In the shapes of agave's `account-decoder`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from solders.account import Account
from solders.pubkey import Pubkey

SYSTEM = Pubkey.default()
SYSVARS = Pubkey.from_string("Sysvar1111111111111111111111111111111111111")
LOADER = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")
CLOCK = Pubkey.from_string("SysvarC1ock11111111111111111111111111111111")
_NONCE_BYTES, _PROGRAM_BYTES = 80, 36

Parsed = tuple[str, Any]  # `type` and `info`


def parse_other(key: bytes, account: Account) -> dict[str, Any] | None:
    """The `data` member of such an account, or None when it is none of them."""
    data, owner = account.data, account.owner
    found: Parsed | None = None
    if owner == SYSVARS:
        program, parse = "sysvar", _SYSVARS.get(Pubkey(key))
        found = None if parse is None else parse(data)
    elif owner == SYSTEM and len(data) == _NONCE_BYTES:
        program, found = "nonce", _nonce(data)
    elif owner == LOADER and len(data) == _PROGRAM_BYTES and data[0] == 2:
        program, found = "bpf-upgradeable-loader", ("program", {"programData": _key(data, 4)})
    if found is None:
        return None
    kind, info = found
    return {"program": program, "parsed": {"type": kind, "info": info}, "space": len(data)}


def clock_at(clock: Account, slot: int, time_s: int) -> Account:
    """The Clock sysvar as a block saw it: the machine itself has only the open slot's."""
    data = bytearray(clock.data)
    struct.pack_into("<Q", data, 0, slot)
    struct.pack_into("<q", data, 32, time_s)
    return Account(clock.lamports, bytes(data), clock.owner, clock.executable, clock.rent_epoch)


def _key(data: bytes, at: int) -> str:
    return str(Pubkey(data[at : at + 32]))


def _nonce(data: bytes) -> Parsed | None:
    _, state = struct.unpack_from("<II", data)
    if state != 1:
        return None
    fee = struct.unpack_from("<Q", data, 72)[0]
    return "initialized", {
        "authority": _key(data, 8),
        "blockhash": _key(data, 40),
        "feeCalculator": {"lamportsPerSignature": str(fee)},
    }


def _clock(data: bytes) -> Parsed:
    slot, started, epoch, leaders, now = struct.unpack_from("<QqQQq", data)
    return "clock", {
        "slot": slot,
        "epoch": epoch,
        "epochStartTimestamp": started,
        "leaderScheduleEpoch": leaders,
        "unixTimestamp": now,
    }


def _rent(data: bytes) -> Parsed:
    per_byte_year, threshold, burnt = struct.unpack_from("<QdB", data)
    return "rent", {
        "lamportsPerByteYear": str(per_byte_year),
        "exemptionThreshold": threshold,
        "burnPercent": burnt,
    }


def _epoch_schedule(data: bytes) -> Parsed:
    slots, offset, warmup, epoch, slot = struct.unpack_from("<QQ?QQ", data)
    return "epochSchedule", {
        "slotsPerEpoch": slots,
        "leaderScheduleSlotOffset": offset,
        "warmup": warmup,
        "firstNormalEpoch": epoch,
        "firstNormalSlot": slot,
    }


def _slot_hashes(data: bytes) -> Parsed:
    count = struct.unpack_from("<Q", data)[0]
    return "slotHashes", [
        {"slot": struct.unpack_from("<Q", data, at)[0], "hash": _key(data, at + 8)}
        for at in range(8, 8 + 40 * count, 40)
    ]


def _recent_blockhashes(data: bytes) -> Parsed:
    count = struct.unpack_from("<Q", data)[0]
    return "recentBlockhashes", [
        {
            "blockhash": _key(data, at),
            "feeCalculator": {
                "lamportsPerSignature": str(struct.unpack_from("<Q", data, at + 32)[0])
            },
        }
        for at in range(8, 8 + 40 * count, 40)
    ]


_SYSVARS: dict[Pubkey, Callable[[bytes], Parsed]] = {
    CLOCK: _clock,
    Pubkey.from_string("SysvarRent111111111111111111111111111111111"): _rent,
    Pubkey.from_string("SysvarEpochSchedu1e111111111111111111111111"): _epoch_schedule,
    Pubkey.from_string("SysvarS1otHashes111111111111111111111111111"): _slot_hashes,
    Pubkey.from_string("SysvarRecentB1ockHashes11111111111111111111"): _recent_blockhashes,
}
