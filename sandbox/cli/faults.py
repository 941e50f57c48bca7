"""`sandbox faults`: what goes wrong between two parts, made to go wrong on purpose.

The same verbs for both chains, and one table (`all`, `switch`) for all parts. The chains' control
methods do the work, so that wallets and other clients feel it as the sandbox does. Nothing of it
survives a restart of the chain, except blocks.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from sandbox.cli.options import HOME, AsJson, DataDir
from sandbox.core.errors import SandboxError

ChainName = Literal["solana", "evm"]
CHAINS: tuple[ChainName, ...] = ("solana", "evm")
TIMEOUT_S = 30.0
_NOT_FOUND = -32601

app = typer.Typer(
    no_args_is_help=True,
    help="Make a part misbehave: reorgs, lost and late transactions, a lagging RPC; `all` and"
    " `switch` also the bank and the API.",
)
Chain = Annotated[ChainName, typer.Option("--chain", help="Which chain.")]
BothChains = Annotated[ChainName | None, typer.Option("--chain", help="Default: both chains.")]


class FaultRefused(SandboxError):
    """The chain cannot do that, or not now; its own words are passed on."""

    code = "fault_refused"


def control(data_dir: Path, chain: ChainName, method: str, *params: Any) -> dict[str, Any]:
    """What a control method of a running sandbox's chain answers.

    Raises `NotRunning`, `NoAnswer` and `FaultRefused`.
    """
    import httpx2

    from sandbox.cli.endpoints import NoAnswer, Running

    running = Running.of(data_dir)
    running.close()
    url = running.endpoints[f"{chain}_rpc"]
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    try:
        answer = httpx2.post(url, json=body, timeout=TIMEOUT_S, trust_env=False).json()
    except (httpx2.TransportError, ValueError):
        raise NoAnswer(url) from None
    if (error := answer.get("error")) is None:
        result: dict[str, Any] = answer["result"]
        return result
    if error["code"] == _NOT_FOUND and "Method not found" in error["message"]:
        raise FaultRefused(f"{url} takes no faults: only the chains of `sandbox up` do")
    raise FaultRefused(f"{chain}: {error['message'].removeprefix('Invalid params: ')}")


@app.command("list")
def list_(data_dir: DataDir = HOME, chain: BothChains = None, as_json: AsJson = False) -> None:
    """Show the faults that are set, and the transactions that are kept back."""
    chains = CHAINS if chain is None else (chain,)
    _show({name: control(data_dir, name, "sandbox_getFaults") for name in chains}, as_json)


@app.command("all", epilog="$ sandbox faults all --json")
def all_(data_dir: DataDir = HOME, as_json: AsJson = False) -> None:
    """Show every fault between every two parts: what breaks, what recovers, what is on."""
    from sandbox.cli.endpoints import Running

    _show_table(Running.of(data_dir).get("/v1/sandbox/faults"), as_json, only_on=False)


@app.command(epilog="$ sandbox faults switch chain.send_lost --chain evm")
def switch(
    fault: Annotated[str, typer.Argument(help="As `sandbox faults all` names it.")],
    times: Annotated[int, typer.Option(min=0, max=1000, help="0 = off, and mended.")] = 1,
    chain: BothChains = None,
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Let any fault strike so many times: the bank's, the API's or a chain's."""
    from sandbox.cli.endpoints import Running

    asked = {"fault": fault, "times": times} | ({"chain": chain} if chain else {})
    _show_table(Running.of(data_dir).post("/v1/sandbox/faults", asked), as_json, only_on=True)


@app.command()
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
    _show(left, as_json)


