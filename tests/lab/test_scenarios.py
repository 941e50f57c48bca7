"""The table of what can be triggered: whole, consistent, and the same wherever it is shown."""

import re
from pathlib import Path

import pytest

from sandbox.chains.customers import MANNERS
from sandbox.eventlog import catalog
from sandbox.lab import magic, payers, plays
from sandbox.lab.errors import ScenarioUnknown
from sandbox.lab.scenarios import ALL, BY_ENDING, BY_EVENT, BY_NAME, PAYERS, named, payer_for
from sandbox.lab.triggering import find

ROOT = Path(__file__).parents[2]
EVENTS = set(re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)`", (ROOT / "docs/events.md").read_text()))


_ITSELF = (
    "the sandbox sends again whatever can be; only a transaction that fails for ever brings it"
)
_FROZEN = (
    "needs an address of the issuer's frozen, which nothing here thaws: the world stays broken"
)
NOT_PLAYED = {
    "sweep.failed": _ITSELF,
    "settlement.burn_failed": _FROZEN,
    "settlement.transfer_failed": _ITSELF,
    "webhook_endpoint.disabled": "needs a receiver of yours that answers 410",
    "reserve.issuance_failed": _ITSELF,
    "reserve.redemption_stuck": _FROZEN,
    "reserve.redemption_retried": _FROZEN,
    "reserve.redemption_burn_failed": _FROZEN,
    "reserve.redemption_claimed": "needs a holder that burns by itself, with no request before",
    "reserve.move_stuck": _FROZEN,
    "reserve.move_retried": _FROZEN,
    "reserve.move_burn_failed": _FROZEN,
    "reserve.move_mint_failed": _ITSELF,
    "reserve.move_give_back_requested": "follows upon a mint that failed",
    "reserve.move_given_back": "follows upon a mint that failed",
    "reserve.send_back_failed": _ITSELF,
    "chain.unexplained_supply": "needs a stolen key of the issuer",
    "chain.unexplained_outflow": "needs a stolen key of the issuer",
    "world.restored": "a world that is gone cannot tell of it: `sandbox snapshot restore`",
}
"""Types of events that no scenario brings about, each with the reason."""


@pytest.mark.parametrize("name", ["", "nothing", "payment.*", "EXACT"])
def test_what_is_no_scenario_is_refused_with_those_that_are(name: str) -> None:
    with pytest.raises(ScenarioUnknown) as refused:
        find(name)
    assert refused.value.values["known"] == sorted({*BY_NAME, *BY_EVENT})


def test_only_payers_pay_from_the_payment_page() -> None:
    with pytest.raises(ScenarioUnknown):
        find("settled", PAYERS)


def test_every_scenario_can_be_played_and_has_one_name() -> None:
    assert len(BY_NAME) == len(ALL)
    assert payers.ACTS.keys() == {one.name for one in PAYERS}
    assert plays.PLAYS.keys() == BY_NAME.keys() - payers.ACTS.keys()


def test_promised_events_are_event_types_and_each_type_leads_to_a_scenario_that_promises_it() -> (
    None
):
    for one in ALL:
        assert set(one.events) <= EVENTS, one.name
    for type_, name in BY_EVENT.items():
        assert type_ in BY_NAME[name].events, type_
    assert {type_ for one in ALL for type_ in one.events} == BY_EVENT.keys()


def test_every_type_of_event_is_played_or_says_why_not() -> None:
    assert NOT_PLAYED.keys() & BY_EVENT.keys() == set()
    assert NOT_PLAYED.keys() | BY_EVENT.keys() == set(catalog.types())


def test_a_name_that_is_an_event_type_finds_its_scenario() -> None:
    assert named("payment.reverted") is BY_NAME["reorged"]
    assert named("short") is BY_NAME["short"]
    assert named("nothing") is None


def test_an_amounts_ending_names_one_payer_and_a_price_without_tiyn_none() -> None:
    assert len(BY_ENDING) == len([one for one in PAYERS if one.ending is not None])
    for one in PAYERS:
        if one.ending is not None:
            assert payer_for(1_000_00 + one.ending) is one
    assert payer_for(250_000).name == payer_for(250_099).name == "exact"


def test_every_payer_has_a_button_in_three_languages() -> None:
    for one in PAYERS:
        assert set(one.label) == {"kk", "ru", "en"}, one.name
        assert all(one.label.values()), one.name
    assert len({one.label["en"] for one in PAYERS}) == len(PAYERS)


def test_every_manner_of_paying_is_somebodys() -> None:
    source = (ROOT / "sandbox/lab/payers.py").read_text()
    shaped = set(re.findall(r'_shaped\("(\w+)"\)', source))
    assert shaped | {"plain"} == set(MANNERS)


def test_the_published_table_of_magic_values_is_the_one_that_is_served() -> None:
    page = (ROOT / "docs/magic-values.md").read_text()
    told = magic.table()
    rows = {row for row in page.splitlines() if row.startswith("| `")}
    wanted = {
        f"| `…{row['ending']}` | `{row['payer']}` | {row['does']} |"
        for row in told["amount_endings"]
    }
    wanted |= {f"| `{row['account_begins']}` | {row['does']} |" for row in told["bank_accounts"]}
    wanted |= {f"| `{row['value']}` | {row['does']} |" for row in told["headers"]}
    assert rows == wanted
