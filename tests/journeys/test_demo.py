"""`sandbox demo`, run as a newcomer would."""

import hashlib
from contextlib import suppress
from pathlib import Path

import httpx2

from sandbox.bank.accounts import RESERVE_IBAN
from sandbox.bank.iso20022 import statements
from sandbox.cli import demo_reserve, show
from sandbox.cli.endpoints import ApiError, Running
from tests.journeys.stack import command, last_json


def test_the_demo_plays_the_whole_path_and_says_so_in_its_last_line(tmp_path: Path) -> None:
    played = command("demo", "--json", "--data-dir", str(tmp_path / "demo"))
    assert played.returncode == 0, played.stderr[-4000:]
    result = last_json(played.stdout)
    assert result["payments"] == {"solana": "complete", "evm": "complete"}
    assert result["settlement"]["status"] == "settled"
    assert result["settlement"]["check"]["unexplained_tiyn"] == 0
    assert result["payout"] == "completed"
    assert result["log"]["verified"] is True
    assert result["log"]["size"] > 10
    assert result["audit"] == "ok"
    assert not (tmp_path / "demo" / "endpoints.json").exists()


def test_the_reserves_demo_gives_figures_that_add_up(sandbox: Running, folder: Path) -> None:
    # What other tests have sold and not settled would stand in the figures.
    with suppress(ApiError):
        sandbox.post("/v1/settlements", {}, "merchant")
    sandbox.quiesce()
    sandbox.advance(5 * 86_400)
    sandbox.quiesce()
    statements_came(sandbox)
    result = demo_reserve.play(sandbox, folder, show.Steps(quiet=True))
    assert (result["audit"], result["ratio"]) == ("ok", "1.0000")
    steps = {row["step"]: row for row in result["figures"]}
    assert list(steps) == [
        *("deposit", "mint", "sale", "refund", "settlement", "returned payout"),
        *("retried payout", "redemption", "redeemed", "move"),
    ]
    assert [row["resident_tiyn"] for row in result["figures"]] == [
        *(0, 8_000_000, 5_500_000), *[6_000_000] * 4, *[5_000_000] * 3,
    ]  # fmt: skip
    for row in result["figures"]:
        assert row["bank_tiyn"] + row["in_transit_tiyn"] == row["owed_tiyn"] + row["own_tiyn"]
    assert steps["settlement"]["in_transit_tiyn"] == -1_980_000
    assert steps["returned payout"]["payouts_tiyn"] == 1_980_000
    assert steps["redemption"]["in_transit_tiyn"] == -demo_reserve.REDEEMED_TIYN
    last = steps["move"]
    assert last["in_transit_tiyn"] == last["payouts_tiyn"] == last["bridge_tiyn"] == 0
    assert last["evm_tiyn"] == demo_reserve.MOVED_TIYN
    assert last["outstanding_tiyn"] == last["solana_tiyn"] + last["evm_tiyn"] == 5_000_000
    assert last["bank_tiyn"] == last["outstanding_tiyn"] + last["unminted_tiyn"] == 7_000_000


def statements_came(sandbox: Running) -> None:
    """Of each day that is over one for each account, whose bytes have the hash that was told."""
    told = sandbox.get("/v1/events", "regulator", type="bank.statement_received", limit=100)
    days = [(one["data"]["account"], one["data"]["date"]) for one in told["data"]]
    assert len(days) >= 10
    assert len(set(days)) == len(days)
    of_reserve = [one["data"] for one in told["data"] if one["data"]["account"] == "KZ63…0001"]
    newest = max(of_reserve, key=lambda one: str(one["date"]))
    xml = httpx2.get(
        f"{sandbox.endpoints['api']}/v1/bank/statements/{RESERVE_IBAN}/{newest['date']}.xml",
        headers={"Authorization": f"Bearer {sandbox.key('regulator')}"},
    ).content
    assert hashlib.sha256(xml).hexdigest() == newest["sha256"]
    assert statements.parse(xml).closing_tiyn == newest["closing_tiyn"]
    assert sandbox.get("/v1/bank/held", "regulator")["data"] == []
