"""Numbers that Kazakhstan gives to people, firms and accounts: IIN, BIN, IBAN, KBe, KNP.

IIN and BIN are checked here: `python-stdnum` 2.2 has no module for Kazakhstan.
"""

from datetime import date
from typing import Literal

from sandbox.core.iban import OUR_IBANS, NotAnIban, electronic
from sandbox.parties.errors import (
    IbanInvalid,
    IbanIsOurs,
    KbeContradictsPayee,
    TaxNumberInvalid,
)

_FIRST_PASS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
_SECOND_PASS = (3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 2)
_LENGTH = 12
_CENTURY_OF_DIGIT_7 = {"1": 1800, "2": 1800, "3": 1900, "4": 1900, "5": 2000, "6": 2000}
_KINDS_OF_BIN = "456"

TaxKind = Literal["iin", "bin"]


def check_digit(first_eleven: str) -> int | None:
    """The twelfth digit of an IIN or BIN; None when such a number is never issued.

    Rule: KAZAKHSTAN 2.1 (two passes of weights, modulo 11).
    """
    assert len(first_eleven) == _LENGTH - 1
    for weights in (_FIRST_PASS, _SECOND_PASS):
        rest = sum(w * int(d) for w, d in zip(weights, first_eleven, strict=True)) % 11
        if rest != 10:
            return rest
    return None


def tax_kind(number: str) -> TaxKind:
    """Whether `number` is a person's IIN or a firm's BIN; refuses what is neither.

    Digit 5 tells them apart: the first digit of a day (0 to 3), or the kind of firm (4 to 6).
    """
    if len(number) != _LENGTH or not (number.isascii() and number.isdigit()):
        raise TaxNumberInvalid("twelve_digits")
    expected = check_digit(number[:-1])
    if expected is None:
        raise TaxNumberInvalid("never_issued")
    if expected != int(number[-1]):
        raise TaxNumberInvalid("check_digit")
    if number[4] in _KINDS_OF_BIN:
        if not 1 <= int(number[2:4]) <= 12:
            raise TaxNumberInvalid("date")
        return "bin"
    # A foreigner's 0 in digit 7 tells no century; a leap year lets every real date through.
    century = _CENTURY_OF_DIGIT_7.get(number[6], 2000 if number[6] == "0" else None)
    if century is None:
        raise TaxNumberInvalid("digit_7")
    try:
        date(century + int(number[:2]), int(number[2:4]), int(number[4:6]))
    except ValueError:
        raise TaxNumberInvalid("date") from None
    return "iin"


def iban(value: str) -> str:
    """A payee's IBAN in its electronic form (no spaces, upper case).

    Refuses what is none of Kazakhstan, and the issuer's own accounts.
    """
    try:
        found = electronic(value)
    except NotAnIban as error:
        raise IbanInvalid(str(error)) from error
    if found in OUR_IBANS:
        raise IbanIsOurs
    return found


def check_kbe(kbe: str, payee: TaxKind) -> None:
    """Refuse a beneficiary code whose sector contradicts the payee (KAZAKHSTAN 2.7).

    Sector 9 is for people and sole proprietors, who have an IIN; firms have every other one.
    """
    if (kbe[1] == "9") != (payee == "iin"):
        raise KbeContradictsPayee(kbe, payee)
