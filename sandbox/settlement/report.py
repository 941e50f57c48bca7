"""A settlement's report: what the log's leaves say of it, put together line by line. Pure.

The API makes it from stored leaves, the offline verifier from proven ones: the same function.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sandbox.core.canonical import canonical, sha256_hex
from sandbox.core.errors import SandboxError
from sandbox.eventlog import leaf as leaves

VERSION: Final = 2
CAPTURES: Final = ("payment.captured", "payment.resolved")
LINE_FIELDS: Final = (
    "payment", "tx", "chain", "amount_tiyn", "refunded_tiyn", "fee_tiyn", "entry", "deferred",
    "reason",
)  # fmt: skip
"""Of a settlement's line in the log."""
_PAYOUT_FIELDS: Final = (
    "id", "status", "reason", "amount_tiyn", "knp", "kbe", "value_date", "created_at",
    "instructed_at", "ended_at",
)  # fmt: skip
_PLAN_FIELDS: Final = ("fee_plan", "fee_bps", "fee_fixed_tiyn", "fee_minimum_tiyn")
_BURN_FIELDS: Final = (
    "chain", "status", "units", "tx", "amount_tiyn", "fee_tiyn", "vat_tiyn", "vat_percent",
    "vat_version",
)  # fmt: skip
NO_DEBT: Final = {
    "opening_tiyn": 0, "added_tiyn": 0, "added_vat_tiyn": 0, "collected_tiyn": 0, "left_tiyn": 0,
}  # fmt: skip
_TRANSFER_FIELDS: Final = ("chain", "status", "units", "tx", "amount_tiyn", "recipient")
_RESERVE_FIELDS: Final = ("chain", "units", "amount_tiyn", "target_tiyn")


class ReportIncomplete(SandboxError):
    """A leaf that the report needs is missing."""

    status, code = 422, "report_incomplete"

    def __init__(self, what: str) -> None:
        super().__init__(f"the report has nothing that proves {what}", what=what)


@dataclass(frozen=True, slots=True)
class Fact:
    """One event as its leaf tells it; until it is sequenced `queued` alone gives its order."""

    id: str
    type: str
    created: str
    merchant: str | None
    epoch: int | None
    position: int | None
    entries: tuple[str, ...]
    data: dict[str, Any]
    commit: dict[str, str] = field(default_factory=dict)
    queued: int = 0

    @classmethod
    def of(
        cls, leaf: Mapping[str, Any], epoch: int | None, position: int | None, queued: int = 0
    ) -> "Fact":
        """The fact of a parsed leaf; amounts become integers."""
        return cls(
            leaf["id"],
            leaf["type"],
            leaf["created"],
            leaf["merchant"],
            epoch,
            position,
            tuple(entry["id"] for entry in leaf["entries"]),
            leaves.api_data(leaf["data"], None),
            leaf["commit"],
            queued,
        )

    @property
    def order(self) -> tuple[int, int, int]:
        """By the log; what has no position yet comes last."""
        end = 1 << 62
        return (
            end if self.epoch is None else self.epoch,
            end if self.position is None else self.position,
            self.queued,
        )

    @property
    def where(self) -> dict[str, Any]:
        return {"event": self.id, "epoch": self.epoch, "position": self.position}

    @property
    def entry(self) -> str | None:
        """The ledger entry of an event that posts exactly one."""
        return self.entries[0] if len(self.entries) == 1 else None


class Facts:
    """The events that a settlement's report rests on, found by what they tell of."""

    def __init__(self, facts: Iterable[Fact], settlement: str) -> None:
        self.of_batch: list[Fact] = []
        self.of_payout: list[Fact] = []
        self.captures: dict[str, list[Fact]] = {}
        self.refunds: dict[str, list[Fact]] = {}
        self.others: dict[str, list[Fact]] = {}
        self._sort(sorted(facts, key=lambda fact: fact.order), settlement)

    def _sort(self, facts: Sequence[Fact], settlement: str) -> None:
        """What happened to a payment after its batch was made is not of this report."""
        is_made = False
        for fact in facts:
            data = fact.data
            match data.get("object"):
                case "settlement" if data["id"] == settlement:
                    is_made = True
                    self.of_batch.append(fact)
                case "payout" if data["settlement"] == settlement:
                    self.of_payout.append(fact)
                case "settlement" | "payout":
                    self.others.setdefault(data["id"], []).append(fact)
                case "payment" if fact.type in CAPTURES and fact.entries and not is_made:
                    self.captures.setdefault(data["id"], []).append(fact)
                # What the reserve paid back later is of no line.
                case "refund" if (
                    fact.type == "refund.completed"
                    and not is_made
                    and data.get("source") != "reserve"
                ):
                    self.refunds.setdefault(data["payment"] or "", []).append(fact)


def events_in(value: Any) -> set[str]:
    """The events which a report, or a part of it, names."""
    found: set[str] = set()
    if isinstance(value, Mapping):
        if isinstance(value.get("event"), str):
            found.add(value["event"])
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            found |= events_in(inner)
    return found


