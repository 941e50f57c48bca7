"""A third chain must not touch the slices, so they may not know the names of the first two."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CHAIN_NAME = re.compile(r"solana|ethereum|evm|anvil", re.IGNORECASE)

AT_HOME = (
    "sandbox/core/settings.py",
    "sandbox/wiring/world.py",
    "sandbox/chains",
    "sandbox/cli",
    "sandbox/devnets",
    "sandbox/migrations",
    # A shop chooses the chains that its customers pay on.
    "merchants/sample",
)
"""Where adding a chain adds lines (DESIGN 3); beside them `contracts/`, tests and docs."""

RECORDED = ("sandbox/core/http/examples.json", "sandbox/eventlog/event_types.json")
"""Answers and events of real runs, word for word."""

EXCEPTIONS = {
    "sandbox/reserve/intake_routes.py": (
        '"chain": "solana",',
        '"from_chain": "evm",',
        '"to_chain": "solana",',
    ),
    # A reader of /docs must be able to send the example as it stands.
    "sandbox/lab/routes.py": ('"chain": "solana",',),
    "sandbox/reserve/routes.py": ('"chain": "solana",',),
    # A command's options, and a customer's choice: a user of the sandbox writes the same.
    "merchants/pytest_sandbox/process.py": (
        '"--solana-port"',
        '"--evm-port"',
        '"--evm-block-ms"',
        '"--evm-final-delay-ms"',
    ),
    "merchants/sample/tests/test_shop.py": ('chain="evm"',),
    # What EIP-1193, EIP-3085 and EIP-3326 call it; whichever chain offers such a payment gets it.
    "sandbox/web/assets/wallet.js": (
        "window.ethereum",
        '"wallet_switchEthereumChain"',
        '"wallet_addEthereumChain"',
    ),
}


def elsewhere() -> list[str]:
    """Every file of the packages that is not at home with chains, from the root."""
    found = (
        path.relative_to(ROOT).as_posix()
        for package in ("sandbox", "merchants")
        for path in (ROOT / package).rglob("*")
        if path.is_file()
        and "__pycache__" not in path.parts
        and str(path.relative_to(ROOT)) not in RECORDED
    )
    return sorted(
        path
        for path in found
        if not any(path == home or path.startswith(f"{home}/") for home in AT_HOME)
    )


def names_in(path: str, text: str) -> list[str]:
    """The path and every line that names a chain, what is excepted taken away first."""
    lines = [path, *text.splitlines()]
    for allowed in EXCEPTIONS.get(path, ()):
        lines = [line.replace(allowed, "") for line in lines]
    return [line for line in lines if CHAIN_NAME.search(line)]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("sandbox/payments/service.py", 'if chain.name == "EVM":'),
        ("sandbox/payments/methods/solana_transfer.py", ""),
        ("sandbox/web/page.py", "# as on Solana"),
        ("sandbox/web/assets/pay.css", ".anvil {}"),
        ("sandbox/lab/routes.py", 'if body.chain == "solana":'),
        ("sandbox/web/assets/pay.js", "window.ethereum"),
    ],
)
def test_a_chain_that_is_named_is_found(path: str, line: str) -> None:
    assert names_in(path, line)


def test_nothing_outside_its_home_names_a_chain() -> None:
    named = {path: names_in(path, (ROOT / path).read_text()) for path in elsewhere()}
    assert {path: lines for path, lines in named.items() if lines} == {}


def test_the_whole_of_both_packages_is_looked_at() -> None:
    found = elsewhere()
    assert len(found) > 100
    for kind in (".py", ".js", ".css", ".html", ".svg"):
        assert any(path.endswith(kind) for path in found), kind
    for package in ("sandbox/payments/", "sandbox/settlement/", "sandbox/web/", "merchants/"):
        assert any(path.startswith(package) for path in found), package


@pytest.mark.parametrize("path", EXCEPTIONS)
def test_every_exception_is_still_needed(path: str) -> None:
    text = (ROOT / path).read_text()
    for allowed in EXCEPTIONS[path]:
        assert allowed in text
