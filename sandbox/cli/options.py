"""Options that many commands have, the panels of `sandbox --help`, and how examples are shown."""

from pathlib import Path
from typing import Annotated, Final, Literal

import typer

RUN: Final = "Run"
DEVELOP: Final = "Develop against it"
WORLD: Final = "Time, chains and faults"
VERIFY: Final = "Verify"
MEASURE: Final = "Measure"

Caller = Literal["merchant", "operator", "regulator"]

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
AsJson = Annotated[bool, typer.Option("--json", help="One line of JSON, the last one.")]
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
    typer.Option("--role", help="merchant: its own events; the others see everybody's, bare."),
]
HOME = Path(".sandbox")


def examples(*lines: str) -> str:
    """The end of a command's help: what to type, and behind two spaces and # what it does."""
    shown = []
    for line in lines:
        typed, sign, what = line.replace("[", "\\[").partition("  # ")
        shown.append(f"$ {typed}" + (f"  [dim]# {what}[/]" if sign else ""))
    return "\n".join(["[bold]Examples[/]", *shown])
