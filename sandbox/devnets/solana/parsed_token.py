"""Parsers of instructions of Token and Token-2022, in the shapes of agave's `parse_token`."""

from __future__ import annotations

from typing import Any

from sandbox.devnets.solana.instruction_data import key, key_or_none, text, typed, u64
from sandbox.devnets.solana.parsed_extensions import EXTENSION_TYPES
from sandbox.devnets.solana.tokens import ui_amount


def _signed_by(accounts: list[str], at: int, role: str) -> dict[str, Any]:
    """Extra accounts after the owner make it a multisig in validators' eyes (references too)."""
    if len(accounts) > at + 1:
        name = "multisig" + role[0].upper() + role[1:]
        return {name: accounts[at], "signers": accounts[at + 1 :]}
    return {role: accounts[at]}


def _checked(data: bytes) -> dict[str, Any]:
    return {"tokenAmount": ui_amount(u64(data, 1), data[9])}


_AUTHORITY_TYPES = {
    0: "mintTokens",
    1: "freezeAccount",
    2: "accountOwner",
    3: "closeAccount",
    4: "transferFeeConfig",
    5: "withheldWithdraw",
    6: "closeMint",
    7: "interestRate",
    8: "permanentDelegate",
    9: "confidentialTransferMint",
    10: "transferHookProgramId",
    11: "confidentialTransferFeeConfig",
    12: "metadataPointer",
    13: "groupPointer",
    14: "groupMemberPointer",
    15: "scaledUiAmount",
    16: "pause",
    17: "permissionedBurn",
}
_OF_AN_ACCOUNT = ("accountOwner", "closeAccount")


def parse_token(accounts: list[str], data: bytes) -> Any:
    a, tag = accounts, data[0]
    match tag:
        case 0:
            return typed("initializeMint", **_new_mint(a, data), rentSysvar=a[1])
        case 1:
            return typed("initializeAccount", account=a[0], mint=a[1], owner=a[2], rentSysvar=a[3])
        case 2:
            return typed(
                "initializeMultisig", multisig=a[0], rentSysvar=a[1], signers=a[2:], m=data[1]
            )
        case 3:
            return typed(
                "transfer",
                source=a[0],
                destination=a[1],
                amount=str(u64(data, 1)),
                **_signed_by(a, 2, "authority"),
            )
        case 4:
            return typed(
                "approve",
                source=a[0],
                delegate=a[1],
                amount=str(u64(data, 1)),
                **_signed_by(a, 2, "owner"),
            )
        case 5:
            return typed("revoke", source=a[0], **_signed_by(a, 1, "owner"))
        case 6 if (kind := _AUTHORITY_TYPES.get(data[1])) is not None:
            return typed(
                "setAuthority",
                authorityType=kind,
                newAuthority=key(data, 3) if data[2] else None,
                **{"account" if kind in _OF_AN_ACCOUNT else "mint": a[0]},
                **_signed_by(a, 1, "authority"),
            )
        case 7 | 8:
            kind, first, second = (
                ("mintTo", "mint", "account") if tag == 7 else ("burn", "account", "mint")
            )
            info = {first: a[0], second: a[1], "amount": str(u64(data, 1))}
            role = "mintAuthority" if tag == 7 else "authority"
            return typed(kind, **info, **_signed_by(a, 2, role))
        case 9:
            return typed(
                "closeAccount", account=a[0], destination=a[1], **_signed_by(a, 2, "owner")
            )
        case 10 | 11:
            return typed(
                "freezeAccount" if tag == 10 else "thawAccount",
                account=a[0],
                mint=a[1],
                **_signed_by(a, 2, "freezeAuthority"),
            )
        case 12:
            return typed(
                "transferChecked",
                source=a[0],
                mint=a[1],
                destination=a[2],
                **_checked(data),
                **_signed_by(a, 3, "authority"),
            )
        case 13:
            return typed(
                "approveChecked",
                source=a[0],
                mint=a[1],
                delegate=a[2],
                **_checked(data),
                **_signed_by(a, 3, "owner"),
            )
        case 14:
            return typed(
                "mintToChecked",
                mint=a[0],
                account=a[1],
                **_checked(data),
                **_signed_by(a, 2, "mintAuthority"),
            )
        case 15:
            return typed(
                "burnChecked",
                account=a[0],
                mint=a[1],
                **_checked(data),
                **_signed_by(a, 2, "authority"),
            )
        case 18:
            return typed("initializeAccount3", account=a[0], mint=a[1], owner=key(data, 1))
        case 16:
            return typed(
                "initializeAccount2",
                account=a[0],
                mint=a[1],
                owner=key(data, 1),
                rentSysvar=a[2],
            )
        case 17:
            return typed("syncNative", account=a[0])
        case 19:
            return typed("initializeMultisig2", multisig=a[0], signers=a[1:], m=data[1])
        case 20:
            return typed("initializeMint2", **_new_mint(a, data))
        case 21:
            asked = [
                EXTENSION_TYPES[int.from_bytes(data[at : at + 2], "little")]
                for at in range(1, len(data) - 1, 2)
            ]
            return typed(
                "getAccountDataSize", mint=a[0], **({"extensionTypes": asked} if asked else {})
            )
        case 22:
            return typed("initializeImmutableOwner", account=a[0])
        case 35:
            return typed("initializePermanentDelegate", mint=a[0], delegate=key(data, 1))
        case 25:
            closer = key(data, 2) if data[1] else None
            return typed("initializeMintCloseAuthority", mint=a[0], newAuthority=closer)
        case 39 if data[1] == 0:
            pointer = {
                "authority": key_or_none(data, 2),
                "metadataAddress": key_or_none(data, 34),
            }
            given = {name: key for name, key in pointer.items() if key is not None}
            return typed("initializeMetadataPointer", mint=a[0], **given)
        case 44:
            if data[1] == 0:
                return typed("initializePausableConfig", mint=a[0], authority=key_or_none(data, 2))
            if data[1] in (1, 2):
                kind = "pause" if data[1] == 1 else "resume"
                return typed(kind, mint=a[0], **_signed_by(a, 1, "authority"))
    return _token_metadata(a, data)


