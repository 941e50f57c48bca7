"""A settlement's report for people and spreadsheets: CSV and a page to print."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any, Final

from sandbox.core.money import format_tenge

CSV_COLUMNS: Final = (
    "row", "id", "status", "chain", "tx", "amount_tiyn", "refunded_tiyn", "fee_tiyn", "vat_tiyn",
    "net_tiyn", "units", "entry", "event", "epoch", "position", "value_date",
)  # fmt: skip
"""In this order for good; new columns come at the end."""

CHECK_LINE: Final = (
    ("opening_tiyn", "Opening"),
    ("gross_tiyn", "+ gross"),
    ("fees_tiyn", "− fees"),
    ("refunds_tiyn", "− refunds"),
    ("paid_tiyn", "= paid"),
    ("to_wallet_tiyn", "+ sent to wallets"),
    ("reserved_tiyn", "+ kept for refunds"),
    ("carried_tiyn", "+ carried"),
    ("unexplained_tiyn", "unexplained"),
)


def _rows(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for one in report["openings"]:
        yield {"row": "opening", "id": one["source"], **one}
    for line in report["lines"]:
        yield {
            "row": "line",
            **line,
            "id": line["payment"],
            "status": "deferred" if line["deferred"] else "taken",
        }
        for refund in line["refunds"]:
            yield {"row": "refund", **refund, "chain": line["chain"]}
    for burn in report["burns"]:
        net = burn["amount_tiyn"] - burn["fee_tiyn"]
        yield {"row": "burn", "id": report["id"], **burn, "net_tiyn": net}
    for one in report["transfers"]:
        yield {"row": "transfer", "id": one["recipient"], **one, "net_tiyn": one["amount_tiyn"]}
    for one in report["reserve"]:
        yield {"row": "reserve", "id": report["id"], **one}
    fee = report["fee"]
    yield {"row": "fee", "id": report["id"], **fee, "net_tiyn": fee["without_vat_tiyn"]}
    if report["payout"] is not None:
        payout = report["payout"]
        yield {"row": "payout", **payout, "entry": " ".join(payout["entries"])}
    for name, _ in CHECK_LINE:
        yield {"row": "check", "id": name, "amount_tiyn": report["check"][name]}


def as_csv(report: Mapping[str, Any]) -> str:
    """One row for everything that moved money, amounts in tiyn; UTF-8, RFC 4180."""
    out = io.StringIO()
    writer = csv.DictWriter(out, CSV_COLUMNS, extrasaction="ignore", restval="")
    writer.writeheader()
    writer.writerows(_rows(report))
    return out.getvalue()


_NUMBERS: Final = frozenset(
    {"Amount", "Refunded", "Fee", "Net", "VAT in the fee", "Wanted", "Log position"}
)
_STYLE: Final = """
body { font: 11pt/1.4 "Noto Sans", "DejaVu Sans", sans-serif; color: #111; margin: 2rem }
h1 { font-size: 16pt; margin: 0 } h2 { font-size: 12pt; margin: 1.5rem 0 .3rem }
table { border-collapse: collapse; width: 100%; font-size: 9pt }
th, td { border-bottom: 1px solid #bbb; padding: .25rem .4rem }
th, td { text-align: left; vertical-align: top }
.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums }
.id { font-family: monospace; font-size: 8pt; overflow-wrap: anywhere }
tr { break-inside: avoid } .check { width: auto } .check td:last-child { min-width: 9rem }
@page { size: A4 landscape; margin: 12mm }
"""


def _cell(value: Any, kind: str = "") -> str:
    shown = "" if value is None else str(value)
    return f'<td class="{kind}">{escape(shown)}</td>' if kind else f"<td>{escape(shown)}</td>"


def _money(value: int) -> str:
    return _cell(format_tenge(value), "n")


def _table(heads: tuple[str, ...], rows: Iterable[str]) -> str:
    head = "".join(
        f"<th{' class=n' if one in _NUMBERS else ''}>{escape(one)}</th>" for one in heads
    )
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _section(title: str, heads: tuple[str, ...], rows: Iterator[str]) -> str:
    """A heading and its table, or nothing when there are no rows."""
    found = list(rows)
    return f"<h2>{escape(title)}</h2>{_table(heads, found)}" if found else ""


def _terms(report: Mapping[str, Any]) -> str:
    """How the batch was settled, and why nothing is paid out if so."""
    mode = report["mode"]
    if report["split_bps"] is not None:
        whole, rest = divmod(report["split_bps"], 100)
        mode += f", {whole}.{rest:02d} % in tenge"
    return f"mode {mode}" + (f", payout held: {report['hold']}" if report["hold"] else "")


def _opening_rows(report: Mapping[str, Any]) -> Iterator[str]:
    for one in report["openings"]:
        yield _cell(one["source"], "id") + _money(one["amount_tiyn"]) + _cell(one["position"], "n")


def _refund_rows(report: Mapping[str, Any]) -> Iterator[str]:
    for line in report["lines"]:
        for refund in line["refunds"]:
            yield (
                _cell(refund["id"], "id")
                + _cell(line["payment"], "id")
                + _cell(refund["tx"], "id")
                + _money(refund["amount_tiyn"])
                + _cell(refund["entry"], "id")
                + _cell(refund["position"], "n")
            )


def _reserve_rows(report: Mapping[str, Any]) -> Iterator[str]:
    for one in report["reserve"]:
        yield _cell(one["chain"]) + _money(one["amount_tiyn"]) + _money(one["target_tiyn"])


def _line_rows(report: Mapping[str, Any]) -> Iterator[str]:
    for line in report["lines"]:
        state = "deferred" if line["deferred"] else ""
        yield (
            _cell(line["payment"], "id")
            + _cell(line["chain"])
            + _cell(line["tx"], "id")
            + _money(line["amount_tiyn"])
            + _money(line["refunded_tiyn"])
            + _money(line["fee_tiyn"])
            + _money(line["net_tiyn"])
            + _cell(line["entry"], "id")
            + _cell(line["position"], "n")
            + _cell(state)
        )


def _burn_rows(report: Mapping[str, Any]) -> Iterator[str]:
    for burn in report["burns"]:
        yield (
            _cell(burn["chain"])
            + _cell(burn["status"])
            + _cell(burn["tx"], "id")
            + _money(burn["amount_tiyn"])
            + _money(burn["fee_tiyn"])
            + _money(burn["vat_tiyn"])
            + _cell(f"{burn['vat_percent']} % ({burn['vat_version']})")
            + _cell(burn["entry"], "id")
            + _cell(burn["position"], "n")
        )


def _transfer_rows(report: Mapping[str, Any]) -> Iterator[str]:
    for one in report["transfers"]:
        yield (
            _cell(one["chain"])
            + _cell(one["status"])
            + _cell(one["tx"], "id")
            + _cell(one["recipient"], "id")
            + _money(one["amount_tiyn"])
            + _cell(one["entry"], "id")
            + _cell(one["position"], "n")
        )


def as_html(report: Mapping[str, Any], *, name: str | None, tax_number: str | None) -> str:
    """A page to print: no script, nothing from elsewhere. Who it is of only the owner's shows."""
    who = " · ".join(one for one in (name, tax_number and f"BIN/IIN {tax_number}") if one)
    check = "".join(
        f"<tr><td>{escape(title)}</td>{_money(report['check'][field])}</tr>"
        for field, title in CHECK_LINE
    )
    parts = [
        f"<h1>Settlement {escape(report['id'])}</h1>",
        f"<p>{escape(who or report['merchant'])}<br>{escape(report['status'])}, made"
        f" {escape(report['created_at'])}, value date {escape(report['value_date'])}"
        f"<br>{escape(_terms(report))}</p>",
        f'<h2>Check</h2><table class="check">{check}</table>',
        _section(
            "Opening: carried by earlier settlements, or back from the bank",
            ("From", "Amount", "Log position"),
            _opening_rows(report),
        ),
        "<h2>Payments</h2>",
        _table(
            ("Payment", "Chain", "Transaction", "Amount", "Refunded", "Fee", "Net", "Ledger entry",
             "Log position", ""),
            _line_rows(report),
        ),
        _section(
            "Refunds",
            ("Refund", "Payment", "Transaction", "Amount", "Ledger entry", "Log position"),
            _refund_rows(report),
        ),
        "<h2>Burns</h2>",
        _table(
            ("Chain", "Status", "Transaction", "Amount", "Fee", "VAT in the fee", "Rate",
             "Ledger entry", "Log position"),
            _burn_rows(report),
        ),
        _section(
            "Sent to the merchant's wallets",
            ("Chain", "Status", "Transaction", "Wallet", "Amount", "Ledger entry", "Log position"),
            _transfer_rows(report),
        ),
        _section(
            "Kept for refunds; below zero: given back",
            ("Chain", "Amount", "Wanted"),
            _reserve_rows(report),
        ),
        _fee_and_payout(report),
        "<p>A simulation: sandbox tenge. Verify the JSON report offline with"
        " <code>sandbox settlement verify</code>.</p>",
    ]  # fmt: skip
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>Settlement {escape(report['id'])}</title><style>{_STYLE}</style></head>"
        f"<body>{''.join(parts)}</body></html>\n"
    )


def _of_the_fee(fee: Mapping[str, Any]) -> str:
    said = f"VAT {format_tenge(fee['vat_tiyn'])}"
    if fee["collected_tiyn"]:
        # Its VAT was booked when the fee was, with the batch that could not pay it.
        said += f"; {format_tenge(fee['collected_tiyn'])} of the fee were owed, their VAT was told"
    return said


def _fee_and_payout(report: Mapping[str, Any]) -> str:
    fee, payout = report["fee"], report["payout"]
    rows = [
        _cell("Fee")
        + _cell(fee["status"])
        + _money(fee["amount_tiyn"])
        + _cell(_of_the_fee(fee))
        + _cell(fee["entry"], "id")
        + _cell(fee["position"], "n")
    ]
    if payout is not None:
        rows.append(
            _cell("Payout")
            + _cell(payout["status"])
            + _money(payout["amount_tiyn"])
            + _cell(payout["iban"], "id")
            + _cell(" ".join(payout["entries"]), "id")
            + _cell(payout["position"], "n")
        )
    heads = ("", "Status", "Amount", "", "Ledger entries", "Log position")
    return f"<h2>Fee and payout</h2>{_table(heads, rows)}"
