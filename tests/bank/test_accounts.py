"""Account numbers: as machines send them, as people write them, and what is none."""

import pytest
from schwifty import IBAN

from sandbox.bank import accounts
from sandbox.core import iban
from sandbox.parties import numbers
from sandbox.parties.errors import IbanInvalid, IbanIsOurs


@pytest.mark.parametrize(
    "text",
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
def test_what_no_machine_may_send_is_refused(text: str) -> None:
    assert not iban.is_electronic(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "IBAN"),
        ("KZ", "IBAN"),
        ("KZ6394800000000000012", "length"),
        ("KZ639480000000000002", "checksum"),
        ("KZ63948О000000000001", "characters"),  # a Cyrillic О
        ("KZ639480000000000-01", "characters"),
        ("KZ٦39480000000000001", "invalid"),
        ("KZ12ABC0000000000001", "structure"),  # letters where the bank's digits are
        ("DE89370400440532013000", "not an account in Kazakhstan"),
        ("KZ699990000000000001", "no bank has this code"),
    ],
)
def test_what_is_no_account_in_kazakhstan_is_refused_at_every_door(text: str, why: str) -> None:
    with pytest.raises(IbanInvalid) as refusal:
        numbers.iban(text)
    assert why.casefold() in str(refusal.value.values["reason"]).casefold()
    assert not iban.is_electronic(text)


@pytest.mark.parametrize("text", [accounts.RESERVE_IBAN, accounts.OPERATING_IBAN])
def test_nobody_is_paid_to_the_issuers_own_accounts(text: str) -> None:
    assert iban.is_electronic(text)
    with pytest.raises(IbanIsOurs):
        numbers.iban(f" {text.lower()} ")


@pytest.mark.parametrize(
    "text",
    [
        "KZ31601A000000000001",
        "KZ41722C000000000001",
        "KZ85125KZT0000000001",
        "KZ86125KZT5004100100",  # the example of the SWIFT registry
    ],
)
def test_ibans_with_right_check_digits_are_accepted(text: str) -> None:
    assert iban.is_electronic(text)
    written = " ".join(text[at : at + 4] for at in range(0, 20, 4)).lower()
    assert not iban.is_electronic(written)
    assert numbers.iban(written) == text


def test_the_bank_is_named_within_the_iban() -> None:
    assert iban.bank_code(accounts.RESERVE_IBAN) == "948"


def test_every_bank_of_the_list_has_the_bic_of_the_registry_or_a_newer_one() -> None:
    newer = {"914": "BRKEKZKA"}
    for code, bank in iban.BANKS.items():
        made = IBAN.generate("KZ", bank_code=code, account_code="0000000000001")
        assert bank.bic in (str(made.bic), newer.get(code)), bank.name
        assert iban.bic_of(str(made)) == bank.bic
        assert iban.is_electronic(str(made))
