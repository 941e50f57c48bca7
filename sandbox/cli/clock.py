"""`sandbox clock`: move or stop sandbox time."""

import json
from typing import Annotated, Any

import typer

from sandbox.cli.options import HOME, AsJson, DataDir, examples

app = typer.Typer(
    no_args_is_help=True,
    help="Move or stop the sandbox clock.",
    epilog=examples(
        "sandbox clock show",
        "sandbox clock advance 15m",
        "sandbox clock advance --to cut-off --step",
        "sandbox clock freeze",
    ),
)
_INSTANTS = {"cut-off": "next_cut_off"}


@app.command(
    "advance",
    epilog=examples(
        "sandbox clock advance 15m",
        "sandbox clock advance 1d12h --json",
        "sandbox clock advance 3d --step  # stop wherever something is due",
        "sandbox clock advance --to cut-off",
    ),
)
def advance(
    by: Annotated[str | None, typer.Argument(help="How far: 90s, 15m, 2h, 1d.")] = None,
    to: Annotated[
        str | None,
        typer.Option(help="Instead: cut-off, the next one; or 2026-11-23T18:00:00+05:00."),
    ] = None,
    step: Annotated[
        bool, typer.Option("--step", help="Stop wherever something is due, until all is done.")
    ] = False,
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Move sandbox time forward; business timers and the chains follow."""
    from sandbox.cli.duration import seconds
    from sandbox.cli.endpoints import Running

    if (by is None) == (to is None):
        raise typer.BadParameter("say how far, or --to when")
    asked: dict[str, Any] = {"step": step}
    asked |= {"advance_s": seconds(by)} if by else {"until": _INSTANTS.get(to or "", to)}
    _show(Running.of(data_dir).post("/v1/sandbox/clock", asked), as_json)


@app.command(
    "freeze",
    epilog=examples(
        "sandbox clock freeze",
        "sandbox clock freeze --json",
    ),
)
def freeze(data_dir: DataDir = HOME, as_json: AsJson = False) -> None:
    """Stop sandbox time."""
    from sandbox.cli.endpoints import Running

    moved = Running.of(data_dir).post("/v1/sandbox/clock", {"freeze": True})
    _show(moved | {"frozen": True}, as_json)


@app.command(
    "release",
    epilog=examples(
        "sandbox clock release",
        "sandbox clock release --json",
    ),
)
def release(data_dir: DataDir = HOME, as_json: AsJson = False) -> None:
    """Let a stopped clock go on from where it stood."""
    from sandbox.cli.endpoints import Running

    _show(Running.of(data_dir).post("/v1/sandbox/clock", {"freeze": False}), as_json)


@app.command(
    "show",
    epilog=examples(
        "sandbox clock show",
        "sandbox clock show --json | jq -r .now",
    ),
)
def show(data_dir: DataDir = HOME, as_json: AsJson = False) -> None:
    """The sandbox time now."""
    from sandbox.cli.endpoints import Running

    _show(Running.of(data_dir).get("/v1/sandbox/clock"), as_json)


def _show(answer: dict[str, Any], as_json: bool) -> None:
    from sandbox.cli import show

    if as_json:
        print(json.dumps(answer, ensure_ascii=False), flush=True)
    else:
        show.clock(answer["now"], answer.get("frozen", False), answer.get("fired", ()))
