"""Transactions put together index by index, and what a validator shows of them, field by field.

Nothing here is made by the devnet's own encoder: a test writes down every key, flag and number.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from solders.instruction import CompiledInstruction
from solders.keypair import Keypair
from solders.message import Message, MessageAddressTableLookup, MessageHeader, MessageV0
from solders.pubkey import Pubkey
from solders.rpc.responses import GetTransactionResp
from solders.transaction import VersionedTransaction

from tests.devnets.solana.inside import InsideChain

NOW_S = 4_000_000_000  # the frozen clock: the time of every block
CONFIRMED = {"commitment": "confirmed", "maxSupportedTransactionVersion": 0}
SYSTEM = Pubkey.default()
BUILTIN = 1  # lamports of a program that is built in
INVOKE = "Program {} invoke [1]"
SYSTEM_LOGS = [INVOKE.format(SYSTEM), f"Program {SYSTEM} success"]
TABLELESS: dict[str, list[str]] = {"writable": [], "readonly": []}


def person(number: int) -> Keypair:
    """The same key in every run: addresses found by trying cost the same units."""
    return Keypair.from_seed(bytes([number]) * 32)


@dataclass
class Written:
    """A message: `flags` of each static key (s signer, w writable), and instructions by index."""

    signers: list[Keypair]
    keys: list[tuple[Pubkey, str]]
    instructions: list[tuple[int, list[int], bytes]]
    loaded: list[tuple[Pubkey, str]] = field(default_factory=list)
    table: Pubkey | None = None
    table_indexes: tuple[bytes, bytes] = (b"", b"")

    @property
    def header(self) -> tuple[int, int, int]:
        flags = [flags for _, flags in self.keys]
        return (
            sum("s" in one for one in flags),
            flags.count("s"),
            flags.count(""),
        )


@dataclass
class Landed:
    written: Written
    raw: bytes
    signatures: list[str]
    blockhash: str
    slot: int


async def land(chain: InsideChain, written: Written, *, skip_preflight: bool = False) -> Landed:
    """Send it in the open slot, whose number is that of the block it will be in."""
    blockhash, header = await chain.blockhash(), MessageHeader(*written.header)
    keys = [key for key, _ in written.keys]
    compiled = [
        CompiledInstruction(program, data, bytes(accounts))
        for program, accounts, data in written.instructions
    ]
    message: Message | MessageV0
    if written.table is None:
        message = Message.new_with_compiled_instructions(*written.header, keys, blockhash, compiled)
    else:
        lookup = MessageAddressTableLookup(written.table, *written.table_indexes)
        message = MessageV0(header, keys, blockhash, compiled, [lookup])
    tx = VersionedTransaction(message, written.signers)
    slot = await chain.call("getSlot", {"commitment": "processed"})
    await chain.send(bytes(tx), skipPreflight=skip_preflight)
    signatures = [str(signature) for signature in tx.signatures]
    return Landed(written, bytes(tx), signatures, str(blockhash), slot)


def bare(program: int, accounts: list[int], data: str) -> dict[str, Any]:
    """A top-level instruction in `json`; data in base58."""
    return {"programIdIndex": program, "accounts": accounts, "data": data, "stackHeight": 1}


def parsed(
    program: Pubkey | str, name: str, content: Any, *, height: int = 1, **info: Any
) -> dict[str, Any]:
    """An instruction in `jsonParsed`: `content` is its type, or all there is."""
    shown = {"type": content, "info": info} if info else content
    return {"programId": str(program), "program": name, "parsed": shown, "stackHeight": height}


def amount(units: int, text: str, shown: float | None, decimals: int = 2) -> dict[str, Any]:
    return {
        "amount": str(units),
        "decimals": decimals,
        "uiAmount": shown,
        "uiAmountString": text,
    }


def meta(
    *,
    fee: int,
    units: int,
    before: list[int],
    after: list[int],
    logs: list[str],
    err: Any = None,
    inner: list[Any] | None = None,
    tokens_before: list[Any] | None = None,
    tokens_after: list[Any] | None = None,
    loaded: dict[str, list[str]] | None = None,
) -> dict[str, Any]:
    return {
        "err": err,
        "status": {"Ok": None} if err is None else {"Err": err},
        "fee": fee,
        "preBalances": before,
        "postBalances": after,
        "preTokenBalances": tokens_before or [],
        "postTokenBalances": tokens_after or [],
        "innerInstructions": inner or [],
        "logMessages": logs,
        "rewards": [],
        "computeUnitsConsumed": units,
        "loadedAddresses": loaded or TABLELESS,
    }


def differing(found: Any, wanted: Any, where: str) -> Iterator[str]:
    """Each place where the two are not the same, also in type: 1 is not True."""
    if isinstance(found, dict) and isinstance(wanted, dict) and found.keys() == wanted.keys():
        for name in wanted:
            yield from differing(found[name], wanted[name], f"{where}.{name}")
    elif isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        for index, (one, other) in enumerate(zip(found, wanted, strict=True)):
            yield from differing(one, other, f"{where}[{index}]")
    elif type(found) is not type(wanted) or found != wanted:
        yield f"{where}: {found!r} is not {wanted!r}"


async def check(
    chain: InsideChain,
    landed: Landed,
    bare_instructions: list[dict[str, Any]],
    parsed_instructions: list[dict[str, Any]],
    shown: dict[str, Any],
    parsed_inner: list[dict[str, Any]] | None = None,
) -> None:
    """What getTransaction and getBlock give, in three encodings, is exactly this."""
    written = landed.written
    version: Any = "legacy" if written.table is None else 0
    signers, read_only_signers, read_only = written.header
    message: dict[str, Any] = {
        "header": {
            "numRequiredSignatures": signers,
            "numReadonlySignedAccounts": read_only_signers,
            "numReadonlyUnsignedAccounts": read_only,
        },
        "accountKeys": [str(key) for key, _ in written.keys],
        "recentBlockhash": landed.blockhash,
        "instructions": bare_instructions,
    }
    listed = [
        {"pubkey": str(key), "signer": "s" in flags, "writable": "w" in flags, "source": source}
        for source, keys in (("transaction", written.keys), ("lookupTable", written.loaded))
        for key, flags in keys
    ]
    parsed_message: dict[str, Any] = {
        "accountKeys": listed,
        "recentBlockhash": landed.blockhash,
        "instructions": parsed_instructions,
    }
    if written.table is not None:
        writable, readonly = written.table_indexes
        lookup = {
            "accountKey": str(written.table),
            "writableIndexes": list(writable),
            "readonlyIndexes": list(readonly),
        }
        message["addressTableLookups"] = parsed_message["addressTableLookups"] = [lookup]
    unloaded = {name: value for name, value in shown.items() if name != "loadedAddresses"}
    unloaded["innerInstructions"] = parsed_inner or []
    expected: dict[str, dict[str, Any]] = {
        "json": {
            "transaction": {"signatures": landed.signatures, "message": message},
            "meta": shown,
        },
        "jsonParsed": {
            "transaction": {"signatures": landed.signatures, "message": parsed_message},
            "meta": unloaded,
        },
        "base64": {
            "transaction": [base64.b64encode(landed.raw).decode(), "base64"],
            "meta": shown,
        },
    }
    for encoding, wanted in expected.items():
        options = CONFIRMED | {"encoding": encoding}
        found = await chain.call("getTransaction", landed.signatures[0], options)
        stamp = {"slot": landed.slot, "blockTime": NOW_S, "version": version}
        if wrong := list(differing(found, stamp | wanted, encoding)):
            raise AssertionError("\n".join(wrong))
        whole = {"jsonrpc": "2.0", "id": 1, "result": found}
        read = GetTransactionResp.from_json(json.dumps(whole))  # as solana-py reads it
        assert read.value is not None
        assert read.value.slot == landed.slot
        block = await chain.call("getBlock", landed.slot, options)
        assert wanted | {"version": version} in block["transactions"]
    short = await chain.call(
        "getBlock", landed.slot, CONFIRMED | {"transactionDetails": "accounts"}
    )
    names = "err status fee preBalances postBalances preTokenBalances postTokenBalances rewards"
    assert {
        "transaction": {"signatures": landed.signatures, "accountKeys": listed},
        "meta": {name: shown[name] for name in names.split()},
        "version": version,
    } in short["transactions"]


async def founded(chain: InsideChain, people: dict[Keypair, int]) -> None:
    """Time stands still, and these people have these lamports in a sealed block."""
    await chain.call("sandbox_setClock", {"offsetMs": 0, "frozenAtMs": NOW_S * 1_000})
    for who, lamports in people.items():
        await chain.call("requestAirdrop", str(who.pubkey()), lamports)
    await chain.advance(1)
