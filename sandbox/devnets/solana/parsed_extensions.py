"""Extensions of Token-2022 mints and accounts, as agave's `account-decoder` shows them."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from solders.pubkey import Pubkey

# By the number in the account's type-length-value list.
EXTENSION_TYPES = {
    0: "uninitialized",
    1: "transferFeeConfig",
    2: "transferFeeAmount",
    3: "mintCloseAuthority",
    4: "confidentialTransferMint",
    5: "confidentialTransferAccount",
    6: "defaultAccountState",
    7: "immutableOwner",
    8: "memoTransfer",
    9: "nonTransferable",
    10: "interestBearingConfig",
    11: "cpiGuard",
    12: "permanentDelegate",
    13: "nonTransferableAccount",
    14: "transferHook",
    15: "transferHookAccount",
    16: "confidentialTransferFeeConfig",
    17: "confidentialTransferFeeAmount",
    18: "metadataPointer",
    19: "tokenMetadata",
    20: "groupPointer",
    21: "tokenGroup",
    22: "groupMemberPointer",
    23: "tokenGroupMember",
    24: "confidentialMintBurn",
    25: "scaledUiAmount",
    26: "pausable",
    27: "pausableAccount",
}
_ACCOUNT_STATES = ("uninitialized", "initialized", "frozen")
_TLV_START = 166
State = dict[str, Any]


def extensions(data: bytes) -> list[State] | None:
    """The extensions of a mint or token account in their order; None when it can have none."""
    if len(data) <= _TLV_START:
        return None
    found, at = [], _TLV_START
    while at + 4 <= len(data):
        kind, size = struct.unpack_from("<HH", data, at)
        if kind == 0:
            break
        found.append(_extension(kind, data[at + 4 : at + 4 + size]))
        at += 4 + size
    return found


def _extension(kind: int, value: bytes) -> State:
    entry = _PARSERS.get(kind)
    if entry is None:
        return {"extension": "unparseableExtension"}
    name, parse = entry
    return {"extension": name} if parse is None else {"extension": name, "state": parse(value)}


def _key(value: bytes, at: int = 0) -> str:
    return str(Pubkey(value[at : at + 32]))


def _optional(value: bytes, at: int = 0) -> str | None:
    """Zeros stand for nobody."""
    return _key(value, at) if any(value[at : at + 32]) else None


def _transfer_fee(value: bytes, at: int) -> State:
    epoch, most, basis_points = struct.unpack_from("<QQH", value, at)
    return {"epoch": epoch, "maximumFee": most, "transferFeeBasisPoints": basis_points}


def _transfer_fee_config(value: bytes) -> State:
    return {
        "transferFeeConfigAuthority": _optional(value),
        "withdrawWithheldAuthority": _optional(value, 32),
        "withheldAmount": struct.unpack_from("<Q", value, 64)[0],
        "olderTransferFee": _transfer_fee(value, 72),
        "newerTransferFee": _transfer_fee(value, 90),
    }


def _interest(value: bytes) -> State:
    started, before, updated, rate = struct.unpack_from("<qhqh", value, 32)
    return {
        "rateAuthority": _optional(value),
        "initializationTimestamp": started,
        "preUpdateAverageRate": before,
        "lastUpdateTimestamp": updated,
        "currentRate": rate,
    }


def _number(value: float) -> str:
    return repr(value).removesuffix(".0")


def _scaled(value: bytes) -> State:
    now, since, then = struct.unpack_from("<dqd", value, 32)
    return {
        "authority": _optional(value),
        "multiplier": _number(now),
        "newMultiplierEffectiveTimestamp": since,
        "newMultiplier": _number(then),
    }


def _metadata(value: bytes) -> State:
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
        "updateAuthority": _optional(value),
        "mint": _key(value, 32),
        "name": name,
        "symbol": symbol,
        "uri": uri,
        "additionalMetadata": [[text(), text()] for _ in range(count)],
    }


def _group(value: bytes) -> State:
    size, most = struct.unpack_from("<QQ", value, 64)
    return {
        "updateAuthority": _optional(value),
        "mint": _key(value, 32),
        "size": size,
        "maxSize": most,
    }


def _group_member(value: bytes) -> State:
    number = struct.unpack_from("<Q", value, 64)[0]
    return {"mint": _key(value), "group": _key(value, 32), "memberNumber": number}


def _pair(first: str, second: str) -> Callable[[bytes], State]:
    return lambda value: {first: _optional(value), second: _optional(value, 32)}


def _flag(name: str) -> Callable[[bytes], State]:
    return lambda value: {name: bool(value[0])}


# The confidential ones are not here: they are shown as what no parser knows.
_PARSERS: dict[int, tuple[str, Callable[[bytes], State] | None]] = {
    1: ("transferFeeConfig", _transfer_fee_config),
    2: ("transferFeeAmount", lambda v: {"withheldAmount": struct.unpack_from("<Q", v)[0]}),
    3: ("mintCloseAuthority", lambda v: {"closeAuthority": _optional(v)}),
    6: ("defaultAccountState", lambda v: {"accountState": _ACCOUNT_STATES[v[0]]}),
    7: ("immutableOwner", None),
    8: ("memoTransfer", _flag("requireIncomingTransferMemos")),
    9: ("nonTransferable", None),
    10: ("interestBearingConfig", _interest),
    11: ("cpiGuard", _flag("lockCpi")),
    12: ("permanentDelegate", lambda v: {"delegate": _optional(v)}),
    13: ("nonTransferableAccount", None),
    14: ("transferHook", _pair("authority", "programId")),
    15: ("transferHookAccount", _flag("transferring")),
    18: ("metadataPointer", _pair("authority", "metadataAddress")),
    19: ("tokenMetadata", _metadata),
    20: ("groupPointer", _pair("authority", "groupAddress")),
    21: ("tokenGroup", _group),
    22: ("groupMemberPointer", _pair("authority", "memberAddress")),
    23: ("tokenGroupMember", _group_member),
    25: ("scaledUiAmountConfig", _scaled),
    26: ("pausableConfig", lambda v: {"authority": _optional(v), "paused": bool(v[32])}),
    27: ("pausableAccount", None),
}
