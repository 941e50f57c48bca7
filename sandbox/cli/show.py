"""What a person sees: progress while the stack starts, addresses, steps of a demo, the audit."""

import json
import shlex
import shutil
import sys
import textwrap
import time
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text

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


class Terminal(Console):
    """A console that takes no orders from what it shows: strangers choose paths and answers."""

    def render_str(self, text: str, **how: Any) -> Text:
        """Escape sequences and what turns the direction of text are shown as U+FFFD."""
        return super().render_str("".join(map(_shown_letter, text)), **how)


def _shown_letter(letter: str) -> str:
    # Letters, marks, spaces and signs are shown; controls, formats and halves of letters are not.
    is_other = unicodedata.category(letter)[0] == "C" and letter not in "\n\t"
    return "\N{REPLACEMENT CHARACTER}" if is_other else letter


out = Terminal(highlight=False, soft_wrap=True)
err = Terminal(stderr=True, highlight=False, soft_wrap=True)

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


def indented(text: str, by: int) -> None:
    """A paragraph that keeps its indent where a terminal would break it; one line for programs."""
    width = max(out.width, 40) if out.is_terminal else sys.maxsize
    margin = " " * by
    filled = textwrap.fill(text, width, initial_indent=margin, subsequent_indent=margin + "  ")
    out.print(filled, markup=False)


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
    out.print("\n[bold]Try in another shell[/]")
    if data_dir != HOME:
        out.print(f"  export SANDBOX_DATA_DIR={shlex.quote(str(data_dir))}", markup=False)
    for command, what in (
        (f'eval "$({sandbox} env)"', "API and KEY for curl"),
        (f"{sandbox} listen", "watch; --forward-to posts it to your handler"),
        (f"{sandbox} trigger payment.captured", "a payment, as a customer makes it"),
        (f"{sandbox} pay", "pay your newest open session"),
        (f"{sandbox} explain ID", "why something is as it is"),
        (f"{sandbox} audit", "recompute every invariant"),
    ):
        out.print(f"  {escape(command):<32} [dim]# {what}[/]")
    out.print("  [dim]docs/first-payment.md is a merchant's day, docs/cli.md a tour of these[/]\n")


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


class Timeline:
    """Lines of a stream, each with its time alone; a line of its own names each new day."""

    def __init__(self) -> None:
        self._day = ""

    def line(self, at: str, text: str) -> None:
        """`text` with the moment `at` of the API before it; both in UTC, as the API has them."""
        if (day := at[:10]) != self._day:
            self._day = day
            out.print(f"[dim]{date.fromisoformat(day):%a %Y-%m-%d}, times in UTC[/]")
        out.print(f"[dim]{at[11:19]}[/] {text}")


def clock(now: str, frozen: bool, fired: Sequence[Mapping[str, Any]]) -> None:
    """The sandbox time, and which timers a move of the clock made due."""
    stopped = ", standing still" if frozen else ""
    out.print(f"[green]✓[/] sandbox time is {moment(now)}{stopped}")
    for kind, count in Counter(timer["type"] for timer in fired).items():
        out.print(f"  due: {kind.replace('_', ' ')}{f' ({count})' if count > 1 else ''}")


def paid(answer: Mapping[str, Any]) -> None:
    """What a test wallet paid, and what came of it."""
    by = f" by {answer['name']}" if "name" in answer else ""
    out.print(f"[green]✓[/] {answer['amount']} paid on {answer['chain']}{by}")
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


def counted(counts: Mapping[str, int]) -> str:
    """`3 steps, 1 event`: names in the plural, each with how many there are."""
    return ", ".join(
        f"{count} {name.removesuffix('s') if count == 1 else name}"
        for name, count in counts.items()
    )


def comparison(
    found: Comparison, first_name: str, second_name: str, *, is_renamed: bool = False
) -> None:
    """Where two recordings part; the names are those of the files."""
    compared = counted(found.compared)
    if found.is_same:
        out.print(f"[green]✓[/] the same: {compared}")
        return
    first = found.differences[0]
    out.print(f"[red]✗[/] they part at {escape(first.where)}")
    if found.context:
        out.print(f"    [dim]after {escape(', '.join(found.context))}[/]")
    out.print(f"  [red]-[/] {escape(first_name)}: {escape(_shown(first.first))}")
    out.print(f"  [green]+[/] {escape(second_name)}: {escape(_shown(first.second))}")
    if not is_renamed and (found.seeds[0] is None or found.seeds[0] != found.seeds[1]):
        seeds = " and ".join("none" if seed is None else str(seed) for seed in found.seeds)
        out.print(
            f"\nseeds: {seeds}. Only worlds of one seed give the same ids, addresses and"
            " transactions; --rename-ids counts ids by their order"
        )
    out.print(f"\ncompared: {compared}; different:")
    for sort, count in sorted(Counter(one.sort for one in found.differences).items()):
        out.print(f"  {sort:<13} {count}")


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
