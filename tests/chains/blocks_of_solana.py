"""Blocks as `getBlock` gives them, made for the parser: any accounts, inner calls, lookups."""

import base64
from dataclasses import dataclass, field
from typing import Any

from solders.hash import Hash
from solders.instruction import CompiledInstruction
from solders.message import MessageAddressTableLookup, MessageHeader, MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def base58(data: bytes) -> str:
    value, text = int.from_bytes(data, "big"), ""
    while value:
        value, digit = divmod(value, 58)
        text = ALPHABET[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


@dataclass
class Tx:
    """One transaction. `keys` are all its accounts in order; the last `loaded` come by lookup."""

    keys: list[Pubkey]
    outer: list[tuple[Pubkey, list[Pubkey], bytes]]
    inner: dict[int, list[tuple[Pubkey, list[Pubkey], bytes]]] = field(default_factory=dict)
    tokens: list[tuple[Pubkey, str, str, int, str, int]] = field(default_factory=list)
    lamports: dict[Pubkey, tuple[int, int]] = field(default_factory=dict)
    loaded: int = 0
    err: Any = None
    signature: Signature = field(default_factory=Signature.new_unique)

    def entry(self) -> dict[str, Any]:
        static = self.keys[: len(self.keys) - self.loaded]
        message = MessageV0(
            MessageHeader(1, 0, 0),
            static,
            Hash.default(),
            [
                CompiledInstruction(self.keys.index(p), d, bytes(map(self.keys.index, a)))
                for p, a, d in self.outer
            ],
            [MessageAddressTableLookup(Pubkey.new_unique(), bytes(range(self.loaded)), b"")]
            if self.loaded
            else [],
        )
        raw = bytes(VersionedTransaction.populate(message, [self.signature]))
        lamports = [self.lamports.get(key, (0, 0)) for key in self.keys]
        return {
            "transaction": [base64.b64encode(raw).decode(), "base64"],
            "meta": {
                "err": self.err,
                "preBalances": [before for before, _ in lamports],
                "postBalances": [after for _, after in lamports],
                "preTokenBalances": [
                    self._balance(key, mint, owner, units)
                    for key, mint, owner, units, _, _ in self.tokens
                    if owner
                ],
                "postTokenBalances": [
                    self._balance(key, mint, owner, units)
                    for key, mint, _, _, owner, units in self.tokens
                    if owner
                ],
                "innerInstructions": [
                    {
                        "index": index,
                        "instructions": [
                            {
                                "programIdIndex": self.keys.index(p),
                                "accounts": [self.keys.index(a) for a in accounts],
                                "data": base58(data),
                            }
                            for p, accounts, data in calls
                        ],
                    }
                    for index, calls in self.inner.items()
                ],
                "loadedAddresses": {
                    "writable": [str(key) for key in self.keys[len(static) :]],
                    "readonly": [],
                },
            },
        }

    def _balance(self, key: Pubkey, mint: str, owner: str, units: int) -> dict[str, Any]:
        return {
            "accountIndex": self.keys.index(key),
            "mint": mint,
            "owner": owner,
            "uiTokenAmount": {"amount": str(units), "decimals": 2},
        }


def block(*txs: Tx) -> dict[str, Any]:
    return {
        "blockhash": "h1",
        "previousBlockhash": "h0",
        "parentSlot": 6,
        "blockTime": 1_700_000_000,
        "blockHeight": 7,
        "transactions": [tx.entry() for tx in txs],
    }
