"""`sandbox record`, `sandbox replay` and `sandbox diff`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from sandbox.cli.options import DEVELOP, HOME, AsJson, DataDir, examples

_RECORD = """Record what a program does: requests, answers, events, chain transactions.

The command gets the recorder's address as API and KZTE_API, and all
else that `sandbox env` says; commands of the sandbox are recorded, too.
Without a command it records until Ctrl-C. Secrets are left out.
"""
_REPLAY = """Send a recording's requests again, to a sandbox or, offline, to nobody.

To a sandbox: the same requests with the same idempotency keys; what this
world calls otherwise, as ids and addresses, is put in its place. The new
recording is for `sandbox diff`.

Offline: recorded answers for a client's tests, found by method, path and
body; no sandbox runs.
"""
_DIFF = """Show where two recordings part; exit 1 if they do.

The first difference with what came before it, then how many there are of
each sort. What is the machine's (request_id, waited_ms, …) is left out by
name: docs/record-and-compare.md has the list.
"""
_MORE = {"allow_extra_args": True, "ignore_unknown_options": False}


def add_to(app: typer.Typer) -> None:
    """The three commands."""
    app.command(
        "record",
        help=_RECORD,
        context_settings=_MORE,
        rich_help_panel=DEVELOP,
        epilog=examples(
            "sandbox record --out one.jsonl -- python tests/checkout.py",
            "sandbox record --out by-hand.jsonl  # until Ctrl-C",
        ),
    )(record)
    app.command(
        "replay",
        help=_REPLAY,
        context_settings=_MORE,
        rich_help_panel=DEVELOP,
        epilog=examples(
            "sandbox replay one.jsonl --out two.jsonl",
            "sandbox replay one.jsonl --offline -- npm test",
        ),
    )(replay)
    app.command(
        "diff",
        help=_DIFF,
        rich_help_panel=DEVELOP,
        epilog=examples(
            "sandbox diff one.jsonl two.jsonl",
            "sandbox diff one.jsonl two.jsonl --mask created --rename-ids",
        ),
    )(diff)


def record(
    context: typer.Context,
    out: Annotated[Path, typer.Option("--out", help="The recording.")],
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    from sandbox.cli import record as command

    raise typer.Exit(command.record(data_dir, out, context.args, as_json))


def replay(
    context: typer.Context,
    cassette: Annotated[Path, typer.Argument(help="A recording.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Where to put the new recording.")
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Serve the recorded answers; no sandbox needed.")
    ] = False,
    port: Annotated[
        int, typer.Option(help="Offline: where to listen; 0 = any free port.", min=0, max=65535)
    ] = 0,
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    from sandbox.cli import replay as command

    if offline:
        raise typer.Exit(command.offline(cassette, port, context.args, as_json))
    raise typer.Exit(command.replay(cassette, data_dir, out, as_json))


def diff(
    first: Annotated[Path, typer.Argument(help="A recording.")],
    second: Annotated[Path, typer.Argument(help="Another one.")],
    mask: Annotated[
        list[str] | None, typer.Option(help="A member to leave out; may be repeated.")
    ] = None,
    rename_ids: Annotated[
        bool,
        typer.Option("--rename-ids", help="Count ids by their order: for runs without a seed."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    from sandbox.cassette import comparing, tape
    from sandbox.cli import show

    found = comparing.compare(tape.read(first), tape.read(second), mask or (), rename=rename_ids)
    if as_json:
        print(json.dumps(found.as_json(), ensure_ascii=False), flush=True)
    else:
        show.comparison(found, str(first), str(second), is_renamed=rename_ids)
    raise typer.Exit(0 if found.is_same else 1)
