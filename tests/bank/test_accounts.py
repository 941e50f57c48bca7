"""Account numbers of the simulated banks."""

import pytest

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
