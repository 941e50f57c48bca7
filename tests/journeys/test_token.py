"""`sandbox token` and a wallet without coin, on a whole sandbox: chain, books, keys and fees."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from merchants.client import MerchantClient
from sandbox.cli import pay
from sandbox.cli.commands import app
from sandbox.cli.endpoints import ApiError, Running, wait_for
from sandbox.cli.wallets import wallet
from tests.journeys.stack import Stack, last_json

PRICE_TIYN = 10_000


def run(folder: Path, *arguments: str) -> Any:
    """`sandbox token …` in this process: its answer, or what it raised."""
    done = CliRunner().invoke(app, ["token", *arguments, "--data-dir", str(folder), "--json"])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return last_json(done.output)


def shown(folder: Path, chain: str) -> Any:
    [found] = run(folder, "show", "--chain", chain)
    return found


def keys_of(token: Any) -> dict[str, str]:
    return {one["role"]: one["key"] for one in token["authorities"]}


def issued(sandbox: Running, chain: str, address: str, amount_tiyn: int) -> None:
    """Tokens from the issuer, and no coin."""
    deposit = sandbox.post(
        "/v1/reserve/deposits",
        {"amount_tiyn": amount_tiyn, "bank_reference": f"TOKEN-{address[:12]}-{amount_tiyn}"},
        "issuer",
    )
    made = sandbox.post(
        "/v1/reserve/issuances",
        {
            "deposit": deposit["id"],
            "chain": chain,
            "amount_tiyn": amount_tiyn,
            "recipient": address,
        },
        "issuer",
    )
    done = wait_for(
        "the issuance",
        lambda: sandbox.get(f"/v1/reserve/issuances/{made['id']}", "issuer"),
        lambda one: one["status"] != "pending",
    )
    assert done["status"] == "issued", done


def test_a_role_or_a_chain_that_is_not_there_is_refused(sandbox: Running, folder: Path) -> None:
    for arguments in (("rotate", "king"), ("rotate", "admin", "--chain", "evm")):
        with pytest.raises(ApiError, match="role_not_rotatable"):
            run(folder, *arguments)
    with pytest.raises(ApiError, match="not_found"):
        run(folder, "show", "--chain", "nowhere")


@pytest.mark.parametrize("chain", ["solana", "evm"])
def test_the_token_is_shown_with_the_names_of_its_keys(
    sandbox: Running, folder: Path, chain: str
) -> None:
    token = shown(folder, chain)
    assert token["agrees"]
    names = keys_of(token)
    assert None not in names.values()
    # What others have rotated has a key that is named for the order: `guardian.ord_…`.
    people = {name.partition(".")[0] for name in names.values()}
    assert {"issuer", "bailiff", "guardian", "compliance", "admin"} <= people
    assert len(set(names.values())) >= 5


def test_a_worker_killed_in_a_rotation_leaves_nothing_undone(
    stack: Stack, sandbox: Running, folder: Path
) -> None:
    before = keys_of(shown(folder, "solana"))
    asked = sandbox.post("/v1/chains/solana/roles/mint_authority/rotate", {})
    os.kill(stack.pids()["worker"], signal.SIGKILL)
    newcomer = wallet(sandbox.endpoints, folder, "solana", "after-rotation")
    issued(sandbox, "solana", newcomer.address, PRICE_TIYN)
    done = sandbox.get(f"/v1/chains/solana/orders/{asked['id']}")
    assert (done["status"], done["reason"]) == ("done", None)
    turned = run(folder, "rotate", "pause_authority")
    assert turned["status"] == "done"
    sandbox.quiesce()
    after = keys_of(shown(folder, "solana"))
    changed = {role for role in after if after[role] != before[role]}
    assert changed == {"mint_authority", "pause_authority"}
    assert after["mint_authority"] == f"issuer.{asked['id']}"
    audit = sandbox.get("/v1/sandbox/audit")
    assert audit["ok"], [check for check in audit["checks"] if not check["ok"]]


def test_a_wallet_without_coin_pays_by_the_sponsor(sandbox: Running, folder: Path) -> None:
    newcomer = wallet(sandbox.endpoints, folder, "solana", "newcomer")
    issued(sandbox, "solana", newcomer.address, PRICE_TIYN)
    with MerchantClient(sandbox.endpoints["api"], sandbox.key("merchant")) as shop:
        session = shop.create_session(PRICE_TIYN)
    paid = pay.pay(sandbox, folder, session["id"], "solana", "newcomer", None)
    assert (paid["sponsored"], paid["status_before"]) == (True, "open")
    sandbox.quiesce()
    assert sandbox.get(f"/v1/checkout/sessions/{session['id']}")["status"] == "complete"
    assert shown(folder, "solana")["agrees"]
