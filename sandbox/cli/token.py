"""`sandbox token`: the token as each chain has it beside the books, and new keys for its roles."""

import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from sandbox.cli import completion
from sandbox.cli.options import CHAINS, HOME, AsJson, DataDir, examples
from sandbox.core.errors import SandboxError

JsonObject = dict[str, Any]
WAIT_S = 120.0

app = typer.Typer(
    no_args_is_help=True,
    help="What each chain says of the token, beside the books; new keys for its roles.",
    epilog=examples("sandbox token show"),
)
EveryChain = Annotated[
    str | None,
    typer.Option("--chain", help="Default: every chain.", autocompletion=completion.chains),
]


class KeyNotChanged(SandboxError):
    """The chain did not take the new key; the old one goes on."""

    code = "key_not_changed"

    def __init__(self, order: JsonObject) -> None:
        super().__init__(
            f"{order['role']} on {order['chain']} keeps its key: {order['reason']};"
            f" see order {order['id']}"
        )


@app.command(
    "show",
    epilog=examples(
        "sandbox token show",
        "sandbox token show --chain evm --json",
    ),
)
def show_(data_dir: DataDir = HOME, chain: EveryChain = None, as_json: AsJson = False) -> None:
    """Show the token on each chain beside the books; exit 1 when they differ."""
    from sandbox.cli.endpoints import Running

    names = key_names(data_dir)
    with closing(Running.of(data_dir)) as running:
        found = [
            _with_keys(running.get(f"/v1/chains/{one}/token", "operator"), names)
            for one in ((chain,) if chain else CHAINS)
        ]
    if as_json:
        print(json.dumps(found, ensure_ascii=False), flush=True)
    else:
        from sandbox.cli import show_token

        for token in found:
            show_token.token(token)
    raise typer.Exit(0 if all(token["agrees"] for token in found) else 1)


@app.command(
    epilog=examples(
        "sandbox token rotate pause_authority",
        "sandbox token rotate freeze_authority --chain solana --json",
    ),
)
def rotate(
    role: Annotated[
        str,
        typer.Argument(
            help="A role that `sandbox token show` names.", autocompletion=completion.token_roles
        ),
    ],
    data_dir: DataDir = HOME,
    chain: Annotated[
        str, typer.Option(help="Which chain.", autocompletion=completion.chains)
    ] = "solana",
    as_json: AsJson = False,
) -> None:
    """Give a role a new key; what the old key signed is waited for, and nothing is lost.

    The old key stays in the key file and means nothing to the chain any more.
    """
    from sandbox.cli import show
    from sandbox.cli.endpoints import Running, wait_for

    with closing(Running.of(data_dir)) as running:
        asked = running.post(f"/v1/chains/{chain}/roles/{role}/rotate", {})
        done: JsonObject = wait_for(
            f"{role} to have a new key",
            lambda: running.get(f"/v1/chains/{chain}/orders/{asked['id']}"),
            lambda order: order["status"] != "pending",
            WAIT_S,
        )
        if done["status"] == "failed":
            raise KeyNotChanged(done)
        holders = running.get(f"/v1/chains/{chain}/token")["authorities"]
    [held] = [one for one in holders if one["role"] == role]
    if as_json:
        print(json.dumps({**done, "address": held["address"]}), flush=True)
        return
    show.out.print(f"[green]✓[/] {role} on {chain} has a new key")
    show.out.print(f"  address     {held['address']}")
    show.out.print(f"  transaction {done['tx']}")


def key_names(data_dir: Path) -> dict[str, str]:
    """Address → name of the key, for every key in the data directory, whatever its chain.

    Empty where this user may not read them: then no name is shown.
    """
    from contracts import token
    from sandbox.chains.evm import keys as evm
    from sandbox.chains.solana import keys as solana

    keys_dir, spec = data_dir / "keys", token.load()
    found: dict[str, str] = {}
    try:
        found |= solana.load(keys_dir, spec).names()
        roles = evm.load(keys_dir, spec).addresses()
    except (OSError, ValueError, KeyError):
        return found
    return found | {address: getattr(spec.evm.roles, role) for role, address in roles.items()}


def _with_keys(token: JsonObject, names: Mapping[str, str]) -> JsonObject:
    holders = [{**one, "key": names.get(one["address"] or "")} for one in token["authorities"]]
    return {**token, "authorities": holders}
