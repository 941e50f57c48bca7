"""`sandbox faults`: what goes wrong between two parts, made to go wrong on purpose.

The same verbs for both chains, and one table (`all`, `switch`) for all parts. The chains' control
methods do the work, so that wallets and other clients feel it as the sandbox does. Nothing of it
survives a restart of the chain, except blocks.
"""

from pathlib import Path
from typing import Annotated, Any

import typer

from sandbox.cli import fault_blocks, fault_table
from sandbox.cli.fault_control import (
    FaultRefused,
    control,
    ms,
    say,
    show_all,
    show_one,
)
from sandbox.cli.options import (
    CHAINS,
    HOME,
    AsJson,
    BothChains,
    ChainName,
    DataDir,
    OneChain,
    examples,
)

app = typer.Typer(
    no_args_is_help=True,
    help="Make a part misbehave: a chain, its node, the bank, webhooks or the API.\n\n`all` shows"
    " what can go wrong and `switch` lets it; the other verbs are the chains' own, with more to"
    " choose.",
    epilog=examples(
        "sandbox faults all  # what there is, and what recovers from it",
        "sandbox faults switch api.answer_lost  # the next POST, once",
        "sandbox faults reorg --chain solana --blocks 3",
        "sandbox faults list  # what is on now",
        "sandbox faults clear",
    ),
)
app.add_typer(fault_blocks.app)


@app.command(
    "list",
    epilog=examples(
        "sandbox faults list",
        "sandbox faults list --chain evm --json",
    ),
)
def list_(data_dir: DataDir = HOME, chain: BothChains = None, as_json: AsJson = False) -> None:
    """Show the faults that are on, and the transactions that are kept back."""
    chains = CHAINS if chain is None else (chain,)
    found: dict[str, dict[str, Any]] = {
        name: control(data_dir, name, "sandbox_getFaults") for name in chains
    }
    if chain is None:
        found["elsewhere"] = fault_table.elsewhere(data_dir)
    show_all(found, as_json)


app.command("all", epilog=fault_table.ALL_EXAMPLES)(fault_table.all_)
app.command("switch", epilog=fault_table.SWITCH_EXAMPLES)(fault_table.switch)


@app.command(
    epilog=examples(
        "sandbox faults clear",
        "sandbox faults clear --chain solana --json",
    ),
)
def clear(data_dir: DataDir = HOME, chain: BothChains = None, as_json: AsJson = False) -> None:
    """End every fault; transactions that were kept back reach their chain now."""
    import functools

    from sandbox.cli.endpoints import wait_for

    chains = CHAINS if chain is None else (chain,)
    for name in chains:
        control(data_dir, name, "sandbox_clearFaults")
    left: dict[str, dict[str, Any]] = {
        name: wait_for(
            f"the transactions that {name} kept back",
            functools.partial(control, data_dir, name, "sandbox_getFaults"),
            lambda found: not found["kept"],
        )
        for name in chains
    }
    if chain is None:
        fault_table.end_elsewhere(data_dir)
        left["elsewhere"] = fault_table.elsewhere(data_dir)
    show_all(left, as_json)


@app.command(
    epilog=examples(
        "sandbox faults drop --chain solana  # broadcast, and never seen again",
        "sandbox faults drop --chain evm --count 3 --json",
    ),
)
def drop(
    chain: OneChain,
    count: Annotated[
        int, typer.Option(min=0, max=1000, help="How many sends from now on; 0 = no more.")
    ] = 1,
    tx: Annotated[
        str | None, typer.Option(help="EVM: forget this one, which waits for a block.")
    ] = None,
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Lose the next sent transactions: the node answers their ids, and no block ever has them."""
    if tx is None:
        _set_sending(data_dir, chain, {"drop": count}, as_json)
        return
    if chain == "solana":
        raise FaultRefused("no transaction waits on solana: it is in the open block at once")
    dropped = control(data_dir, chain, "sandbox_drop", {"tx": tx})["dropped"]
    if not dropped:
        raise FaultRefused(f"{tx} does not wait for a block of {chain}")
    say({"chain": chain, "dropped": tx}, f"{tx} is forgotten", as_json)


@app.command(
    epilog=examples(
        "sandbox faults delay 5s --chain evm",
        "sandbox faults delay off --chain evm",
    ),
)
def delay(
    chain: OneChain,
    by: Annotated[str, typer.Argument(help="500ms, 5s, 2m, or off.")],
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Keep every sent transaction back for a while before the chain sees it."""
    _set_sending(data_dir, chain, {"delayMs": 0 if by == "off" else ms(by)}, as_json)


@app.command(
    epilog=examples(
        "sandbox faults double --chain solana",
        "sandbox faults double --chain solana --copies 0 --json",
    ),
)
def double(
    chain: OneChain,
    copies: Annotated[
        int, typer.Option(min=0, max=100, help="So many times more; 0 = once, as it should be.")
    ] = 1,
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Deliver every sent transaction again and again: it must count once."""
    _set_sending(data_dir, chain, {"copies": copies}, as_json)


@app.command(
    epilog=examples(
        "sandbox faults stick --chain evm",
        "sandbox faults clear --chain evm  # they reach their chain now",
    ),
)
def stick(
    chain: OneChain,
    sender: Annotated[
        str | None, typer.Option(help="Only what this address signed; default: everybody's.")
    ] = None,
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Keep sent transactions back until `clear`: on EVM their nonces are stuck."""
    _set_sending(data_dir, chain, {"stick": sender or True}, as_json)


@app.command(
    epilog=examples(
        "sandbox faults rpc lag 2s --chain solana",
        "sandbox faults rpc error 503 --chain evm --calls 5",
        "sandbox faults rpc off --chain solana --json",
    ),
)
def rpc(
    chain: OneChain,
    kind: Annotated[str, typer.Argument(help="lag, error, hang, stale or off.")],
    value: Annotated[
        str | None,
        typer.Argument(
            help="lag: 500ms, 5s; error: an HTTP status, default 503; stale (Solana): slots."
        ),
    ] = None,
    calls: Annotated[
        int | None, typer.Option(min=1, help="So many requests meet it, then it is over.")
    ] = None,
    method: Annotated[str | None, typer.Option(help="Only requests that name this method.")] = None,
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Let the chain's RPC answer late, with an error, not at all, or as it was some slots ago."""
    asked: dict[str, Any] = {"kind": kind}
    if kind == "stale" and chain == "evm":
        raise FaultRefused("a node that is behind can be played on solana only")
    if kind == "stale" and (calls or method):
        raise FaultRefused("stale is for all methods until it is off: no --calls, no --method")
    if kind == "lag":
        asked["ms"] = ms(value or "1s")
    elif kind in ("error", "stale") and value is not None:
        name = "status" if kind == "error" else "slots"
        asked[name] = int(value) if value.isascii() and value.isdecimal() else value
    elif value is not None:
        raise FaultRefused(f"{kind} takes no {value!r}")
    asked |= {name: of for name, of in (("calls", calls), ("method", method)) if of is not None}
    control(data_dir, chain, "sandbox_setRpcFault", asked)
    show_one(data_dir, chain, as_json)


def _set_sending(data_dir: Path, chain: ChainName, asked: dict[str, Any], as_json: bool) -> None:
    control(data_dir, chain, "sandbox_setSendingFault", asked)
    show_one(data_dir, chain, as_json)
