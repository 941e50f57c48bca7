"""The vectors of KAZAKHSTAN 2.1 and 2.2."""

import pytest

from sandbox.parties.errors import IbanInvalid, KbeContradictsPayee, TaxNumberInvalid
from sandbox.parties.numbers import check_digit, check_kbe, iban, tax_kind


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        ("", "twelve_digits"),
        ("26034000000", "twelve_digits"),
        ("2603400000020", "twelve_digits"),
        ("26034000000x", "twelve_digits"),
        ("٢٦٠٣٤٠٠٠٠٠٠٢", "twelve_digits"),
        ("260340000003", "check_digit"),
        ("900101300008", "check_digit"),
        ("900101300801", "never_issued"),
        ("900101301610", "never_issued"),
    ],
)
def test_what_is_no_tax_number_is_refused_by_reason(number: str, reason: str) -> None:
    with pytest.raises(TaxNumberInvalid) as refused:
        tax_kind(number)
    assert refused.value.values == {"reason": reason}


@pytest.mark.parametrize(
    ("first_eleven", "reason"),
    [
        ("90130130000", "date"),
        ("90023030000", "date"),
        ("90010190000", "digit_7"),
        ("26134000000", "date"),
        ("26004000000", "date"),
    ],
)
def test_a_right_check_digit_does_not_save_an_impossible_date(
    first_eleven: str, reason: str
) -> None:
    with pytest.raises(TaxNumberInvalid) as refused:
        tax_kind(f"{first_eleven}{check_digit(first_eleven)}")
    assert refused.value.values == {"reason": reason}


@pytest.mark.parametrize("prefix", ["90010130080", "90010130161"])
def test_a_number_that_both_passes_give_ten_for_is_never_issued(prefix: str) -> None:
    assert check_digit(prefix) is None


@pytest.mark.parametrize(
    "number",
    ["900101300007", "900101400003", "050101500000", "050101600007", "900101300811",
     "900101300823"],
)  # fmt: skip
def test_a_person_is_known_by_a_valid_iin_of_either_pass(number: str) -> None:
    assert tax_kind(number) == "iin"


@pytest.mark.parametrize("number", ["260340000002", "260341000008", "260342000003", "260340000302"])
def test_a_firm_is_known_by_a_valid_bin_of_either_pass(number: str) -> None:
    assert tax_kind(number) == "bin"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "KZ31601A000000000002",  # check digits
        "KZ31601A00000000000",  # too short
        "DE89370400440532013000",  # another country
        "KZ56999A000000000001",  # check digits fit no bank 999
    ],
)
def test_what_is_no_kazakh_iban_is_refused(value: str) -> None:
    with pytest.raises(IbanInvalid):
        iban(value)


def test_right_check_digits_do_not_save_an_unknown_bank() -> None:
    body = "999A000000000001"
    digits = "".join(str(int(c, 36)) for c in body + "KZ00")
    value = f"KZ{98 - int(digits) % 97:02d}{body}"
    with pytest.raises(IbanInvalid) as refused:
        iban(value)
    assert "bank" in str(refused.value.values["reason"])


@pytest.mark.parametrize(
    "value",
    ["KZ31601A000000000001", "KZ41722C000000000001", "KZ85125KZT0000000001"],
)
def test_sandbox_accounts_of_known_banks_are_valid(value: str) -> None:
    assert iban(value) == value


def test_an_iban_as_people_write_it_is_kept_in_electronic_form() -> None:
    assert iban(" kz31 601a 0000 0000 0001 ") == "KZ31601A000000000001"


@pytest.mark.parametrize(("kbe", "payee"), [("17", "iin"), ("19", "bin"), ("29", "bin")])
def test_a_sector_that_contradicts_the_payee_is_refused(kbe: str, payee: str) -> None:
    with pytest.raises(KbeContradictsPayee):
        check_kbe(kbe, payee)  # type: ignore[arg-type]  # parametrised


@pytest.mark.parametrize(("kbe", "payee"), [("17", "bin"), ("18", "bin"), ("19", "iin")])
def test_a_fitting_sector_passes(kbe: str, payee: str) -> None:
    check_kbe(kbe, payee)  # type: ignore[arg-type]  # parametrised
