"""Redemption at par, with deposit addresses and without, with 2 decimals and with 6."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import get_args

import pytest
from sqlalchemy import CheckConstraint

from sandbox.bank import registry, simulator
from sandbox.core.db import Database
from sandbox.core.zone import ALMATY
from sandbox.ledger import accounts
from sandbox.reserve import intake_jobs
from sandbox.reserve.intake_routes import MoveStatus, RedemptionStatus
from sandbox.reserve.models import BridgeMove, Intake, Redemption
from tests.opened import Opening, Openings
from tests.reserve.two_chains import IBAN, OPENED, OTHER_IBAN, PAYEE, TwoChains


@pytest.fixture
def opening(request: pytest.FixtureRequest) -> Opening | None:
    return OPENED if "world" in request.fixturenames else None


@pytest.fixture
async def world(database: Database, openings: Openings) -> AsyncIterator[TwoChains]:
    world = TwoChains.copied(database, openings.kept(OPENED))
    yield world
    await world.audit()
    await world.end()


@pytest.fixture(params=["plain", "deposits"])
def chain(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        ({"chain": "nowhere"}, (422, "chain_unknown")),
        ({"iban": "KZ32601A000000000001"}, (422, "iban_invalid")),
        ({"iban": "KZ10999A000000000001"}, (422, "iban_invalid")),
        ({"tax_number": "26034000000"}, (422, "tax_number_invalid")),
        ({"tax_number": "260340000003"}, (422, "tax_number_invalid")),
        ({"tax_number": "900101300007"}, (422, "kbe_contradicts_payee")),
        ({"kbe": "19"}, (422, "kbe_contradicts_payee")),
        ({"iban": "KZ639480000000000001"}, (422, "iban_is_ours")),
        ({"iban": "KZ369480000000000002"}, (422, "iban_is_ours")),
        ({"knp": None}, (422, "invalid_request")),
        ({"knp": "٣٤٢"}, (422, "invalid_request")),
        ({"kbe": "37"}, (422, "invalid_request")),
        ({"amount_tiyn": 0}, (422, "invalid_request")),
        ({"amount_tiyn": 10.5}, (422, "invalid_request")),
        ({"payee_name": "a\u0000b"}, (422, "invalid_request")),
    ],
)
async def test_what_is_wrong_is_refused_by_name(
    world: TwoChains, changed: dict[str, object], refusal: tuple[int, str]
) -> None:
    body = {"chain": "plain", "amount_tiyn": 100} | PAYEE | changed
    assert await world.refused("redemptions", body) == refusal


async def test_only_issuer_and_operator_redeem_and_supervision_reads(world: TwoChains) -> None:
    made = await world.redeem()
    body = {"chain": "plain", "amount_tiyn": 100} | PAYEE
    for role in ("merchant", "developer", "regulator", "fund_officer"):
        assert (await world.post("/v1/reserve/redemptions", body, role)).status_code == 403
    path = f"/v1/reserve/redemptions/{made['id']}"
    assert (await world.get(path, "regulator")).status_code == 200
    assert (await world.get(path, "merchant")).status_code == 403
    assert (await world.get("/v1/reserve/redemptions/mov_x", "operator")).status_code == 404


async def test_nothing_but_what_stands_still_is_retried(world: TwoChains, chain: str) -> None:
    made = await world.redeem(chain)
    path = f"redemptions/{made['id']}"
    assert await world.refused(f"{path}/retry", {}) == (409, "wrong_status")
    assert await world.refused(f"{path}/send_back", {}) == (409, "still_open")
    await world.carried_out(made)
    assert await world.refused(f"{path}/retry", {}) == (409, "wrong_status")
    assert await world.refused(f"{path}/cancel", {}) == (409, "wrong_status")
    assert await world.refused(f"{path}/send_back", {}) == (409, "remainder_short")


@pytest.mark.parametrize("decimals", [2, 6])
async def test_units_are_burned_and_their_tenge_paid_on_the_value_date(
    database: Database, decimals: int, chain: str
) -> None:
    world = TwoChains(database, decimals)
    await world.begin()
    made = await world.redeem(chain, 1_234)
    assert (made["status"], made["amount_units"]) == ("open", 1_234 * 10 ** (decimals - 2))
    await world.received(made)
    assert (await world.read(made))["status"] == "received"
    await world.audit()
    await world.carry_out()
    found = await world.read(made)
    assert (found["status"], found["value_date"]) == ("pending", "2026-11-20")
    assert await world.owed("l:redemption:") == 1_234
    await world.bank()
    assert (await world.read(made))["status"] == "sent"
    assert await world.owed("l:redemption:") == 0
    assert await world.posted(accounts.in_transit()) == -1_234
    await world.audit()
    await world.set_clock("2026-11-20T09:00")
    await world.bank()
    found = await world.read(made)
    assert (found["status"], found["age_s"], found["owed_for_s"]) == ("paid", None, None)
    assert await world.posted(accounts.in_transit()) == 0
    assert await world.posted(accounts.reserve_bank()) == 100_000 - 1_234
    assert await world.posted(accounts.outstanding(chain)) == 50_000 - 1_234
    told = [one for one in await world.event_types() if one.startswith("reserve.redemption")]
    assert told == [
        f"reserve.redemption_{step}"
        for step in ("requested", "received", "burn_requested", "burned", "sent", "paid")
    ]
    await world.audit()
    await world.end()


async def test_what_is_redeemed_on_friday_evening_before_nauryz_is_paid_next_thursday(
    database: Database, chain: str
) -> None:
    # KAZAKHSTAN 8, trap 6.
    world = TwoChains(database)
    await world.begin("2026-03-20T18:30")
    made = await world.redeem(chain)
    await world.carried_out(made)
    await world.bank()
    assert (await world.read(made))["value_date"] == "2026-03-26"
    await world.set_clock("2026-03-26T08:59")
    await world.bank()
    assert (await world.read(made))["status"] == "sent"
    await world.set_clock("2026-03-26T09:00")
    await world.bank()
    assert (await world.read(made))["status"] == "paid"
    await world.end()


@pytest.mark.parametrize("when", ["at once", "on the value date"])
async def test_a_rejected_payout_restores_the_claim_and_is_retried_to_another_account(
    world: TwoChains, chain: str, when: str
) -> None:
    made = await world.redeem(chain, payee_name="no XML has \ufffe")
    await world.carried_out(made)
    if when == "on the value date":
        await world.bank()
    async with world.database.transaction() as db:
        await registry.refuse_payments_to(db, IBAN)
    await world.set_clock("2026-11-20T10:00")
    await world.bank()
    found = await world.read(made)
    assert (found["status"], found["payout_reason"]) == ("rejected", "AC04")
    assert found["owed_for_s"] > 0
    assert await world.owed("l:redemption:") == 1_000
    assert await world.posted(accounts.in_transit()) == 0
    await world.audit()
    path = f"redemptions/{made['id']}/retry"
    assert await world.refused(path, {"iban": "KZ00"}) == (422, "iban_invalid")
    assert await world.refused(path, {"kbe": "19"}) == (422, "kbe_contradicts_payee")
    again = await world.done(path, {"iban": OTHER_IBAN})
    assert (again["status"], again["end_to_end_id"]) == ("pending", f"{made['id']}:2")
    assert await world.refused(path, {}) == (409, "wrong_status")
    await world.set_clock("2026-11-25T10:00")
    await world.bank()
    assert (await world.read(made))["status"] == "paid"
    assert await world.posted(accounts.reserve_bank()) == 99_000


async def test_a_returned_payout_restores_the_claim_and_can_be_paid_again(
    world: TwoChains, chain: str
) -> None:
    made = await world.redeem(chain)
    await world.carried_out(made)
    await world.bank()
    await world.set_clock("2026-11-20T10:00")
    await world.bank()
    async with world.database.transaction() as db:
        await simulator.return_payment(db, f"{made['id']}:1")
    await world.bank()
    found = await world.read(made)
    assert (found["status"], found["paid_at"]) == ("returned", None)
    assert await world.owed("l:redemption:") == 1_000
    assert await world.posted(accounts.reserve_bank()) == 100_000
    await world.audit()
    await world.done(f"redemptions/{made['id']}/retry", {})
    await world.set_clock("2026-11-25T10:00")
    await world.bank()
    assert (await world.read(made))["status"] == "paid"
    assert await world.owed("l:redemption:") == 0


async def test_a_retry_that_is_asked_for_by_many_at_once_orders_one_payout(
    world: TwoChains,
) -> None:
    async with world.database.transaction() as db:
        await registry.refuse_payments_to(db, IBAN)
    made = await world.redeem()
    await world.carried_out(made)
    await world.bank()
    path = f"/v1/reserve/redemptions/{made['id']}/retry"
    answers = await asyncio.gather(*(world.post(path, {}) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409]
    assert await world.count("bank_message WHERE direction = 'out'") == 2


async def test_workers_that_find_the_same_units_burn_them_once(
    world: TwoChains, chain: str
) -> None:
    made = await world.redeem(chain)
    await world.received(made)
    for _ in range(2):
        await asyncio.gather(*(intake_jobs.follow(world.database, world.chains) for _ in range(4)))
        await world.runner.step()
        await world.finalize()
    assert await world.count("chain_intent WHERE kind = 'unit_burn'") == 1
    assert (await world.read(made))["status"] == "pending"


async def test_a_cancel_beside_the_burn_ends_as_one_of_both(world: TwoChains, chain: str) -> None:
    made = await world.redeem(chain)
    await world.received(made)
    await asyncio.gather(
        intake_jobs.follow(world.database, world.chains),
        world.post(f"/v1/reserve/redemptions/{made['id']}/cancel", {}),
    )
    await world.carry_out()
    assert (await world.read(made))["status"] in ("canceled", "pending")


async def test_one_whose_units_never_come_expires(world: TwoChains, chain: str) -> None:
    made = await world.redeem(chain, expires_in_s=60)
    await world.work()
    assert (await world.read(made))["status"] == "open"
    assert await world.busy() == []
    await world.set_clock("2026-11-19T12:01")
    assert await world.busy() == ["redemptions and moves to expire: 1"]
    await world.work()
    assert (await world.read(made))["status"] == "expired"
    assert await world.busy() == []


@pytest.mark.parametrize("decimals", [2, 6])
async def test_too_few_units_are_kept_visibly_and_go_back_when_it_is_over(
    database: Database, decimals: int, chain: str
) -> None:
    world = TwoChains(database, decimals)
    await world.begin()
    made = await world.redeem(chain, 1_000, expires_in_s=60)
    short = made["amount_units"] - 1
    world.send(made, short)
    await world.finalize()
    await world.carry_out()
    found = await world.read(made)
    assert (found["status"], found["remainder_units"]) == ("open", short)
    await world.set_clock("2026-11-19T12:02")
    await world.work()
    await world.audit()
    path = f"redemptions/{made['id']}/send_back"
    assert await world.refused(path, {"amount_units": short + 1}) == (409, "remainder_short")
    treasury = world.chains[chain].treasury
    assert await world.refused(path, {"recipient": treasury}) == (422, "invalid_address")
    back = await world.done(path, {}, 201)
    assert (back["recipient"], back["amount_units"]) == (world.holder, short)
    assert await world.refused(path, {}) == (409, "remainder_short")
    await world.carry_out()
    assert (await world.read(made))["remainder_units"] == 0
    held = await world.chains[chain].balance(world.holder)
    assert held.units == 50_000 * 10 ** (decimals - 2)
    await world.audit()
    await world.end()


async def test_more_than_asked_burns_what_was_asked_and_shows_the_remainder(
    world: TwoChains, chain: str
) -> None:
    made = await world.redeem(chain)
    world.send(made, 1_300)
    await world.finalize()
    await world.carry_out()
    found = await world.read(made)
    assert (found["status"], found["remainder_units"]) == ("pending", 300)
    await world.done(f"redemptions/{made['id']}/send_back", {"amount_units": 100}, 201)
    await world.carry_out()
    assert (await world.read(made))["remainder_units"] == 200


async def test_units_may_come_in_parts(world: TwoChains, chain: str) -> None:
    made = await world.redeem(chain)
    for units in (400, 600):
        world.send(made, units)
        await world.finalize()
    await world.carry_out()
    assert (await world.read(made))["status"] == "pending"


async def test_units_that_come_too_late_are_not_burned_and_go_back(
    world: TwoChains, chain: str
) -> None:
    made = await world.redeem(chain, expires_in_s=60)
    await world.set_clock("2026-11-19T12:05")
    late = datetime(2026, 11, 19, 12, 5, tzinfo=ALMATY) - datetime(2026, 1, 1, tzinfo=UTC)
    await world.chains[chain].set_clock(int(late.total_seconds() * 1000), None)
    await world.work()
    found = await world.carried_out(made)
    assert (found["status"], found["remainder_units"]) == ("expired", 1_000)
    await world.done(f"redemptions/{made['id']}/send_back", {}, 201)
    await world.carry_out()
    assert (await world.read(made))["remainder_units"] == 0


async def test_units_that_came_in_time_count_though_they_were_read_late(
    world: TwoChains, chain: str
) -> None:
    made = await world.redeem(chain, expires_in_s=60)
    world.send(made)
    world.chains[chain].mine()
    await world.set_clock("2026-11-19T12:05")
    await world.work()
    assert (await world.read(made))["status"] == "expired"
    await world.finalize()
    assert (await world.read(made))["status"] == "received"


async def test_a_canceled_one_burns_nothing_and_gives_back(world: TwoChains, chain: str) -> None:
    made = await world.redeem(chain)
    await world.received(made)
    await world.done(f"redemptions/{made['id']}/cancel", {})
    await world.carry_out()
    found = await world.read(made)
    assert (found["status"], found["remainder_units"]) == ("canceled", 1_000)
    await world.done(f"redemptions/{made['id']}/send_back", {}, 201)
    await world.carry_out()
    assert (await world.chains[chain].balance(world.holder)).units == 50_000


async def test_a_burn_that_cannot_happen_gets_stuck_and_is_retried(
    world: TwoChains, chain: str
) -> None:
    made = await world.redeem(chain)
    await world.received(made)
    port = world.chains[chain]
    if port.sweep_batch:
        await world.work()
        await world.runner.step()
        await world.finalize()
    await world.lose(port, made, "reserve.redemption_burn_failed", times=3)
    found = await world.read(made)
    assert (found["status"], found["burn_tx"] is None) == ("stuck", False)
    await world.audit()
    await world.done(f"redemptions/{made['id']}/retry", {})
    await world.carry_out()
    assert (await world.read(made))["status"] == "pending"


async def test_a_transfer_that_a_reorg_takes_is_voided_and_counts_when_it_comes_back(
    world: TwoChains, chain: str
) -> None:
    made = await world.redeem(chain)
    world.send(made)
    port = world.chains[chain]
    port.mine()
    await world.follow()
    assert (await world.read(made))["confirmed_units"] == 1_000
    port.reorg(1, what="drop")
    port.mine(2)
    await world.follow()
    found = await world.read(made)
    assert (found["confirmed_units"], found["received_units"]) == (0, 0)
    await world.carried_out(made)
    assert (await world.read(made))["status"] == "pending"


async def test_checkout_takes_no_redemption_for_a_stray(world: TwoChains, chain: str) -> None:
    await world.received(await world.redeem(chain))
    assert await world.count("stray_transfer") == 0


def test_the_states_that_a_queue_is_asked_for_are_those_that_rows_can_have() -> None:
    for model, states in ((Redemption, RedemptionStatus), (BridgeMove, MoveStatus)):
        rules = [
            str(rule.sqltext)
            for table in (Intake, model)
            for rule in table.__table__.constraints
            if isinstance(rule, CheckConstraint) and " IN (" in str(rule.sqltext)
        ]
        known = {state for rule in rules for state in re.findall(r"'([a-z_]+)'", rule)}
        asked = {state for part in get_args(states) for state in get_args(part) or (part,)}
        assert asked == known - {"burned"}


async def test_the_queue_shows_ages_and_totals_by_status(world: TwoChains, chain: str) -> None:
    first, second = await world.redeem(chain, 300), await world.redeem(chain, 500)
    await world.carried_out(first)
    await world.set_clock("2026-11-19T13:00")
    listed = (await world.get("/v1/reserve/redemptions?status=open")).json()
    assert [(one["id"], one["age_s"]) for one in listed["data"]] == [(second["id"], 3_600)]
    assert listed["totals"]["open"] == {"count": 1, "amount_tiyn": 500, "oldest_age_s": 3_600}
    assert listed["totals"]["pending"]["amount_tiyn"] == 300
    old = (await world.get("/v1/reserve/redemptions?min_age_s=3601")).json()
    assert old["data"] == []
    # A mistyped state must not look like an empty queue.
    assert (await world.get("/v1/reserve/redemptions?status=returnd")).status_code == 422
    page = (
        await world.get(f"/v1/reserve/redemptions?limit=1&starting_after={second['id']}")
    ).json()
    assert [one["id"] for one in page["data"]] == [first["id"]]
