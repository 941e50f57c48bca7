"""The checkpoint file: accounts as of one final slot, and every block and transaction up to it.

A private SQLite file of the devnet process (not the sandbox's database): it gives one atomic,
incremental checkpoint and the on-disk index by signature and address that keeps memory bounded.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from solders.account import Account

from sandbox.devnets.solana.records import (
    INDEX_BITS,
    Block,
    Record,
    decode_account,
    encode_account,
    first_signature,
)

VERSION = 1
_SCHEMA = """
create table fact (name text primary key, value) without rowid;
create table account (key blob primary key, image blob not null) without rowid;
create table block (slot integer primary key, parent integer not null, height integer not null,
    time integer not null, hash blob not null, previous blob not null, tx_total integer not null);
create table record (position integer primary key, body blob not null);
create table signature (prefix integer, position integer, primary key (prefix, position))
    without rowid;
create table address (id integer primary key, key blob not null unique);
create table mention (address integer, position integer, primary key (address, position))
    without rowid;
"""


class ArchiveVersion(Exception):
    """The file was written by another layout of this devnet."""


class Archive:
    """Blocking calls, made from the event loop: each reads a few pages or writes one batch."""

    def __init__(self, path: Path) -> None:
        self.is_new = not path.exists()
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("pragma synchronous = full")
        self._db.execute("pragma cache_size = -4000")
        if self.is_new:
            self._db.execute("begin")
            for statement in _SCHEMA.split(";"):
                self._db.execute(statement)
            self._db.execute("insert into fact values ('version', ?)", (VERSION,))
            self._db.execute("commit")
        elif (found := self.fact("version")) != VERSION:
            raise ArchiveVersion(f"{path}: layout {found!r}, this program reads {VERSION}")

    def fact(self, name: str) -> int | bytes | None:
        row = self._db.execute("select value from fact where name = ?", (name,)).fetchone()
        return None if row is None else row[0]

    def write(
        self,
        facts: dict[str, int | bytes | None],
        blocks: Iterable[Block],
        accounts: Iterable[tuple[bytes, Account | None]],
    ) -> None:
        """One atomic checkpoint: new final blocks with their records, and changed accounts."""
        db = self._db
        db.execute("begin immediate")
        try:
            db.executemany("insert or replace into fact values (?, ?)", facts.items())
            for key, account in accounts:
                if account is None or account.lamports == 0:
                    db.execute("delete from account where key = ?", (key,))
                else:
                    image = encode_account(key, account)
                    db.execute("insert or replace into account values (?, ?)", (key, image))
            for block in blocks:
                self._write_block(block)
            db.execute("commit")
        except BaseException:
            db.execute("rollback")
            raise

    def _write_block(self, block: Block) -> None:
        db = self._db
        db.execute(
            "insert or replace into block values (?, ?, ?, ?, ?, ?, ?)",
            (
                block.slot,
                block.parent,
                block.height,
                block.time,
                block.hash,
                block.previous,
                block.tx_total,
            ),
        )
        for record in block.records or ():
            position = record.position
            db.execute("insert or replace into record values (?, ?)", (position, record.encode()))
            db.execute(
                "insert or ignore into signature values (?, ?)",
                (_prefix(record.signature), position),
            )
            for key in dict.fromkeys(record.all_keys()):
                db.execute("insert or ignore into address (key) values (?)", (key,))
                db.execute(
                    "insert or ignore into mention select id, ? from address where key = ?",
                    (position, key),
                )

    def accounts(self) -> Iterator[tuple[bytes, Account | None]]:
        for (image,) in self._db.execute("select image from account"):
            key, account, _ = decode_account(image)
            yield key, account

    def last_blocks(self, count: int) -> list[Block]:
        """The newest archived blocks, oldest first, without their records."""
        rows = self._db.execute("select * from block order by slot desc limit ?", (count,))
        return [_block(row) for row in reversed(rows.fetchall())]

    def block(self, slot: int) -> Block | None:
        row = self._db.execute("select * from block where slot = ?", (slot,)).fetchone()
        return None if row is None else _block(row)

    def slots(self, first: int, last: int, limit: int) -> list[int]:
        """Slots of blocks in first..last, ascending."""
        rows = self._db.execute(
            "select slot from block where slot between ? and ? order by slot limit ?",
            (first, last, limit),
        )
        return [slot for (slot,) in rows]

    def records_of(self, slot: int) -> list[Record]:
        rows = self._db.execute(
            "select body from record where position between ? and ? order by position",
            (slot << INDEX_BITS, ((slot + 1) << INDEX_BITS) - 1),
        )
        return [Record.decode(body) for (body,) in rows]

    def signatures_since(self, slot: int) -> Iterator[tuple[int, bytes]]:
        """Slot and signature of every archived transaction from `slot` on."""
        rows = self._db.execute(
            "select position, body from record where position >= ?", (slot << INDEX_BITS,)
        )
        for position, body in rows:
            yield position >> INDEX_BITS, Record.decode(body).signature

    def record(self, signature: bytes) -> Record | None:
        rows = self._db.execute(
            "select body from signature join record using (position) where prefix = ?"
            " order by position desc",
            (_prefix(signature),),
        )
        for (body,) in rows:
            record = Record.decode(body)
            if first_signature(record.raw) == signature:
                return record
        return None

    def records_for(self, key: bytes, below: int, limit: int) -> list[Record]:
        """Transactions that name `key`, newest first, with a position below `below`."""
        rows = self._db.execute(
            "select body from address join mention on mention.address = address.id"
            " join record using (position)"
            " where key = ? and position < ? order by position desc limit ?",
            (key, below, limit),
        )
        return [Record.decode(body) for (body,) in rows]

    def close(self) -> None:
        self._db.close()


def _prefix(signature: bytes) -> int:
    return int.from_bytes(signature[:8], "little", signed=True)


def _block(row: tuple[int, int, int, int, bytes, bytes, int]) -> Block:
    slot, parent, height, time, block_hash, previous, tx_total = row
    return Block(slot, parent, height, time, block_hash, previous, tx_total, records=None)
