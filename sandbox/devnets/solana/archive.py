"""The checkpoint file: accounts as of one final slot, and every block and transaction up to it.

A private SQLite file of the devnet process (not the sandbox's database): it gives one atomic,
incremental checkpoint and the on-disk index by signature and address that keeps memory bounded.
SQLite has no checksums, so facts, accounts, blocks, transactions and what is listed of them carry
their own; an index that is damaged can hide a transaction from those who look for it, but not
change one.
"""

from __future__ import annotations

import contextlib
import errno
import sqlite3
import struct
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from solders.account import Account

from sandbox.devnets.solana import archive_batch
from sandbox.devnets.solana.archive_batch import checked
from sandbox.devnets.solana.records import INDEX_BITS, Block, Listed, Record, decode_account

VERSION: Final = 3
_SCHEMA: Final = """
create table fact (name text primary key, value) without rowid;
create table account (key blob primary key, image blob not null) without rowid;
create table block (slot integer primary key, parent integer not null, height integer not null,
    time integer not null, hash blob not null, previous blob not null, tx_total integer not null,
    sum integer not null);
create table record (position integer primary key, body blob not null);
create table listed (position integer primary key, entry blob not null);
create table signature (prefix integer, position integer, primary key (prefix, position))
    without rowid;
create table mention (key blob, position integer, primary key (key, position)) without rowid;
"""
_NUMBERS = struct.Struct("<5q")
_Row = tuple[int, int, int, int, bytes, bytes, int]
Facts = Mapping[str, int | bytes | None]


class ArchiveUnusable(Exception):
    """The file is damaged, or was written by another layout of this devnet."""


class Archive:
    """Reads are made from the event loop: each looks at a few pages, and waits for no writer.

    All raise ArchiveUnusable for damage they come across, and OSError where there is no room.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._named_errors():
            self._db = self._connected()
            self._prepare()
            self._writing = self._connected()

    def _connected(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        db.execute("pragma synchronous = full")
        db.execute("pragma cache_size = -4000")
        return db

    def _prepare(self) -> None:
        (found,) = self._db.execute("pragma user_version").fetchone()
        if found not in (0, VERSION):
            raise ArchiveUnusable(f"{self.path}: layout {found}, this program reads {VERSION}")
        self._db.execute("pragma journal_mode = wal")
        if found == 0:  # new, or a crash came before the first commit
            self._db.execute("begin immediate")
            for statement in _SCHEMA.split(";"):
                self._db.execute(statement)
            self._db.execute(f"pragma user_version = {VERSION}")
            self._db.execute("commit")

    @contextlib.contextmanager
    def _named_errors(self) -> Generator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
                raise OSError(errno.ENOSPC, f"{self.path}: {error}") from None
            raise ArchiveUnusable(f"{self.path}: {error}") from None
        except sqlite3.DatabaseError as error:
            raise ArchiveUnusable(f"{self.path}: {error}") from None

    def fact(self, name: str) -> int | bytes | None:
        with self._named_errors():
            row = self._db.execute("select value from fact where name = ?", (name,)).fetchone()
        return None if row is None else row[0]

    def check_facts(self) -> None:
        """Raises ArchiveUnusable."""
        with self._named_errors():
            found = _facts_sum(self._db)
        if self.fact("sum") != found:
            raise ArchiveUnusable(f"{self.path}: what it says about the chain is damaged")

    def write(
        self,
        facts: Facts,
        blocks: Sequence[Block],
        accounts: Iterable[tuple[bytes, Account | None]],
    ) -> None:
        """One atomic checkpoint: new final blocks with their records, and changed accounts.

        One thread at a time, whichever: it lets the others run while SQLite works.
        """
        with self._named_errors():
            self._writing.execute("begin immediate")
            try:
                self._write_facts(facts)
                archive_batch.write_accounts(self._writing, accounts)
                self._write_blocks(blocks)
                self._writing.execute("commit")
            except BaseException:
                if self._writing.in_transaction:  # without room SQLite has rolled back itself
                    self._writing.execute("rollback")
                raise
            # At once: so the file alone is the archive whenever nobody writes to it.
            self._writing.execute("pragma wal_checkpoint(truncate)").fetchall()

    def _write_facts(self, facts: Facts) -> None:
        db = self._writing
        db.executemany("insert or replace into fact values (?, ?)", facts.items())
        db.execute("insert or replace into fact values ('sum', ?)", (_facts_sum(db),))

    def _write_blocks(self, blocks: Sequence[Block]) -> None:
        self._writing.executemany(
            "insert or replace into block values (?, ?, ?, ?, ?, ?, ?, ?)",
            [(*row, _block_sum(row)) for row in map(_row, blocks)],
        )
        archive_batch.write_records(self._writing, blocks)

    def accounts(self) -> Iterator[tuple[bytes, Account | None]]:
        with self._named_errors():
            for (image,) in self._db.execute("select image from account"):
                try:
                    key, account, _ = decode_account(checked(image))
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

    def _block(self, row: tuple[int, int, int, int, bytes, bytes, int, int]) -> Block:
        try:
            if _block_sum(row[:-1]) == row[-1]:
                slot, parent, height, time, block_hash, previous, tx_total, _ = row
                return Block(slot, parent, height, time, block_hash, previous, tx_total, None)
        except (TypeError, struct.error):
            pass
        raise ArchiveUnusable(f"{self.path}: a block in it is damaged")

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
        if [record.number for record in records] != list(range(count)):
            raise ArchiveUnusable(f"{self.path}: transactions of slot {slot} are missing")
        return records

    def signatures_since(self, slot: int) -> Iterator[tuple[int, bytes]]:
        """Slot and signature of every archived transaction from `slot` on."""
        with self._named_errors():
            rows = self._db.execute(
                "select * from listed where position >= ?", (slot << INDEX_BITS,)
            )
            for position, entry in rows:
                yield position >> INDEX_BITS, self._listed(position, entry).signature

    def record(self, signature: bytes) -> Record | None:
        with self._named_errors():
            rows = self._db.execute(
                "select body from signature join record using (position) where prefix = ?"
                " order by position desc",
                (archive_batch.prefix(signature),),
            )
            for (body,) in rows:
                record = self._record(body)
                if record.signature == signature:
                    return record
        return None

    def _record(self, body: bytes) -> Record:
        try:
            return Record(checked(body))
        except (ValueError, struct.error):
            raise ArchiveUnusable(f"{self.path}: a transaction in it is damaged") from None

    def listed(self, key: bytes, below: int, limit: int) -> list[Listed]:
        """Transactions that name `key`, newest first, with a position below `below`."""
        with self._named_errors():
            rows = self._db.execute(
                "select position, entry from mention join listed using (position)"
                " where key = ? and position < ? order by position desc limit ?",
                (archive_batch.short(key), below, limit),
            )
            return [self._listed(position, entry) for position, entry in rows]

    def _listed(self, position: int, entry: bytes) -> Listed:
        try:
            return Listed.decode(position, checked(entry))
        except (ValueError, TypeError, struct.error):
            raise ArchiveUnusable(f"{self.path}: what it lists is damaged") from None

    def copy_to(self, path: Path) -> None:
        """A whole and durable copy; not while a write is going on. Raises OSError."""
        with self._named_errors(), contextlib.closing(sqlite3.connect(path)) as copy:
            copy.execute("pragma synchronous = full")
            self._db.backup(copy)

    def close(self) -> None:
        self._writing.close()
        self._db.close()


def _facts_sum(db: sqlite3.Connection) -> int:
    facts = db.execute("select * from fact where name <> 'sum' order by name").fetchall()
    return zlib.crc32(repr(facts).encode())


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
