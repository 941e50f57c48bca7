"""What a person sees: progress while the stack starts, addresses, steps of a demo, the audit."""

import json
import shlex
import shutil
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from sandbox.cassette.comparing import Comparison
from sandbox.core.zone import ALMATY
from sandbox.devnets.supervisor import Progress

HOME = Path(".sandbox")
INVARIANTS = {
    "I1": "supply",
    "I2": "backing",
    "I3": "entries",
    "I4": "balances",
    "I5": "holdings",
    "I6": "bank",
    "I7": "settlement",
    "I8": "log",
    "I9": "separation",
}

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

_MARKS = {
    "ready": "[green]✓[/]",
    "died": "[red]✗[/]",
    "restarted": "[green]↻[/]",
    "up": "[green]●[/]",
}


def progress(event: Progress) -> None:
    """One line for what matters; starting and stopping of single children stay silent."""
    if event.kind in ("starting", "stopping") or (event.kind == "stopped" and event.child):
        return
    took = f" [dim]{event.seconds:.1f} s[/]" if event.seconds is not None else ""
    err.print(f"{_MARKS.get(event.kind, '·')} {event.text}{took}")


def failure(message: str, remedy: str = "") -> None:
    """One clear line with the remedy, on standard error."""
    then = f" [bold]→[/] {escape(remedy)}" if remedy else ""
    err.print(f"[red]sandbox:[/] {escape(message)}{then}")


def addresses(endpoints: Mapping[str, Any], data_dir: Path) -> None:
    """Where everything is, the keys to try it with, and what to try next."""
    keys = endpoints["keys"]
    rows = [
        ("API", endpoints["api"]),
        ("API docs", endpoints["api"] + "/docs"),
        ("Solana RPC", endpoints["solana_rpc"]),
        ("Solana WebSocket", endpoints["solana_ws"]),
        ("KZTE on Solana", endpoints["kzte"]["solana_mint"]),
        ("EVM RPC", f"{endpoints['evm_rpc']} (chain {endpoints['evm_chain_id']})"),
        ("KZTE on EVM", endpoints["kzte"]["evm_token"]),
        ("log key", endpoints["log_vkey"]),
        ("merchant", keys["merchant_id"]),
        *((f"{role} key", keys[role]) for role in ("merchant", "issuer", "operator", "regulator")),
    ]
    if endpoints.get("seed") is not None:
        rows.append(("seed", f"{endpoints['seed']}: whoever knows it knows every key and secret"))
        rows.append(("clock", "stands until `sandbox clock advance` moves it"))
    out.print("\n[bold]KZTE Sandbox[/] [dim]a simulation; the keys work on this machine only[/]")
    for name, value in rows:
        out.print(f"  [bold]{name:<16}[/]  {value}")
    out.print(f"  [dim]all of this is in {data_dir / 'endpoints.json'}[/]")
    sandbox = "sandbox" if shutil.which("sandbox") else sys.argv[0]
    where = "" if data_dir == HOME else f" --data-dir {data_dir}"
    out.print("\n[bold]Try in another shell[/]")
    for command, what in (
        ("pay", "pay the newest open session as a test wallet, on Solana"),
        ("pay --chain evm", "the same on the EVM chain"),
        ("listen", "watch what happens; --forward-to posts it to your webhook handler"),
        ("audit", "recompute every invariant"),
        ("log verify", "check every byte of the log"),
    ):
        out.print(f"  {sandbox} {command + where:<15}  [dim]{what}[/]")
    out.print(
        "  [dim]docs/first-payment.md goes through a merchant's day, docs/cli.md tours these[/]\n"
    )


def variables(endpoints: Mapping[str, Any]) -> dict[str, str]:
    """Addresses and keys as a program's environment has them; `KEY` is the merchant's."""
    keys = endpoints["keys"]
    return {
        "API": endpoints["api"],
        "KEY": keys["merchant"],
        "ISSUER_KEY": keys["issuer"],
        "OPERATOR_KEY": keys["operator"],
        "REGULATOR_KEY": keys["regulator"],
        "MERCHANT": keys["merchant_id"],
        "SOLANA_RPC": endpoints["solana_rpc"],
        "KZTE_MINT": endpoints["kzte"]["solana_mint"],
        "EVM_RPC": endpoints["evm_rpc"],
        "EVM_CHAIN_ID": str(endpoints["evm_chain_id"]),
        "KZTE_TOKEN": endpoints["kzte"]["evm_token"],
        "LOG_VKEY": endpoints["log_vkey"],
    }


