"""The fidelity statement: complete, and each line with a test that is there."""

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, cast

import pytest

from sandbox.core.fidelity import as_markdown
from sandbox.devnets.evm import fidelity as evm
from sandbox.devnets.solana import rpc
from sandbox.devnets.solana.fidelity import PARTS
from sandbox.devnets.solana.subscriptions import methods_for
from sandbox.lab import fidelity as lab

ROOT = Path(__file__).parents[2]
LINES = [line for part in PARTS for line in part.lines]
PAGES = {"solana": PARTS, "evm": evm.PARTS, "sandbox": lab.PARTS}
ALL = [line for parts in PAGES.values() for part in parts for line in part.lines]


def methods(*truths: str) -> list[str]:
    """The methods that lines of these truths speak of."""
    named = [name for line in LINES if line.truth in truths for name in line.subject.split(", ")]
    return [name for name in named if name[0].islower() and " " not in name]


def test_each_line_names_a_test_that_is_there() -> None:
    assert len(LINES) > 60
    for line in ALL:
        file, _, name = line.test.partition("::")
        tree = ast.parse((ROOT / file).read_text())
        functions = {
            node.name
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        assert name.startswith("test_"), line
        assert name in functions, line


def test_every_method_that_is_served_has_one_line_and_no_other_has() -> None:
    of_sockets = methods_for(*3 * (cast(Any, None),))
    served = set(rpc.METHODS) | {name for name in of_sockets if name.endswith("Subscribe")}
    assert Counter(methods("real", "simulated")) == Counter(served)


def test_what_is_called_absent_is_not_served() -> None:
    absent = methods("absent")
    assert absent
    assert not set(absent) & set(rpc.METHODS)


def test_what_is_simulated_or_absent_says_what_differs() -> None:
    assert [line for line in ALL if line.truth != "real" and not line.differs] == []


@pytest.mark.parametrize("name", PAGES)
def test_the_page_has_every_line(name: str) -> None:
    assert as_markdown(PAGES[name]).rstrip() in (ROOT / "docs/fidelity.md").read_text()


@pytest.mark.parametrize("chain", ["solana", "evm"])
def test_the_devnet_prints_it(chain: str) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "sandbox.cli", "devnet", chain, "--fidelity"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    words = " ".join(said.split())
    lines = [line for part in PAGES[chain] for line in part.lines]
    assert [line for line in lines if line.subject not in words or line.test not in words] == []
    assert max(len(line) for line in said.splitlines() if "::" not in line) <= 100
