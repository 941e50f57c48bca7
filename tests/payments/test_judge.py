"""The judge's rules one by one, then as properties of random histories."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.core.money import units_per_tiyn
from sandbox.payments.judge import Money, Terms, judge

START = datetime(2026, 11, 20, 10, tzinfo=UTC)
TERMS = Terms(amount_tiyn=10_000, expires_at=START + timedelta(seconds=900), status="open")


def at(seconds: int) -> datetime:
    return START + timedelta(seconds=seconds)


def paid(id_: str, tiyn: int, seconds: int, *, decimals: int = 2, **more: Any) -> Money:
    values: dict[str, Any] = {
        "id": id_,
        "chain": "solana",
        "decimals": decimals,
        "amount_units": tiyn * units_per_tiyn(decimals),
        "state": "confirmed",
        "first_time": at(seconds),
        "block_time": at(seconds),
        "height": seconds,
        "index": 0,
    }
    return Money(**(values | more))


def test_a_session_without_money_stays_as_it_is() -> None:
    verdict = judge(TERMS, [])
    assert (verdict.status, verdict.reason, verdict.received_units) == ("open", "none", 0)


@pytest.mark.parametrize("decimals", [2, 6])
def test_the_exact_amount_completes_without_a_reason(decimals: int) -> None:
    verdict = judge(TERMS, [paid("pay_a", 10_000, 5, decimals=decimals)])
    assert (verdict.status, verdict.reasons, verdict.completed_by) == ("complete", (), "pay_a")
    assert verdict.shares["pay_a"].counted_units == 10_000 * units_per_tiyn(decimals)


def test_too_little_is_underpaid_and_leaves_the_session_open() -> None:
    verdict = judge(TERMS, [paid("pay_a", 4_000, 5)])
    assert (verdict.status, verdict.reason, verdict.completed_by) == ("open", "underpaid", None)
    assert verdict.shares["pay_a"].counted_units == 4_000


def test_less_than_a_tiyn_is_underpaid_too() -> None:
    speck = paid("pay_a", 0, 5, decimals=6, amount_units=1)
    verdict = judge(TERMS, [speck])
    assert (verdict.reason, verdict.excess_units) == ("underpaid", 1)


def test_partial_then_full_completes_by_the_payment_that_made_it_whole() -> None:
    verdict = judge(TERMS, [paid("pay_b", 4_000, 9), paid("pay_a", 6_000, 5)])
    assert (verdict.status, verdict.reasons, verdict.completed_by) == ("complete", (), "pay_b")


def test_too_much_is_overpaid_and_the_excess_is_not_counted() -> None:
    verdict = judge(TERMS, [paid("pay_a", 6_000, 5), paid("pay_b", 6_000, 6)])
    assert (verdict.status, verdict.reason, verdict.excess_units) == ("complete", "overpaid", 2_000)
    assert verdict.shares["pay_b"].counted_units == 4_000
    assert verdict.shares["pay_b"].excess_units == 2_000


def test_late_money_never_counts_and_leaves_the_session_expired() -> None:
    late = judge(replace(TERMS, status="expired"), [paid("pay_a", 10_000, 901)])
    assert (late.status, late.reason, late.excess_units) == ("expired", "late", 10_000)
    assert judge(TERMS, [paid("pay_a", 10_000, 901)]).status == "expired"


def test_money_in_the_last_second_completes_an_expired_session() -> None:
    verdict = judge(replace(TERMS, status="expired"), [paid("pay_a", 10_000, 900)])
    assert (verdict.status, verdict.reason) == ("complete", "none")


def test_a_first_inclusion_in_time_counts_though_the_newest_one_is_late() -> None:
    back = paid("pay_a", 10_000, 2_000, first_time=at(5))
    assert judge(replace(TERMS, status="expired"), [back]).status == "complete"


def test_money_after_completion_is_a_duplicate_even_when_it_is_late_too() -> None:
    verdict = judge(TERMS, [paid("pay_a", 10_000, 5), paid("pay_b", 10_000, 950)])
    assert (verdict.status, verdict.reasons) == ("complete", ("duplicate",))
    assert (verdict.completed_by, verdict.excess_units) == ("pay_a", 10_000)


def test_duplicate_ranks_before_overpaid_and_both_are_listed() -> None:
    verdict = judge(TERMS, [paid("pay_a", 11_000, 5), paid("pay_b", 1, 6)])
    assert verdict.reasons == ("duplicate", "overpaid")


def test_money_to_a_canceled_session_is_late_and_never_completes_it() -> None:
    verdict = judge(replace(TERMS, status="canceled"), [paid("pay_a", 10_000, 5)])
    assert (verdict.status, verdict.reason, verdict.excess_units) == ("canceled", "late", 10_000)


def test_a_reverted_payment_reopens_a_complete_session() -> None:
    reverted = paid("pay_a", 10_000, 5, state="reverted")
    verdict = judge(replace(TERMS, status="complete"), [reverted])
    assert (verdict.status, verdict.reason, verdict.received_units) == ("open", "reverted", 0)


def test_a_revert_that_healed_leaves_no_reason() -> None:
    back = paid("pay_a", 10_000, 40, first_time=at(5))
    verdict = judge(TERMS, [back])
    assert (verdict.status, verdict.reasons) == ("complete", ())


def test_the_duplicate_takes_over_when_the_first_payment_reverts() -> None:
    first, second = paid("pay_a", 10_000, 5, state="reverted"), paid("pay_b", 10_000, 6)
    verdict = judge(replace(TERMS, status="complete"), [first, second])
    assert (verdict.status, verdict.reasons, verdict.completed_by) == ("complete", (), "pay_b")


def test_the_policy_final_waits_for_every_counted_payment() -> None:
    terms = replace(TERMS, policy="final")
    first, second = paid("pay_a", 6_000, 5, state="final"), paid("pay_b", 4_000, 6)
    waiting = judge(terms, [first, second])
    assert (waiting.status, waiting.reasons, waiting.completed_by) == ("open", (), None)
    assert judge(terms, [first, replace(second, state="final")]).status == "complete"


def test_captured_money_cannot_be_overtaken_by_an_earlier_block_of_another_chain() -> None:
    captured = paid("pay_a", 10_000, 9, state="final", fixed=True, counted_units=10_000)
    earlier = paid("pay_b", 10_000, 5, chain="evm")
    verdict = judge(replace(TERMS, status="complete", captured=True), [earlier, captured])
    assert (verdict.completed_by, verdict.reasons) == ("pay_a", ("duplicate",))


def test_fractions_of_a_tiyn_add_up_over_payments_and_the_rest_is_excess() -> None:
    terms = replace(TERMS, amount_tiyn=2)
    halves = [paid(f"pay_{n}", 0, n, decimals=6, amount_units=7_500) for n in range(3)]
    verdict = judge(terms, halves)
    assert [verdict.shares[m.id].counted_units for m in halves] == [0, 10_000, 10_000]
    assert (verdict.status, verdict.reason, verdict.excess_units) == ("complete", "overpaid", 2_500)


@st.composite
def histories(draw: st.DrawFn) -> tuple[Terms, list[Money]]:
    decimals = draw(st.sampled_from([2, 6]))
    terms = Terms(
        amount_tiyn=draw(st.integers(1, 30)),
        expires_at=at(draw(st.integers(0, 20))),
        status=draw(st.sampled_from(["open", "complete", "expired", "canceled"])),
        policy=draw(st.sampled_from(["confirmed", "final"])),
    )
    most = 20 * units_per_tiyn(decimals)
    payments = []
    for n in range(draw(st.integers(0, 6))):
        seconds = draw(st.integers(0, 25))
        payments.append(
            paid(
                f"pay_{n}",
                0,
                seconds,
                decimals=decimals,
                amount_units=draw(
                    st.integers(1, 4)
                    | st.integers(1, most)
                    | st.sampled_from([most // 4, most // 2])
                ),
                chain=draw(st.sampled_from(["solana", "evm"])),
                state=draw(st.sampled_from(["confirmed", "final", "reverted"])),
                first_time=at(draw(st.integers(0, seconds))),
                index=draw(st.integers(0, 2)),
            )
        )
    return terms, payments


@given(histories(), st.randoms(use_true_random=False))
def test_the_order_of_arrival_never_matters(
    history: tuple[Terms, list[Money]], chance: random.Random
) -> None:
    terms, payments = history
    shuffled = list(payments)
    chance.shuffle(shuffled)
    assert judge(terms, shuffled) == judge(terms, payments)


@given(histories())
def test_no_unit_is_lost_or_counted_twice(history: tuple[Terms, list[Money]]) -> None:
    terms, payments = history
    verdict = judge(terms, payments)
    per_tiyn = units_per_tiyn(payments[0].decimals) if payments else 1
    counted = sum(share.counted_units for share in verdict.shares.values())
    assert counted <= terms.amount_tiyn * per_tiyn
    assert counted % per_tiyn == 0
    assert counted + verdict.excess_units == verdict.received_units
    assert all(s.counted_units >= 0 and s.excess_units >= 0 for s in verdict.shares.values())
    assert verdict.received_units == sum(m.amount_units for m in payments if m.state != "reverted")


@given(histories())
def test_a_session_is_complete_only_when_its_whole_amount_counts(
    history: tuple[Terms, list[Money]],
) -> None:
    terms, payments = history
    verdict = judge(terms, payments)
    per_tiyn = units_per_tiyn(payments[0].decimals) if payments else 1
    counted = sum(share.counted_units for share in verdict.shares.values())
    assert (verdict.completed_by is not None) == (verdict.status == "complete")
    if verdict.status == "complete":
        assert counted == terms.amount_tiyn * per_tiyn


@given(histories())
def test_judging_the_verdict_again_changes_nothing(history: tuple[Terms, list[Money]]) -> None:
    terms, payments = history
    verdict = judge(terms, payments)
    assert judge(replace(terms, status=verdict.status), payments) == verdict


@given(histories())
def test_fixing_what_was_counted_keeps_the_verdict(history: tuple[Terms, list[Money]]) -> None:
    terms, payments = history
    verdict = judge(terms, payments)
    if verdict.status != "complete":
        return
    fixed = []
    for money in payments:
        share = verdict.shares[money.id]
        kept = share.why in ("counted", "overpaid")
        fixed.append(
            replace(
                money,
                fixed=kept,
                counted_units=share.counted_units if kept else 0,
                excess_units=share.excess_units if kept else 0,
            )
        )
    captured = judge(replace(terms, status="complete", captured=True), fixed)
    assert captured.status == "complete"
    assert captured.completed_by == verdict.completed_by
    assert captured.excess_units == verdict.excess_units
