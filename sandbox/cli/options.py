"""Options that many commands have, the panels of `sandbox --help`, and how examples are shown."""

from pathlib import Path
from typing import Annotated, Final, Literal, get_args

import typer

RUN: Final = "Run"
DEVELOP: Final = "Develop against it"
WORLD: Final = "Time, chains and faults"
VERIFY: Final = "Verify"
MEASURE: Final = "Measure"

Caller = Literal["merchant", "operator", "regulator"]
ChainName = Literal["solana", "evm"]
CHAINS: Final[tuple[ChainName, ...]] = get_args(ChainName)

DataDir = Annotated[
    Path,
    typer.Option(
        "--data-dir",
        envvar="SANDBOX_DATA_DIR",
        help="Where the sandbox keeps its state.",
        # What cannot be read is refused by name, with a remedy.
        readable=False,
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="For programs: the last line is one JSON object.")
]
AsLines = Annotated[bool, typer.Option("--json", help="The same as --format json.")]
Format = Annotated[
    Literal["text", "json"],
    typer.Option("--format", help="text for people; json: one object a line."),
]
Key = Annotated[
    str | None,
    typer.Option("--key", help="A merchant's API key; default: the seeded one's.", metavar="KEY"),
]
Role = Annotated[
    Caller,
    typer.Option("--role", help="Who asks. merchant: its own; operator, regulator: everybody's."),
]
OneChain = Annotated[ChainName, typer.Option("--chain", help="Which chain.")]
BothChains = Annotated[ChainName | None, typer.Option("--chain", help="Default: both chains.")]
HOME = Path(".sandbox")


def examples(*lines: str) -> str:
    """The end of a command's help: what to type, and behind two spaces and # what it does."""
    shown = []
    for line in lines:
        typed, sign, what = line.replace("[", "\\[").partition("  # ")
        shown.append(f"$ {typed}" + (f"  [dim]# {what}[/]" if sign else ""))
    return "\n".join(["[bold]Examples[/]", *shown])
