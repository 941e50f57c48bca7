"""`sandbox faults`: what goes wrong between a chain and its clients, made to go wrong on purpose.

The same verbs for both chains; the chains' control methods do the work, so that wallets and other
clients feel it as the sandbox does. Nothing of it survives a restart of the chain, except blocks.
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
    help="Make a chain misbehave: reorgs, lost and late transactions, a lagging RPC.",
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
    raise FaultRefused(f"{chain}: {error['message']}")


@app.command("list")
def list_(data_dir: DataDir = HOME, chain: BothChains = None, as_json: AsJson = False) -> None:
    """Show the faults that are set, and the transactions that are kept back."""
    chains = CHAINS if chain is None else (chain,)
    _show({name: control(data_dir, name, "sandbox_getFaults") for name in chains}, as_json)


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
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Replace the youngest blocks; without --keep their transactions are lost."""
    asked = {
        ("slots" if chain == "solana" else "blocks"): blocks,
        "mode": "reinclude" if keep else "drop",
    }
    done = control(data_dir, chain, "sandbox_reorg", asked)
    again = done["reincludedTransactions" if chain == "solana" else "minedTransactions"]
    left = done["droppedTransactions"]
    _say(
        {"chain": chain, "blocks": blocks, "transactions": left, "included_again": again},
        f"{blocks} blocks of {chain} are replaced: {left} transactions left them, {again} are back",
        as_json,
    )


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
    kind: Annotated[str, typer.Argument(help="lag, error, hang or off.")],
    value: Annotated[
        str | None, typer.Argument(help="lag: 500ms, 5s; error: an HTTP status, default 503.")
    ] = None,
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Let the chain's RPC answer late, with an error, or not at all."""
    asked: dict[str, Any] = {"kind": kind}
    if kind == "lag":
        asked["ms"] = _ms(value or "1s")
    elif kind == "error" and value is not None:
        asked["status"] = int(value) if value.isdecimal() else value
    elif value is not None:
        raise FaultRefused(f"{kind} takes no {value!r}")
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


def _show(found: dict[str, dict[str, Any]], as_json: bool) -> None:
    lines = [f"{chain}: {', '.join(_words(set_)) or 'no faults'}" for chain, set_ in found.items()]
    _say(found, "\n  ".join(lines), as_json)


def _words(found: dict[str, Any]) -> list[str]:
    rpc, stick = found["rpc"], found["stick"]
    late = f"RPC lags {rpc.get('ms')} ms"
    said = {"lag": late, "error": f"RPC answers {rpc.get('status')}", "hang": "RPC hangs"}
    words = [said[rpc["kind"]]] if rpc["kind"] in said else []
    if found["drop"]:
        words.append(f"the next {found['drop']} sends are lost")
    if found["delayMs"]:
        words.append(f"sends are {found['delayMs']} ms late")
    if stick is not False:
        words.append("sends are stuck" if stick is True else f"sends of {stick} are stuck")
    if found["kept"]:
        words.append(f"{len(found['kept'])} transactions are kept back")
    if found["finalityHeld"]:
        words.append("nothing becomes final")
    if found["paused"]:
        words.append("no blocks")
    return words
