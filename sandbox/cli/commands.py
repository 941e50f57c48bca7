"""The `sandbox` command. Each command imports only what it needs, when it runs."""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from sandbox.cli import devnet, faults, token, trigger
from sandbox.cli.options import HOME, AsJson, DataDir
from sandbox.core.errors import SandboxError
from sandbox.devnets.errors import DevnetError

app = typer.Typer(
    name="sandbox",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A whole stablecoin payment system of a pilot city on this machine. A simulation.",
)
clock_app = typer.Typer(no_args_is_help=True, help="Move or stop the sandbox clock.")
log_app = typer.Typer(
    no_args_is_help=True, help="Verify or export the settlement log, whole or one event."
)
attest_app = typer.Typer(
    no_args_is_help=True, help="Make or verify attestations of supply and reserve."
)
settlement_app = typer.Typer(
    no_args_is_help=True, help="Fetch a settlement's report, or verify one offline."
)
app.add_typer(clock_app, name="clock")
app.add_typer(settlement_app, name="settlement")
app.add_typer(log_app, name="log")
app.add_typer(faults.app, name="faults")
app.add_typer(devnet.app, name="devnet")
app.add_typer(attest_app, name="attest")
app.add_typer(token.app, name="token")

_INSTANTS = {"cut-off": "next_cut_off"}
Port = Annotated[int, typer.Option(help="0 = any free port.", min=0, max=65535)]


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


@app.command()
def up(
    data_dir: DataDir = HOME,
    port: Port = 8000,
    solana_port: Port = 8899,
    evm_port: Port = 8545,
    slot_ms: Annotated[int, typer.Option(min=5, max=10_000, help="Length of a Solana slot.")] = 400,
    finality: Annotated[
        int, typer.Option(min=2, max=64, help="Slots until a block is final on Solana.")
    ] = 32,
    evm_block_ms: Annotated[
        int, typer.Option(min=5, max=10_000, help="An EVM transaction is in a block within.")
    ] = 200,
    evm_final_delay_ms: Annotated[
        int, typer.Option(min=5, max=60_000, help="Until an EVM block is final.")
    ] = 1_000,
    as_json: AsJson = False,
) -> None:
    """Start everything and stay up; Ctrl-C stops it. The next start goes on where it was."""
    from sandbox.cli import up as command
    from sandbox.cli.stack import Plan

    plan = Plan(
        data_dir, port, solana_port, evm_port, slot_ms, finality, evm_block_ms, evm_final_delay_ms
    )
    raise typer.Exit(command.up(plan, as_json))


@app.command()
def down(data_dir: DataDir = HOME) -> None:
    """Stop the sandbox of a data directory and nothing else."""
    from sandbox.cli import up as command

    raise typer.Exit(command.down(data_dir))


class Script(StrEnum):
    """What a demo plays."""

    checkout = "checkout"
    reserve = "reserve"


@app.command()
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
    slot_ms: Annotated[int, typer.Option(min=5, max=10_000)] = 50,
) -> None:
    """Play the whole money path once, from deposit to payout and proof, on free ports."""
    from sandbox.cli import demo as command
    from sandbox.cli import demo_reserve

    play = demo_reserve.play if script == Script.reserve else None
    raise typer.Exit(command.run(data_dir, slot_ms, as_json, play))


