"""The offline verifier of attestations: one file against an export of the log and one public key.

It trusts nothing but the key. What a log cannot tell, a block's hash and a bank's lines, is
compared by whoever has the chain or the statement (`statement`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from sandbox.eventlog import verify as log_verify
from sandbox.eventlog.leaf import api_data
from sandbox.eventlog.merkle import Tree, leaf_hash
from sandbox.eventlog.note import BadNote, Verifier
from sandbox.eventlog.sources import Folder, Unreadable
from sandbox.eventlog.verify import Epoch, entries_of
from sandbox.reserve import attestation, sumtree
from sandbox.reserve.replay import Figures

SHOWN_BESIDE = ("status", "asked_at", "event", "position", "signed_note")
"""What the API adds to a statement, and nobody signs."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as the attestation says: a stable code, and what."""

    code: str
    detail: str


@dataclass(slots=True)
class Report:
    """What a verification found; `ok` is the whole answer. `said` is what was signed."""

    said: dict[str, Any] = field(default_factory=dict)
    position: int | None = None
    event: str | None = None
    differences: list[Difference] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.differences

    def add(self, code: str, detail: str) -> None:
        self.differences.append(Difference(code, detail))

    def compare(self, code: str, what: str, said: object, found: object) -> None:
        # 1 equals 1.0 and true, and is written otherwise.
        if said != found or type(said) is not type(found) or _written(said) != _written(found):
            self.add(code, f"{what}: it says {said}, found {found}")

    def as_json(self) -> dict[str, object]:
        return {**asdict(self), "ok": self.ok}


def _written(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def verify(
    shown: Mapping[str, Any], folder: Path, vkey: str, statement: Mapping[str, Any] | None = None
) -> Report:
    """Recompute an attestation (`GET /v1/reserve/attestations/{id}`) from a log's export.

    `statement` is the bank's for its day (`GET /v1/bank/statements`). Never raises for what is
    wrong with either: every difference is in the report.
    """
    report = Report()
    said = _signed(report, shown, vkey)
    if said is None:
        return report
    log = log_verify.verify_export(folder, vkey)
    for found in log.findings:
        report.add(f"log_{found.code}", f"{found.where}: {found.detail}")
    try:
        report.said = api_data(said, None)
        _arithmetic(report, report.said)
        if statement is not None:
            _statement(report, report.said, statement)
        if log.ok:
            _log(report, said, log_verify.line_of(Folder(folder), vkey))
            if report.position is not None and shown.get("position") is not None:
                report.compare("file", "position", shown["position"], report.position)
                report.compare("file", "event", shown.get("event"), report.event)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, Unreadable) as error:
        report.add("malformed", f"{type(error).__name__}: {error}")
    return report


def _signed(report: Report, shown: Mapping[str, Any], vkey: str) -> dict[str, Any] | None:
    """What was signed, with amounts as strings; differs the file from it, that is told."""
    try:
        verifier = Verifier.parse(vkey.strip())
    except BadNote as error:
        report.add("bad_vkey", str(error))
        return None
    try:
        said = attestation.open_of_any_epoch(str(shown.get("signed_note")).encode(), verifier)
    except BadNote as error:
        report.add("signature", str(error))
        return None
    beside = {key: value for key, value in shown.items() if key not in SHOWN_BESIDE}
    signed = api_data(said, None)
    for key in sorted(beside.keys() | signed.keys()):
        report.compare("file", key, beside.get(key), signed.get(key))
    return said


