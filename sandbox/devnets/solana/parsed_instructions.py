"""Parsers of single instructions: system, lookup tables, memo, associated token accounts, and both
token programs. Shapes are those of agave's `transaction-status`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.devnets.solana.instruction_data import key, take, text, typed, u32, u64
from sandbox.devnets.solana.parsed_token import parse_token
from sandbox.devnets.solana.tokens import TOKEN, TOKEN_2022

Parser = Callable[[list[str], bytes], Any]


def _system(accounts: list[str], data: bytes) -> Any:
    a = accounts
    match u32(data, 0):
        case 0:
            return typed(
                "createAccount",
                source=accounts[0],
                newAccount=accounts[1],
                lamports=u64(data, 4),
                space=u64(data, 12),
                owner=key(data, 20),
            )
        case 1:
            return typed("assign", account=accounts[0], owner=key(data, 4))
        case 2:
            return typed(
                "transfer",
                source=accounts[0],
                destination=accounts[1],
                lamports=u64(data, 4),
            )
        case 3:
            seed, at = text(data, 36, 8)
            return typed(
                "createAccountWithSeed",
                source=a[0],
                newAccount=a[1],
                base=key(data, 4),
                seed=seed,
                lamports=u64(data, at),
                space=u64(data, at + 8),
                owner=key(data, at + 16),
            )
        case 4:
            return typed(
                "advanceNonce",
                nonceAccount=a[0],
                recentBlockhashesSysvar=a[1],
                nonceAuthority=a[2],
            )
        case 5:
            return typed(
                "withdrawFromNonce",
                nonceAccount=a[0],
                destination=a[1],
                recentBlockhashesSysvar=a[2],
                rentSysvar=a[3],
                nonceAuthority=a[4],
                lamports=u64(data, 4),
            )
        case 6:
            return typed(
                "initializeNonce",
                nonceAccount=a[0],
                recentBlockhashesSysvar=a[1],
                rentSysvar=a[2],
                nonceAuthority=key(data, 4),
            )
        case 7:
            return typed(
                "authorizeNonce",
                nonceAccount=a[0],
                nonceAuthority=a[1],
                newAuthorized=key(data, 4),
            )
        case 8:
            return typed("allocate", account=a[0], space=u64(data, 4))
        case 9:
            seed, at = text(data, 36, 8)
            return typed(
                "allocateWithSeed",
                account=a[0],
                base=key(data, 4),
                seed=seed,
                space=u64(data, at),
                owner=key(data, at + 8),
            )
        case 10:
            seed, at = text(data, 36, 8)
            return typed(
                "assignWithSeed",
                account=a[0],
                base=key(data, 4),
                seed=seed,
                owner=key(data, at),
            )
        case 11:
            seed, at = text(data, 12, 8)
            return typed(
                "transferWithSeed",
                source=a[0],
                sourceBase=a[1],
                destination=a[2],
                lamports=u64(data, 4),
                sourceSeed=seed,
                sourceOwner=key(data, at),
            )
    return None


def _lookup_table(accounts: list[str], data: bytes) -> Any:
    roles = {"lookupTableAccount": accounts[0], "lookupTableAuthority": accounts[1]}
    match u32(data, 0):
        case 0:
            return typed(
                "createLookupTable",
                **roles,
                payerAccount=accounts[2],
                systemProgram=accounts[3],
                recentSlot=u64(data, 4),
                bumpSeed=take(data, 12, 1)[0],
            )
        case 1:
            return typed("freezeLookupTable", **roles)
        case 2:
            added = [key(data, 12 + 32 * index) for index in range(min(u64(data, 4), 256))]
            paying = dict(zip(("payerAccount", "systemProgram"), accounts[2:4], strict=False))
            return typed(
                "extendLookupTable",
                **roles,
                newAddresses=added,
                **(paying if len(paying) == 2 else {}),
            )
        case 3:
            return typed("deactivateLookupTable", **roles)
        case 4:
            return typed("closeLookupTable", **roles, recipient=accounts[2])
    return None


def _memo(_accounts: list[str], data: bytes) -> Any:
    return data.decode("utf-8")


def _associated(accounts: list[str], data: bytes) -> Any:
    kinds = {b"": "create", b"\x00": "create", b"\x01": "createIdempotent"}
    if (kind := kinds.get(data)) is None:
        return None
    source, account, wallet, mint, system, token = accounts[:6]
    return typed(
        kind,
        source=source,
        account=account,
        wallet=wallet,
        mint=mint,
        systemProgram=system,
        tokenProgram=token,
    )


PARSERS: dict[str, tuple[str, Parser]] = {
    "11111111111111111111111111111111": ("system", _system),
    "AddressLookupTab1e1111111111111111111111111": ("address-lookup-table", _lookup_table),
    "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr": ("spl-memo", _memo),
    "Memo1UhkJRfHyvLMcVucJwxXeuD728EqVDDwQDxFMNo": ("spl-memo", _memo),
    "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL": ("spl-associated-token-account", _associated),
    str(TOKEN): ("spl-token", parse_token),
    str(TOKEN_2022): ("spl-token", parse_token),
}
