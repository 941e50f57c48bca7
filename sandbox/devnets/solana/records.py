"""Blocks and executed transactions, and their binary form in journal and archive."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from typing import Any

from solders.account import Account
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata, TransactionMetadata

INDEX_BITS = 20
_HEAD = struct.Struct("<QBHHIIHH")
_TOKEN = struct.Struct("<BBBB32s32sQ")
_IMAGE = struct.Struct("<32sQ32sBI")


@dataclass(frozen=True, slots=True)
class TokenBalance:
    """A token account's amount before (`when` 0) or after (1) a transaction, in base units."""

    when: int
    index: int
    token_2022: bool
    decimals: int
    mint: bytes
    owner: bytes
    amount: int


@dataclass(slots=True)
class Record:
    """One executed transaction; JSON is made from it only when asked."""

    position: int  # slot << INDEX_BITS | index in the block
    signature: bytes
    raw: bytes
    ok: bool
    meta: bytes  # LiteSVM's result, in its own binary form
    loaded_writable: tuple[bytes, ...]
    loaded_readonly: tuple[bytes, ...]
    pre: tuple[int, ...]
    post: tuple[int, ...]
    tokens: tuple[TokenBalance, ...]
    _err: Any = field(default=None, repr=False)

    @property
    def slot(self) -> int:
        return self.position >> INDEX_BITS

    @property
    def index(self) -> int:
        return self.position & ((1 << INDEX_BITS) - 1)

    @property
    def transaction(self) -> VersionedTransaction:
        return VersionedTransaction.from_bytes(self.raw)

    @property
    def metadata(self) -> TransactionMetadata:
        if self.ok:
            return TransactionMetadata.from_bytes(self.meta)
        return FailedTransactionMetadata.from_bytes(self.meta).meta()

    @property
    def err(self) -> Any:
        """None, or the serialised TransactionError as the RPC shows it."""
        if self.ok:
            return None
        if self._err is None:
            failed = FailedTransactionMetadata.from_bytes(self.meta)
            self._err = json.loads(failed.to_json())["err"]
        return self._err

    def all_keys(self) -> list[bytes]:
        """Every account of the transaction: static, then loaded writable, then loaded read-only."""
        static = [bytes(key) for key in self.transaction.message.account_keys]
        return [*static, *self.loaded_writable, *self.loaded_readonly]

    def encode(self) -> bytes:
        head = _HEAD.pack(
            self.position,
            self.ok,
            len(self.loaded_writable),
            len(self.loaded_readonly),
            len(self.raw),
            len(self.meta),
            len(self.pre),
            len(self.tokens),
        )
        balances = struct.pack(f"<{2 * len(self.pre)}Q", *self.pre, *self.post)
        tokens = b"".join(
            _TOKEN.pack(t.when, t.index, t.token_2022, t.decimals, t.mint, t.owner, t.amount)
            for t in self.tokens
        )
        loaded = b"".join((*self.loaded_writable, *self.loaded_readonly))
        return b"".join((head, self.raw, self.meta, loaded, balances, tokens))

    @classmethod
    def decode(cls, blob: bytes) -> Record:
        position, ok, n_writable, n_readonly, n_raw, n_meta, n_keys, n_tokens = _HEAD.unpack_from(
            blob
        )
        at = _HEAD.size
        raw, at = blob[at : at + n_raw], at + n_raw
        meta, at = blob[at : at + n_meta], at + n_meta
        n_loaded = n_writable + n_readonly
        loaded = tuple(blob[at + 32 * i : at + 32 * (i + 1)] for i in range(n_loaded))
        at += 32 * n_loaded
        balances = struct.unpack_from(f"<{2 * n_keys}Q", blob, at)
        at += 16 * n_keys
        tokens = []
        for _ in range(n_tokens):
            when, index, is_2022, decimals, mint, owner, amount = _TOKEN.unpack_from(blob, at)
            at += _TOKEN.size
            tokens.append(TokenBalance(when, index, bool(is_2022), decimals, mint, owner, amount))
        return cls(
            position=position,
            signature=first_signature(raw),
            raw=raw,
            ok=bool(ok),
            meta=meta,
            loaded_writable=loaded[:n_writable],
            loaded_readonly=loaded[n_writable:],
            pre=balances[:n_keys],
            post=balances[n_keys:],
            tokens=tuple(tokens),
        )


def first_signature(raw: bytes) -> bytes:
    """The transaction's id. The signature count is a short-u16, one byte below 128 signatures."""
    assert 0 < raw[0] < 128
    return raw[1:65]


@dataclass(slots=True)
class Block:
    """A sealed slot. `records` is None once they live in the archive only."""

    slot: int
    parent: int
    height: int
    time: int  # Unix seconds
    hash: bytes
    previous: bytes
    tx_total: int  # transactions since genesis, this block included
    records: list[Record] | None
    frame: tuple[int, int] | None = None  # offset and length in the journal file


def encode_account(key: bytes, account: Account | None) -> bytes:
    """An after-image; no account and no lamports are the same thing."""
    if account is None or account.lamports == 0:
        return _IMAGE.pack(key, 0, bytes(32), 0, 0)
    data = account.data
    head = _IMAGE.pack(key, account.lamports, bytes(account.owner), account.executable, len(data))
    return head + data


def decode_account(blob: bytes, at: int = 0) -> tuple[bytes, Account | None, int]:
    """Key, account (None when deleted) and the offset behind it."""
    key, lamports, owner, executable, size = _IMAGE.unpack_from(blob, at)
    at += _IMAGE.size
    if lamports == 0:
        return key, None, at + size
    account = Account(
        lamports=lamports,
        data=blob[at : at + size],
        owner=Pubkey(owner),
        executable=bool(executable),
    )
    return key, account, at + size