def _arithmetic(report: Report, said: Mapping[str, Any]) -> None:
    """What follows from its own figures."""
    assets, debts = sum(said["assets"].values()), sum(said["debts"].values())
    report.compare("sum", "reserve_tiyn", said["reserve_tiyn"], assets)
    report.compare("sum", "owed_tiyn", said["owed_tiyn"], debts)
    ratio = None
    if debts > 0:
        whole, rest = divmod(abs(assets) * 10_000 // debts, 10_000)
        ratio = f"{'-' if assets < 0 else ''}{whole}.{rest:04d}"
    report.compare("sum", "ratio", said["ratio"], ratio)
    for one in said["chains"]:
        name, units = one["chain"], one["outstanding_units"]
        after = one["supply_units"] + one["later_units"]
        report.compare("supply", f"{name}: supply_units and later_units", after, units)
        report.compare("claims", f"{name}: claims_units", one["claims_units"], units)
    for one in said["statements"]:
        explained = one["booked_tiyn"] + one["unread_tiyn"]
        report.compare("sum", "closing_tiyn", one["closing_tiyn"], explained)
        report.compare("sum", "booked_tiyn", one["booked_tiyn"], said["assets"]["bank_tiyn"])


def _statement(report: Report, said: Mapping[str, Any], bank: Mapping[str, Any]) -> None:
    [one] = said["statements"]
    report.compare("statement", "date", one["date"], bank["date"])
    report.compare("statement", "lines", one["lines"], min(one["lines"], len(bank["lines"])))
    found = attestation.statement_sha256(bank, one["lines"])
    report.compare("statement", "sha256", one["sha256"], found)
    moved = sum(
        line["amount_tiyn"] * (1 if line["side"] == "credit" else -1)
        for line in bank["lines"][: one["lines"]]
    )
    report.compare("statement", "closing_tiyn", one["closing_tiyn"], bank["opening_tiyn"] + moved)


def _log(report: Report, said: Mapping[str, Any], epochs: Sequence[Epoch]) -> None:
    """Find its own event in the log, and compare with what the log tells before it.

    The log is that of all epochs of its world, of a former one what is kept of it.
    """
    its = next((one for one in epochs if one.number == said["log"]["epoch"]), None)
    if its is None:
        report.add(
            "log_epoch",
            f"it was made in epoch {said['log']['epoch']}; this log's world is of the epochs"
            f" {', '.join(str(one.number) for one in epochs)}",
        )
        return
    now = Figures({one["chain"]: one["decimals"] for one in said["chains"]})
    for former in epochs[: epochs.index(its)]:
        for data in entries_of(former):
            now.take(orjson.loads(data))
    tree = Tree()
    root: bytes | None = tree.root() if said["log"]["size"] == 0 else None
    for position, data in enumerate(entries_of(its)):
        leaf = orjson.loads(data)
        if leaf["type"] == attestation.EVENT and leaf["data"].get("id") == said["id"]:
            report.position, report.event = position, leaf["id"]
            _own_event(report, said, leaf)
            break
        tree.extend([leaf_hash(data)])
        if tree.size == said["log"]["size"]:
            root = tree.root()
        now.take(leaf)
    if report.position is None:
        kept = f"{its.kept_size} entries of {its.checkpoint.origin}"
        report.add("not_logged", f"this world's log, {kept}, does not hold {said['id']}")
        return
    report.compare(
        "log", f"root of the first {said['log']['size']}", said["log"]["root"],
        None if root is None else root.hex(),
    )  # fmt: skip
    for type_, event in now.unknown.items():
        report.add("log_unknown", f"nobody knows what {type_} moved, first in {event}")
    _figures(report, said, now)


def _own_event(report: Report, said: Mapping[str, Any], leaf: Mapping[str, Any]) -> None:
    for key in sorted(said.keys() | leaf["data"].keys()):
        report.compare("event", key, said.get(key), leaf["data"].get(key))
    report.compare("event", "as_of", said["as_of"], leaf["created"])


def _figures(report: Report, said: Mapping[str, Any], now: Figures) -> None:
    units = {one["chain"]: int(one["outstanding_units"]) for one in said["chains"]}
    for chain in sorted(units.keys() | now.units.keys()):
        report.compare("supply", f"{chain}: units", units.get(chain, 0), now.units.get(chain, 0))
    for code, told, found in (
        ("reserve", said["assets"], now.assets),
        ("owed", said["debts"], now.debts),
    ):
        for name in sorted(told.keys() | found.keys()):
            report.compare(code, name, int(told.get(name, 0)), found.get(name, 0))


def verify_branch(shown: Mapping[str, Any], vkey: str) -> Report:
    """Whether the leaves of a holder (`GET …/branch`) are counted in the attestation they name."""
    report = Report()
    try:
        said = attestation.open_of_any_epoch(
            str(shown.get("signed_note")).encode(), Verifier.parse(vkey.strip())
        )
        report.said = api_data(said, None)
        report.compare("attestation", "id", shown["attestation"], said["id"])
        roots = {one["chain"]: one for one in report.said["chains"]}
        for one in shown["branches"]:
            _branch(report, one, roots[one["chain"]])
    except BadNote as error:
        report.add("signature", str(error))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        report.add("malformed", f"{type(error).__name__}: {error}")
    return report


def _branch(report: Report, one: Mapping[str, Any], root: Mapping[str, Any]) -> None:
    leaf = sumtree.leaf(one["holder"], one["units"], bytes.fromhex(one["salt"]))
    branch = [sumtree.Node(bytes.fromhex(n["sha256"]), n["units"]) for n in one["branch"]]
    signed = sumtree.Node(bytes.fromhex(root["claims_root"]), root["claims_units"])
    report.compare("claims", f"{one['chain']}: leaves", one["size"], root["claims"])
    for name, said, found in (
        ("root", one["root"], root["claims_root"]),
        ("root_units", one["root_units"], root["claims_units"]),
    ):
        report.compare("claims", f"{one['chain']}: {name}", said, found)
    if not sumtree.verify_branch(leaf, one["index"], one["size"], branch, signed):
        report.add("branch", f"{one['chain']}: the branch of {one['holder']} leads elsewhere")
