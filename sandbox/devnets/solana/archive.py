"""The checkpoint file: accounts as of one final slot, and every block and transaction up to it.

A private SQLite file of the devnet process (not the sandbox's database): it gives one atomic,
incremental checkpoint and the on-disk index by signature and address that keeps memory bounded.
SQLite has no checksums, so facts, accounts, blocks and transactions carry their own; an index that
is damaged can hide a transaction from those who look for it, but not change one.
"""

from __future__ import annotations

import contextlib
import errno
import sqlite3
import struct
import zlib
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

from solders.account import Account

from sandbox.devnets.solana.records import (
    INDEX_BITS,
    Block,
    Record,
    decode_account,
    encode_account,
)

VERSION = 2
_SCHEMA = """
create table fact (name text primary key, value) without rowid;
create table account (key blob primary key, image blob not null) without rowid;
create table block (slot integer primary key, parent integer not null, height integer not null,
    time integer not null, hash blob not null, previous blob not null, tx_total integer not null,
    sum integer not null);
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
    """Blocking calls, made from the event loop: each reads a few pages or writes one batch.

    All raise ArchiveUnusable for damage they come across, and OSError where there is no room.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._named_errors():
            self._db = sqlite3.connect(path, isolation_level=None)
            self._prepare(path)

    @contextlib.contextmanager
    def _named_errors(self) -> Generator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
                raise OSError(errno.ENOSPC, f"{self.path}: {error}") from None
            raise ArchiveUnusable(f"{self.path}: {error}") from None
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # its words may be damaged too
            raise ArchiveUnusable(f"{self.path}: {error}") from None

    def _sum_facts(self) -> None:
        self._db.execute("insert or replace into fact values ('sum', ?)", (self._facts_sum(),))

    def _facts_sum(self) -> int:
        facts = self._db.execute("select * from fact where name <> 'sum' order by name").fetchall()
        return zlib.crc32(repr(facts).encode())

    def check_facts(self) -> None:
        """Raises ArchiveUnusable."""
        with self._named_errors():
            is_sound = self.fact("sum") == self._facts_sum()
        if not is_sound:
            raise ArchiveUnusable(f"{self.path}: what it says about the chain is damaged")

    def _block(self, row: tuple[int, int, int, int, bytes, bytes, int, int]) -> Block:
        try:
            if _block_sum(row[:-1]) == row[-1]:
                slot, parent, height, time, block_hash, previous, tx_total, _ = row
                return Block(slot, parent, height, time, block_hash, previous, tx_total, None)
        except (TypeError, struct.error):
            pass
        raise ArchiveUnusable(f"{self.path}: a block in it is damaged")

    def _record(self, body: bytes) -> Record:
        try:
            return Record(_checked(body))
        except (ValueError, IndexError, struct.error, AssertionError):
            raise ArchiveUnusable(f"{self.path}: a transaction in it is damaged") from None

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
        elif found == 1:
            self._add_sums()
        elif found != VERSION:
            raise ArchiveUnusable(f"{path}: layout {found}, this program reads {VERSION}")

    def _add_sums(self) -> None:
        """From layout 1, which had no checksums."""
        db = self._db
        db.create_function("with_sum", 1, _with_sum, deterministic=True)
        db.execute("begin immediate")
        db.execute("update account set image = with_sum(image)")
        db.execute("update record set body = with_sum(body)")
        db.execute("alter table block add column sum integer not null default 0")
        for row in db.execute("select * from block").fetchall():
            db.execute("update block set sum = ? where slot = ?", (_block_sum(row[:-1]), row[0]))
        self._sum_facts()
        db.execute("pragma user_version = 2")
        db.execute("commit")

    def fact(self, name: str) -> int | bytes | None:
        with self._named_errors():
            row = self._db.execute("select value from fact where name = ?", (name,)).fetchone()
        return None if row is None else row[0]

    def write(
        self,
        facts: dict[str, int | bytes | None],
        blocks: Iterable[Block],
        accounts: Iterable[tuple[bytes, Account | None]],
    ) -> None:
        """One atomic checkpoint: new final blocks with their records, and changed accounts."""
        with self._named_errors():
            self._write(facts, blocks, accounts)

    def _write(
        self,
        facts: dict[str, int | bytes | None],
        blocks: Iterable[Block],
        accounts: Iterable[tuple[bytes, Account | None]],
    ) -> None:
        db = self._db
        db.execute("begin immediate")
        try:
            db.executemany("insert or replace into fact values (?, ?)", facts.items())
            self._sum_facts()
            for key, account in accounts:
                if account is None or account.lamports == 0:
                    db.execute("delete from account where key = ?", (key,))
                else:
                    image = _with_sum(encode_account(key, account))
                    db.execute("insert or replace into account values (?, ?)", (key, image))
            self._write_blocks(list(blocks))
            db.execute("commit")
        except BaseException:
            if db.in_transaction:  # without room SQLite has rolled back itself
                db.execute("rollback")
            raise

    def _write_blocks(self, blocks: list[Block]) -> None:
        db = self._db
        db.executemany(
            "insert or replace into block values (?, ?, ?, ?, ?, ?, ?, ?)",
            [(*row, _block_sum(row)) for row in map(_row, blocks)],
        )
        records = [record for block in blocks for record in block.records or ()]
        db.executemany(
            "insert or replace into record values (?, ?)",
            [(record.position, _with_sum(record.body)) for record in records],
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
        with self._named_errors():
            for (image,) in self._db.execute("select image from account"):
                try:
                    key, account, _ = decode_account(_checked(image))
                except (ValueError, struct.error):
                    raise ArchiveUnusable(f"{self.path}: an account in it is damaged") from None
                yield key, account

    def last_blocks(self, count: int) -> list[Block]:
        """The newest archived blocks, oldest first, without their records."""
        with self._named_errors():
            rows = self._db.execute("select * from block order by slot desc limit ?", (count,))
            return [self._block(row) for row in reversed(rows.fetchall())]

    def block(self, slot: int) -> Block | None:
        with self._named_errors():
            row = self._db.execute("select * from block where slot = ?", (slot,)).fetchone()
        return None if row is None else self._block(row)

    def slots(self, first: int, last: int, limit: int) -> list[int]:
        """Slots of blocks in first..last, ascending."""
        with self._named_errors():
            rows = self._db.execute(
                "select slot from block where slot between ? and ? order by slot limit ?",
                (first, last, limit),
            )
            return [slot for (slot,) in rows]

    def records_of(self, slot: int) -> list[Record]:
        with self._named_errors():
            rows = self._db.execute(
                "select body from record where position between ? and ? order by position",
                (slot << INDEX_BITS, ((slot + 1) << INDEX_BITS) - 1),
            )
            records = [self._record(body) for (body,) in rows]
            [(count,)] = self._db.execute(
                "select tx_total - coalesce((select tx_total from block where slot < ?1"
                " order by slot desc limit 1), 0) from block where slot = ?1",
                (slot,),
            )
        if [record.index for record in records] != list(range(count)):
            raise ArchiveUnusable(f"{self.path}: transactions of slot {slot} are missing")
        return records

    def signatures_since(self, slot: int) -> Iterator[tuple[int, bytes]]:
        """Slot and signature of every archived transaction from `slot` on."""
        with self._named_errors():
            rows = self._db.execute(
                "select position, body from record where position >= ?", (slot << INDEX_BITS,)
            )
            for position, body in rows:
                yield position >> INDEX_BITS, self._record(body).signature

    def record(self, signature: bytes) -> Record | None:
        with self._named_errors():
            rows = self._db.execute(
                "select body from signature join record using (position) where prefix = ?"
                " order by position desc",
                (_prefix(signature),),
            )
            for (body,) in rows:
                record = self._record(body)
                if record.signature == signature:
                    return record
        return None

    def records_for(self, key: bytes, below: int, limit: int) -> list[Record]:
        """Transactions that name `key`, newest first, with a position below `below`."""
        with self._named_errors():
            rows = self._db.execute(
                "select body from address join mention on mention.address = address.id"
                " join record using (position)"
                " where key = ? and position < ? order by position desc limit ?",
                (key, below, limit),
            )
            return [self._record(body) for (body,) in rows]

    def close(self) -> None:
        self._db.close()


_SUM = struct.Struct("<I")
_NUMBERS = struct.Struct("<5q")
_Row = tuple[int, int, int, int, bytes, bytes, int]


def _with_sum(body: bytes) -> bytes:
    return body + _SUM.pack(zlib.crc32(body))


def _checked(body: bytes) -> bytes:
    """The body without its checksum. Raises ValueError, struct.error."""
    if not isinstance(body, bytes):  # nothing keeps SQLite to the type of a column
        raise ValueError("type")
    (wanted,) = _SUM.unpack_from(body, len(body) - _SUM.size)
    if zlib.crc32(body[: -_SUM.size]) != wanted:
        raise ValueError("checksum")
    return body[: -_SUM.size]


def _prefix(signature: bytes) -> int:
    return int.from_bytes(signature[:8], "little", signed=True)


def _row(block: Block) -> _Row:
    return (
        block.slot,
        block.parent,
        block.height,
        block.time,
        block.hash,
        block.previous,
        block.tx_total,
    )


def _block_sum(row: _Row) -> int:
    *numbers, block_hash, previous, tx_total = row
    return zlib.crc32(_NUMBERS.pack(*numbers, tx_total) + block_hash + previous)