@app.command()
def reorg(
    chain: Chain,
    blocks: Annotated[int, typer.Option(min=1, help="How many of the youngest blocks.")] = 1,
    keep: Annotated[
        bool, typer.Option("--keep", help="Their transactions come again in the new blocks.")
    ] = False,
    share: Annotated[
        int | None, typer.Option(min=0, max=100, help="Solana: so many % of them come again.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="With --share: which ones.")] = 0,
    tx: Annotated[
        list[str] | None, typer.Option(help="Solana: this one comes again; may be repeated.")
    ] = None,
    spread: Annotated[
        int, typer.Option(min=1, max=1000, help="Solana: they come in so many slots.")
    ] = 1,
    replace: Annotated[
        list[str] | None,
        typer.Option(help="Solana: a signed transaction in base64 that the new blocks have first."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Final blocks too, as far as that can be undone.")
    ] = False,
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Replace the youngest blocks; without --keep, --share or --tx their transactions are lost."""
    if keep + (share is not None) + bool(tx) > 1:
        raise FaultRefused("--keep, --share and --tx: one of them")
    is_solana, again = chain == "solana", keep or share is not None or bool(tx)
    if not is_solana and (share is not None or tx or replace or spread != 1):
        raise FaultRefused("--share, --tx, --spread and --replace are there on solana only")
    if spread != 1 and not again:
        raise FaultRefused("--spread goes with --keep, --share or --tx")
    asked: dict[str, Any] = {
        ("slots" if is_solana else "blocks"): blocks,
        "mode": "reinclude" if again else "drop",
    }
    if force:
        asked["force"] = True
    if share is not None:
        asked |= {"percent": share, "seed": seed}
    if tx:
        asked["signatures"] = tx
    if spread != 1:
        asked["spread"] = spread
    if replace:
        asked["replace"] = replace
    done = control(data_dir, chain, "sandbox_reorg", asked)
    back = done["reincludedTransactions" if is_solana else "minedTransactions"]
    left = done["droppedTransactions"]
    answer = {"chain": chain, "blocks": blocks, "transactions": left, "included_again": back}
    if is_solana:
        answer["replacements"] = done["replacements"]
    text = (
        f"{blocks} blocks of {chain} are replaced: {left} transactions left them, {back} are back"
    )
    _say(answer, text, as_json)


@app.command()
def drop(
    chain: Chain,
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
    _say({"chain": chain, "dropped": tx}, f"{tx} is forgotten", as_json)


@app.command()
def delay(
    chain: Chain,
    by: Annotated[str, typer.Argument(help="500ms, 5s, 2m, or off.")],
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Keep every sent transaction back for a while before the chain sees it."""
    _set_sending(data_dir, chain, {"delayMs": 0 if by == "off" else _ms(by)}, as_json)


@app.command()
def double(
    chain: Chain,
    copies: Annotated[
        int, typer.Option(min=0, max=100, help="So many times more; 0 = once, as it should be.")
    ] = 1,
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Deliver every sent transaction again and again: it must count once."""
    _set_sending(data_dir, chain, {"copies": copies}, as_json)


@app.command()
def stick(
    chain: Chain,
    sender: Annotated[
        str | None, typer.Option(help="Only what this address signed; default: everybody's.")
    ] = None,
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Keep sent transactions back until `clear`: on EVM their nonces are stuck."""
    _set_sending(data_dir, chain, {"stick": sender or True}, as_json)


@app.command("hold-finality")
def hold_finality(
    chain: Chain,
    release: Annotated[bool, typer.Option("--release", help="Let it follow again.")] = False,
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Go on with blocks, but let none of them become final."""
    control(data_dir, chain, "sandbox_holdFinality", {"hold": not release})
    _show_one(data_dir, chain, as_json)


@app.command()
def pause(chain: Chain, data_dir: DataDir = HOME, as_json: AsJson = False) -> None:
    """Make no blocks."""
    control(data_dir, chain, "sandbox_pause")
    _show_one(data_dir, chain, as_json)


@app.command()
def step(
    chain: Chain,
    blocks: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 1,
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Make blocks at once, also while the chain is paused."""
    if chain == "solana":
        height = control(data_dir, chain, "sandbox_advanceSlots", {"slots": blocks})["slot"]
    else:
        height = int(
            control(data_dir, chain, "sandbox_mine", {"blocks": blocks})["blockNumber"], 16
        )
    _say({"chain": chain, "height": height}, f"{chain} is at {height}", as_json)


@app.command("keep-undo")
def keep_undo(
    chain: Chain,
    blocks: Annotated[int, typer.Argument(min=0, help="So many below the final one; 0 = none.")],
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Let `reorg --force` replace final blocks, as many as are made from now on."""
    if chain == "evm":
        raise FaultRefused("evm keeps the states of its youngest blocks anyway: use reorg --force")
    control(data_dir, chain, "sandbox_keepUndo", {"slots": blocks})
    _show_one(data_dir, chain, as_json)


@app.command()
def resume(chain: Chain, data_dir: DataDir = HOME, as_json: AsJson = False) -> None:
    """Make blocks again."""
    control(data_dir, chain, "sandbox_resume")
    _show_one(data_dir, chain, as_json)


@app.command()
def expire(chain: Chain, data_dir: DataDir = HOME, as_json: AsJson = False) -> None:
    """Let every blockhash that a wallet may have signed with run out, by 151 blocks at once."""
    if chain == "evm":
        raise FaultRefused("transactions on evm name no blockhash and do not expire: use stick")
    height = control(data_dir, chain, "sandbox_expireBlockhashes")["blockHeight"]
    said = f"all blockhashes of {chain} below height {height} have expired"
    _say({"chain": chain, "block_height": height}, said, as_json)


@app.command()
def rpc(
    chain: Chain,
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
        asked["ms"] = _ms(value or "1s")
    elif kind in ("error", "stale") and value is not None:
        name = "status" if kind == "error" else "slots"
        asked[name] = int(value) if value.isdecimal() else value
    elif value is not None:
        raise FaultRefused(f"{kind} takes no {value!r}")
    asked |= {name: of for name, of in (("calls", calls), ("method", method)) if of is not None}
    control(data_dir, chain, "sandbox_setRpcFault", asked)
    _show_one(data_dir, chain, as_json)


def _ms(text: str) -> int:
    from sandbox.cli.duration import milliseconds

    return milliseconds(text)


def _set_sending(data_dir: Path, chain: ChainName, asked: dict[str, Any], as_json: bool) -> None:
    control(data_dir, chain, "sandbox_setSendingFault", asked)
    _show_one(data_dir, chain, as_json)


def _show_one(data_dir: Path, chain: ChainName, as_json: bool) -> None:
    _show({chain: control(data_dir, chain, "sandbox_getFaults")}, as_json)


def _say(answer: dict[str, Any], text: str, as_json: bool) -> None:
    import json

    from sandbox.cli import show

    if as_json:
        print(json.dumps(answer), flush=True)
    else:
        show.out.print(f"[green]✓[/] {text}")


def _show_table(table: dict[str, Any], as_json: bool, *, only_on: bool) -> None:
    import json

    from sandbox.cli import show

    if as_json:
        print(json.dumps(table, ensure_ascii=False), flush=True)
        return
    rows = [row for row in table["data"] if row["times"] or not only_on]
    for row in rows:
        where = f" on {row['chain']}" if row["chain"] else ""
        on = f" [yellow]× {row['times']}[/]" if row["times"] else ""
        show.out.print(f"[bold]{row['fault']}[/]{where}{on}: {row['means']}", highlight=False)
        show.out.print(f"    {row['hop']}; then {row['recovers']}", highlight=False)
    if not rows:
        show.out.print("[green]✓[/] nothing is switched on")


def _show(found: dict[str, dict[str, Any]], as_json: bool) -> None:
    lines = [f"{chain}: {', '.join(_words(set_)) or 'no faults'}" for chain, set_ in found.items()]
    _say(found, "\n  ".join(lines), as_json)


def _words(found: dict[str, Any]) -> list[str]:
    rpc, stick = found["rpc"], found["stick"]
    late = f"RPC lags {rpc.get('ms')} ms"
    said = {
        "lag": late,
        "error": f"RPC answers {rpc.get('status')}",
        "hang": "RPC hangs",
        "stale": f"RPC is {rpc.get('slots')} slots behind",
    }
    words = [said[rpc["kind"]]] if rpc["kind"] in said else []
    if words and "method" in rpc:
        words[0] += f" to {rpc['method']}"
    if words and "calls" in rpc:
        words[0] += f", {rpc['calls']} times more"
    if found["drop"]:
        words.append(f"the next {found['drop']} sends are lost")
    if found["copies"]:
        words.append(f"sends are delivered {found['copies']} times more")
    if found["delayMs"]:
        words.append(f"sends are {found['delayMs']} ms late")
    if stick is not False:
        words.append("sends are stuck" if stick is True else f"sends of {stick} are stuck")
    if found["kept"]:
        words.append(f"{len(found['kept'])} transactions are kept back")
    if found.get("undo"):
        words.append(f"up to {found['undo']} final blocks can be replaced by force")
    if found["finalityHeld"]:
        words.append("nothing becomes final")
    if found["paused"]:
        words.append("no blocks")
    return words
