"""`sandbox settlement report` and `sandbox settlement verify`."""

import json
from pathlib import Path

from sandbox.cli import show
from sandbox.cli.endpoints import Running
from sandbox.cli.log import NotWritable, VkeyNeeded
from sandbox.core.errors import SandboxError
from sandbox.core.money import format_tenge
from sandbox.devnets import datadir
from sandbox.settlement.printing import CHECK_LINE
from sandbox.settlement.verification import ReportWrong
from sandbox.settlement.verification import verify as verify_report


class ReportUnreadable(SandboxError):
    """The file is not there, or is no JSON."""

    code = "report_unreadable"

    def __init__(self, file: Path, why: Exception) -> None:
        super().__init__(f"cannot read {file}: {why}")


def report(settlement: str, file: Path, key: str | None, data_dir: Path, as_json: bool) -> int:
    """Write a merchant's report of one settlement, with proofs; without `key` the seeded one's."""
    running = Running.of(data_dir)
    if key is not None:
        running = running.as_merchant(key)
    found = running.get(f"/v1/settlements/{settlement}/report", "merchant", proofs=1)
    try:
        file.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise NotWritable(file, error) from None
    if as_json:
        print(json.dumps({"file": str(file), "lines": len(found["lines"])}))
        return 0
    show.out.print(f"[green]✓[/] report of {settlement} in {file}")
    show.out.print(f"  sandbox settlement verify {file} --vkey '{running.endpoints['log_vkey']}'")
    return 0


def verify(file: Path, vkey: str | None, data_dir: Path, as_json: bool) -> int:
    """0 when every line is proven and adds up, 1 with the first that is wrong."""
    if vkey is None:
        endpoints = datadir.read_endpoints(data_dir)
        if endpoints is None:
            raise VkeyNeeded
        vkey = str(endpoints["log_vkey"])
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ReportUnreadable(file, error) from None
    try:
        held = verify_report(found, vkey)
    except ReportWrong as wrong:
        if as_json:
            print(json.dumps({"ok": False, **wrong.values}))
        else:
            show.out.print("[red]✗[/]", end=" ")
            show.out.print(str(wrong), markup=False)
        return 1
    if as_json:
        print(
            json.dumps(
                {
                    "ok": True,
                    "settlement": held.settlement,
                    "lines": held.lines,
                    "proofs": held.proofs,
                    "check": held.check,
                }
            )
        )
        return 0
    show.out.print(
        f"[green]✓[/] {held.settlement}: {held.proofs} proofs, payments in it: {held.lines}"
    )
    for name, title in CHECK_LINE:
        show.out.print(f"  {title:<18} {format_tenge(held.check[name]):>18}")
    return 0
