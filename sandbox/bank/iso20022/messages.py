"""The four messages about single payments, from a body to XML and back.

What a body says is what its XML parses back to. Where the codes of Kazakhstan stand (the rules of
its payment systems are not public, KAZAKHSTAN 2.7; the places are ours):
KNP `Purp/Prtry`; KOd and KBe `RgltryRptg/Dtls` with `Tp` KOD or KBE and the code in `Cd`; the
rail `SttlmInf/ClrSys/Prtry`; our name of the payee `Cdtr/Id/OrgId/Othr/Id`. One message is about
one payment.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sandbox.bank import rails
from sandbox.bank.codes import check_codes
from sandbox.bank.iso20022 import errors, schema
from sandbox.bank.iso20022 import values as v
from sandbox.bank.iso20022.schema import need, take
from sandbox.bank.models import Kind
from sandbox.core.iban import bic_of

TRANSFER: Final = "pacs.008.001.08"
STATUS: Final = "pacs.002.001.10"
RETURN: Final = "pacs.004.001.09"
NOTICE: Final = "camt.054.001.08"

ADDITIONAL_REFERENCE: Final = "ref="
"""Before a bank reference of more than 35 characters, in `AddtlNtryInf`."""

_STATUSES = {"ACSP": Kind.accepted, "PDNG": Kind.queued, "RJCT": Kind.rejected}


@dataclass(frozen=True, slots=True)
class Parsed:
    """A message that was read: `ref` and `end_to_end_id` as in `bank_message`."""

    kind: Kind
    ref: str
    end_to_end_id: str | None
    body: dict[str, Any]
    message_id: str
    created_at: str


def build(kind: Kind, ref: str, body: Mapping[str, Any], at: datetime) -> str:
    """The XML of the message that says `body`, written at `at`."""
    message, make = {
        Kind.credit_transfer: (TRANSFER, _transfer),
        Kind.accepted: (STATUS, _status),
        Kind.queued: (STATUS, _status),
        Kind.rejected: (STATUS, _status),
        Kind.returned: (RETURN, _return),
        Kind.credit_notice: (NOTICE, _notice),
        Kind.debit_notice: (NOTICE, _notice),
        Kind.pending_notice: (NOTICE, _notice),
        Kind.reversal_notice: (NOTICE, _notice),
    }[kind]
    header = {"MsgId": v.message_id(kind, ref), "CreDtTm": v.as_moment(at)}
    return schema.write(message, schema.make(message, make(kind, body, header)))


def parse(xml: str | bytes) -> Parsed:
    """What a message says; refuses by name (`MessageRefused`) what breaks its rules or ours."""
    message, document = schema.read(xml)
    read: Callable[[Any], Parsed] | None = {
        TRANSFER: _read_transfer,
        STATUS: _read_status,
        RETURN: _read_return,
        NOTICE: _read_notice,
    }.get(message)
    if read is None:
        raise errors.MessageUnknown(f"{message} in the place of a message about one payment")
    return read(document)


def _agent(iban: str) -> dict[str, Any]:
    return {"FinInstnId": {"BICFI": bic_of(iban)}}


def _account(iban: str) -> dict[str, Any]:
    return {"Id": {"IBAN": iban}}


def _settlement(rail: str) -> dict[str, Any]:
    return {"SttlmMtd": "CLRG", "ClrSys": {"Prtry": rails.RAILS[rail].system}}


def _transfer(kind: Kind, body: Mapping[str, Any], header: dict[str, Any]) -> dict[str, Any]:
    payment = {
        "PmtId": {"EndToEndId": body["end_to_end_id"], "UETR": body["uetr"]},
        "IntrBkSttlmAmt": v.amount(body["amount_tiyn"]),
        "IntrBkSttlmDt": body["value_date"],
        "ChrgBr": "SLEV",
        "Dbtr": {"Nm": body["debtor_name"] or None},
        "DbtrAcct": _account(body["debtor_iban"]),
        "DbtrAgt": _agent(body["debtor_iban"]),
        "CdtrAgt": _agent(body["creditor_iban"]),
        "Cdtr": {
            "Nm": body["creditor_name"] or None,
            "Id": {"OrgId": {"Othr": [{"Id": body["creditor"]}]}} if body["creditor"] else None,
        },
        "CdtrAcct": _account(body["creditor_iban"]),
        "Purp": {"Prtry": body["knp"]},
        "RgltryRptg": [
            {"Dtls": [{"Tp": "KOD", "Cd": body["kod"]}, {"Tp": "KBE", "Cd": body["kbe"]}]}
        ],
    }
    return {
        "FIToFICstmrCdtTrf": {
            "GrpHdr": {**header, "NbOfTxs": "1", "SttlmInf": _settlement(body["rail"])},
            "CdtTrfTxInf": [payment],
        }
    }


def _only(nodes: list[Any], path: str) -> Any:
    if not nodes:
        raise errors.TagMissing(path)
    if len(nodes) > 1:
        raise errors.TagInvalid(path, "stands more than once, a message is about one payment")
    return nodes[0]


def _codes(payment: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for report in payment.rgltry_rptg:
        for detail in report.dtls:
            if detail.tp in ("KOD", "KBE"):
                if detail.tp in found or detail.cd is None:
                    raise errors.TagInvalid("RgltryRptg/Dtls", f"{detail.tp} needs one code")
                found[detail.tp] = detail.cd
    return found


def _rail(group: Any) -> str:
    system = take(group, "SttlmInf/ClrSys/Prtry")
    named = [rail.code for rail in rails.RAILS.values() if rail.system == system]
    if system is not None and not named:
        raise errors.TagInvalid("SttlmInf/ClrSys/Prtry", f"{system} is no rail of the bank")
    return named[0] if named else rails.RTGS


def _read_transfer(document: Any) -> Parsed:
    root = document.fito_ficstmr_cdt_trf
    group = root.grp_hdr
    payment = _only(root.cdt_trf_tx_inf, "CdtTrfTxInf")
    if group.nb_of_txs != "1":
        raise errors.TagInvalid("GrpHdr/NbOfTxs", "is not the number of payments")
    end_to_end_id = v.reference(payment, "PmtId/EndToEndId")
    codes = _codes(payment)
    name = take(payment, "Cdtr/Nm") or ""
    others = take(payment, "Cdtr/Id/OrgId/Othr") or []
    # Some write the date once for the group; without one there is no value date at all.
    dated = payment if payment.intr_bk_sttlm_dt is not None else group
    body = {
        "end_to_end_id": end_to_end_id,
        "uetr": v.taken_uetr(payment, "PmtId/UETR") or v.uetr(end_to_end_id),
        "debtor_iban": need(payment, "DbtrAcct/Id/IBAN"),
        "debtor_name": take(payment, "Dbtr/Nm") or "",
        "creditor_iban": need(payment, "CdtrAcct/Id/IBAN"),
        "creditor": others[0].id if others else name,
        "creditor_name": name,
        "amount_tiyn": v.tiyn(payment, "IntrBkSttlmAmt"),
        "currency": v.KZT,
        "value_date": v.day(dated, "IntrBkSttlmDt"),
        "knp": take(payment, "Purp/Prtry") or "",
        "kod": codes.get("KOD", ""),
        "kbe": codes.get("KBE", ""),
        "rail": _rail(group),
    }
    check_codes(body["knp"], body["kbe"], body["kod"])
    return Parsed(Kind.credit_transfer, end_to_end_id, end_to_end_id, body, *_header(group))


def _header(group: Any) -> tuple[str, str]:
    return v.reference(group, "MsgId"), v.moment(group, "CreDtTm")


def _status(kind: Kind, body: Mapping[str, Any], header: dict[str, Any]) -> dict[str, Any]:
    status = next(code for code, of in _STATUSES.items() if of == kind)
    reason = body["reason"]
    return {
        "FIToFIPmtStsRpt": {
            "GrpHdr": header,
            "TxInfAndSts": [
                {
                    "OrgnlEndToEndId": body["end_to_end_id"],
                    "OrgnlUETR": v.uetr(body["end_to_end_id"]),
                    "TxSts": status,
                    "StsRsnInf": [{"Rsn": {"Cd": reason}}] if reason else None,
                }
            ],
        }
    }


def _read_status(document: Any) -> Parsed:
    root = document.fito_fipmt_sts_rpt
    status = _only(root.tx_inf_and_sts, "TxInfAndSts")
    end_to_end_id = v.reference(status, "OrgnlEndToEndId")
    v.taken_uetr(status, "OrgnlUETR")
    code = need(status, "TxSts")
    kind = _STATUSES.get(code)
    if kind is None:
        raise errors.TagInvalid("TxSts", f"{code} is none of {', '.join(_STATUSES)}")
    reason = take(status, "StsRsnInf/Rsn/Cd") or take(status, "StsRsnInf/Rsn/Prtry")
    if kind == Kind.rejected and reason is None:
        raise errors.TagMissing("TxInfAndSts/StsRsnInf/Rsn")
    body = {"end_to_end_id": end_to_end_id, "reason": reason}
    return Parsed(kind, end_to_end_id, end_to_end_id, body, *_header(root.grp_hdr))


def _return(kind: Kind, body: Mapping[str, Any], header: dict[str, Any]) -> dict[str, Any]:
    return {
        "PmtRtr": {
            "GrpHdr": {
                **header,
                "CreDtTm": body["booked_at"],
                "NbOfTxs": "1",
                "SttlmInf": {"SttlmMtd": "CLRG"},
            },
            "TxInf": [
                {
                    "RtrId": body["bank_reference"],
                    "OrgnlEndToEndId": body["end_to_end_id"],
                    "OrgnlUETR": v.uetr(body["end_to_end_id"]),
                    "RtrdIntrBkSttlmAmt": v.amount(body["amount_tiyn"]),
                    "IntrBkSttlmDt": body["value_date"],
                    "RtrRsnInf": [{"Rsn": {"Cd": body["reason"]}}],
                    "OrgnlTxRef": {"DbtrAcct": _account(body["iban"])},
                }
            ],
        }
    }


def _read_return(document: Any) -> Parsed:
    root = document.pmt_rtr
    back = _only(root.tx_inf, "TxInf")
    end_to_end_id = v.reference(back, "OrgnlEndToEndId")
    v.taken_uetr(back, "OrgnlUETR")
    reason = take(back, "RtrRsnInf/Rsn/Cd") or take(back, "RtrRsnInf/Rsn/Prtry")
    if reason is None:
        raise errors.TagMissing("TxInf/RtrRsnInf/Rsn")
    message_id, created_at = _header(root.grp_hdr)
    # As in a payment, some write the date once for the group.
    dated = back if back.intr_bk_sttlm_dt is not None else root.grp_hdr
    body = {
        "end_to_end_id": end_to_end_id,
        "iban": need(back, "OrgnlTxRef/DbtrAcct/Id/IBAN"),
        "amount_tiyn": v.tiyn(back, "RtrdIntrBkSttlmAmt"),
        "bank_reference": v.reference(back, "RtrId"),
        "reason": reason,
        "value_date": v.day(dated, "IntrBkSttlmDt"),
        "booked_at": created_at,
    }
    return Parsed(Kind.returned, end_to_end_id, end_to_end_id, body, message_id, created_at)


def entry(line: Mapping[str, Any]) -> dict[str, Any]:
    """An `Ntry` of notice or statement.

    `line`: side, amount_tiyn, bank_reference, value_date, booked_at; customer, creditor_iban and
    end_to_end_id where there are any. One without a time of booking is announced (PDNG), one with
    a `reversed_reference` takes the credit of that name back (RvslInd).
    """
    ref, end_to_end_id = line["bank_reference"], line.get("end_to_end_id")
    parties: dict[str, Any] = {}
    if line.get("customer") is not None:
        parties["Dbtr"] = {"Pty": {"Nm": line["customer"]}}
    if line.get("creditor_iban") is not None:
        parties["CdtrAcct"] = _account(line["creditor_iban"])
    details: dict[str, Any] = {}
    if end_to_end_id is not None:
        details["Refs"] = {"EndToEndId": end_to_end_id, "UETR": v.uetr(end_to_end_id)}
    taken_back = line.get("reversed_reference")
    if taken_back is not None:
        is_short = len(taken_back) <= v.MAX_REFERENCE and taken_back == taken_back.strip()
        if is_short:
            details["Refs"] = {"AcctSvcrRef": taken_back}
        else:
            details["AddtlTxInf"] = ADDITIONAL_REFERENCE + taken_back
    if parties:
        details["RltdPties"] = parties
    booked_at, value_date = line.get("booked_at"), line.get("value_date")
    fits = len(ref) <= v.MAX_REFERENCE and ref == ref.strip()
    return {
        "Amt": v.amount(line["amount_tiyn"]),
        "CdtDbtInd": "CRDT" if line["side"] == "credit" else "DBIT",
        "RvslInd": True if taken_back is not None else None,
        "Sts": {"Cd": "BOOK" if booked_at else "PDNG"},
        "BookgDt": {"DtTm": booked_at} if booked_at else None,
        "ValDt": {"Dt": value_date} if value_date else None,
        "AcctSvcrRef": ref if fits else None,
        "BkTxCd": {"Prtry": {"Cd": "TRF"}},
        "NtryDtls": [{"TxDtls": [details]}] if details else None,
        "AddtlNtryInf": None if fits else ADDITIONAL_REFERENCE + ref,
    }


def read_entry(node: Any, *, only_day: bool = False) -> dict[str, Any]:
    """The line that an `Ntry` tells; entries that are not booked, or in a batch, are refused.

    `only_day`: the day of booking will do, for a statement that is of one day anyway.
    """
    if need(node, "Sts/Cd") != "BOOK":
        raise errors.TagInvalid("Ntry/Sts/Cd", "is not booked")
    if node.rvsl_ind:
        raise errors.TagInvalid("Ntry/RvslInd", "a reversal comes as a return")
    has_day = only_day and take(node, "BookgDt/Dt") is not None
    return _line(node) | {
        "value_date": v.day(node, "ValDt/Dt"),
        "booked_at": None if has_day else v.moment(node, "BookgDt/DtTm"),
    }


def _line(node: Any) -> dict[str, Any]:
    details = _details(node)
    detail = details[0] if details else None
    line = {
        "side": "credit" if need(node, "CdtDbtInd").value == "CRDT" else "debit",
        "amount_tiyn": v.tiyn(node, "Amt"),
        "bank_reference": _reference(node, "AcctSvcrRef", "AddtlNtryInf"),
        "customer": take(detail, "RltdPties/Dbtr/Pty/Nm"),
        "creditor_iban": take(detail, "RltdPties/CdtrAcct/Id/IBAN"),
        "end_to_end_id": take(detail, "Refs/EndToEndId"),
    }
    v.taken_uetr(detail, "Refs/UETR")
    return line


def _details(node: Any) -> list[Any]:
    details: list[Any] = take(node, "NtryDtls/TxDtls") or []
    if len(details) > 1 or len(node.ntry_dtls) > 1:
        raise errors.TagInvalid("Ntry/NtryDtls", "tells of more than one payment")
    return details


def _reference(node: Any, path: str, more: str) -> str:
    """A bank reference, also one that is too long for its own place."""
    long = take(node, more) or ""
    if take(node, path) is None and long.startswith(ADDITIONAL_REFERENCE):
        return long.removeprefix(ADDITIONAL_REFERENCE)
    return v.reference(node, path)


def _notice(kind: Kind, body: Mapping[str, Any], header: dict[str, Any]) -> dict[str, Any]:
    side = "credit" if kind in (Kind.credit_notice, Kind.pending_notice) else "debit"
    return {
        "BkToCstmrDbtCdtNtfctn": {
            "GrpHdr": header,
            "Ntfctn": [
                {
                    "Id": header["MsgId"],
                    "Acct": {**_account(body["iban"]), "Ccy": v.KZT},
                    "Ntry": [entry({"side": side, **body})],
                }
            ],
        }
    }


def _read_notice(document: Any) -> Parsed:
    root = document.bk_to_cstmr_dbt_cdt_ntfctn
    notice = _only(root.ntfctn, "Ntfctn")
    currency = take(notice, "Acct/Ccy")
    if currency not in (None, v.KZT):
        raise errors.CurrencyNotTenge("Acct/Ccy", currency)
    node = _only(notice.ntry, "Ntfctn/Ntry")
    message_id, created_at = _header(root.grp_hdr)
    body = {"iban": need(notice, "Acct/Id/IBAN"), "currency": v.KZT}
    kind, ref, end_to_end_id, told = _told(node)
    return Parsed(kind, ref, end_to_end_id, body | told, message_id, created_at)


def _told(node: Any) -> tuple[Kind, str, str | None, dict[str, Any]]:
    """Kind, reference, end-to-end id and what else the entry of a notice says."""
    if need(node, "Sts/Cd") == "PDNG" and not node.rvsl_ind:
        line = _line(node)
        if line["side"] == "debit":
            raise errors.TagInvalid("Ntry/Sts/Cd", "only a credit is announced")
        told = {key: line[key] for key in ("amount_tiyn", "bank_reference")}
        customer = {"customer": line["customer"] or ""}
        return Kind.pending_notice, line["bank_reference"], None, told | customer
    if node.rvsl_ind:
        return _taken_back(node)
    line = read_entry(node)
    told = {key: line[key] for key in ("amount_tiyn", "bank_reference", "value_date", "booked_at")}
    ref, end_to_end_id = line["bank_reference"], line["end_to_end_id"]
    if line["side"] == "credit":
        return Kind.credit_notice, ref, None, told | {"customer": line["customer"] or ""}
    if end_to_end_id is None:
        raise errors.TagMissing("Ntry/NtryDtls/TxDtls/Refs/EndToEndId")
    told |= {"end_to_end_id": end_to_end_id, "creditor_iban": line["creditor_iban"]}
    return Kind.debit_notice, ref, end_to_end_id, told


def _taken_back(node: Any) -> tuple[Kind, str, str | None, dict[str, Any]]:
    """A credit that the bank takes back: booked, a debit, naming the credit it reverses."""
    line = _line(node)
    if need(node, "Sts/Cd") != "BOOK" or line["side"] != "debit":
        raise errors.TagInvalid("Ntry/RvslInd", "only a booked credit is reversed")
    detail = _only(_details(node), "Ntry/NtryDtls/TxDtls")
    ref = _reference(detail, "Refs/AcctSvcrRef", "AddtlTxInf")
    told = {
        "amount_tiyn": line["amount_tiyn"],
        "bank_reference": line["bank_reference"],
        "reversed_reference": ref,
        "customer": line["customer"] or "",
        "booked_at": v.moment(node, "BookgDt/DtTm"),
    }
    return Kind.reversal_notice, ref, None, told
