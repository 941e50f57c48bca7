"""`sandbox pay` and `sandbox trigger`: what customers do, and everybody else."""

import json
import sys
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import typer

from sandbox.cli import completion, trigger
from sandbox.cli.options import HOME, AsJson, DataDir, examples
from sandbox.lab.scenarios import PAYERS

PAY_EXAMPLES = examples(
    "sandbox pay  # the newest open session, on Solana",
    "sandbox pay cs_01kahz3mfyf2r8q3v1s6w0d9xt --chain evm",
    "sandbox pay --as aigul --amount-tiyn 50000  # a part, by somebody",
    "sandbox pay --as short  # a payer of `sandbox trigger`: 1% too little",
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
    chain: Annotated[
        str,
        typer.Option(help="Which option of the session to use.", autocompletion=completion.chains),
    ] = "solana",
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

    Without --as and --amount-tiyn the last two digits of the session's
    amount may choose a payer: 250004 is paid too little. The digits are in
    docs/magic-values.md, the payers in `sandbox trigger --help`.
    """
    from sandbox.cli import pay as command
    from sandbox.cli.endpoints import Running
    from sandbox.cli.recorded import note, unrecorded
    from sandbox.cli.wallets import check_name

    if wallet is not None:
        check_name(wallet)
        _say_if_new(wallet, data_dir)
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
    session: Annotated[
        str | None,
        typer.Option(help="Payers: the session to pay, cs_…", autocompletion=completion.sessions),
    ] = None,
    chain: Annotated[
        str | None,
        typer.Option(help="Default: the first chain.", autocompletion=completion.chains),
    ] = None,
    amount_tiyn: Annotated[
        int | None,
        typer.Option("--amount-tiyn", "--amount", help="Of the session that is made.", min=1),
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


def _say_if_new(name: str, data_dir: Path) -> None:
    """A mistyped payer would be a wallet of that name, made on the spot."""
    payers = [payer.name for payer in PAYERS]
    known = {file.stem for file in (data_dir / "wallets").glob("*")}
    if name not in known.union(payers):
        near = get_close_matches(name, payers, 1, 0.7)
        hint = f"; the payer is called {near[0]}" if near else ""
        print(f"{name} is a new wallet{hint}", file=sys.stderr)


def _say(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False), flush=True)
