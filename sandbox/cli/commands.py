"""The `sandbox` command. Each command imports only what it needs, when it runs."""

import json
import sys
from collections.abc import Sequence
from enum import StrEnum
from itertools import pairwise, takewhile
from pathlib import Path
from typing import Annotated, Any

import typer

from sandbox.cli import (
    cassettes,
    clock,
    develop,
    devnet,
    explain,
    faults,
    output,
    paying,
    snapshots,
    token,
    trigger,
    verifying,
    webhooks,
)
from sandbox.cli.options import (
    DEVELOP,
    HOME,
    MEASURE,
    RUN,
    VERIFY,
    WORLD,
    AsJson,
    DataDir,
    examples,
)
from sandbox.core.errors import SandboxError
from sandbox.devnets.errors import DevnetError

app = typer.Typer(
    name="sandbox",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A whole stablecoin payment system of a pilot city on this machine. A simulation.",
    epilog=examples(
        "sandbox up  # first; everything else in another shell",
        'eval "$(sandbox env)"  # API and KEY as shell variables',
        "sandbox listen --forward-to localhost:3000/hooks",
        "sandbox pay  # the newest open checkout session",
        "sandbox --install-completion  # TAB knows commands, ids and names",
    )
    + "\n\nExit status: 0 done, 1 refused or failed, 2 wrong usage.",
)
app.add_typer(clock.app, name="clock", rich_help_panel=WORLD)
app.add_typer(verifying.settlement_app, name="settlement", rich_help_panel=VERIFY)
app.add_typer(verifying.log_app, name="log", rich_help_panel=VERIFY)
app.add_typer(faults.app, name="faults", rich_help_panel=WORLD)
app.add_typer(devnet.app, name="devnet", rich_help_panel=WORLD)
app.add_typer(verifying.attest_app, name="attest", rich_help_panel=VERIFY)
app.add_typer(token.app, name="token", rich_help_panel=WORLD)
app.add_typer(webhooks.app, name="webhooks", rich_help_panel=DEVELOP)
app.add_typer(develop.events_app, name="events", rich_help_panel=DEVELOP)
app.add_typer(develop.logs_app, name="logs", rich_help_panel=DEVELOP)

Port = Annotated[int, typer.Option(help="0 = any free port.", min=0, max=65535)]
PortOfTwo = Annotated[
    int,
    typer.Option(help="The next one is for its WebSocket. 0 = any free ports.", min=0, max=65534),
]


def _say(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False), flush=True)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"sandbox {version('kzte-sandbox')}")
        raise typer.Exit


@app.callback()
def _root(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="The version.")
    ] = False,
) -> None:
    pass


