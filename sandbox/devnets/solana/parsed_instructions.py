"""Parsers of single instructions: system, memo, associated token accounts, Token and Token-2022."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from solders.pubkey import Pubkey

from sandbox.devnets.solana.tokens import TOKEN, TOKEN_2022, ui_amount

Parser = Callable[[list[str], bytes], Any]


def _u32(data: bytes, at: int) -> int:
    return int.from_bytes(_take(data, at, 4), "little")


def _u64(data: bytes, at: int) -> int:
    return int.from_bytes(_take(data, at, 8), "little")


def _key(data: bytes, at: int) -> str:
    return str(Pubkey(_take(data, at, 32)))


def _take(data: bytes, at: int, size: int) -> bytes:
    if at + size > len(data):
        raise IndexError(at)
    return data[at : at + size]


def _typed(kind: str, **info: Any) -> dict[str, Any]:
    return {"type": kind, "info": info}


def _system(accounts: list[str], data: bytes) -> Any:
    match _u32(data, 0):
        case 0:
            return _typed(
                "createAccount",
                source=accounts[0],
                newAccount=accounts[1],
                lamports=_u64(data, 4),
                space=_u64(data, 12),
                owner=_key(data, 20),
            )
        case 1:
            return _typed("assign", account=accounts[0], owner=_key(data, 4))
        case 2:
            return _typed(
                "transfer",
                source=accounts[0],
                destination=accounts[1],
                lamports=_u64(data, 4),
            )
        case 4:
            return _typed(
                "advanceNonce",
                nonceAccount=accounts[0],
                recentBlockhashesSysvar=accounts[1],
                nonceAuthority=accounts[2],
            )
        case 5:
            return _typed(
                "withdrawFromNonce",
                nonceAccount=accounts[0],
                destination=accounts[1],
                recentBlockhashesSysvar=accounts[2],
                rentSysvar=accounts[3],
                nonceAuthority=accounts[4],
                lamports=_u64(data, 4),
            )
        case 6:
            return _typed(
                "initializeNonce",
                nonceAccount=accounts[0],
                recentBlockhashesSysvar=accounts[1],
                rentSysvar=accounts[2],
                nonceAuthority=_key(data, 4),
            )
        case 7:
            return _typed(
                "authorizeNonce",
                nonceAccount=accounts[0],
                nonceAuthority=accounts[1],
                newAuthorized=_key(data, 4),
            )
        case 8:
            return _typed("allocate", account=accounts[0], space=_u64(data, 4))
    return None


def _memo(_accounts: list[str], data: bytes) -> Any:
    return data.decode("utf-8")


def _associated(accounts: list[str], data: bytes) -> Any:
    kinds = {b"": "create", b"\x00": "create", b"\x01": "createIdempotent"}
    if (kind := kinds.get(data)) is None:
        return None
    source, account, wallet, mint, system, token = accounts[:6]
    return _typed(
        kind,
        source=source,
        account=account,
        wallet=wallet,
        mint=mint,
        systemProgram=system,
        tokenProgram=token,
    )


def _signed_by(accounts: list[str], at: int, role: str) -> dict[str, Any]:
    """Extra accounts after the owner make it a multisig in validators' eyes (references too)."""
    if len(accounts) > at + 1:
        name = "multisig" + role[0].upper() + role[1:]
        return {name: accounts[at], "signers": accounts[at + 1 :]}
    return {role: accounts[at]}


def _checked(data: bytes) -> dict[str, Any]:
    return {"tokenAmount": ui_amount(_u64(data, 1), data[9])}


_AUTHORITY_TYPES = {
    0: "mintTokens",
    1: "freezeAccount",
    2: "accountOwner",
    3: "closeAccount",
    8: "permanentDelegate",
    12: "metadataPointer",
    16: "pause",
}


_EXTENSION_TYPES = {7: "immutableOwner", 27: "pausableAccount"}  # of accounts of such mints


def _extension_type(data: bytes, at: int) -> str:
    """By its number; raises KeyError for one that no parser here knows."""
    return _EXTENSION_TYPES[int.from_bytes(_take(data, at, 2), "little")]


