"""A day's statement (camt.053): opening + credits - debits = closing, and no day twice."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

from sandbox.bank.iso20022 import errors, schema
from sandbox.bank.iso20022 import values as v
from sandbox.bank.iso20022.messages import entry, read_entry
from sandbox.bank.iso20022.schema import need, take
from sandbox.core import clock
from sandbox.core.zone import ALMATY

STATEMENT: Final = "camt.053.001.08"


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that was read; balances below zero are an overdraft."""

    iban: str
    day: date
    opening_tiyn: int
    closing_tiyn: int
    lines: list[dict[str, Any]]
    message_id: str


def build(statement: Mapping[str, Any], at: datetime) -> str:
    """The XML of a `bank_statement` object of the API, written at `at`."""
    iban, day = statement["iban"], date.fromisoformat(statement["date"])
    lines = [
        {**line, "bank_reference": line["ref"], "end_to_end_id": line["end_to_end_id"]}
        for line in statement["lines"]
    ]
    begins = datetime.combine(day, time(), ALMATY)
    message_id = v.message_id(STATEMENT, iban, statement["date"])
    sums = {
        side: [line["amount_tiyn"] for line in lines if line["side"] == side]
        for side in ("credit", "debit")
    }
    tree = {
        "BkToCstmrStmt": {
            "GrpHdr": {"MsgId": message_id, "CreDtTm": v.as_moment(at)},
            "Stmt": [
                {
                    "Id": message_id,
                    # Days since the first of the calendar: it grows with each day's statement.
                    "ElctrncSeqNb": Decimal(day.toordinal()),
                    "FrToDt": {
                        "FrDtTm": clock.iso(begins),
                        "ToDtTm": clock.iso(begins + timedelta(days=1)),
                    },
                    "Acct": {"Id": {"IBAN": iban}, "Ccy": v.KZT},
                    "Bal": [
                        _balance("OPBD", statement["opening_tiyn"], day),
                        _balance("CLBD", statement["closing_tiyn"], day),
                    ],
                    "TxsSummry": {
                        "TtlCdtNtries": _sum(sums["credit"]),
                        "TtlDbtNtries": _sum(sums["debit"]),
                    },
                    "Ntry": [entry(line) for line in lines],
                }
            ],
        }
    }
    return schema.write(STATEMENT, schema.make(STATEMENT, tree))


def _sum(amounts: list[int]) -> dict[str, Any]:
    return {"NbOfNtries": str(len(amounts)), "Sum": Decimal(v.decimal(sum(amounts)))}


def _balance(code: str, amount_tiyn: int, day: date) -> dict[str, Any]:
    return {
        "Tp": {"CdOrPrtry": {"Cd": code}},
        "Amt": v.amount(abs(amount_tiyn)),
        "CdtDbtInd": "CRDT" if amount_tiyn >= 0 else "DBIT",
        "Dt": {"Dt": day.isoformat()},
    }


def parse(xml: str | bytes) -> Statement:
    """The statement of one account and day; refuses by name what breaks its rules or ours."""
    message, document = schema.read(xml)
    if message != STATEMENT:
        raise errors.MessageUnknown(f"{message} in the place of a statement")
    found = document.bk_to_cstmr_stmt.stmt
    if len(found) != 1:
        raise errors.TagInvalid("Stmt", "a message has the statement of one account and day")
    node = found[0]
    currency = take(node, "Acct/Ccy")
    if currency not in (None, v.KZT):
        raise errors.CurrencyNotTenge("Acct/Ccy", currency)
    opening, opened_on = _read_balance(node, "OPBD")
    closing, day = _read_balance(node, "CLBD")
    if opened_on > day:
        raise errors.TagInvalid("Stmt/Bal", "opens after it closes")
    lines = [read_entry(one, only_day=True) for one in node.ntry]
    expected = opening
    for line in lines:
        expected += line["amount_tiyn"] if line["side"] == "credit" else -line["amount_tiyn"]
    if expected != closing:
        raise errors.StatementSumWrong(expected, closing)
    _check_sums(node, lines)
    refs = [line["bank_reference"] for line in lines]
    if len(set(refs)) != len(refs):
        raise errors.TagInvalid("Ntry/AcctSvcrRef", "names two entries")
    message_id = v.reference(document.bk_to_cstmr_stmt, "GrpHdr/MsgId")
    return Statement(need(node, "Acct/Id/IBAN"), day, opening, closing, lines, message_id)


def _read_balance(node: Any, code: str) -> tuple[int, date]:
    found = [one for one in node.bal if take(one, "Tp/CdOrPrtry/Cd") == code]
    if not found:
        raise errors.TagMissing(f"Stmt/Bal/{code}")
    if len(found) > 1:
        raise errors.TagInvalid(f"Stmt/Bal/{code}", "stands more than once")
    amount = v.tiyn(found[0], "Amt", may_be_zero=True)
    sign = 1 if need(found[0], "CdtDbtInd").value == "CRDT" else -1
    return sign * amount, date.fromisoformat(v.day(found[0], "Dt/Dt"))


def _check_sums(node: Any, lines: list[dict[str, Any]]) -> None:
    """What the sender counted himself must be what he wrote."""
    for tag, side in (("TtlCdtNtries", "credit"), ("TtlDbtNtries", "debit")):
        amounts = [line["amount_tiyn"] for line in lines if line["side"] == side]
        path = f"TxsSummry/{tag}"
        count, total = take(node, f"{path}/NbOfNtries"), take(node, f"{path}/Sum")
        if count is not None and int(count) != len(amounts):
            raise errors.TagInvalid(path, f"counts {count} entries, there are {len(amounts)}")
        if total is not None:
            told = v.whole_tiyn(total, path, may_be_zero=True)
            if told != sum(amounts):
                raise errors.TagInvalid(path, f"sums to {told} tiyn, entries to {sum(amounts)}")


def check_follows(iban: str, before: tuple[date, int] | None, statement: Statement) -> None:
    """Refuse a statement that is not the next one of `iban`.

    `before` is the day and closing balance of the newest statement taken. Days without lines may
    lie between, since balances do not move then. Raises `StatementOtherAccount`,
    `StatementTwice`, `StatementOutOfOrder`, `StatementGap`.
    """
    if statement.iban != iban:
        raise errors.StatementOtherAccount(statement.iban)
    if before is None:
        return
    newest, closed_tiyn = before
    if statement.day == newest:
        raise errors.StatementTwice(statement.day.isoformat())
    if statement.day < newest:
        raise errors.StatementOutOfOrder(statement.day.isoformat(), newest.isoformat())
    if statement.opening_tiyn != closed_tiyn:
        raise errors.StatementGap(statement.opening_tiyn, closed_tiyn)
