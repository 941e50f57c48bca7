"""Blocks and executed transactions, and their binary form in journal and archive."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
from solders.account import Account
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata, TransactionMetadata

INDEX_BITS = 20
_HEAD = struct.Struct("<QBHHIIHH")
_POSITION = struct.Struct("<Q")  # what a body begins with
SIGNATURE_AT = _HEAD.size + 1  # in a body: behind the head and the count of signatures
_VERSIONED, _HEADER_BYTES, _BLOCKHASH_BYTES = 0x80, 3, 32
_TOKEN_HEAD = struct.Struct("<BBBB")
_TOKEN = struct.Struct("<BBBB32s32sQ")
_IMAGE = struct.Struct("<32sQ32sBI")
_LISTED = struct.Struct("<64sq")
_MEMO_PROGRAMS = (
    bytes(Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")),
    bytes(Pubkey.from_string("Memo1UhkJRfHyvLMcVucJwxXeuD728EqVDDwQDxFMNo")),
)


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


class Record(bytes):
    """One executed transaction: its bytes in journal and archive, read when they are asked for.

    Tens of thousands wait for their finality, so nothing else is in memory for each.
    """

    __slots__ = ()

    @classmethod
    def make(
        cls,
        position: int,
        raw: bytes,
        *,
        ok: bool,
        meta: bytes,
        loaded: tuple[list[bytes], list[bytes]],
        balances: tuple[list[int], list[int]],
        tokens: list[bytes],
    ) -> Record:
        """`loaded` are writable and read-only keys, `balances` lamports before and after,
        `tokens` what `token_entry` gave.
        """
        first_signature(raw)
        writable, readonly = loaded
        before, after = balances
        head = _HEAD.pack(
            position,
            ok,
            len(writable),
            len(readonly),
            len(raw),
            len(meta),
            len(before),
            len(tokens),
        )
        lamports = struct.pack(f"<{2 * len(before)}Q", *before, *after)
        return cls(b"".join((head, raw, meta, *writable, *readonly, lamports, *tokens)))

    @property
    def position(self) -> int:
        """slot << INDEX_BITS | index in the block"""
        return int.from_bytes(self[: _POSITION.size], "little")

    @property
    def signature(self) -> bytes:
        return self[SIGNATURE_AT : SIGNATURE_AT + 64]

    @property
    def slot(self) -> int:
        return self.position >> INDEX_BITS

    @property
    def number(self) -> int:
        """Its index in the block."""
        return self.position & ((1 << INDEX_BITS) - 1)

    @property
    def _sizes(self) -> tuple[int, int, int, int, int, int]:
        """Of loaded writable and read-only keys, wire bytes, meta, keys and token balances."""
        _, _, *sizes = _HEAD.unpack_from(self)
        return sizes  # type: ignore[return-value]  # six, as the format says

    @property
    def ok(self) -> bool:
        return self[_POSITION.size] == 1

    @property
    def raw(self) -> bytes:
        """The wire bytes."""
        return self[_HEAD.size : _HEAD.size + self._sizes[2]]

    @property
    def transaction(self) -> VersionedTransaction:
        return VersionedTransaction.from_bytes(self.raw)

    @property
    def meta(self) -> bytes:
        """LiteSVM's result, in its own binary form."""
        _, _, raw, meta, _, _ = self._sizes
        at = _HEAD.size + raw
        return self[at : at + meta]

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
        return json.loads(FailedTransactionMetadata.from_bytes(self.meta).to_json())["err"]

    @property
    def loaded_writable(self) -> list[bytes]:
        return self._loaded()[: self._sizes[0]]

    @property
    def loaded_readonly(self) -> list[bytes]:
        return self._loaded()[self._sizes[0] :]

    def _loaded(self) -> list[bytes]:
        writable, readonly, raw, meta, _, _ = self._sizes
        if not writable + readonly:
            return []
        return _keys(self, _HEAD.size + raw + meta, writable + readonly)

    @property
    def _balances_at(self) -> int:
        writable, readonly, raw, meta, _, _ = self._sizes
        return _HEAD.size + raw + meta + 32 * (writable + readonly)

    @property
    def pre(self) -> tuple[int, ...]:
        """Lamports before, by account index."""
        return struct.unpack_from(f"<{self._sizes[4]}Q", self, self._balances_at)

    @property
    def post(self) -> tuple[int, ...]:
        """Lamports after, by account index."""
        keys = self._sizes[4]
        return struct.unpack_from(f"<{keys}Q", self, self._balances_at + 8 * keys)

    @property
    def tokens(self) -> list[TokenBalance]:
        at = self._balances_at + 16 * self._sizes[4]
        return [
            TokenBalance(when, index, bool(is_2022), decimals, mint, owner, amount)
            for when, index, is_2022, decimals, mint, owner, amount in _TOKEN.iter_unpack(self[at:])
        ]

    @property
    def memo(self) -> str | None:
        """`[bytes] text` of each memo, joined by `; `, as validators index it."""
        first, count = self._static_keys
        end = first + 32 * count
        found = [self.find(program, first, end) for program in _MEMO_PROGRAMS]
        programs = [(at - first) // 32 for at in found if at >= 0]
        if not programs:
            return None
        memos = []
        instructions, at = self._length(end + _BLOCKHASH_BYTES)
        for _ in range(instructions):
            program = self[at]
            accounts, at = self._length(at + 1)
            size, at = self._length(at + accounts)
            if program in programs:
                try:
                    memos.append(f"[{size}] {self[at : at + size].decode()}")
                except UnicodeDecodeError:
                    memos.append(f"[{size}] (unparseable)")
            at += size
        return "; ".join(memos) or None

    def all_keys(self) -> list[bytes]:
        """Every account of the transaction: static, then loaded writable, then loaded read-only."""
        return _keys(self, *self._static_keys) + self._loaded()

    @property
    def _static_keys(self) -> tuple[int, int]:
        """Where they begin, and how many there are.

        Read where the wire format has them: to decode the transaction takes several times as long.
        """
        at = SIGNATURE_AT + 64 * self[_HEAD.size]
        if self[at] & _VERSIONED:
            at += 1
        return at + _HEADER_BYTES + 1, self[at + _HEADER_BYTES]  # no room for 128 of them

    def _length(self, at: int) -> tuple[int, int]:
        """A length as the wire format has it, of one byte or two, and what follows it."""
        low = self[at]
        return (low, at + 1) if low < 0x80 else (low & 0x7F | self[at + 1] << 7, at + 2)


def _keys(body: bytes, at: int, count: int) -> list[bytes]:
    return [body[start : start + 32] for start in range(at, at + 32 * count, 32)]


def token_entry(when: int, index: int, *, token_2022: bool, decimals: int, data: bytes) -> bytes:
    """A `TokenBalance` in binary; `data` begins as a token account does: mint, owner, amount."""
    return _TOKEN_HEAD.pack(when, index, token_2022, decimals) + data[:72]


def first_signature(raw: bytes) -> bytes:
    """The transaction's id. The signature count is a short-u16, one byte below 128 signatures."""
    assert 0 < raw[0] < 128
    return raw[1:65]


class Listed(NamedTuple):
    """What a list of an address's transactions says of each."""

    position: int
    signature: bytes
    time: int  # of its block, Unix seconds
    err: Any
    memo: str | None

    @classmethod
    def of(cls, record: Record, time: int) -> Listed:
        return cls(record.position, record.signature, time, record.err, record.memo)

    def encode(self) -> bytes:
        """Without the position."""
        said = (
            b"" if self.err is None and self.memo is None else orjson.dumps([self.err, self.memo])
        )
        return _LISTED.pack(self.signature, self.time) + said

    @classmethod
    def decode(cls, position: int, entry: bytes) -> Listed:
        signature, time = _LISTED.unpack_from(entry)
        said = entry[_LISTED.size :]
        err, memo = orjson.loads(said) if said else (None, None)
        return cls(position, signature, time, err, memo)


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
