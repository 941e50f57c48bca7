"""The offline verifier of a settlement's report: one file and the log's public key. Pure.

What the file says is put together anew from its proven leaves and compared, field by field; then
the leaves themselves are judged: sums, fees, VAT and the check line are computed here again.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sandbox.bank.calendar import local_date
from sandbox.core.errors import SandboxError
from sandbox.core.money import BPS_PER_WHOLE, fee_tiyn, units_from_tiyn, vat_included_tiyn
from sandbox.eventlog import leaf as leaves
from sandbox.eventlog.errors import BadReceipt
from sandbox.eventlog.line import Line, open_line
from sandbox.eventlog.note import BadNote, Verifier
from sandbox.settlement import report, sums, vat


class ReportWrong(SandboxError):
    """The first thing in a report that is not as it must be."""

    status, code = 422, "report_wrong"

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where}: {why}", where=where, why=why)


@dataclass(frozen=True, slots=True)
class Verified:
    """What held: how many lines and proofs, and the check line."""

    settlement: str
    lines: int
    proofs: int
    check: dict[str, int]


def verify(found: Any, vkey: str) -> Verified:
    """Everything a report with proofs says, against the log's public key alone.

    Raises `ReportWrong` for the first line or field that is wrong.
    """
    try:
        Verifier.parse(vkey)
    except BadNote as error:
        raise ReportWrong("vkey", str(error)) from error
    try:
        return _verify(found, vkey)
    except report.ReportIncomplete as error:
        raise ReportWrong("proofs", str(error)) from error
    except (KeyError, TypeError, AttributeError, ValueError, IndexError, AssertionError) as error:
        raise ReportWrong("report", f"not of the form of a report ({error!r})") from error


def _verify(found: Any, vkey: str) -> Verified:
    if not isinstance(found, dict) or found.get("object") != "settlement_report":
        raise ReportWrong("object", "not a settlement's report")
    if found.get("version") != report.VERSION:
        raise ReportWrong("version", f"this verifier reads version {report.VERSION}")
    if not isinstance(found.get("proofs"), dict) or not found["proofs"]:
        raise ReportWrong("proofs", "there are none: ask for the report with proofs=1")
    said = {name: value for name, value in found.items() if name not in ("proofs", "continued")}
    _numbers_are_whole(said, "")
    lines = _lines(said)
    epochs = _line(found, vkey)
    proven = {id_: _proven(id_, one, epochs) for id_, one in found["proofs"].items()}
    facts = report.Facts(proven.values(), said["id"])
    made = report.made(facts, said["id"], lines)
    # Before what is computed of the lines, or that would be named instead of them.
    _judge_lines_of_batch(facts, said)
    payout = said.get("payout")
    if isinstance(payout, dict) and made["payout"] is not None:
        # Both are private: the leaf commits to them.
        made["payout"]["iban"] = payout.get("iban")
        if "iban_salt" in payout or payout.get("iban") is not None:
            made["payout"]["iban_salt"] = payout.get("iban_salt")
    _same("", said, made)
    unused = sorted(found["proofs"].keys() - report.events_in(said))
    if unused:
        raise ReportWrong(f"proofs {unused[0]}", "the report does not name this event")
    _judge(facts, said)
    return Verified(said["id"], len(lines), len(proven), said["check"])


def _numbers_are_whole(value: Any, where: str) -> None:
    if isinstance(value, float):
        raise ReportWrong(where, f"{value} is not a whole number")
    if isinstance(value, list):
        value = dict(enumerate(value))
    if isinstance(value, dict):
        for name, inner in value.items():
            _numbers_are_whole(inner, f"{where}.{name}".removeprefix("."))


def _lines(said: Mapping[str, Any]) -> list[dict[str, Any]]:
    lines = []
    for number, line in enumerate(said["lines"]):
        missing = [name for name in report.LINE_FIELDS if name not in line]
        if missing:
            raise ReportWrong(f"lines[{number}]", f"has no {missing[0]}")
        lines.append({name: line[name] for name in report.LINE_FIELDS})
    return lines


def _line(found: Mapping[str, Any], vkey: str) -> Line:
    """The epochs of the log that the report's proofs may stand in."""
    try:
        return open_line(found.get("continued", []), vkey)
    except BadReceipt as error:
        raise ReportWrong("continued", str(error)) from error


