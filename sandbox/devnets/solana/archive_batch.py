"""How a checkpoint's accounts and transactions are written: thousands of rows in a few statements.

What goes into blobs is handed over in one piece, and cut by SQLite at the places that a JSON array
gives. A statement per row would take the interpreter's lock back for each of them, and whoever
writes beside a busy event loop would wait for it each time.
"""

from __future__ import annotations

import itertools
import sqlite3
import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import Any, Final

import orjson
from solders.account import Account

from sandbox.devnets.solana.records import Block, Listed, encode_account

_ROWS: Final = 4_000  # of one statement, so that what it is given stays small
_SHORT: Final = 16  # bytes of an address that stand for it: nobody finds two keys that share them
_SUM = struct.Struct("<I")

_ACCOUNTS: Final = """insert or replace into account
    select substr(?1, (value ->> 0), 32), substr(?1, (value ->> 0), (value ->> 1))
    from json_each(?2)"""
_GONE: Final = """delete from account
    where key in (select substr(?1, value, 32) from json_each(?2))"""
_RECORDS: Final = """insert or replace into record
    select value ->> 0, substr(?1, (value ->> 2), (value ->> 3)) from json_each(?2)"""
_LISTED: Final = """insert or replace into listed
    select value ->> 0, substr(?1, (value ->> 4), (value ->> 5)) from json_each(?2)"""
_SIGNATURES: Final = """insert or ignore into signature
    select value ->> 1, value ->> 0 from json_each(?1)"""
_MENTIONS: Final = """insert or ignore into mention
    select substr(?1, ?3 * key + 1, ?3), value from json_each(?2)"""


def write_accounts(
    db: sqlite3.Connection, accounts: Iterable[tuple[bytes, Account | None]]
) -> None:
    """Store accounts, and remove those that are none."""
    left = iter(accounts)
    while batch := list(itertools.islice(left, _ROWS)):
        blob, rows, gone = bytearray(), list[tuple[int, int]](), list[int]()
        for key, account in batch:
            image = with_sum(encode_account(key, account))
            if account is None or account.lamports == 0:
                gone.append(len(blob) + 1)
            else:
                rows.append((len(blob) + 1, len(image)))
            blob += image
        db.execute(_ACCOUNTS, (blob, _json(rows)))
        db.execute(_GONE, (blob, _json(gone)))


def write_records(db: sqlite3.Connection, blocks: Sequence[Block]) -> None:
    """Store the transactions of blocks, what is listed of them, and where they are found."""
    records = ((block.time, record) for block in blocks for record in block.records or ())
    while batch := list(itertools.islice(records, _ROWS)):
        blob, rows, keys, positions = bytearray(), list[Any](), bytearray(), list[int]()
        for time, record in batch:
            position, body_at = record.position, len(blob) + 1
            blob += with_sum(record)
            entry_at = len(blob) + 1
            blob += with_sum(Listed.of(record, time).encode())
            rows.append(
                (
                    position,
                    prefix(record.signature),
                    body_at,
                    entry_at - body_at,
                    entry_at,
                    len(blob) + 1 - entry_at,
                )
            )
            for key in record.all_keys():
                keys += key[:_SHORT]
                positions.append(position)
        places = _json(rows)
        db.execute(_RECORDS, (blob, places))
        db.execute(_LISTED, (blob, places))
        db.execute(_SIGNATURES, (places,))
        db.execute(_MENTIONS, (keys, _json(positions), _SHORT))


def _json(rows: list[Any]) -> str:
    return orjson.dumps(rows).decode()


def prefix(signature: bytes) -> int:
    """What a signature is looked up by; several may share it."""
    return int.from_bytes(signature[:8], "little", signed=True)


def short(key: bytes) -> bytes:
    """What an address is looked up by."""
    return key[:_SHORT]


def with_sum(body: bytes) -> bytes:
    return body + _SUM.pack(zlib.crc32(body))


def checked(body: bytes) -> bytes:
    """The body without its checksum. Raises ValueError, struct.error."""
    if not isinstance(body, bytes):  # nothing keeps SQLite to the type of a column
        raise ValueError("type")
    (wanted,) = _SUM.unpack_from(body, len(body) - _SUM.size)
    if zlib.crc32(body[: -_SUM.size]) != wanted:
        raise ValueError("checksum")
    return body[: -_SUM.size]
