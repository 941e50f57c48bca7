"""Account numbers of the simulated banks."""

import pytest
from schwifty import IBAN

from sandbox.bank import accounts


@pytest.mark.parametrize(
    "iban",
    [
        "KZ64948000000000000",
        "KZ639480000000000002",
        "DE639480000000000001",
        "KZ63948000000000000١",
        "kz639480000000000001",
        "KZ63 9480 0000 0000 0001",
        "KZ639480000000000001\u00a0",
        "KZ699990000000000001",  # right check digits, and no bank has the code 999
    ],
)
def test_what_is_no_iban_of_kazakhstan_is_refused(iban: str) -> None:
    assert not accounts.is_iban(iban)


@pytest.mark.parametrize(
    "iban",
    [
        accounts.RESERVE_IBAN,
        accounts.OPERATING_IBAN,
        "KZ31601A000000000001",
        "KZ41722C000000000001",
        "KZ85125KZT0000000001",
        "KZ86125KZT5004100100",  # the example of the SWIFT registry
    ],
)
def test_ibans_with_right_check_digits_are_accepted(iban: str) -> None:
    assert accounts.is_iban(iban)


def test_the_bank_is_named_within_the_iban() -> None:
    assert accounts.bank_code(accounts.RESERVE_IBAN) == "948"


def test_every_bank_of_the_list_has_the_bic_of_the_registry_or_a_newer_one() -> None:
    newer = {"914": "BRKEKZKA"}
    for code, bank in accounts.BANKS.items():
        iban = IBAN.generate("KZ", bank_code=code, account_code="0000000000001")
        assert bank.bic in (str(iban.bic), newer.get(code)), bank.name
        assert accounts.bic_of(str(iban)) == bank.bic
        assert accounts.is_iban(str(iban))
