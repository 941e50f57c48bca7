"""KOd, KBe and KNP of a payment order (KAZAKHSTAN 2.7)."""

import re

from sandbox.bank.errors import KbeContradictsPayee, PaymentCodeInvalid

_SECTOR_OF_PEOPLE = "9"
_KINDS_OF_BIN = "456"


def check_codes(knp: str, kbe: str, kod: str, payee_tax: str | None = None) -> None:
    """Refuse an order whose codes are missing or malformed, or whose KBe contradicts its payee.

    `payee_tax` is the payee's IIN or BIN where it is known; sector 9 is for those with an IIN,
    and digit 5 tells the two apart. Raises `PaymentCodeInvalid`, `KbeContradictsPayee`.
    """
    if re.fullmatch("[0-9]{3}", knp) is None:
        raise PaymentCodeInvalid("knp", knp)
    for name, code in (("kbe", kbe), ("kod", kod)):
        if re.fullmatch("[12][1-9]", code) is None:
            raise PaymentCodeInvalid(name, code)
    if payee_tax is None:
        return
    is_person = payee_tax[4:5] not in _KINDS_OF_BIN
    if (kbe[1] == _SECTOR_OF_PEOPLE) != is_person:
        raise KbeContradictsPayee(kbe)
