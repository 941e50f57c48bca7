"""What a person sees: progress while the stack starts, a table of addresses, steps of a demo."""

import sys
import time
from typing import Any

from rich.console import Console
from rich.table import Table

from sandbox.devnets.supervisor import Progress

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
    err.print(
        f"[red]sandbox:[/] {message}" + (f" [bold]→[/] {remedy}" if remedy else ""), markup=True
    )


def addresses(endpoints: dict[str, Any]) -> None:
    """Where everything is, and the keys to try it with."""
    table = Table(
        title="KZTE Sandbox", title_justify="left", show_header=False, box=None, padding=(0, 2)
    )
    keys = endpoints["keys"]
    rows = [
        ("API", endpoints["api"]),
        ("API docs", endpoints["api"] + "/docs"),
        ("Solana RPC", endpoints["solana_rpc"]),
        ("Solana WebSocket", endpoints["solana_ws"]),
        ("KZTE mint", endpoints["kzte"]["solana_mint"]),
        ("log key", endpoints["log_vkey"]),
        ("merchant", keys["merchant_id"]),
        *((f"{role} key", keys[role]) for role in ("merchant", "issuer", "operator", "regulator")),
    ]
    for name, value in rows:
        table.add_row(f"[bold]{name}[/]", value)
    out.print(table)
    out.print("[dim]A simulation. The keys work on this machine only.[/]")


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

    @property
    def seconds(self) -> float:
        """Since the first step began."""
        return round(time.monotonic() - self._began, 1)


def audit(report: dict[str, Any]) -> None:
    """One line per invariant with the two figures that were compared."""
    for check in report["checks"]:
        mark = "[green]✓[/]" if check["ok"] else "[red]✗[/]"
        figures = f"{check['left']} ↔ {check['right']}"
        out.print(f"{mark} [bold]{check['id']:<4}[/] {figures:<36} [dim]{check['detail']}[/]")
    out.print("[green]audit: ok[/]" if report["ok"] else "[red]audit: BREACH[/]")
