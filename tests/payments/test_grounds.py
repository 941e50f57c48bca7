"""The rules that are shown never say anything but the verdict that was reached."""

from datetime import timedelta
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from sandbox.payments.grounds import grounds, why_of
from sandbox.payments.judge import Verdict, judge
from sandbox.payments.models import CheckoutSession, Payment, StrayTransfer
from sandbox.payments.step import money_of, terms_of
from tests.payments.test_judge import START, at

AMOUNT_TIYN = 10_000


def session(status: str = "open", **more: Any) -> CheckoutSession:
    values: dict[str, Any] = {
        "id": "cs_1", "merchant": "mch_1", "amount_tiyn": AMOUNT_TIYN, "currency": "KZT",
        "meta": {}, "options": [], "url": "", "status": status, "reason": "none", "reasons": [],
        "notes": [], "expires_in_s": 900, "created_at": START,
        "expires_at": START + timedelta(seconds=900), "completions": 0, "received_units": 0,
        "excess_units": 0, "canceled_at": START if status == "canceled" else None,
    }  # fmt: skip
    return CheckoutSession(**(values | more))


def payment(n: int, units: int, seconds: int, state: str = "confirmed") -> Payment:
    return Payment(
        id=f"pay_{n}", session="cs_1", merchant="mch_1", chain="one", method="transfer",
        decimals=2, transfer_id=f"ct_{n}", tx=f"tx{n}", ordinal=0, from_address="a",
        amount_units=units, counted_units=0, excess_units=0, refunded_units=0, refunding_units=0,
        chain_state=state, settlement_state="none", inclusion=1, height=seconds, block_index=0,
        block_time=at(seconds), first_block_time=at(seconds), created_at=at(seconds),
        confirmed_at=at(seconds),
    )  # fmt: skip


def judged(of: CheckoutSession, payments: list[Payment], policy: str = "confirmed") -> Verdict:
    """As a step does it: the verdict, written into the rows."""
    verdict = judge(terms_of(of, policy), [money_of(one) for one in payments])
    for one in payments:
        share = verdict.shares[one.id]
        one.counted_units, one.excess_units = share.counted_units, share.excess_units
    of.status = verdict.status
    of.completed_payment = verdict.completed_by
    return verdict


payments = st.lists(
    st.builds(
        lambda units, seconds, state: (units, seconds, state),
        st.integers(1, 15_000),
        st.integers(0, 1_800),
        st.sampled_from(["confirmed", "final", "reverted"]),
    ),
    min_size=1,
    max_size=5,
)


@given(payments, st.sampled_from(["open", "canceled", "expired"]),
       st.sampled_from(["confirmed", "final"]))  # fmt: skip
def test_a_rule_fails_exactly_where_the_verdict_found_a_reason(
    given_: list[tuple[int, int, str]], status: str, policy: str
) -> None:
    of = session(status)
    paid = [payment(n, *one) for n, one in enumerate(given_)]
    verdict = judged(of, paid, policy)
    for one in paid:
        found = {rule.code: rule for rule in grounds(of, one, verdict, None, policy)}
        failed = {code for code, rule in found.items() if rule.result == "fail"}
        share = verdict.shares[one.id]
        why = why_of(one, verdict, None)
        if one.chain_state == "reverted":
            assert failed == {"in_chain"}
        elif share.why == "late":
            rule = "not_canceled" if of.status == "canceled" else "in_time"
            assert failed == {rule}
        elif share.why == "duplicate":
            assert failed == {"not_paid_already"}
        else:
            assert failed <= {"amount", "not_too_much"}
            assert ("not_too_much" in failed) == (share.why == "overpaid")
            short = "underpaid" in verdict.reasons
            assert (found["amount"].result == "pass") == (not short)
            assert ("amount" in failed) == (short and verdict.status != "open")
        # What stands beside the outcome is what it was made of.
        if found["in_time"].result == "fail":
            assert one.first_block_time > of.expires_at
        elif found["in_time"].result == "pass":
            assert one.first_block_time <= of.expires_at or why != "late"
        assert found["final"].result == (
            "pass" if one.chain_state == "final" and not failed & {"in_chain"}
            else "not_needed" if failed - {"amount", "not_too_much"} else "waiting"
        )  # fmt: skip
        counted = found["amount"].values["counted_tiyn"]
        assert counted == share.counted_units


def test_what_was_decided_by_hand_keeps_the_rule_that_it_had_failed() -> None:
    of, late = session("expired"), payment(1, AMOUNT_TIYN, 1_000, "final")
    late.resolution, late.captured_at, late.counted_units = "accept", at(2_000), AMOUNT_TIYN
    stray = cast(StrayTransfer, StrayTransfer.model_construct(reasons=["late"]))
    verdict = judge(terms_of(of, "confirmed"), [money_of(late)])
    found = {rule.code: rule.result for rule in grounds(of, late, verdict, stray, "confirmed")}
    assert (found["in_time"], found["decided_by_hand"]) == ("fail", "pass")