@app.command()
def pay(
    session: Annotated[
        str | None,
        typer.Argument(
            help="A checkout session, cs_…; default: the newest open one. Also a redemption, red_…,"
            " or a move between chains, mov_…: they name their chain themselves."
        ),
    ] = None,
    data_dir: DataDir = HOME,
    chain: Annotated[str, typer.Option(help="Which option of the session to use.")] = "solana",
    wallet: Annotated[
        str | None,
        typer.Option(
            "--as",
            "--wallet",
            help="A test wallet's name (default: resident), or a payer of `sandbox trigger`:"
            " exact, short, over, late, twice, …",
        ),
    ] = None,
    amount_tiyn: Annotated[
        int | None, typer.Option(help="Pay another amount than asked, in tiyn.", min=1)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Pay a checkout session as a test wallet; the faucet fills the wallet when it is short.

    Who names no wallet and no amount pays as the session's amount says: sandbox pay --help and
    docs/magic-values.md list the endings.
    """
    from sandbox.cli import pay as command
    from sandbox.cli.endpoints import Running

    running = Running.of(data_dir)
    session = session or command.newest_open(running)
    if command.is_intake(session):
        paid = command.send(running, data_dir, session, wallet or command.RESIDENT, amount_tiyn)
    elif (payer := command.simulated(running, session, wallet, amount_tiyn)) is not None:
        answer = trigger.run(running, payer, session, chain, None)
        if as_json:
            _say(answer)
        else:
            trigger.show(answer)
        return
    else:
        name = wallet or command.RESIDENT
        paid = command.pay(running, data_dir, session, chain, name, amount_tiyn)
    if as_json:
        _say(paid)
    else:
        from sandbox.cli import show

        show.paid(paid)


@app.command("trigger", rich_help_panel="Develop against it", epilog=trigger.help_text())
def trigger_(
    scenario: Annotated[
        str,
        typer.Argument(metavar="EVENT|SCENARIO", help="See below.", autocompletion=trigger.names),
    ],
    session: Annotated[str | None, typer.Option(help="Payers: the session to pay, cs_…")] = None,
    chain: Annotated[str | None, typer.Option(help="Default: the first chain.")] = None,
    amount_tiyn: Annotated[
        int | None, typer.Option("--amount", help="Of the session that is made, in tiyn.", min=1)
    ] = None,
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Bring an event about by real acts: sessions, signed payments, settlements, faults."""
    from sandbox.cli.endpoints import Running

    answer = trigger.run(Running.of(data_dir), scenario, session, chain, amount_tiyn)
    if as_json:
        _say(answer)
    else:
        trigger.show(answer)


@app.command()
def env(data_dir: DataDir = HOME) -> None:
    """Addresses and keys as shell variables: eval "$(sandbox env)"."""
    from sandbox.cli import show
    from sandbox.cli.endpoints import Running

    show.environment(Running.of(data_dir).endpoints)


@app.command()
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


@app.command()
def doctor(
    data_dir: DataDir = HOME,
    port: Port = 8000,
    solana_port: Port = 8899,
    evm_port: Port = 8545,
    as_json: AsJson = False,
) -> None:
    """Look for what keeps a sandbox from starting or working here; exit 1 if something does."""
    from sandbox.cli import doctor as command

    ports = {"the API": port, "Solana": solana_port, "EVM": evm_port}
    if solana_port:
        ports["Solana's WebSocket"] = solana_port + 1
    raise typer.Exit(command.run(data_dir, ports, as_json))


@app.command()
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


@clock_app.command(
    "advance",
    epilog="$ sandbox clock advance 15m\n$ sandbox clock advance 3d --step\n"
    "$ sandbox clock advance --to cut-off",
)
def clock_advance(
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
    _say_clock(Running.of(data_dir).post("/v1/sandbox/clock", asked), as_json)


@clock_app.command("freeze")
def clock_freeze(data_dir: DataDir = HOME, as_json: AsJson = False) -> None:
    """Stop sandbox time."""
    from sandbox.cli.endpoints import Running

    moved = Running.of(data_dir).post("/v1/sandbox/clock", {"freeze": True})
    _say_clock(moved | {"frozen": True}, as_json)


@clock_app.command("release")
def clock_release(data_dir: DataDir = HOME, as_json: AsJson = False) -> None:
    """Let a stopped clock go on from where it stood."""
    from sandbox.cli.endpoints import Running

    _say_clock(Running.of(data_dir).post("/v1/sandbox/clock", {"freeze": False}), as_json)


@clock_app.command("show")
def clock_show(data_dir: DataDir = HOME, as_json: AsJson = False) -> None:
    """The sandbox time now."""
    from sandbox.cli.endpoints import Running

    _say_clock(Running.of(data_dir).get("/v1/sandbox/clock"), as_json)


def _say_clock(answer: dict[str, Any], as_json: bool) -> None:
    from sandbox.cli import show

    if as_json:
        _say(answer)
    else:
        show.clock(answer["now"], answer.get("frozen", False), answer.get("fired", ()))


@log_app.command("verify")
def log_verify(
    source: Annotated[
        str | None,
        typer.Argument(
            help="An exported folder, a receipt's file, or a sandbox's URL; default: the running"
            " sandbox."
        ),
    ] = None,
    vkey: Annotated[
        str | None, typer.Option(help="The log's public key, as its owner told it to you.")
    ] = None,
    since: Annotated[
        Path | None, typer.Option(help="An older checkpoint that the log must still contain.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="A regulator's API key, for a URL.")] = None,
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Check every entry, hash and signature of the log; exit 1 if one byte is wrong."""
    from sandbox.cli import log

    raise typer.Exit(log.verify(source, vkey, since, key, data_dir, as_json))


@log_app.command("export")
def log_export(
    folder: Annotated[
        Path, typer.Argument(help="Where to; an older export is brought up to date.")
    ],
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Write the whole log as static files that can be verified offline."""
    from sandbox.cli import log

    raise typer.Exit(log.export(folder, data_dir, as_json))


@log_app.command("receipt")
def log_receipt(
    event: Annotated[str, typer.Argument(help="An event, evt_…")],
    file: Annotated[Path, typer.Argument(help="Where to.")],
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Write the proof that one event stands in the log, for anyone to verify offline."""
    from sandbox.cli import log

    raise typer.Exit(log.receipt(event, file, data_dir, as_json))


@attest_app.command("make")
def attest_make(
    file: Annotated[Path | None, typer.Argument(help="Where to write it.")] = None,
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Have supply and reserve attested now."""
    from sandbox.cli import attest

    raise typer.Exit(attest.make(file, data_dir, as_json))


@attest_app.command("verify")
def attest_verify(
    file: Annotated[Path, typer.Argument(help="An attestation, as the API shows it.")],
    log: Annotated[Path, typer.Option(help="An export of the log, made afterwards.")],
    vkey: Annotated[
        str | None, typer.Option(help="The log's public key, as its owner told it to you.")
    ] = None,
    statement: Annotated[
        Path | None, typer.Option(help="The bank's statement of that day, as the API shows it.")
    ] = None,
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Recompute an attestation offline from a log; exit 1 if anything differs."""
    from sandbox.cli import attest

    raise typer.Exit(attest.verify(file, log, vkey, statement, data_dir, as_json))


@attest_app.command("branch")
def attest_branch(
    file: Annotated[Path, typer.Argument(help="A holder's branch, as the API shows it.")],
    vkey: Annotated[
        str | None, typer.Option(help="The log's public key, as its owner told it to you.")
    ] = None,
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Check offline that a holder's claims are counted in an attestation."""
    from sandbox.cli import attest

    raise typer.Exit(attest.branch(file, vkey, data_dir, as_json))


@settlement_app.command("report")
def settlement_report(
    settlement: Annotated[str, typer.Argument(help="A settlement, stl_…")],
    file: Annotated[Path, typer.Argument(help="Where to.")],
    key: Annotated[
        str | None, typer.Option(help="The merchant's API key; default: the seeded one's.")
    ] = None,
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Write a settlement's report with all of its proofs, for anyone to verify offline."""
    from sandbox.cli import settlement as command

    raise typer.Exit(command.report(settlement, file, key, data_dir, as_json))


@settlement_app.command("verify")
def settlement_verify(
    file: Annotated[Path, typer.Argument(help="A report in JSON, with proofs.")],
    vkey: Annotated[
        str | None, typer.Option(help="The log's public key, as its owner told it to you.")
    ] = None,
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Compute a report again from its proofs; exit 1 and name the first line that is wrong."""
    from sandbox.cli import settlement as command

    raise typer.Exit(command.verify(file, vkey, data_dir, as_json))


@app.command()
def bench(
    payments: Annotated[int, typer.Option(help="Payments per measurement.", min=10)] = 1000,
    most: Annotated[
        int, typer.Option(help="Payments that one world grows to; 100,000 take minutes.", min=1000)
    ] = 100_000,
    statement_lines: Annotated[
        int, typer.Option(help="Only reconcile a statement of so many lines; 0: all.", min=0)
    ] = 0,
    devnet: Annotated[str | None, typer.Option(help="Only the devnet of this chain.")] = None,
    history: Annotated[
        int, typer.Option(help="Past transactions of that devnet.", min=100_000)
    ] = 1_000_000,
    as_json: AsJson = False,
) -> None:
    """Measure the sandbox against the limits of this machine, in the same run."""
    from sandbox.cli import bench as command

    if statement_lines:
        raise typer.Exit(command.reconcile(statement_lines, as_json))
    if devnet is not None:
        if devnet not in command.DEVNETS:
            raise typer.BadParameter(f"--devnet must be one of: {', '.join(command.DEVNETS)}")
        raise typer.Exit(command.one_devnet(devnet, history, as_json))
    raise typer.Exit(command.run(payments, most, history, as_json))


def main() -> None:
    """Run a command; what is refused by name becomes one line and an exit code."""
    from sandbox.cli import show

    try:
        app()
    except DevnetError as error:
        show.failure(error.message, error.remedy)
        sys.exit(1)
    except SandboxError as error:
        show.failure(error.detail)
        sys.exit(1)
