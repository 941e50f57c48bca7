"""Unmodified clients of others live through the same days, and all tell the same of them.

Each script is a program of its own that knows our two URLs and nothing of ours.
"""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from sandbox.devnets.solana.process import Running
from tests.conformance.clients import HERE, Facts, Failed, run

AT_ONCE = 3
SCRIPTS = {
    "kit": "kit.mjs",
    "pay": "pay/pay.mjs",
    "solana-py": "solana_py.py",
    "solana-py-0.39": "solana_py_sync.py",
    "web3.js": "web3_spl_token.mjs",
    "x402": "x402_pay.py",
}
OLD_PYTHON = ("solana-py-0.39", "x402")

# What every client reads of the same token, whatever its own words for it are.
DAYS: dict[str, tuple[str, Any]] = {
    "makes the mint with its four extensions": (
        "mint",
        {
            "decimals": 2,
            "supply": 0,
            "name": "Test Tenge",
            "symbol": "TKZT",
            "paused": False,
            "delegate": True,
            "extensions": [
                "MetadataPointer",
                "PausableConfig",
                "PermanentDelegate",
                "TokenMetadata",
            ],
        },
    ),
    "opens accounts that carry their two extensions": ("account_bytes", 174),
    "hears of its payment over WebSocket from every side": (
        "heard",
        {
            "account": 1250,
            "logs": True,
            "program": True,
            "root": True,
            "signature": None,
            "slot": True,
        },
    ),
    "finds its payment by the reference, with memo and amount": (
        "payment",
        {
            "found": [True],
            "memo": "[11] order 7 №",
            "received": 1250,
            "parsed": ["order 7 №", "transferChecked"],
        },
    ),
    "parses every refusal with its number and its logs": (
        "refused",
        {
            name: {"code": code, "logs": 1}
            for name, code in {
                "decimals": 0x12,
                "short": 0x1,
                "plain_transfer": 0x1F,
                "frozen": 0x11,
                "paused": 0x43,
                "former_authority": 0x4,
            }.items()
        },
    ),
    "sees a frozen account": ("frozen", True),
    "sees a paused mint": ("paused", True),
    "reads a failure that landed, and its fee": ("failed", {"code": 1, "read": 1, "fee": 5_000}),
    "gives the mint another authority": ("new_authority", True),
    "counts what the seizure and the burning left": (
        "left",
        {"customer": "82.5", "shop": "15", "supply": "97.5"},
    ),
    "finds the account of an owner": ("owned", ["15"]),
    "pays through a lookup table": ("lookup", {"writable": 2, "readonly": 1}),
    "raises its own error for an expired blockhash": (
        "expired",
        {"valid": False, "refused": True, "gave_up": True},
    ),
}
# What is left out, and why: pay is kit 6 again where it does not speak of payments, and solana-py
# has no lookup-table calls.
LEFT_OUT = {
    "kit": set(),
    "pay": {"heard", "failed", "lookup", "expired"},
    "solana-py": {"lookup"},
    "solana-py-0.39": {"lookup"},
    "web3.js": set(),
}
SHOP: dict[str, tuple[str, Any]] = {
    "hears of its payment by the reference": ("watched", True),
    "takes nothing else for its payment": (
        "invalid",
        {
            "amount": "amount not transferred",
            "memo": "invalid memo",
            "reference": "invalid reference 0",
            "recipient": "invalid transfer",
            "unknown": "not found",
        },
    ),
    "has its transaction request paid": ("request", True),
}
PAID_REQUEST: dict[str, tuple[str, Any]] = {
    "verifies and settles a payment": ("settled", True),
    "lets the facilitator pay the fee, and the priority": ("paid_by_sponsor", 10_001),
    "finds the seller's memo": ("memo", "[4] cs_1"),
    "settles a payment once": ("settled_again", [False, "AlreadyProcessed"]),
    "refuses more than the buyer has": ("too_much", "0x1"),
    "refuses less than was asked": (
        "less_than_asked",
        "invalid_exact_svm_payload_amount_insufficient",
    ),
    "refuses a payment in a paused mint": ("paused", "0x43"),
    "moves nothing in a paused mint": ("settled_while_paused", [False, ""]),
    "leaves the buyer the rest": ("left", "87.5"),
}


Told = Mapping[str, Facts | Failed]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def told(devnet: Running, slot_ms: int) -> Told:
    """The facts of every script, which run side by side on one chain."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def live(client: str) -> Facts | Failed:
        async with turns:
            return await run(SCRIPTS[client], devnet, slot_ms, old_python=client in OLD_PYTHON)

    return dict(zip(SCRIPTS, await asyncio.gather(*map(live, SCRIPTS)), strict=True))


def facts(told: Told, client: str) -> Facts:
    found = told[client]
    assert not isinstance(found, Failed), found.said
    return found


@pytest.mark.parametrize("client", LEFT_OUT)
@pytest.mark.parametrize("day", DAYS)
def test_a_client(told: Told, client: str, day: str) -> None:
    name, wanted = DAYS[day]
    if name in LEFT_OUT[client]:
        assert name not in facts(told, client)
    else:
        assert facts(told, client)[name] == wanted


@pytest.mark.parametrize("day", SHOP)
def test_a_shop_with_solana_pay(told: Told, day: str) -> None:
    name, wanted = SHOP[day]
    assert facts(told, "pay")[name] == wanted


@pytest.mark.parametrize("day", PAID_REQUEST)
def test_a_seller_with_x402(told: Told, day: str) -> None:
    name, wanted = PAID_REQUEST[day]
    assert facts(told, "x402")[name] == wanted


def version_in(package: Path) -> str:
    return str(json.loads((package / "package.json").read_text())["version"])


def test_the_clients_are_the_versions_that_are_spoken_of() -> None:
    modules = HERE / "node_modules"
    assert version_in(HERE.parents[1] / "node_modules/@solana/kit") == "8.4.0"
    assert version_in(modules / "@solana/web3.js") == "1.99.0"
    assert version_in(modules / "@solana/spl-token") == "0.4.15"
    assert version_in(HERE / "pay/node_modules/@solana/pay") == "1.0.16"
    locked = (HERE / "x402.lock").read_text()
    assert "\nx402==2.25.0 " in locked
    assert "\nsolana==0.39.0 " in locked


@pytest.mark.parametrize(
    "lock", ["x402.lock", "solana-py.lock", "package-lock.json", "pay/package-lock.json"]
)
def test_no_lock_names_a_download_address(lock: str) -> None:
    text = (HERE / lock).read_text()
    assert '"resolved"' not in text
    options = [line for line in text.splitlines() if line.startswith("-")]
    assert options == []  # of pip: where it is to look
