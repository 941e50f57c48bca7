"""What a person sees of a token: what it is, who may do what, and its figures beside the books."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from sandbox.cli.show import out
from sandbox.core.money import format_tenge, format_units

_FIGURES = (("supply_units", "in existence"), ("treasury_units", "of it in the treasury"))


def token(found: Mapping[str, Any]) -> None:
    """Three blocks and a line that says whether chain and books agree."""
    state = "[red]paused[/]" if found["paused"] else "[green]running[/]"
    out.print(f"\n[bold]{found['symbol']} on {found['network']}[/]  {found['name']}  {state}")
    for block in (_facts(found), _holders(found), _figures(found)):
        out.print(block)
        out.print()
    for one in found["under_way"]:
        of = f" of {_units(found, one['units'])} {found['symbol']}" if one["units"] else ""
        out.print(f"  [yellow]under way[/]: {one['count']} × {one['action']}{of}")
    if found["agrees"]:
        out.print(f"[green]✓[/] chain and books agree at final block {found['height']}")
    elif found["ledger"] is None:
        why = " is the worker up?"
        if found["halted"]:
            why = f" the chain is halted: {found['halted']}"
        out.print(
            f"[red]✗[/] the books have not read as far as final block {found['height']}:{why}",
            highlight=False,
        )
    else:
        out.print(
            f"[red]✗[/] chain and books differ at final block {found['height']}"
            " → sandbox audit names the rows"
        )


def _facts(found: Mapping[str, Any]) -> Table:
    table = _table("", "", wraps=1)
    for name, value in (
        ("address", found["address"]),
        ("program", found["program"]),
        ("decimals", str(found["decimals"])),
        ("uri", found["uri"]),
        ("extensions", ", ".join(found["extensions"])),
    ):
        if value:
            table.add_row(Text(name, "bold"), value)
    return table


def _holders(found: Mapping[str, Any]) -> Table:
    table = _table("role", "address", "key", wraps=2)
    for one in found["authorities"]:
        address = one["address"] or "nobody, for good"
        # Whose it is matters most when it is not ours.
        key = Text(_key(one["key"])) if one.get("key") else Text("not ours", "yellow")
        table.add_row(Text(one["role"], "bold"), address, key if one["address"] else "")
    return table


def _figures(found: Mapping[str, Any]) -> Table:
    table = _table(found["symbol"], "on chain", "in the books", "difference")
    for column in table.columns[1:]:
        column.justify = "right"
    there, booked, differs = found["on_chain"], found["ledger"], found["difference"]
    for field, name in _FIGURES:
        known = booked is not None
        difference = Text("unknown", "red")
        if known:
            units = differs[field]
            difference = Text(_units(found, units), "red" if units else "green")
        table.add_row(
            Text(name, "bold"),
            _units(found, there[field]),
            _units(found, booked[field]) if known else "unknown",
            difference,
        )
    if booked is not None:
        table.add_row(
            Text("owed for tokens here", "bold"), "", format_tenge(booked["outstanding_tiyn"]), ""
        )
    return table


def _key(name: str) -> str:
    """A key that came later has its order in its name, which `--json` shows in full."""
    first, _, order = name.partition(".")
    return f"{first} (rotated)" if order else first


def _table(*heads: str, wraps: int | None = None) -> Table:
    """A narrow terminal folds the column `wraps` and shortens nothing: half an address is none."""
    table = Table(box=None, padding=(0, 0, 0, 2), show_header=any(heads))
    for index, head in enumerate(heads):
        table.add_column(Text(head, "dim"), no_wrap=index != wraps, overflow="fold")
    return table


def _units(found: Mapping[str, Any], units: int) -> str:
    """Whole tokens grouped by thousands, as people read them."""
    sign, rest = ("-", -units) if units < 0 else ("", units)
    whole, _, places = format_units(rest, found["decimals"]).partition(".")
    grouped = f"{int(whole):,}".replace(",", "\u00a0")
    return sign + grouped + (f",{places}" if places else "")
