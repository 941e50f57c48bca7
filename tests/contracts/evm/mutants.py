"""Breaks the contracts one line at a time and looks whether the tests notice: `make mutants`.

usage: python -m tests.contracts.evm.mutants [how many, drawn anew from the same seed; default all]
Ends with 1 where a broken contract passes and `EXPLAINED` does not say why that is no bug.
"""

import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from contracts import evm

ROOT = Path(__file__).parents[3]
SEED, WORKERS, DEADLINE_S = 4, 2, 180
# What a mutant meets first is what most likely knows it; the long histories come last.
FIRST = {
    "deposits.vy": ("test_sweep", "test_deposit_address", "test_deposit_rescue"),
    "forwarder.vy": ("test_sweep", "test_deposit_address", "test_deposit_rescue"),
    "kzte_domain.vy": ("test_signatures", "test_domain", "test_permit"),
    "kzte_roles.vy": ("test_roles", "test_minters", "test_freeze", "test_pause"),
    "kzte.vy": ("test_transfer", "test_mint", "test_burn", "test_transfer_with_authorization"),
}
LAST = ("test_frozen_histories", "test_histories")
# These look at the sources themselves.
NOT_RUN = ("test_artifacts", "test_mutants")

SWAPS = (
    (" <= ", " < "),
    (" < ", " <= "),
    (" > ", " >= "),
    (" == ", " != "),
    (" + ", " - "),
    (" - ", " + "),
    (" += ", " -= "),
    (" -= ", " += "),
    (" and ", " or "),
    (" or ", " and "),
    (" not in ", " in "),
    ("True", "False"),
    ("return False", "return True"),
    ("assert not ", "assert "),
    ("if not ", "if "),
    ("TRANSFER_WITH_AUTHORIZATION_TYPEHASH", "RECEIVE_WITH_AUTHORIZATION_TYPEHASH"),
    ("RECEIVE_WITH_AUTHORIZATION_TYPEHASH", "TRANSFER_WITH_AUTHORIZATION_TYPEHASH"),
    ("is_static_call=True,", ""),
    ("revert_on_failure=False", "revert_on_failure=True"),
)
_DROPPED = re.compile(r"(assert |log |extcall |raw_call|self\.|roles\._|domain\._)")

# (file, change) → why no test can see it.
EXPLAINED: dict[tuple[str, str], str] = {}


@dataclass(frozen=True)
class Mutant:
    """One changed statement. `change` names it for people; `source` is the whole file, changed."""

    file: str
    line: int
    change: str
    source: str

    @property
    def key(self) -> tuple[str, str]:
        return self.file, self.change


def mutants() -> list[Mutant]:
    """All of them, in the order of the sources."""
    return [m for file, text in evm.sources().items() for m in _of(file, text)]


def _of(file: str, text: str) -> Iterator[Mutant]:
    lines = text.splitlines(keepends=True)
    seen: dict[str, int] = {}

    def changed(start: int, end: int, what: str, by: str) -> Mutant:
        seen[what] = seen.get(what, 0) + 1
        named = what if seen[what] == 1 else f"{what} ({seen[what]})"
        return Mutant(file, start + 1, named, "".join([*lines[:start], by, *lines[end:]]))

    for start, end in _statements(lines):
        found = "".join(lines[start:end])
        shown = " ".join(found.split())
        indent = found[: len(found) - len(found.lstrip())]
        if _DROPPED.match(shown):
            yield changed(start, end, f"without {shown}", f"{indent}pass\n")
        for old, new in SWAPS:
            for place in re.finditer(re.escape(old), found):
                by = found[: place.start()] + new + found[place.end() :]
                yield changed(start, end, f"{old.strip()} → {new.strip()} in {shown}", by)


def _statements(lines: list[str]) -> Iterator[tuple[int, int]]:
    """First line and the one behind the last, of each statement in a function's body."""
    number, in_function = 0, False
    while number < len(lines):
        line = lines[number]
        if line.strip().startswith('"""'):
            number += 1
            while '"""' not in lines[number]:
                number += 1
        elif line.startswith("def "):
            in_function = True
            while not lines[number].rstrip().endswith(":"):
                number += 1
        elif line.strip() and not line.startswith((" ", ")")):
            in_function = False
        elif in_function and line.strip() and not line.strip().startswith("#"):
            end = number + 1
            while (text := "".join(lines[number:end])).count("(") != text.count(")"):
                end += 1
            yield number, end
            number = end
            continue
        number += 1


def outcome(mutant: Mutant) -> str:
    """`killed by TEST`, `killed by time`, `not compiled`, or `survived`."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as name:
        tree = Path(name)
        _copy_into(tree)
        (tree / "contracts" / mutant.file).write_text(mutant.source)
        # The tree stands before the installed packages, since -m puts the folder first.
        argv = [sys.executable, "-m", "contracts.evm_build"]
        if _run(argv, tree).returncode != 0:
            return "not compiled"
        argv = [sys.executable, "-m", "pytest", "-x", "--tb=no", "-p", "no:cacheprovider"]
        try:
            done = _run([*argv, *_files(mutant.file, tree)], tree)
        except subprocess.TimeoutExpired:
            return "killed by time"
    if done.returncode == 0:
        return "survived"
    found = re.search(r"^(?:FAILED|ERROR) \S*/(\S+)", done.stdout, re.MULTILINE)
    assert found, done.stdout + done.stderr
    return f"killed by {found[1]}"


def _copy_into(tree: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tree)
    for folder in ("contracts", "tests/contracts"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tree / "tests/__init__.py").touch()


def _files(file: str, tree: Path) -> list[str]:
    names = {path.stem for path in (tree / "tests/contracts/evm").glob("test_*.py")}
    first = FIRST[file]
    rest = sorted(names - {*first, *LAST, *NOT_RUN})
    return [f"tests/contracts/evm/{name}.py" for name in (*first, *rest, *LAST)]


def _run(argv: list[str], tree: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv,
        cwd=tree,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def main() -> int:
    chosen = mutants()
    if len(sys.argv) > 1:
        chosen = random.Random(SEED).sample(chosen, min(int(sys.argv[1]), len(chosen)))
    begun = time.monotonic()
    whole = Mutant("kzte.vy", 0, "nothing changed", evm.sources()["kzte.vy"])
    if (found := outcome(whole)) != "survived":
        sys.stdout.write(f"the tests fail by themselves: {found}\n")
        return 1
    counts = {"killed": 0, "not compiled": 0, "explained": 0, "survived": 0}
    with ThreadPoolExecutor(WORKERS) as pool:
        for mutant, found in zip(chosen, pool.map(outcome, chosen), strict=True):
            kind = "killed" if found.startswith("killed") else found
            if kind == "survived" and mutant.key in EXPLAINED:
                kind = found = "explained"
            counts[kind] += 1
            sys.stdout.write(f"{found}: {mutant.file}:{mutant.line} {mutant.change}\n")
            sys.stdout.flush()
    took = time.monotonic() - begun
    told = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    sys.stdout.write(f"{len(chosen)} mutants in {took:.0f} s: {told}\n")
    return 1 if counts["survived"] else 0


if __name__ == "__main__":
    sys.exit(main())
