"""`sandbox snapshot`, `sandbox reset` and `sandbox fork`: the whole world by name."""

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from sandbox.cli.options import HOME, AsJson, DataDir

JsonObject = dict[str, Any]

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="""Keep the whole world under a name, and go back to it.

    A snapshot holds the database, both chains, the clock and the log. Going back takes a moment;
    requests meanwhile are answered 503 world_is_changing.

    \b
    sandbox snapshot save before-refunds     keep the world as it is now
    sandbox snapshot list                    what there is
    sandbox snapshot restore before-refunds  go back
    sandbox snapshot delete before-refunds   forget it
    """,
)
Name = Annotated[str, typer.Argument(help="1 to 64 letters, digits, - and _.")]


def _done(data_dir: Path, as_json: bool, ask: Callable[[Any], JsonObject], say: str) -> None:
    from sandbox.cli import show
    from sandbox.cli.endpoints import Running

    with closing(Running.of(data_dir)) as running:
        answer = ask(running)
    if as_json:
        print(json.dumps(answer, ensure_ascii=False), flush=True)
    else:
        show.out.print(f"[green]●[/] {say.format(**answer)}")


@app.command()
def save(name: Name, data_dir: DataDir = HOME, as_json: AsJson = False) -> None:
    """Keep the world as it is now. Example: sandbox snapshot save before-refunds"""
    _done(
        data_dir,
        as_json,
        lambda running: running.post("/v1/sandbox/snapshots", {"name": name}),
        "{name} is kept: epoch {epoch}, {position} events, {payments} payments",
    )


@app.command("list")
def list_(data_dir: DataDir = HOME, as_json: AsJson = False) -> None:
    """Show every snapshot, oldest first."""
    from sandbox.cli import show
    from sandbox.cli.endpoints import Running

    with closing(Running.of(data_dir)) as running:
        found = running.get("/v1/sandbox/snapshots")
    if as_json:
        print(json.dumps(found, ensure_ascii=False), flush=True)
        return
    for one in found["data"]:
        size = f"{one['size_bytes'] / 1e6:.0f} MB"
        told = f"epoch {one['epoch']}, {one['position']} events, {one['payments']} payments, {size}"
        show.out.print(f"[bold]{one['name']}[/] at {show.moment(one['now'])}: {told}")


@app.command()
def restore(name: Name, data_dir: DataDir = HOME, as_json: AsJson = False) -> None:
    """Go back to a snapshot. Example: sandbox snapshot restore before-refunds"""
    _done(
        data_dir,
        as_json,
        lambda running: running.post(f"/v1/sandbox/snapshots/{name}/restore", {}),
        "the world is as it was at {restored}, in epoch {epoch} ({took_ms} ms)",
    )


@app.command()
def delete(name: Name, data_dir: DataDir = HOME, as_json: AsJson = False) -> None:
    """Forget a snapshot. Example: sandbox snapshot delete before-refunds"""
    _done(
        data_dir,
        as_json,
        lambda running: running.delete(f"/v1/sandbox/snapshots/{name}"),
        "{name} is forgotten",
    )


def reset(data_dir: DataDir = HOME, as_json: AsJson = False) -> None:
    """Go back to the world as it was when it was first ready. Example: sandbox reset"""
    _done(
        data_dir,
        as_json,
        lambda running: running.post("/v1/sandbox/reset", {}),
        "the world is as it was when first ready, in epoch {epoch} ({took_ms} ms)",
    )


def fork(
    name: Name,
    folder: Annotated[
        Path, typer.Argument(help="A folder that does not exist or is empty.", readable=False)
    ],
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Make a sandbox of its own out of a snapshot.

    Example: sandbox fork before-refunds ../second, then
    sandbox up --data-dir ../second --port 0 --solana-port 0 --evm-port 0
    """
    _done(
        data_dir,
        as_json,
        lambda running: running.post(
            "/v1/sandbox/forks", {"name": name, "data_dir": str(folder.absolute())}
        ),
        "start it with: sandbox up --data-dir {data_dir} --port 0 --solana-port 0 --evm-port 0",
    )
