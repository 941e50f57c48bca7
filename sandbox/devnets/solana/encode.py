"""Accounts, transactions and blocks as the JSON that validators give."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import zstandard
from solders.account import Account
from solders.instruction import CompiledInstruction
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import TransactionMetadata

from sandbox.devnets.json_rpc import INVALID_REQUEST, RpcError
from sandbox.devnets.solana import base58
from sandbox.devnets.solana.errors import UNSUPPORTED_VERSION
from sandbox.devnets.solana.execution import AnyMessage
from sandbox.devnets.solana.jsonparsed import parse_account, parse_instruction
from sandbox.devnets.solana.records import Block, Record, TokenBalance
from sandbox.devnets.solana.tokens import TOKEN, TOKEN_2022, ui_amount

RENT_EPOCH = 2**64 - 1  # every account is rent-exempt
MAX_BASE58_BYTES = 128
ACCOUNT_ENCODINGS = ("binary", "base58", "base64", "base64+zstd", "jsonParsed")
BLOCK_DETAILS = ("full", "accounts", "signatures", "none")
TX_ENCODINGS = ("json", "jsonParsed", "base58", "base64", "binary")

Decimals = Callable[[bytes], int]  # of a mint, by key


@lru_cache(maxsize=4096)
def key_text(key: bytes) -> str:
    return str(Pubkey(key))


def signature_text(signature: bytes) -> str:
    return str(Signature(signature))


def account_json(
    key: bytes,
    account: Account,
    encoding: str,
    data_slice: tuple[int, int] | None,
    decimals: Decimals,
) -> dict[str, Any]:
    """-32600 when base58 is asked for more than 128 bytes."""
    data = account.data
    return {
        "lamports": account.lamports,
        "data": _account_data(key, account, data, encoding, data_slice, decimals),
        "owner": str(account.owner),
        "executable": account.executable,
        "rentEpoch": RENT_EPOCH,
        "space": len(data),
    }


def _account_data(
    key: bytes,
    account: Account,
    data: bytes,
    encoding: str,
    data_slice: tuple[int, int] | None,
    decimals: Decimals,
) -> Any:
    if encoding == "jsonParsed":
        parsed = parse_account(key, account, decimals)
        if parsed is not None:
            return parsed
        encoding = "base64"
    if data_slice is not None:
        offset, length = data_slice
        data = data[offset : offset + length]
    if encoding == "base64":
        return [base64.b64encode(data).decode(), "base64"]
    if encoding == "base64+zstd":
        packed = zstandard.ZstdCompressor().compress(data)
        return [base64.b64encode(packed).decode(), "base64+zstd"]
    if len(data) > MAX_BASE58_BYTES:
        raise RpcError(
            INVALID_REQUEST,
            "Encoded binary (base 58) data should be less than 128 bytes,"
            " please use Base64 encoding.",
        )
    text = base58.encode(data)
    return text if encoding == "binary" else [text, "base58"]


def transaction_json(
    record: Record,
    encoding: str,
    max_version: int | None,
    *,
    accounts_only: bool = False,
    rewards: bool = True,
) -> dict[str, Any]:
    """`{transaction, meta[, version]}`; -32015 for a version the caller did not allow."""
    tx = record.transaction
    is_v0 = isinstance(tx.message, MessageV0)
    if is_v0 and max_version is None:
        raise RpcError(
            UNSUPPORTED_VERSION,
            "Transaction version (0) is not supported by the requesting client. "
            "Please try the request again with the following configuration parameter: "
            '"maxSupportedTransactionVersion": 0',
        )
    keys = [key_text(key) for key in record.all_keys()]
    body: Any
    if accounts_only:
        body = {
            "signatures": [str(s) for s in tx.signatures],
            "accountKeys": _parsed_keys(tx.message, keys, len(record.loaded_writable)),
        }
    elif encoding == "base64":
        body = [base64.b64encode(record.raw).decode(), "base64"]
    elif encoding == "base58":
        body = [base58.encode(record.raw), "base58"]
    elif encoding == "binary":
        body = base58.encode(record.raw)
    else:
        body = {
            "signatures": [str(s) for s in tx.signatures],
            "message": _message_json(tx, record, keys, parsed=encoding == "jsonParsed"),
        }
    out = {
        "transaction": body,
        "meta": _meta_json(record, keys, parsed=encoding == "jsonParsed", short=accounts_only),
    }
    if rewards:
        out["meta"]["rewards"] = []
    if max_version is not None:
        out["version"] = 0 if is_v0 else "legacy"
    return out


def _parsed_keys(
    message: AnyMessage, keys: list[str], loaded_writable: int
) -> list[dict[str, Any]]:
    header, static = message.header, len(message.account_keys)
    signers = header.num_required_signatures
    out = []
    for i, key in enumerate(keys):
        if i < static:
            writable = i < signers - header.num_readonly_signed_accounts or (
                signers <= i < static - header.num_readonly_unsigned_accounts
            )
        else:
            writable = i < static + loaded_writable
        out.append(
            {
                "pubkey": key,
                "signer": i < signers,
                "writable": writable,
                "source": "transaction" if i < static else "lookupTable",
            }
        )
    return out


def _message_json(
    tx: VersionedTransaction, record: Record, keys: list[str], *, parsed: bool
) -> dict[str, Any]:
    message = tx.message
    out: dict[str, Any] = {}
    if parsed:
        out["accountKeys"] = _parsed_keys(message, keys, len(record.loaded_writable))
    else:
        header = message.header
        out["header"] = {
            "numRequiredSignatures": header.num_required_signatures,
            "numReadonlySignedAccounts": header.num_readonly_signed_accounts,
            "numReadonlyUnsignedAccounts": header.num_readonly_unsigned_accounts,
        }
        out["accountKeys"] = keys[: len(message.account_keys)]
    out["recentBlockhash"] = str(message.recent_blockhash)
    out["instructions"] = [
        instruction_json(instruction, keys, 1, parsed=parsed)
        for instruction in message.instructions
    ]
    if isinstance(message, MessageV0):
        out["addressTableLookups"] = [
            {
                "accountKey": str(lookup.account_key),
                "writableIndexes": list(lookup.writable_indexes),
                "readonlyIndexes": list(lookup.readonly_indexes),
            }
            for lookup in message.address_table_lookups
        ]
    return out


def instruction_json(
    instruction: CompiledInstruction, keys: list[str], height: int | None, *, parsed: bool
) -> dict[str, Any]:
    """An instruction in `json` or `jsonParsed` form; what no parser knows is shown undecoded."""
    accounts, data = list(instruction.accounts), bytes(instruction.data)
    if not parsed:
        return {
            "programIdIndex": instruction.program_id_index,
            "accounts": accounts,
            "data": base58.encode(data),
            "stackHeight": height,
        }
    program = keys[instruction.program_id_index]
    names = [keys[index] for index in accounts]
    found = parse_instruction(program, names, data)
    if found is not None:
        return {"programId": program, **found, "stackHeight": height}
    return {
        "programId": program,
        "accounts": names,
        "data": base58.encode(data),
        "stackHeight": height,
    }


def inner_json(meta: TransactionMetadata, keys: list[str], *, parsed: bool) -> list[dict[str, Any]]:
    """Inner instructions, only of those instructions that made calls."""
    return [
        {
            "index": index,
            "instructions": [
                instruction_json(inner.instruction(), keys, inner.stack_height(), parsed=parsed)
                for inner in inners
            ],
        }
        for index, inners in enumerate(meta.inner_instructions())
        if inners
    ]


def return_data_json(meta: TransactionMetadata) -> dict[str, Any] | None:
    returned = meta.return_data()
    data = returned.data
    if not data:
        return None
    return {
        "programId": str(returned.program_id),
        "data": [base64.b64encode(data).decode(), "base64"],
    }


def _meta_json(record: Record, keys: list[str], *, parsed: bool, short: bool) -> dict[str, Any]:
    meta, err = record.metadata, record.err
    out: dict[str, Any] = {
        "err": err,
        "status": {"Ok": None} if err is None else {"Err": err},
        "fee": meta.fee(),
        "preBalances": list(record.pre),
        "postBalances": list(record.post),
        "preTokenBalances": [_token_json(t) for t in record.tokens if t.when == 0],
        "postTokenBalances": [_token_json(t) for t in record.tokens if t.when == 1],
    }
    if short:
        return out
    out |= {
        "innerInstructions": inner_json(meta, keys, parsed=parsed),
        "logMessages": meta.logs(),
        "computeUnitsConsumed": meta.compute_units_consumed(),
    }
    if not parsed:
        out["loadedAddresses"] = {
            "writable": [key_text(key) for key in record.loaded_writable],
            "readonly": [key_text(key) for key in record.loaded_readonly],
        }
    if (returned := return_data_json(meta)) is not None:
        out["returnData"] = returned
    return out


def _token_json(balance: TokenBalance) -> dict[str, Any]:
    amount = ui_amount(balance.amount, balance.decimals)
    if balance.amount == 0:
        amount["uiAmount"] = None  # so a validator reads it back from its own store
    return {
        "accountIndex": balance.index,
        "mint": key_text(balance.mint),
        "owner": key_text(balance.owner),
        "programId": str(TOKEN_2022 if balance.token_2022 else TOKEN),
        "uiTokenAmount": amount,
    }


def block_json(
    block: Block,
    records: list[Record],
    details: str,
    encoding: str,
    max_version: int | None,
    *,
    rewards: bool,
) -> dict[str, Any]:
    """A block as getBlock and blockNotification give it."""
    out: dict[str, Any] = {
        "blockhash": key_text(block.hash),
        "previousBlockhash": key_text(block.previous),
        "parentSlot": block.parent,
        "blockTime": block.time,
        "blockHeight": block.height,
    }
    if details == "signatures":
        out["signatures"] = [signature_text(record.signature) for record in records]
    elif details in ("full", "accounts"):
        out["transactions"] = [
            transaction_json(
                record,
                encoding,
                max_version,
                accounts_only=details == "accounts",
                rewards=rewards,
            )
            for record in records
        ]
    if rewards:
        out["rewards"] = []
    return out