def made(facts: Facts, settlement: str, lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The report, as of the newest of these facts; `lines` are all of the batch, by payment.

    A long batch's leaf holds its first lines and a hash of all: the verifier compares both.
    Raises `ReportIncomplete`.
    """
    if not facts.of_batch:
        raise ReportIncomplete(settlement)
    newest = facts.of_batch[-1]
    batch = newest.data
    burns = _gone(facts, batch, "burns", "burned", _BURN_FIELDS)
    return {
        "object": "settlement_report",
        "version": VERSION,
        "id": settlement,
        "merchant": batch["merchant"],
        "status": batch["status"],
        "hold": batch.get("hold"),
        "mode": batch.get("mode", "payout"),
        "split_bps": batch.get("split_bps"),
        "cut_off": batch["cut_off"],
        "value_date": batch["value_date"],
        "created_at": batch["created_at"],
        "settled_at": batch["settled_at"],
        "openings": [_opening(facts, one) for one in batch.get("openings", ())],
        "lines": [_line(facts, line) for line in lines],
        "burns": burns,
        "transfers": _gone(facts, batch, "transfers", "sent", _TRANSFER_FIELDS),
        "reserve": [
            {name: one[name] for name in _RESERVE_FIELDS} for one in batch.get("reserve", ())
        ],
        "fee_debt": dict(batch.get("fee_debt", NO_DEBT)),
        "fee": _fee(facts, batch, burns),
        "payout": _payout(facts, batch),
        "check": dict(batch["check"]),
        "history": [
            {
                "type": fact.type,
                "created": fact.created,
                "entries": list(fact.entries),
                **fact.where,
            }
            for fact in sorted(facts.of_batch + facts.of_payout, key=lambda fact: fact.order)
        ],
    }


def _opening(facts: Facts, one: Mapping[str, Any]) -> dict[str, Any]:
    told = facts.others.get(one["source"])
    if not told:
        raise ReportIncomplete(one["source"])
    return {"source": one["source"], "amount_tiyn": one["amount_tiyn"], **told[-1].where}


def _line(facts: Facts, line: Mapping[str, Any]) -> dict[str, Any]:
    captures = facts.captures.get(line["payment"], [])
    first = next((fact for fact in captures if line["entry"] in fact.entries), None)
    if first is None:
        raise ReportIncomplete(f"the capture of {line['payment']}")
    told = captures[-1].data
    refunds = facts.refunds.get(line["payment"], [])
    return {
        **{name: line[name] for name in LINE_FIELDS},
        "net_tiyn": line["amount_tiyn"] - line["refunded_tiyn"] - line["fee_tiyn"],
        "session": told["session"],
        "captured_at": told["captured_at"],
        "counted_units": told["counted_units"],
        **{name: told.get(name) for name in _PLAN_FIELDS},
        **first.where,
        "refunds": [
            {
                "id": fact.data["id"],
                "amount_tiyn": fact.data["amount_tiyn"],
                "tx": fact.data["tx"],
                "entry": fact.entry,
                **fact.where,
            }
            for fact in refunds
        ],
        "accepted": [fact.where for fact in captures if fact is not first],
    }


def _gone(
    facts: Facts, batch: Mapping[str, Any], what: str, status: str, fields: Sequence[str]
) -> list[dict[str, Any]]:
    """Each burn, or transfer to a wallet, with the event that first told of its end."""
    ends: dict[str, Fact] = {}
    for fact in facts.of_batch:
        if fact.type in ("settlement.burned", "settlement.transferred"):
            for one in fact.data.get(what, ()):
                if one["status"] == status:
                    ends.setdefault(one["chain"], fact)
    nothing = {"event": None, "epoch": None, "position": None}
    made = []
    for one in batch.get(what, ()):
        end = ends.get(one["chain"])
        made.append(
            {
                **{name: one[name] for name in fields},
                "entry": None if end is None else end.entry,
                **(nothing if end is None else end.where),
            }
        )
    return made


def _fee(
    facts: Facts, batch: Mapping[str, Any], burns: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    paid = next((fact for fact in facts.of_batch if fact.type == "settlement.fee_paid"), None)
    collected = batch.get("fee_debt", NO_DEBT)["collected_tiyn"]
    burned = sum(burn["fee_tiyn"] for burn in burns)
    vat = sum(burn["vat_tiyn"] for burn in burns)
    nothing = {"event": None, "epoch": None, "position": None}
    return {
        "status": batch["fee_status"],
        "amount_tiyn": burned + collected,
        "collected_tiyn": collected,
        "vat_tiyn": vat,
        "without_vat_tiyn": burned - vat,
        "entry": None if paid is None else paid.entry,
        **(nothing if paid is None else paid.where),
    }


def payout_told(facts: Facts) -> tuple[Fact, Mapping[str, Any], str] | None:
    """Who told of the payout last: the event, the payout in it, and where its IBAN stood."""
    found: tuple[Fact, Mapping[str, Any], str] | None = None
    for fact in sorted(facts.of_batch + facts.of_payout, key=lambda fact: fact.order):
        if fact.data["object"] == "payout":
            found = fact, fact.data, "iban"
        elif fact.data["payout"] is not None:
            found = fact, fact.data["payout"], "payout.iban"
    return found


def _payout(facts: Facts, batch: Mapping[str, Any]) -> dict[str, Any] | None:
    told = payout_told(facts)
    if told is None:
        return None
    fact, payout, _ = told
    return {
        **{name: payout[name] for name in _PAYOUT_FIELDS},
        "entries": [entry for one in facts.of_payout for entry in one.entries],
        **fact.where,
    }


def lines_hash(lines: Sequence[Mapping[str, Any]]) -> str:
    """SHA-256 of all lines as `settlement_event` writes it: RFC 8785, amounts as strings."""
    exact = [
        {key: str(value) if type(value) is int else value for key, value in line.items()}
        for line in lines
    ]
    return sha256_hex(canonical(exact))
