"""`sandbox webhooks`: the keys that sign webhooks for everybody to verify."""

import json
from datetime import datetime
from typing import Annotated

import typer

from sandbox.cli.options import HOME, AsJson, DataDir, examples

app = typer.Typer(
    no_args_is_help=True,
    help="The keys that sign webhooks (v1a).",
    epilog=examples("sandbox webhooks rotate-key --overlap 1d"),
)


@app.command(
    "rotate-key",
    epilog=examples(
        "sandbox webhooks rotate-key --overlap 1d  # both keys sign for a day",
        "sandbox webhooks rotate-key --overlap 0s --json",
    ),
)
def rotate_key(
    overlap: Annotated[
        str, typer.Option(help="Sandbox time for which both keys sign: 0s, 2h, 1d, …")
    ] = "1d",
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Give a running sandbox another signing key; receivers find it in the public key document."""
    from sandbox.cli import duration, show
    from sandbox.cli.endpoints import Running
    from sandbox.webhooks import keys

    overlap_s = duration.seconds(overlap)
    if overlap_s > keys.MAX_OVERLAP_S:
        raise typer.BadParameter(f"--overlap is at most {keys.MAX_OVERLAP_S // 86_400}d")
    now = datetime.fromisoformat(Running.of(data_dir).get("/v1/sandbox/clock")["now"])
    newest = keys.rotate(data_dir / "keys", now, overlap_s)[0].as_public()
    if as_json:
        print(json.dumps(newest))
        return
    show.out.print(f"{newest['id']} signs from now on")
    show.out.print(newest["public_key"])