def _proven(id_: str, one: Any, epochs: Line) -> report.Fact:
    where = f"proofs {id_}"
    try:
        position = epochs.verify(one)
        if one.keys() != {"epoch", "position", "leaf", "proof", "checkpoint"}:
            raise ReportWrong(where, "has other members than a proof")
        for encoded in (one["leaf"], *one["proof"]):
            if base64.b64encode(base64.b64decode(encoded)).decode() != encoded:
                raise ReportWrong(where, "not canonical base64")
        if type(one["epoch"]) is not int:
            raise ReportWrong(where, "the epoch is not a number")
    except BadReceipt as error:
        raise ReportWrong(where, str(error)) from error
    leaf = leaves.parse(base64.b64decode(one["leaf"]))
    if leaf["id"] != id_:
        raise ReportWrong(where, f"its leaf is that of {leaf['id']}")
    return report.Fact.of(leaf, one["epoch"], position)


def _same(where: str, said: Any, proven: Any) -> None:
    """Find the first difference between what a file says and what its leaves prove."""
    if isinstance(said, dict) and isinstance(proven, dict):
        for name in [*said, *(name for name in proven if name not in said)]:
            inner = f"{where}.{name}" if where else name
            if name not in proven:
                raise ReportWrong(inner, "no report has this field")
            if name not in said:
                raise ReportWrong(inner, "is missing")
            _same(inner, said[name], proven[name])
    elif isinstance(said, list) and isinstance(proven, list):
        for number, (one, other) in enumerate(zip(said, proven, strict=False)):
            _same(_named(where, number, other), one, other)
        if len(said) != len(proven):
            raise ReportWrong(where, f"{len(said)} of them, the log proves {len(proven)}")
    elif type(said) is not type(proven) or said != proven:
        raise ReportWrong(where, f"{said!r}, the log proves {proven!r}")


def _named(where: str, number: int, value: Any) -> str:
    names = ("payment", "id", "chain", "source", "event")
    name = next((value[n] for n in names if isinstance(value, dict) and n in value), None)
    return f"{where}[{number}]" + (f" ({name})" if name else "")


# What the leaves themselves must say of one another.


def _is(where: str, what: str, said: Any, computed: Any) -> None:
    if said != computed:
        raise ReportWrong(where, f"{what} is {said}, recomputed it is {computed}")


def _judge(facts: report.Facts, said: Mapping[str, Any]) -> None:
    merchant = said["merchant"]
    everyone = [*facts.of_batch, *facts.of_payout]
    for those in (facts.captures, facts.refunds, facts.others):
        everyone += [fact for found in those.values() for fact in found]
    for fact in everyone:
        if fact.merchant != merchant or fact.data["merchant"] != merchant:
            raise ReportWrong(f"proofs {fact.id}", f"is of {fact.merchant}, not of {merchant}")
    _is("history", "the first event", said["history"][0]["type"], "settlement.created")
    for number, line in enumerate(said["lines"]):
        _judge_line(facts, f"lines[{number}] ({line['payment']})", line)
    lines = [line for line in said["lines"] if not line["deferred"]]
    _judge_chains(facts, said, lines)
    _judge_debt(said, lines)
    _judge_check(facts, said, lines)
    _judge_iban(facts, said)


def _judge_lines_of_batch(facts: report.Facts, said: Mapping[str, Any]) -> None:
    """The lines are all of the batch: those in its leaf, and by their hash those beyond."""
    batch = facts.of_batch[-1].data
    lines = [{name: line[name] for name in report.LINE_FIELDS} for line in said["lines"]]
    payments = [line["payment"] for line in lines]
    if payments != sorted(set(payments)):
        raise ReportWrong("lines", "are not in the order of their payments, each once")
    told = batch["lines"]
    for number, (line, proven) in enumerate(zip(lines, told, strict=False)):
        _same(f"lines[{number}] ({proven['payment']})", line, proven)
    left_out = batch.get("lines_left_out", 0)
    if len(lines) != len(told) + left_out:
        raise ReportWrong("lines", f"{len(lines)}, the log tells of {len(told) + left_out}")
    if left_out:
        _is("lines", "the hash", report.lines_hash(lines), batch["lines_sha256"])


