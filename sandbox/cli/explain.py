"""`sandbox explain`: why an object is as it is, from its request to its last webhook."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sandbox.cli import completion
from sandbox.cli.options import HOME, AsJson, DataDir
from sandbox.core.errors import SandboxError

EXAMPLES = (
    "sandbox explain pay_01m7zzhx474653wqqjcgnj4zp6",
    "sandbox explain cs_01m7zzhx474653wqqjcgnj4zp3 --lang kk",
    "sandbox explain cs_01m7zzhx474653wqqjcgnj4zp3 --tx 5VwX…  # why did this not pay it?",
    "sandbox explain stl_01m7zzhx474653wqqjcgnj4zp9 --svg settlement.svg",
)


class Viewer(StrEnum):
    """Whose key asks: each sees what its role may read."""

    operator = "operator"
    merchant = "merchant"
    issuer = "issuer"
    regulator = "regulator"


class Lang(StrEnum):
    kk = "kk"
    ru = "ru"
    en = "en"


class NotExplained(SandboxError):
    """The id is of nothing that has an explanation."""

    code = "not_explained"

    def __init__(self, id_: str, known: str) -> None:
        super().__init__(f"{id_} is no id of an object that can be explained: {known}")


def path_of(id_: str) -> str:
    """The route that explains an object. Raises `NotExplained`."""
    from sandbox.explain.paths import EXPLAINED, OBJECTS, PATHS

    prefix, _, rest = id_.partition("_")
    found = OBJECTS.get(prefix)
    if found not in EXPLAINED or not rest.isalnum():
        known = ", ".join(f"{prefix}_…" for prefix, kind in OBJECTS.items() if kind in EXPLAINED)
        raise NotExplained(id_, known)
    return f"{PATHS[found]}/{id_}/explain"


def explain(
    id_: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="What to explain: cs_…, pay_…, re_…, stl_…, evt_… and others.",
            autocompletion=completion.objects,
        ),
    ],
    data_dir: DataDir = HOME,
    lang: Annotated[Lang, typer.Option(help="The language of the texts.")] = Lang.en,
    tx: Annotated[
        str, typer.Option(help="Of a session: why this transaction paid it, or did not.")
    ] = "",
    svg: Annotated[
        Path | None,
        typer.Option(help="Write a sequence diagram there; - is standard output.", allow_dash=True),
    ] = None,
    viewer: Annotated[
        Viewer, typer.Option("--as", "--role", help="Whose key asks.")
    ] = Viewer.operator,
    as_json: AsJson = False,
) -> None:
    """Say why an object is as it is: every step, every rule, and what it still waits for."""
    from sandbox.cli.endpoints import Running

    running = Running.of(data_dir)
    form = "json" if as_json else "text" if svg is None else "svg"
    query: dict[str, str | int] = {"format": form, "lang": lang.value}
    if tx:
        query["tx"] = tx
    said = running.text(path_of(id_), viewer.value, **query)
    if svg is not None and not as_json and str(svg) != "-":
        try:
            svg.write_text(said, "utf-8")
        except OSError as error:
            from sandbox.cli.log import NotWritable

            raise NotWritable(svg, error) from None
        print(f"{svg}: {len(said.encode())} bytes", file=sys.stderr)
    elif form == "text":
        _show(said)
    else:
        print(said.rstrip(), flush=True)


def _show(said: str) -> None:
    """The text with colours where a terminal has them; nothing in it is markup."""
    from rich.text import Text

    from sandbox.cli.show import out

    for line in said.splitlines():
        text = Text(line)
        text.highlight_regex(r"✓", "green")
        text.highlight_regex(r"✗", "bold red")
        text.highlight_regex(r"^ *\d+\. ", "dim")
        text.highlight_regex(r"^\S.*:$", "bold")
        out.print(text)