def _unless_empty(**lists: list[str]) -> dict[str, list[str]]:
    return {name: found for name, found in lists.items() if found}


def _token(accounts: list[str], data: bytes) -> Any:
    a, tag = accounts, data[0]
    match tag:
        case 3:
            return _typed(
                "transfer",
                source=a[0],
                destination=a[1],
                amount=str(_u64(data, 1)),
                **_signed_by(a, 2, "authority"),
            )
        case 5:
            return _typed("revoke", source=a[0], **_signed_by(a, 1, "owner"))
        case 6:
            return _typed(
                "setAuthority",
                authorityType=_AUTHORITY_TYPES.get(data[1], str(data[1])),
                newAuthority=_key(data, 3) if data[2] else None,
                account=a[0],
                **_signed_by(a, 1, "authority"),
            )
        case 7 | 8:
            kind, first, second = (
                ("mintTo", "mint", "account") if tag == 7 else ("burn", "account", "mint")
            )
            info = {first: a[0], second: a[1], "amount": str(_u64(data, 1))}
            role = "mintAuthority" if tag == 7 else "authority"
            return _typed(kind, **info, **_signed_by(a, 2, role))
        case 9:
            return _typed(
                "closeAccount", account=a[0], destination=a[1], **_signed_by(a, 2, "owner")
            )
        case 10 | 11:
            return _typed(
                "freezeAccount" if tag == 10 else "thawAccount",
                account=a[0],
                mint=a[1],
                **_signed_by(a, 2, "freezeAuthority"),
            )
        case 12:
            return _typed(
                "transferChecked",
                source=a[0],
                mint=a[1],
                destination=a[2],
                **_checked(data),
                **_signed_by(a, 3, "authority"),
            )
        case 13:
            return _typed(
                "approveChecked",
                source=a[0],
                mint=a[1],
                delegate=a[2],
                **_checked(data),
                **_signed_by(a, 3, "owner"),
            )
        case 14:
            return _typed(
                "mintToChecked",
                mint=a[0],
                account=a[1],
                **_checked(data),
                **_signed_by(a, 2, "mintAuthority"),
            )
        case 15:
            return _typed(
                "burnChecked",
                account=a[0],
                mint=a[1],
                **_checked(data),
                **_signed_by(a, 2, "authority"),
            )
        case 18:
            return _typed("initializeAccount3", account=a[0], mint=a[1], owner=_key(data, 1))
        case 20:
            minted: dict[str, Any] = {
                "mint": a[0],
                "decimals": data[1],
                "mintAuthority": _key(data, 2),
            }
            if data[34]:
                minted["freezeAuthority"] = _key(data, 35)
            return _typed("initializeMint2", **minted)
        case 21:
            kinds = [_extension_type(data, at) for at in range(1, len(data), 2)]
            return _typed("getAccountDataSize", mint=a[0], **_unless_empty(extensionTypes=kinds))
        case 22:
            return _typed("initializeImmutableOwner", account=a[0])
        case 35:
            return _typed("initializePermanentDelegate", mint=a[0], delegate=_key(data, 1))
        case 39 if data[1] == 0:
            return _typed(
                "initializeMetadataPointer",
                mint=a[0],
                authority=_key(data, 2),
                metadataAddress=_key(data, 34),
            )
        case 44:
            if data[1] == 0:
                return _typed("initializePausableConfig", mint=a[0], authority=_key(data, 2))
            if data[1] in (1, 2):
                kind = "pause" if data[1] == 1 else "resume"
                return _typed(kind, mint=a[0], **_signed_by(a, 1, "authority"))
    return None


PARSERS: dict[str, tuple[str, Parser]] = {
    "11111111111111111111111111111111": ("system", _system),
    "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr": ("spl-memo", _memo),
    "Memo1UhkJRfHyvLMcVucJwxXeuD728EqVDDwQDxFMNo": ("spl-memo", _memo),
    "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL": ("spl-associated-token-account", _associated),
    str(TOKEN): ("spl-token", _token),
    str(TOKEN_2022): ("spl-token", _token),
}