def _judge_line(facts: report.Facts, where: str, line: Mapping[str, Any]) -> None:
    payment = facts.captures[line["payment"]][-1].data
    _is(where, "chain", line["chain"], payment["chain"])
    _is(where, "tx", line["tx"], payment["tx"])
    _is(where, "entry", line["entry"], payment["capture_entry"])
    decimals = payment.get("decimals", 2)
    _is(
        where,
        "amount",
        units_from_tiyn(line["amount_tiyn"], decimals),
        payment["counted_units"],
    )
    refunds = sum(refund["amount_tiyn"] for refund in line["refunds"])
    _is(where, "refunded", line["refunded_tiyn"], refunds)
    kept = line["amount_tiyn"] - line["refunded_tiyn"]
    fixed, minimum = payment.get("fee_fixed_tiyn") or 0, payment.get("fee_minimum_tiyn") or 0
    fee = fee_tiyn(kept, payment["fee_bps"], fixed, minimum, at_most_tiyn=line["amount_tiyn"])
    _is(where, "fee", line["fee_tiyn"], fee)


def _judge_chains(
    facts: report.Facts, said: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]
) -> None:
    """What each chain brought is burned, sent or kept, by the batch's mode and nothing else."""
    by_chain: dict[str, list[Mapping[str, Any]]] = {}
    for line in lines:
        by_chain.setdefault(line["chain"], []).append(line)
    burns = {burn["chain"]: (n, burn) for n, burn in enumerate(said["burns"])}
    sent = {one["chain"]: (n, one) for n, one in enumerate(said["transfers"])}
    kept = {one["chain"]: (n, one) for n, one in enumerate(said["reserve"])}
    for what, found in (("burns", burns), ("transfers", sent), ("reserve", kept)):
        _is(what, "chains", [one["chain"] for one in said[what]], sorted(found))
    for chain in sorted(by_chain.keys() | burns.keys() | sent.keys() | kept.keys()):
        those = by_chain.get(chain, [])
        amount = sum(line["amount_tiyn"] - line["refunded_tiyn"] for line in those)
        fees = sum(line["fee_tiyn"] for line in those)
        reserve = kept[chain][1]["amount_tiyn"] if chain in kept else 0
        parts = sums.parts(
            amount, fees, reserve=reserve, wallet_bps=_wallet_bps(said) if chain in sent else 0
        )
        for what, found, expected in (
            ("burns", burns, parts.burned),
            ("transfers", sent, parts.to_wallet),
            ("reserve", kept, parts.reserved),
        ):
            if chain not in found:
                _is(what, f"the amount on {chain}", 0, expected)
                continue
            number, one = found[chain]
            where = f"{what}[{number}] ({chain})"
            _is(where, "amount", one["amount_tiyn"], expected)
            _judge_units(facts, where, one, those)
        if chain in burns:
            number, burn = burns[chain]
            _judge_burn(f"burns[{number}] ({chain})", said, burn, parts.fee)
        if chain in sent:
            number, one = sent[chain]
            _judge_end(f"transfers[{number}] ({chain})", said, one, "sent")
    fee = said["fee"]
    _is("fee", "having an entry", fee["entry"] is not None, fee["status"] == "paid")


def _wallet_bps(said: Mapping[str, Any]) -> int:
    match said["mode"]:
        case "hold":
            return BPS_PER_WHOLE
        case "split":
            return BPS_PER_WHOLE - int(said["split_bps"])
    return 0


def _judge_units(
    facts: report.Facts,
    where: str,
    one: Mapping[str, Any],
    those: Sequence[Mapping[str, Any]],
) -> None:
    """Units by the decimals of the chain's payments; without any, whole tiyn in equal units."""
    if those:
        decimals = facts.captures[those[0]["payment"]][-1].data.get("decimals", 2)
        amount = one["amount_tiyn"]
        units = units_from_tiyn(abs(amount), decimals)
        _is(where, "units", one["units"], units if amount >= 0 else -units)
    elif not one["amount_tiyn"] or one["units"] % one["amount_tiyn"]:
        raise ReportWrong(where, f"{one['units']} units are no {one['amount_tiyn']} tiyn")


