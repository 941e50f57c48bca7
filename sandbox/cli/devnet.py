"""`sandbox devnet`: one local chain alone, for whoever needs a chain and no payment system.

The devnets are programs of their own and read their options themselves.
"""

import typer

from sandbox.cli.options import examples

app = typer.Typer(
    no_args_is_help=True,
    help="Run one local chain alone, without the payment system.",
    epilog=examples("sandbox devnet solana --help", "sandbox devnet evm --help"),
)
_ITS_OWN_OPTIONS = {
    "ignore_unknown_options": True,
    "allow_extra_args": True,
    "help_option_names": [],
}


@app.command(context_settings=_ITS_OWN_OPTIONS)
def solana(context: typer.Context) -> None:
    """A Solana chain for ordinary clients: JSON-RPC, WebSocket, airdrops; it survives restarts."""
    from sandbox.devnets.solana import __main__ as chain

    raise typer.Exit(chain.main(context.args))


@app.command(context_settings=_ITS_OWN_OPTIONS)
def evm(context: typer.Context) -> None:
    """An EVM chain for ordinary clients: anvil with a journal, a pace and finality."""
    from sandbox.devnets.evm import __main__ as chain

    raise typer.Exit(chain.main(context.args))
