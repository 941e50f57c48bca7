"""Runs the checks that wiring hands over and reports each; silence counts as a breach."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from sandbox.core.checks import Check, CheckFunction
from sandbox.core.errors import SandboxError

INVARIANTS = ("I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9")
"""What must be answered for before an audit is sound (DESIGN 5)."""

PATIENCE_S = 300.0
"""A million events are looked at in that time; who waits for a chain gives up sooner by itself."""

AT_ONCE = 4
"""Each check holds a connection, and requests that are answered meanwhile need some too."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Report:
    """The checks in the order I1 … I9; `ok` when every invariant was checked and none is red."""

    ok: bool
    checks: tuple[Check, ...]

    def as_json(self) -> dict[str, object]:
        return {"ok": self.ok, "checks": [check.as_json() for check in self.checks]}


async def run(checks: Sequence[CheckFunction], *, patience_s: float = PATIENCE_S) -> Report:
    """Run all checks, some at once, and report every one, each within `patience_s` seconds.

    A check that raises becomes a red check with the error's name, and an invariant that nobody
    answered for is red as well. Never raises itself.
    """
    turns = asyncio.Semaphore(AT_ONCE)
    answers = await asyncio.gather(*(_answer(check, patience_s, turns) for check in checks))
    found = [check for answer in answers for check in answer]
    answered = {check.id for check in found}
    found += [
        Check(id_, False, None, None, "was not checked")
        for id_ in INVARIANTS
        if id_ not in answered
    ]
    found.sort(key=_order)
    return Report(all(check.ok for check in found), tuple(found))


def _order(check: Check) -> tuple[int, str]:
    known = INVARIANTS.index(check.id) if check.id in INVARIANTS else len(INVARIANTS)
    return known, check.id


async def _answer(check: CheckFunction, patience_s: float, turns: asyncio.Semaphore) -> list[Check]:
    try:
        async with turns, asyncio.timeout(patience_s):
            return await check()
    except Exception as error:
        name = getattr(check, "__name__", type(check).__name__)
        _log.exception("check_failed", check=name)
        # Only a named refusal's text is meant to be shown: others may hold addresses or rows.
        said = f"{type(error).__name__}: {error}" if isinstance(error, SandboxError) else ""
        return [Check(name, False, None, None, said or type(error).__name__)]