@app.command(
    rich_help_panel=RUN,
    epilog=examples(
        "sandbox up",
        "sandbox up --port 0 --solana-port 0 --evm-port 0  # any free ports",
        "sandbox up --data-dir b --slot-ms 50  # a second, quicker one",
    ),
)
def up(
    data_dir: DataDir = HOME,
    port: Port = 8000,
    solana_port: PortOfTwo = 8899,
    evm_port: Port = 8545,
    slot_ms: Annotated[
        int, typer.Option(min=5, max=10_000, help="How long a Solana slot is.")
    ] = 400,
    finality: Annotated[
        int, typer.Option(min=2, max=64, help="Slots until a block is final on Solana.")
    ] = 32,
    evm_block_ms: Annotated[
        int, typer.Option(min=5, max=10_000, help="So long an EVM transaction waits for its block.")
    ] = 200,
    evm_final_delay_ms: Annotated[
        int, typer.Option(min=5, max=60_000, help="So long until an EVM block is final.")
    ] = 1_000,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=2**63 - 1,
            help="Make a world that can be made again: the same ids, keys, addresses and times."
            " Its clock stands until `sandbox clock advance`. Whoever knows the seed knows every"
            " key and secret in it.",
        ),
    ] = None,
    forks_dir: Annotated[
        Path | None,
        typer.Option(
            "--forks-dir",
            help="Where forks that the API is asked for are written, and nowhere else; default:"
            " the folder forks in the data directory.",
            readable=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Start everything and stay up; Ctrl-C stops it. The next start goes on where it was."""
    from sandbox.cli import up as command
    from sandbox.cli.stack import Plan

    plan = Plan(
        data_dir,
        port,
        solana_port,
        evm_port,
        slot_ms,
        finality,
        evm_block_ms,
        evm_final_delay_ms,
        seed,
        forks_dir,
    )
    raise typer.Exit(command.up(plan, as_json))


@app.command(
    rich_help_panel=RUN,
    epilog=examples(
        "sandbox down",
        "sandbox down --data-dir b --json",
    ),
)
def down(data_dir: DataDir = HOME, as_json: AsJson = False) -> None:
    """Stop the sandbox of a data directory and nothing else."""
    from sandbox.cli import up as command

    raise typer.Exit(command.down(data_dir, as_json))


class Script(StrEnum):
    """What a demo plays."""

    checkout = "checkout"
    reserve = "reserve"


@app.command(
    rich_help_panel=RUN,
    epilog=examples(
        "sandbox demo",
        "sandbox demo reserve",
        "sandbox demo --data-dir demo  # and look at its state later",
    ),
)
def demo(
    script: Annotated[
        Script,
        typer.Argument(help="checkout: a payment on each chain; reserve: tenge in and out."),
    ] = Script.checkout,
    as_json: AsJson = False,
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", readable=False, help="Keep the demo's state there."),
    ] = None,
    slot_ms: Annotated[
        int, typer.Option(min=5, max=10_000, help="Length of a slot, and of an EVM block.")
    ] = 50,
) -> None:
    """Play the whole money path once, from deposit to payout and proof, on free ports."""
    from sandbox.cli import demo as command
    from sandbox.cli import demo_reserve

    play = demo_reserve.play if script == Script.reserve else None
    raise typer.Exit(command.run(data_dir, slot_ms, as_json, play))


app.command("listen", rich_help_panel=DEVELOP, epilog=develop.LISTEN_EXAMPLES)(develop.listen)
app.command("open", rich_help_panel=DEVELOP, epilog=develop.OPEN_EXAMPLES)(develop.open_)


app.command(rich_help_panel=DEVELOP, epilog=paying.PAY_EXAMPLES)(paying.pay)
app.command("trigger", rich_help_panel=DEVELOP, epilog=trigger.help_text())(paying.trigger_)
app.command("explain", rich_help_panel=DEVELOP, epilog=examples(*explain.EXAMPLES))(explain.explain)


@app.command(
    rich_help_panel=DEVELOP,
    epilog=examples(
        'eval "$(sandbox env)"',
        'curl -s "$API/v1/events" -H "Authorization: Bearer $KEY"',
        "sandbox env --json | jq -r .KEY",
    ),
)
def env(data_dir: DataDir = HOME, as_json: AsJson = False) -> None:
    """Addresses and keys as shell variables: eval "$(sandbox env)"."""
    from sandbox.cli import show
    from sandbox.cli.endpoints import Running

    values = show.variables(Running.of(data_dir).endpoints)
    if as_json:
        _say(values)
    else:
        show.assignments(values)


@app.command(
    rich_help_panel=DEVELOP,
    epilog=examples(
        "sandbox pay && sandbox quiesce && sandbox audit",
        "sandbox quiesce --timeout-s 10 --json",
    ),
)
def quiesce(
    data_dir: DataDir = HOME,
    timeout_s: Annotated[int, typer.Option(help="How long to wait.", min=0, max=60)] = 60,
    as_json: AsJson = False,
) -> None:
    """Wait until nothing is left to do: payments final, webhooks delivered, log signed."""
    from sandbox.cli import show
    from sandbox.cli.endpoints import Running

    quiet = Running.of(data_dir).quiesce(timeout_s)
    if as_json:
        _say(quiet)
    else:
        show.out.print(
            f"[green]✓[/] nothing is left to do, after {quiet['waited_ms'] / 1000:.1f} s"
        )


@app.command(
    rich_help_panel=RUN,
    epilog=examples(
        "sandbox doctor",
        "sandbox doctor --data-dir b --port 8001 --json",
    ),
)
def doctor(
    data_dir: DataDir = HOME,
    port: Port = 8000,
    solana_port: PortOfTwo = 8899,
    evm_port: Port = 8545,
    as_json: AsJson = False,
) -> None:
    """Look for what keeps a sandbox from starting or working here; exit 1 if something does."""
    from sandbox.cli import doctor as command
    from sandbox.cli.stack import wanted

    raise typer.Exit(command.run(data_dir, wanted(port, solana_port, evm_port), as_json))


@app.command(
    rich_help_panel=VERIFY,
    epilog=examples(
        "sandbox audit",
        "sandbox audit --json | jq .ok",
    ),
)
def audit(data_dir: DataDir = HOME, as_json: AsJson = False) -> None:
    """Recompute every invariant from raw rows and chains; exit 1 on any breach."""
    from sandbox.cli.endpoints import Running

    report = Running.of(data_dir).get("/v1/sandbox/audit")
    if as_json:
        _say(report)
    else:
        from sandbox.cli import show

        show.audit(report)
    raise typer.Exit(0 if report["ok"] else 1)


@app.command(
    rich_help_panel=MEASURE,
    epilog=examples(
        "sandbox bench",
        "sandbox bench --payments 200 --most 1000",
        "sandbox bench --devnet solana --json",
    ),
)
def bench(
    payments: Annotated[int, typer.Option(help="Payments per measurement.", min=10)] = 1000,
    most: Annotated[
        int, typer.Option(help="Payments that one world grows to; 100,000 take minutes.", min=1000)
    ] = 100_000,
    statement_lines: Annotated[
        int, typer.Option(help="Only reconcile a statement of so many lines; 0: all.", min=0)
    ] = 0,
    devnet: Annotated[str | None, typer.Option(help="Only the devnet of this chain.")] = None,
    webhooks_only: Annotated[
        bool, typer.Option("--webhooks", help="Only webhooks and event streams.")
    ] = False,
    history: Annotated[
        int, typer.Option(help="Past transactions of that devnet.", min=100_000)
    ] = 1_000_000,
    as_json: AsJson = False,
) -> None:
    """Measure the sandbox against the limits of this machine, in the same run."""
    from sandbox.cli.benches import run as command

    if statement_lines:
        raise typer.Exit(command.reconcile(statement_lines, as_json))
    if webhooks_only:
        raise typer.Exit(command.only_webhooks(as_json))
    if devnet is not None:
        if devnet not in command.DEVNETS:
            raise typer.BadParameter(f"--devnet must be one of: {', '.join(command.DEVNETS)}")
        raise typer.Exit(command.one_devnet(devnet, history, as_json))
    raise typer.Exit(command.run(payments, most, history, as_json))


cassettes.add_to(app)
app.add_typer(snapshots.app, name="snapshot", rich_help_panel=WORLD)
app.command(rich_help_panel=WORLD, epilog=snapshots.RESET_EXAMPLES)(snapshots.reset)
app.command(rich_help_panel=WORLD, epilog=snapshots.FORK_EXAMPLES)(snapshots.fork)


def main() -> None:
    """Run a command; what is refused by name becomes one line and an exit code."""
    output.guard()
    try:
        status = _run()
        sys.stdout.flush()
    except output.ReaderGone as gone:
        status = gone.exit_status
    except output.OutputLost as lost:
        from sandbox.cli import show

        show.failure(str(lost))
        status = lost.exit_status
    sys.exit(status)


def _run() -> int:
    try:
        return app(prog_name="sandbox", standalone_mode=False) or 0
    except typer.TyperException as error:
        return _wrong_usage(error)
    except DevnetError as error:
        return _refused(error.code, error.message, error.remedy)
    except SandboxError as error:
        return _refused(error.code, error.detail)


def _refused(code: str, message: str, remedy: str = "") -> int:
    from sandbox.cli import show

    show.failure(message, remedy)
    _tell_programs(code, message, remedy)
    return 1


def _wrong_usage(error: Any) -> int:
    """People see it as Typer shows it, whose class for it (`UsageError`) is private."""
    from typer.rich_utils import rich_format_error

    rich_format_error(error)
    path = "sandbox" if error.ctx is None else error.ctx.command_path
    _tell_programs("wrong_usage", error.format_message(), f"{path} --help")
    status: int = error.exit_code
    return status


def _tell_programs(code: str, message: str, remedy: str) -> None:
    if _is_json_asked_for(sys.argv[1:]):
        _say({"object": "error", "code": code, "detail": message, "remedy": remedy or None})


def _is_json_asked_for(typed: Sequence[str]) -> bool:
    """What stands behind -- is another program's."""
    own = list(takewhile(lambda word: word != "--", typed))
    return bool({"--json", "--format=json"} & {*own}) or ("--format", "json") in pairwise(own)
