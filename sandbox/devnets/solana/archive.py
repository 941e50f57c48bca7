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


class ArchiveUnusable(Exception):
    """The file is damaged, or was written by another layout of this devnet."""


class Archive:
    """Blocking calls, made from the event loop: each reads a few pages or writes one batch."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        try:
            self._prepare(path)
        except sqlite3.DatabaseError as error:
            raise ArchiveUnusable(f"{path}: {error}") from None

    def _prepare(self, path: Path) -> None:
        self._db.execute("pragma synchronous = full")
        self._db.execute("pragma cache_size = -4000")
        (found,) = self._db.execute("pragma user_version").fetchone()
        if found == 0:  # new, or a crash came before the first commit
            self._db.execute("begin immediate")
            for statement in _SCHEMA.split(";"):
                self._db.execute(statement)
            self._db.execute(f"pragma user_version = {VERSION}")
            self._db.execute("commit")
        elif found != VERSION:
            raise ArchiveUnusable(f"{path}: layout {found}, this program reads {VERSION}")

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
            self._write_blocks(list(blocks))
            db.execute("commit")
        except BaseException:
            db.execute("rollback")
            raise

    def _write_blocks(self, blocks: list[Block]) -> None:
        db = self._db
        db.executemany(
            "insert or replace into block values (?, ?, ?, ?, ?, ?, ?)",
            [(b.slot, b.parent, b.height, b.time, b.hash, b.previous, b.tx_total) for b in blocks],
        )
        records = [record for block in blocks for record in block.records or ()]
        db.executemany(
            "insert or replace into record values (?, ?)",
            [(record.position, record.body) for record in records],
        )
        db.executemany(
            "insert or ignore into signature values (?, ?)",
            [(_prefix(record.signature), record.position) for record in records],
        )
        positions: dict[bytes, list[int]] = {}
        for record in records:
            for key in dict.fromkeys(record.all_keys()):
                positions.setdefault(key, []).append(record.position)
        db.executemany(
            "insert or ignore into address (key) values (?)", [(key,) for key in positions]
        )
        for key, named in positions.items():
            (number,) = db.execute("select id from address where key = ?", (key,)).fetchone()
            db.executemany(
                "insert or ignore into mention values (?, ?)", [(number, p) for p in named]
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
        return [Record(body) for (body,) in rows]

    def signatures_since(self, slot: int) -> Iterator[tuple[int, bytes]]:
        """Slot and signature of every archived transaction from `slot` on."""
        rows = self._db.execute(
            "select position, body from record where position >= ?", (slot << INDEX_BITS,)
        )
        for position, body in rows:
            yield position >> INDEX_BITS, Record(body).signature

    def record(self, signature: bytes) -> Record | None:
        rows = self._db.execute(
            "select body from signature join record using (position) where prefix = ?"
            " order by position desc",
            (_prefix(signature),),
        )
        for (body,) in rows:
            record = Record(body)
            if record.signature == signature:
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
        return [Record(body) for (body,) in rows]

    def close(self) -> None:
        self._db.close()


def _prefix(signature: bytes) -> int:
    return int.from_bytes(signature[:8], "little", signed=True)


def _block(row: tuple[int, int, int, int, bytes, bytes, int]) -> Block:
    slot, parent, height, time, block_hash, previous, tx_total = row
    return Block(slot, parent, height, time, block_hash, previous, tx_total, records=None)
