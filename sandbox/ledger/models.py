"""Tables of the ledger (CONTRACT 3), written by `ledger.service.record` and nowhere else."""

from datetime import date, datetime

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Identity, Index, String
from sqlalchemy import UniqueConstraint as Unique
from sqlmodel import Field, SQLModel

from sandbox.core.models import timestamp


def _text(reference: str | None = None, *, primary_key: bool = False) -> "Column[str]":
    # Byte order: refs are looked up by prefix, and ids sort by time.
    keys = [ForeignKey(reference)] if reference else []
    return Column(String(collation="C"), *keys, nullable=False, primary_key=primary_key)


class AccountRow(SQLModel, table=True):
    """An account; its normal side and floor follow from the code (`ledger.chart`)."""

    __tablename__ = "account"
    __table_args__ = (
        Unique("book", "asset", "code"),
        CheckConstraint(
            "book IN ('issuer', 'token', 'claims', 'fund-units', 'fund-value')", name="book"
        ),
        CheckConstraint(
            "CASE book WHEN 'issuer' THEN asset = 'KZT'"
            " WHEN 'token' THEN starts_with(asset, 'KZTE.')"
            " WHEN 'claims' THEN starts_with(asset, 'KZTE.')"
            " ELSE NOT starts_with(asset, 'KZTE') END",
            name="asset",
        ),
        CheckConstraint("normal IN ('D', 'C')", name="normal"),
        CheckConstraint("floor = 0", name="floor"),
    )

    id: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True)
    )
    book: str
    asset: str
    code: str
    normal: str
    floor: int | None = Field(default=None, sa_type=BigInteger)


class EntryRow(SQLModel, table=True):
    """One entry; `key` is the order of writing, `ref` the business reference, unique for ever.

    `dated_from` is when it really happened, where that day was sealed already (LEDGER L18).
    """

    __tablename__ = "entry"
    __table_args__ = (
        Unique("key"),
        Unique("ref"),
        Unique("reverses"),
        Index(None, "effective_at"),
        CheckConstraint("kind IN ('pending', 'posted')", name="kind"),
        CheckConstraint("effective_at <= recorded_at", name="not_from_the_future"),
    )

    id: str = Field(sa_column=_text(primary_key=True))
    key: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), nullable=False)
    )
    kind: str
    reason: str
    ref: str = Field(sa_column=_text())
    chain: str | None = None
    effective_at: datetime = Field(sa_column=timestamp())
    recorded_at: datetime = Field(sa_column=timestamp())
    cause: str
    reverses: str | None = Field(
        default=None,
        sa_column=Column(String(collation="C"), ForeignKey("entry.id"), nullable=True),
    )
    dated_from: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))


class LegRow(SQLModel, table=True):
    """One line of an entry, counted from 1; all lines of an entry come in one INSERT."""

    __tablename__ = "leg"
    __table_args__ = (
        CheckConstraint("side IN ('D', 'C')", name="side"),
        CheckConstraint("amount > 0", name="amount"),
    )

    entry_id: str = Field(sa_column=_text("entry.id", primary_key=True))
    line: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    account_id: int = Field(foreign_key="account.id", sa_type=BigInteger, index=True)
    side: str
    amount: int = Field(sa_type=BigInteger)


class ResolutionRow(SQLModel, table=True):
    """How a pending entry ended; it has no legs of its own."""

    __tablename__ = "resolution"
    __table_args__ = (
        CheckConstraint("outcome IN ('posted', 'voided')", name="outcome"),
        CheckConstraint("height >= 0", name="height"),
    )

    entry_id: str = Field(sa_column=_text("entry.id", primary_key=True))
    outcome: str
    event_id: str
    height: int | None = Field(default=None, sa_type=BigInteger)
    recorded_at: datetime = Field(sa_column=timestamp())


class SealedDay(SQLModel, table=True):
    """A day in Almaty that is closed: how many entries it holds, and the hash of their ids."""

    __tablename__ = "sealed_day"
    __table_args__ = (Unique("ends_at"),)

    day: date = Field(primary_key=True)
    ends_at: datetime = Field(sa_column=timestamp())
    entries: int = Field(sa_type=BigInteger)
    sha256: str
    event_id: str
    sealed_at: datetime = Field(sa_column=timestamp())


class BalanceRow(SQLModel, table=True):
    """The cached sum of an account's legs; `posted` counts along the account's normal side."""

    __tablename__ = "balance"
    __table_args__ = (
        CheckConstraint("pending_debit >= 0 AND pending_credit >= 0", name="pending"),
    )

    account_id: int = Field(
        sa_column=Column(
            BigInteger, ForeignKey("account.id"), primary_key=True, autoincrement=False
        )
    )
    posted: int = Field(sa_type=BigInteger)
    pending_debit: int = Field(sa_type=BigInteger)
    pending_credit: int = Field(sa_type=BigInteger)
