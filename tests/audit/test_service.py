"""What an audit says when checks are silent, slow or broken: never that all is well."""

import asyncio

import pytest

from sandbox.audit import service
from sandbox.core.checks import Check, CheckFunction
from sandbox.core.errors import Unavailable


def _answers(*checks: Check) -> CheckFunction:
    async def answer() -> list[Check]:
        return list(checks)

    return answer


def _sound(*ids: str) -> CheckFunction:
    return _answers(*(Check(id_, True, 1, 1, "") for id_ in ids))


ALL = _sound(*service.INVARIANTS)


async def test_no_checks_are_no_sound_audit() -> None:
    report = await service.run([])
    assert not report.ok
    assert {check.detail for check in report.checks} == {"was not checked"}
    assert [check.id for check in report.checks] == list(service.INVARIANTS)


@pytest.mark.parametrize("missing", service.INVARIANTS)
async def test_an_invariant_nobody_answered_for_is_red(missing: str) -> None:
    report = await service.run([_sound(*(id_ for id_ in service.INVARIANTS if id_ != missing))])
    assert not report.ok
    assert [check.id for check in report.checks if not check.ok] == [missing]


async def test_a_check_that_raises_is_red_by_the_errors_name_and_hides_no_other() -> None:
    async def breaks() -> list[Check]:
        raise ValueError("postgresql://user:secret@host")

    report = await service.run([ALL, breaks])
    assert not report.ok
    assert len(report.checks) == len(service.INVARIANTS) + 1
    assert report.checks[-1] == Check("breaks", False, None, None, "ValueError")


async def test_a_named_refusal_says_what_it_refused() -> None:
    async def breaks() -> list[Check]:
        raise Unavailable("the chain")

    report = await service.run([breaks])
    detail = next(check.detail for check in report.checks if check.id == "breaks")
    assert detail == "Unavailable: the chain does not answer; try again"


async def test_a_check_without_an_end_is_red_in_time() -> None:
    async def waits() -> list[Check]:
        await asyncio.Event().wait()
        return []

    report = await service.run([ALL, waits], patience_s=0.05)
    assert report.checks[-1] == Check("waits", False, None, None, "TimeoutError")


async def test_one_red_check_among_green_ones_of_its_kind_is_a_breach() -> None:
    report = await service.run([ALL, _answers(Check("I8", False, 2, 1, "entry id: why"))])
    assert not report.ok
    assert [check.ok for check in report.checks if check.id == "I8"] == [True, False]


async def test_checks_stand_in_order_whoever_brought_them() -> None:
    report = await service.run([_sound("I9", "I3"), _sound("I1"), _sound("I8", "I2"), ALL])
    ids = [check.id for check in report.checks]
    assert report.ok
    assert ids == sorted(ids)