def _judge_burn(where: str, said: Mapping[str, Any], burn: Mapping[str, Any], fee: int) -> None:
    rate = vat.rate_on(local_date(datetime.fromisoformat(said["created_at"])))
    _is(where, "fee", burn["fee_tiyn"], fee)
    _is(where, "VAT rate", burn["vat_percent"], rate.percent)
    _is(where, "law of the VAT rate", burn["vat_version"], rate.version)
    included = vat_included_tiyn(burn["fee_tiyn"], rate.percent)
    _is(where, "VAT", burn["vat_tiyn"], included)
    _judge_end(where, said, burn, "burned")


def _judge_end(where: str, said: Mapping[str, Any], one: Mapping[str, Any], gone: str) -> None:
    if said["status"] == "settled":
        _is(where, "status", one["status"], gone)
    _is(where, "having an entry", one["entry"] is not None, one["status"] == gone)


def _judge_debt(said: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> None:
    """Fees that nothing was left to pay: what came over, came up, was taken and is left."""
    owed = sums.owed(
        [one["amount_tiyn"] for one in said["openings"]],
        sum(line["fee_tiyn"] for line in lines),
        [(burn["amount_tiyn"], burn["fee_tiyn"]) for burn in said["burns"]],
    )
    rate = vat.rate_on(local_date(datetime.fromisoformat(said["created_at"])))
    computed = {
        "opening_tiyn": owed.opening,
        "added_tiyn": owed.added,
        "added_vat_tiyn": vat_included_tiyn(owed.added, rate.percent),
        "collected_tiyn": owed.collected,
        "left_tiyn": owed.opening + owed.added - owed.collected,
    }
    for name, amount in computed.items():
        _is("fee_debt", name, said["fee_debt"][name], amount)


def _judge_check(
    facts: report.Facts, said: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]
) -> None:
    """I7: opening + gross - fees - refunds = paid + to wallets + reserved + carried, each figure
    from its own leaves."""
    for number, one in enumerate(said["openings"]):
        source = facts.others[one["source"]][-1].data
        is_batch = source["object"] == "settlement"
        amount = source["check"]["carried_tiyn"] if is_batch else source["amount_tiyn"]
        _is(f"openings[{number}] ({one['source']})", "amount", one["amount_tiyn"], amount)
        if not is_batch and source["status"] not in ("rejected", "returned"):
            raise ReportWrong(
                f"openings[{number}] ({one['source']})", f"the payout is {source['status']}"
            )
    check, payout = said["check"], said["payout"]
    computed = {
        "opening_tiyn": sum(one["amount_tiyn"] for one in said["openings"]),
        "gross_tiyn": sum(line["amount_tiyn"] for line in lines),
        "fees_tiyn": sum(line["fee_tiyn"] for line in lines),
        "refunds_tiyn": sum(line["refunded_tiyn"] for line in lines),
        "paid_tiyn": 0 if payout is None else payout["amount_tiyn"],
        "to_wallet_tiyn": sum(one["amount_tiyn"] for one in said["transfers"]),
        "reserved_tiyn": sum(one["amount_tiyn"] for one in said["reserve"]),
    }
    for name, amount in computed.items():
        _is("check", name, check[name], amount)
    owed = (
        computed["opening_tiyn"]
        + computed["gross_tiyn"]
        - computed["fees_tiyn"]
        - computed["refunds_tiyn"]
    )
    gone = check["paid_tiyn"] + check["to_wallet_tiyn"] + check["reserved_tiyn"]
    _is("check", "paid, sent, reserved and carried", gone + check["carried_tiyn"], owed)
    _is("check", "unexplained_tiyn", check["unexplained_tiyn"], 0)


def _judge_iban(facts: report.Facts, said: Mapping[str, Any]) -> None:
    told = report.payout_told(facts)
    if told is None:
        return
    if said["payout"]["iban"] is None:
        _is("payout.iban_salt", "what shows no account", said["payout"].get("iban_salt"), None)
        return
    fact, _, path = told
    try:
        salt = base64.b64decode(said["payout"]["iban_salt"], validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise ReportWrong("payout.iban_salt", "not base64") from error
    if base64.b64encode(salt).decode() != said["payout"]["iban_salt"]:
        raise ReportWrong("payout.iban_salt", "not canonical base64")
    if leaves.commitment(salt, said["payout"]["iban"]) != fact.commit[path]:
        raise ReportWrong("payout.iban", "the log committed to another account")
