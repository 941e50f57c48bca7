"""Options that every command has."""

from pathlib import Path
from typing import Annotated

import typer

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
HOME = Path(".sandbox")
