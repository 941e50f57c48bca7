"""`sandbox snapshot`, `sandbox reset` and `sandbox fork`: the whole world by name."""

import json
import secrets
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from sandbox.cli import completion
from sandbox.cli.options import HOME, AsJson, DataDir, examples

JsonObject = dict[str, Any]

app = typer.Typer(
    no_args_is_help=True,
    help="Keep the whole world under a name: database, chains, clock and log; and go back to it.",
    epilog=examples(
        "sandbox snapshot save before-refunds",
        "sandbox snapshot list",
        "sandbox snapshot restore before-refunds",
    ),
)
RESET_EXAMPLES = examples("sandbox reset", "sandbox reset --json")
FORK_EXAMPLES = examples(
    "sandbox fork before-refunds ../second",
    "sandbox up --data-dir ../second --port 0 --solana-port 0 --evm-port 0",
)
NewName = Annotated[str, typer.Argument(help="1 to 64 letters, digits, - and _.")]
Kept = Annotated[
    str,
    typer.Argument(
        help="As `sandbox snapshot list` names it.", autocompletion=completion.snapshots
    ),
]


def _done(data_dir: Path, as_json: bool, ask: Callable[[Any], JsonObject], say: str) -> None:
    from sandbox.cli import show
    from sandbox.cli.endpoints import Running

    with closing(Running.of(data_dir)) as running:
        answer = ask(running)
    if as_json:
        print(json.dumps(answer, ensure_ascii=False), flush=True)
    else:
        show.out.print(f"[green]●[/] {say.format(**answer)}")


@app.command(epilog=examples("sandbox snapshot save before-refunds"))
def save(name: NewName, data_dir: DataDir = HOME, as_json: AsJson = False) -> None:
    """Keep the world as it is now."""
    _done(
        data_dir,
        as_json,
        lambda running: running.post("/v1/sandbox/snapshots", {"name": name}),
        "{name} is kept: epoch {epoch}, events: {position}, payments: {payments}",
    )


@app.command("list", epilog=examples("sandbox snapshot list --json"))
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
        told = (
            f"epoch {one['epoch']}, events: {one['position']}, payments: {one['payments']}, {size}"
        )
        show.out.print(f"[bold]{one['name']}[/] at {show.moment(one['now'])}: {told}")


@app.command(epilog=examples("sandbox snapshot restore before-refunds --json"))
def restore(name: Kept, data_dir: DataDir = HOME, as_json: AsJson = False) -> None:
    """Go back to a snapshot."""
    _done(
        data_dir,
        as_json,
        lambda running: running.post(f"/v1/sandbox/snapshots/{name}/restore", {}),
        "the world is as {restored} has it, in epoch {epoch} ({took_ms} ms)",
    )


@app.command(epilog=examples("sandbox snapshot delete before-refunds"))
def delete(name: Kept, data_dir: DataDir = HOME, as_json: AsJson = False) -> None:
    """Forget a snapshot."""
    _done(
        data_dir,
        as_json,
        lambda running: running.delete(f"/v1/sandbox/snapshots/{name}"),
        "{name} is forgotten",
    )


def reset(data_dir: DataDir = HOME, as_json: AsJson = False) -> None:
    """Go back to the world as it was when it was first ready."""
    _done(
        data_dir,
        as_json,
        lambda running: running.post("/v1/sandbox/reset", {}),
        "the world is as it was when first ready, in epoch {epoch} ({took_ms} ms)",
    )


def fork(
    name: Kept,
    folder: Annotated[
        Path, typer.Argument(help="A folder that does not exist or is empty.", readable=False)
    ],
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Make a sandbox of its own out of a snapshot."""
    _done(
        data_dir,
        as_json,
        lambda running: _forked(running, name, folder.absolute(), data_dir.resolve()),
        "start it with: sandbox up --data-dir {data_dir} --port 0 --solana-port 0 --evm-port 0",
    )


def _forked(running: Any, name: str, target: Path, data_dir: Path) -> JsonObject:
    """Have the API write it where it may, then move it with the rights of who types."""
    from sandbox.cli.world import forking
    from sandbox.lab.world_errors import BadForkTarget

    inside = target.resolve()
    if inside.is_relative_to(data_dir) and str(inside.parent) != running.endpoints["forks_dir"]:
        raise BadForkTarget(target, "lies in the data directory that is forked")
    forking.check_free(target)
    made: JsonObject = running.post(
        "/v1/sandbox/forks", {"name": name, "data_dir": f"{name[:64]}-{secrets.token_hex(4)}"}
    )
    forking.move(Path(made["data_dir"]), target)
    return {**made, "data_dir": str(target)}
