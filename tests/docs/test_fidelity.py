"""The fidelity statement: complete, and each line with a test that is there."""

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, cast

from sandbox.core.fidelity import as_markdown
from sandbox.devnets.solana import rpc
from sandbox.devnets.solana.fidelity import PARTS
from sandbox.devnets.solana.subscriptions import methods_for

ROOT = Path(__file__).parents[2]
LINES = [line for part in PARTS for line in part.lines]


def methods(*truths: str) -> list[str]:
    """The methods that lines of these truths speak of."""
    named = [name for line in LINES if line.truth in truths for name in line.subject.split(", ")]
    return [name for name in named if name[0].islower() and " " not in name]


def test_each_line_names_a_test_that_is_there() -> None:
    assert len(LINES) > 60
    for line in LINES:
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
    assert [line for line in LINES if line.truth != "real" and not line.differs] == []


def test_the_page_has_every_line() -> None:
    assert as_markdown(PARTS).rstrip() in (ROOT / "docs/fidelity.md").read_text()


def test_the_devnet_prints_it() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "sandbox.cli", "devnet", "solana", "--fidelity"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    words = " ".join(said.split())
    assert [line for line in LINES if line.subject not in words or line.test not in words] == []
    assert max(len(line) for line in said.splitlines() if "::" not in line) <= 100
