"""`sandbox faults all` and `switch`: the one table of what can go wrong between two parts, also of
the bank and the API, and what is on in it.
"""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import typer

from sandbox.cli import completion
from sandbox.cli.options import HOME, AsJson, BothChains, DataDir, examples

ALL_EXAMPLES = examples("sandbox faults all", "sandbox faults all --json")
SWITCH_EXAMPLES = examples(
    "sandbox faults switch bank.reject  # the next payment order",
    "sandbox faults switch chain.send_lost --chain evm --times 2",
    "sandbox faults switch chain.send_lost --times 0  # over",
)


def all_(data_dir: DataDir = HOME, as_json: AsJson = False) -> None:
    """Show every fault between every two parts: what breaks, what recovers, what is on."""
    _show(_table(data_dir), as_json, only_on=False)


def switch(
    fault: Annotated[
        str,
        typer.Argument(help="As `sandbox faults all` names it.", autocompletion=completion.faults),
    ],
    times: Annotated[int, typer.Option(min=0, max=1000, help="0 = off, and mended.")] = 1,
    chain: BothChains = None,
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Let any fault strike so many times: the bank's, the API's or a chain's."""
    from sandbox.cli.endpoints import Running

    asked = {"fault": fault, "times": times} | ({"chain": chain} if chain else {})
    with closing(Running.of(data_dir)) as running:
        table = running.post("/v1/sandbox/faults", asked)
    _show(table, as_json, only_on=True)


def elsewhere(data_dir: Path) -> dict[str, int]:
    """The faults that are on and no chain's: name → how many times more they strike."""
    rows = _table(data_dir)["data"]
    found: Counter[str] = Counter()
    for row in rows:
        if row["times"] and not row["fault"].startswith("chain."):
            found[row["fault"]] += row["times"]
    return dict(found)


def end_elsewhere(data_dir: Path) -> None:
    """Switch off what `elsewhere` finds."""
    from sandbox.cli.endpoints import Running

    with closing(Running.of(data_dir)) as running:
        for name in elsewhere(data_dir):
            running.post("/v1/sandbox/faults", {"fault": name, "times": 0})


def _table(data_dir: Path) -> dict[str, Any]:
    from sandbox.cli.endpoints import Running

    with closing(Running.of(data_dir)) as running:
        table: dict[str, Any] = running.get("/v1/sandbox/faults")
    return table


def _show(table: dict[str, Any], as_json: bool, *, only_on: bool) -> None:
    from sandbox.cli import show

    if as_json:
        print(json.dumps(table, ensure_ascii=False), flush=True)
        return
    rows = [row for row in table["data"] if row["times"] or not only_on]
    for hop, of_hop in groupby(rows, lambda row: row["hop"]):
        show.out.print(f"[bold]{hop}[/]")
        for name, of_fault in groupby(of_hop, lambda row: row["fault"]):
            same = list(of_fault)
            show.out.print(f"  {name}{''.join(_where(same))}")
            show.indented(same[0]["means"], 6)
            show.indented("→ " + same[0]["recovers"], 6)
    if not rows:
        show.out.print("[green]✓[/] nothing is switched on")
    elif not only_on:
        show.out.print("\n`sandbox faults switch FAULT --times N` lets one happen, N = 0 ends it.")


def _where(rows: list[dict[str, Any]]) -> Iterator[str]:
    """On which chains there is such a fault, and where it is on."""
    chains = [row["chain"] for row in rows if row["chain"]]
    if chains:
        yield f" [dim]({', '.join(chains)})[/]"
    for row in rows:
        if row["times"]:
            where = f" on {row['chain']}" if row["chain"] else ""
            yield f" [yellow]× {row['times']}{where}[/]"