def _new_mint(accounts: list[str], data: bytes) -> dict[str, Any]:
    minted: dict[str, Any] = {
        "mint": accounts[0],
        "decimals": data[1],
        "mintAuthority": key(data, 2),
    }
    if data[34]:
        minted["freezeAuthority"] = key(data, 35)
    return minted


_FIELDS = ("name", "symbol", "uri")


def _token_metadata(a: list[str], data: bytes) -> Any:
    """The metadata interface: its instructions are told apart by eight bytes."""
    match data[:8].hex():
        case "d2e11ea258b84d8d":
            name, at = text(data, 8, 4)
            symbol, at = text(data, at, 4)
            uri, _ = text(data, at, 4)
            return typed(
                "initializeTokenMetadata",
                metadata=a[0],
                updateAuthority=a[1],
                mint=a[2],
                mintAuthority=a[3],
                name=name,
                symbol=symbol,
                uri=uri,
            )
        case "dde9312db5cadcc8":
            kind, at = data[8], 9
            field, at = (_FIELDS[kind], at) if kind < 3 else text(data, at, 4)
            return typed(
                "updateTokenMetadataField",
                metadata=a[0],
                updateAuthority=a[1],
                field=field,
                value=text(data, at, 4)[0],
            )
        case "ea122038598d25b5":
            return typed(
                "removeTokenMetadataKey",
                metadata=a[0],
                updateAuthority=a[1],
                key=text(data, 9, 4)[0],
                idempotent=bool(data[8]),
            )
        case "d7e4a6e45464567b":
            return typed(
                "updateTokenMetadataAuthority",
                metadata=a[0],
                updateAuthority=a[1],
                newAuthority=key_or_none(data, 8),
            )
    return None
