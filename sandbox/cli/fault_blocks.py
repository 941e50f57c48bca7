"""`sandbox faults`: blocks that are replaced, held up or made at once."""

from typing import Annotated, Any

import typer

from sandbox.cli.fault_control import FaultRefused, control, say, show_one
from sandbox.cli.options import HOME, AsJson, DataDir, OneChain, examples

app = typer.Typer()


@app.command(
    epilog=examples(
        "sandbox faults reorg --chain solana --blocks 3  # their transactions are lost",
        "sandbox faults reorg --chain evm --blocks 2 --keep",
        "sandbox faults reorg --chain solana --blocks 5 --share 50 --seed 7",
    ),
)
def reorg(
    chain: OneChain,
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
    say(answer, text, as_json)


@app.command(
    "hold-finality",
    epilog=examples(
        "sandbox faults hold-finality --chain solana",
        "sandbox faults hold-finality --chain solana --release --json",
    ),
)
def hold_finality(
    chain: OneChain,
    release: Annotated[bool, typer.Option("--release", help="Let it follow again.")] = False,
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Go on with blocks, but let none of them become final."""
    control(data_dir, chain, "sandbox_holdFinality", {"hold": not release})
    show_one(data_dir, chain, as_json)


@app.command(
    epilog=examples(
        "sandbox faults pause --chain evm",
        "sandbox faults resume --chain evm",
    ),
)
def pause(chain: OneChain, data_dir: DataDir = HOME, as_json: AsJson = False) -> None:
    """Make no blocks."""
    control(data_dir, chain, "sandbox_pause")
    show_one(data_dir, chain, as_json)


@app.command(
    epilog=examples(
        "sandbox faults step --chain evm --blocks 10",
        "sandbox faults step --chain solana --json",
    ),
)
def step(
    chain: OneChain,
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
    say({"chain": chain, "height": height}, f"{chain} is at {height}", as_json)


@app.command(
    "keep-undo",
    epilog=examples(
        "sandbox faults keep-undo 32 --chain solana",
        "sandbox faults reorg --chain solana --blocks 40 --force",
    ),
)
def keep_undo(
    chain: OneChain,
    blocks: Annotated[int, typer.Argument(min=0, help="So many below the final one; 0 = none.")],
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Let `reorg --force` replace final blocks, as many as are made from now on."""
    if chain == "evm":
        raise FaultRefused("evm keeps the states of its youngest blocks anyway: use reorg --force")
    control(data_dir, chain, "sandbox_keepUndo", {"slots": blocks})
    show_one(data_dir, chain, as_json)


@app.command(
    epilog=examples(
        "sandbox faults resume --chain evm",
        "sandbox faults resume --chain evm --json",
    ),
)
def resume(chain: OneChain, data_dir: DataDir = HOME, as_json: AsJson = False) -> None:
    """Make blocks again."""
    control(data_dir, chain, "sandbox_resume")
    show_one(data_dir, chain, as_json)


@app.command(
    epilog=examples(
        "sandbox faults expire --chain solana",
        "sandbox faults expire --chain solana --json",
    ),
)
def expire(chain: OneChain, data_dir: DataDir = HOME, as_json: AsJson = False) -> None:
    """Let every blockhash that a wallet may have signed with run out, by 151 blocks at once."""
    if chain == "evm":
        raise FaultRefused("transactions on evm name no blockhash and do not expire: use stick")
    height = control(data_dir, chain, "sandbox_expireBlockhashes")["blockHeight"]
    said = f"all blockhashes of {chain} below height {height} have expired"
    say({"chain": chain, "block_height": height}, said, as_json)
