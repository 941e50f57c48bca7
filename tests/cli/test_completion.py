"""What TAB offers: quickly, and nothing at all rather than an error in the middle of typing."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.cli import completion
from sandbox.eventlog import catalog

ASK = """
import atexit, json, sys
loaded = lambda: print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))
atexit.register(loaded)
sys.argv = ["sandbox"]
from sandbox.cli.commands import main
main()
"""


def complete(tmp_path: Path, *words: str) -> list[str]:
    """What bash is told behind the last of `words`; the last line is the modules that it took."""
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        capture_output=True,
        text=True,
        timeout=30,
        env={
            **os.environ,
            "SANDBOX_DATA_DIR": str(tmp_path),
            "COMP_WORDS": " ".join(("sandbox", *words)),
            "COMP_CWORD": str(len(words)),
            "_SANDBOX_COMPLETE": "complete_bash",
        },
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def endpoints(tmp_path: Path, api: str) -> None:
    keys = {"merchant": "k", "operator": "k"}
    (tmp_path / "endpoints.json").write_text(json.dumps({"api": api, "keys": keys}))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"api": 1, "keys": {"operator": 1}}'])
def test_without_a_sandbox_nothing_is_offered_and_nothing_is_said(
    tmp_path: Path, content: str
) -> None:
    assert completion._listed(tmp_path, "operator", "/v1/checkout/sessions") == []
    (tmp_path / "endpoints.json").write_text(content)
    assert completion._listed(tmp_path, "operator", "/v1/checkout/sessions") == []


def test_a_sandbox_that_hangs_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completion, "PATIENCE_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as hangs:
        endpoints(tmp_path, f"http://127.0.0.1:{hangs.getsockname()[1]}")
        assert completion._listed(tmp_path, "operator", "/v1/checkout/sessions") == []


def test_completion_knows_every_type_of_the_catalog() -> None:
    assert completion.types() == tuple(catalog.types())


def test_types_are_completed_behind_a_comma_too() -> None:
    assert completion.event_types("payout.s") == ["payout.sent"]
    assert completion.event_types("payment.*,payout.s") == ["payment.*,payout.sent"]
    assert completion.event_types("ref")[:2] == ["refund.*", "refund.completed"]


def test_payers_and_wallets_are_offered_and_no_wallet_that_a_scenario_made(tmp_path: Path) -> None:
    (tmp_path / "wallets").mkdir()
    for name in ("saule.json", "sim-short.json", "short.evm"):
        (tmp_path / "wallets" / name).touch()
    *offered, _ = complete(tmp_path, "pay", "--as", "s")
    assert offered == ["short", "spoofed", "saule"]


def test_completion_loads_nothing_of_the_system(tmp_path: Path) -> None:
    *offered, modules = complete(tmp_path, "listen", "--events", "payout.se")
    assert offered == ["payout.sent"]
    heavy = {"fastapi", "httpx2", "rich", "solders", "sqlalchemy", "sqlmodel", "structlog", "web3"}
    assert heavy & set(json.loads(modules)) == set()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("trigger", "stray_re"), ["stray_reverted", "stray_returned"]),
        (("trigger", "api_key.r"), ["api_key.revoked", "api_key.rotated"]),
        (("trigger", "--chain", "e"), ["evm"]),
        (("pay", "--chain", "s"), ["solana"]),
        (("token", "rotate", "--chain", ""), ["solana", "evm"]),
        (("faults", "reorg", "--chain", "e"), ["evm"]),
        (("events", "list", "--role", "re"), ["regulator"]),
    ],
)
def test_names_that_are_known_without_a_sandbox_are_offered_without_loading_it(
    tmp_path: Path, words: tuple[str, ...], offered: list[str]
) -> None:
    *found, modules = complete(tmp_path, *words)
    assert sorted(found) == sorted(offered)
    heavy = {"fastapi", "httpx2", "rich", "solders", "sqlalchemy", "sqlmodel", "structlog", "web3"}
    assert heavy & set(json.loads(modules)) == set()
