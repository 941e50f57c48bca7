"""`sandbox pay` and `sandbox trigger`: what customers do, and everybody else."""

import json
from typing import Annotated, Any

import typer

from sandbox.cli import completion, trigger
from sandbox.cli.options import HOME, AsJson, DataDir, examples

PAY_EXAMPLES = examples(
    "sandbox pay  # the newest open session, on Solana",
    "sandbox pay cs_01kahz3mfyf2r8q3v1s6w0d9xt --chain evm",
    "sandbox pay --amount-tiyn 50000 --wallet aigul  # a part, by somebody",
)


def pay(
    session: Annotated[
        str | None,
        typer.Argument(
            help="A checkout session, cs_…; default: the newest open one. Also a redemption, red_…,"
            " or a move between chains, mov_…: they name their chain themselves.",
            autocompletion=completion.sessions,
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
            autocompletion=completion.wallets,
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
    from sandbox.cli.recorded import note, unrecorded

    # A recording has the payment as one act, and none of the requests that it takes.
    running = unrecorded(data_dir)
    session = session or command.newest_open(running)
    if not command.is_intake(session) and (
        payer := command.simulated(running, session, wallet, amount_tiyn)
    ):
        answer = trigger.run(Running.of(data_dir), payer, session, chain, None)
        if as_json:
            _say(answer)
        else:
            trigger.show(answer)
        return
    asked = {
        "session": session,
        "chain": chain,
        "wallet": wallet or command.RESIDENT,
        "amount_tiyn": amount_tiyn,
    }
    paid = command.act(running, data_dir, asked)
    note("pay", **asked, tx=paid["tx"])
    if as_json:
        _say(paid)
    else:
        from sandbox.cli import show

        show.paid(paid)


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


def _say(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False), flush=True)