def assignments(values: Mapping[str, str]) -> None:
    """The same as a shell takes it."""
    for name, value in values.items():
        out.print(f"export {name}={shlex.quote(value)}", markup=False)


class Steps:
    """The steps of a demo, each with its figures and its time."""

    def __init__(self, quiet: bool) -> None:
        self._console = err if quiet else out
        self._began = self._last = time.monotonic()

    def done(self, title: str, **figures: object) -> None:
        """A step that worked, and what it gave."""
        now = time.monotonic()
        took, self._last = now - self._last, now
        self._console.print(f"[green]✓[/] [bold]{title}[/] [dim]{took:.1f} s[/]")
        for name, value in figures.items():
            self._console.print(f"    {name.replace('_', ' '):<18} {value}")
        sys.stdout.flush()

    def audit(self, report: Mapping[str, Any]) -> None:
        """The last step: every check in a line."""
        self.done("Every invariant is recomputed")
        audit(report, self._console)

    @property
    def seconds(self) -> float:
        """Since the first step began."""
        return round(time.monotonic() - self._began, 1)


def audit(report: Mapping[str, Any], console: Console = out) -> None:
    """One line per check with the two figures that were compared."""
    for check in report["checks"]:
        mark = "[green]✓[/]" if check["ok"] else "[red]✗[/]"
        name = f"{check['id']} {INVARIANTS.get(check['id'], '')}"
        console.print(f"{mark} [bold]{name:<13}[/] {_figures(check):<33} [dim]{check['detail']}[/]")
    console.print(
        "[green]audit: every invariant holds[/]"
        if report["ok"]
        else "[red]audit: BREACH[/] → docs/operations.md says what a red line means"
    )


def _figures(check: Mapping[str, Any]) -> str:
    left, right = check["left"], check["right"]
    sign = "=" if left == right else "≠"
    if check["ok"] and left != right:
        sign = "≥" if left > right else "≤"
    return f"{_figure(left)} {sign} {_figure(right)}"


def _figure(value: int | str | None) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u00a0")
    return value if len(value) <= 16 else value[:11] + "…"


def moment(iso: str) -> str:
    """A moment of the API for people: in UTC, and in Almaty where business days are counted."""
    at = datetime.fromisoformat(iso)
    return f"{at:%Y-%m-%d %H:%M:%S} UTC ({at.astimezone(ALMATY):%a %H:%M} in Almaty)"


def clock(now: str, frozen: bool, fired: Sequence[Mapping[str, Any]]) -> None:
    """The sandbox time, and which timers a move of the clock made due."""
    stopped = ", standing still" if frozen else ""
    out.print(f"[green]✓[/] sandbox time is {moment(now)}{stopped}")
    for kind, count in Counter(timer["type"] for timer in fired).items():
        out.print(f"  due: {kind.replace('_', ' ')}{f' ({count})' if count > 1 else ''}")


def paid(answer: Mapping[str, Any]) -> None:
    """What a test wallet paid, and what came of it."""
    out.print(f"[green]✓[/] {answer['amount']} paid on {answer['chain']}")
    fee = ", the fee paid by the sandbox" if answer.get("sponsored") else ""
    out.print(f"  transaction {answer['tx']}{fee}")
    if "session" not in answer:
        out.print(f"  {answer['object'].replace('_', ' ')} {answer['id']} is {answer['status']}")
        return
    why = "" if answer["reason"] == "none" else f" ({answer['reason']})"
    out.print(f"  session     {answer['session']} is {answer['status']}{why}")
    if answer["status_before"] != "open":
        out.print(
            f"  [yellow]it was {answer['status_before']} already:[/] this transfer waits in"
            " /v1/stray_transfers for a decision"
        )


def comparison(found: Comparison) -> None:
    """Where two recordings part."""
    compared = ", ".join(f"{count} {name}" for name, count in found.compared.items())
    if found.is_same:
        out.print(f"[green]✓[/] the same: {compared}")
        return
    first = found.differences[0]
    out.print(f"[red]✗[/] they part at {escape(first.where)}")
    for line in found.context:
        out.print(f"    [dim]{escape(line)}[/]")
    out.print(f"  [red]-[/] {escape(_shown(first.first))}")
    out.print(f"  [green]+[/] {escape(_shown(first.second))}")
    out.print(f"\ncompared: {compared}; different:")
    for sort, count in sorted(Counter(one.sort for one in found.differences).items()):
        out.print(f"  {sort:<13} {count}")


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
