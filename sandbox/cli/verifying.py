"""The commands of whoever checks: `log`, `attest` and `settlement`. Each imports only what
it needs, when it runs.
"""

from pathlib import Path
from typing import Annotated

import typer

from sandbox.cli import completion
from sandbox.cli.options import HOME, AsJson, DataDir, Key, examples

Vkey = Annotated[
    str | None,
    typer.Option("--vkey", help="The log's public key, as its owner told it to you."),
]

log_app = typer.Typer(
    no_args_is_help=True,
    help="Verify or export the settlement log, whole or one event.",
    epilog=examples("sandbox log verify", "sandbox log export ./log"),
)
attest_app = typer.Typer(
    no_args_is_help=True,
    help="Make or verify attestations of supply and reserve.",
    epilog=examples("sandbox attest make att.json"),
)
settlement_app = typer.Typer(
    no_args_is_help=True,
    help="Fetch a settlement's report, or verify one offline.",
    epilog=examples(
        "sandbox settlement report stl_01kahz3mfyf2r8q3v1s6w0d9xt report.json",
        "sandbox settlement verify report.json",
    ),
)


@log_app.command(
    "verify",
    epilog=examples(
        "sandbox log verify",
        'sandbox log verify exported --vkey "$LOG_VKEY"  # offline',
        'sandbox log verify receipt.json --vkey "$LOG_VKEY" --json',
    ),
)
def log_verify(
    source: Annotated[
        str | None,
        typer.Argument(
            help="An exported folder, a receipt's file, or a sandbox's URL; default: the running"
            " sandbox."
        ),
    ] = None,
    vkey: Vkey = None,
    since: Annotated[
        Path | None, typer.Option(help="An older checkpoint that the log must still contain.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="A regulator's API key, for a URL.")] = None,
    epoch: Annotated[
        int | None,
        typer.Option(
            help="The log of this epoch: of a sandbox also one that was left, of an export also one"
            " that it goes on from.",
            min=1,
        ),
    ] = None,
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Check every entry, hash and signature of the log; exit 1 if one byte is wrong."""
    from sandbox.cli import log

    raise typer.Exit(log.verify(source, vkey, since, key, data_dir, as_json, epoch))


@log_app.command(
    "export",
    epilog=examples(
        "sandbox log export exported",
        "sandbox log export exported --json",
    ),
)
def log_export(
    folder: Annotated[
        Path, typer.Argument(help="Where to; an older export is brought up to date.")
    ],
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Write the whole log as static files that can be verified offline.

    Of a restored world also the epochs that it goes on from, each in a
    folder e<N> of its own.
    """
    from sandbox.cli import log

    raise typer.Exit(log.export(folder, data_dir, as_json))


@log_app.command(
    "receipt",
    epilog=examples(
        "sandbox log receipt evt_01kahz3mfyf2r8q3v1s6w0d9xt receipt.json",
    ),
)
def log_receipt(
    event: Annotated[
        str, typer.Argument(help="An event, evt_…", autocompletion=completion.event_ids)
    ],
    file: Annotated[Path, typer.Argument(help="Where to.")],
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Write the proof that one event stands in the log, for anyone to verify offline."""
    from sandbox.cli import log

    raise typer.Exit(log.receipt(event, file, data_dir, as_json))


@attest_app.command(
    "make",
    epilog=examples(
        "sandbox attest make",
        "sandbox attest make attestation.json",
    ),
)
def attest_make(
    file: Annotated[Path | None, typer.Argument(help="Where to write it.")] = None,
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Have supply and reserve attested now."""
    from sandbox.cli import attest

    raise typer.Exit(attest.make(file, data_dir, as_json))


@attest_app.command(
    "verify",
    epilog=examples(
        "sandbox attest verify attestation.json --log exported",
        "sandbox attest verify attestation.json --log exported --json",
    ),
)
def attest_verify(
    file: Annotated[Path, typer.Argument(help="An attestation, as the API shows it.")],
    log: Annotated[Path, typer.Option(help="An export of the log, made afterwards.")],
    vkey: Vkey = None,
    statement: Annotated[
        Path | None, typer.Option(help="The bank's statement of that day, as the API shows it.")
    ] = None,
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Recompute an attestation offline from a log; exit 1 if anything differs."""
    from sandbox.cli import attest

    raise typer.Exit(attest.verify(file, log, vkey, statement, data_dir, as_json))


@attest_app.command(
    "branch",
    epilog=examples(
        "sandbox attest branch branch.json",
        'sandbox attest branch branch.json --vkey "$LOG_VKEY"  # offline',
    ),
)
def attest_branch(
    file: Annotated[Path, typer.Argument(help="A holder's branch, as the API shows it.")],
    vkey: Vkey = None,
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Check offline that a holder's claims are counted in an attestation."""
    from sandbox.cli import attest

    raise typer.Exit(attest.branch(file, vkey, data_dir, as_json))


@settlement_app.command(
    "report",
    epilog=examples(
        "sandbox settlement report stl_01kahz3mfyf2r8q3v1s6w0d9xt report.json",
    ),
)
def settlement_report(
    settlement: Annotated[str, typer.Argument(help="A settlement, stl_…")],
    file: Annotated[Path, typer.Argument(help="Where to.")],
    key: Key = None,
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Write a settlement's report with all of its proofs, for anyone to verify offline."""
    from sandbox.cli import settlement as command

    raise typer.Exit(command.report(settlement, file, key, data_dir, as_json))


@settlement_app.command(
    "verify",
    epilog=examples(
        "sandbox settlement verify report.json",
        'sandbox settlement verify report.json --vkey "$LOG_VKEY"  # offline',
    ),
)
def settlement_verify(
    file: Annotated[Path, typer.Argument(help="A report in JSON, with proofs.")],
    vkey: Vkey = None,
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Compute a report again from its proofs; exit 1 and name the first line that is wrong."""
    from sandbox.cli import settlement as command

    raise typer.Exit(command.verify(file, vkey, data_dir, as_json))
