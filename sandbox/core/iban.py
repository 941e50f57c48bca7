"""Banks of Kazakhstan, and the one way to tell whether a text is an account at one of them."""

from dataclasses import dataclass
from typing import Final

from schwifty import IBAN
from schwifty.exceptions import SchwiftyException

# Eurasian Bank (bank code 948), the partner of the tenge stablecoin (KAZAKHSTAN 2.2). The accounts
# are invented, their check digits right.
RESERVE_IBAN: Final = "KZ639480000000000001"
OPERATING_IBAN: Final = "KZ369480000000000002"
OUR_IBANS: Final = (RESERVE_IBAN, OPERATING_IBAN)


class NotAnIban(ValueError):
    """Why a text is no account number at a bank of Kazakhstan."""


@dataclass(frozen=True, slots=True)
class Bank:
    """A bank by the three digits within its accounts' numbers."""

    code: str
    bic: str
    name: str


BANKS: Final = {
    code: Bank(code, bic, name)
    for code, bic, name in (
        ("125", "NBRKKZKX", "National Bank of Kazakhstan"),
        ("948", "EURIKZKA", "Eurasian Bank"),
        ("601", "HSBKKZKX", "Halyk Bank"),
        ("722", "CASPKZKA", "Kaspi Bank"),
        ("965", "IRTYKZKA", "ForteBank"),
        ("856", "KCJBKZKX", "Bank CenterCredit"),
        ("551", "KSNVKZKA", "Freedom Bank Kazakhstan"),
        ("998", "TSESKZKA", "Alatau City Bank"),
        ("914", "BRKEKZKA", "Bereke Bank"),
        ("821", "KINCKZKA", "Bank RBK"),
        ("886", "INLMKZKA", "Home Credit Bank"),
        ("849", "NURSKZKX", "Nurbank"),
        ("949", "ATYNKZKA", "Altyn Bank"),
        ("972", "HCSKKZKA", "Otbasy Bank"),
        ("563", "KPSTKZKA", "Kazpost"),
        ("435", "SHBKKZKA", "Shinhan Bank Kazakhstan"),
        ("432", "VTBAKZKZ", "VTB Kazakhstan"),
        ("896", "ZAJSKZ22", "Zaman-Bank"),
        ("885", "KZIBKZKA", "Ziraat Bank Kazakhstan"),
        ("070", "KKMFKZ2A", "Treasury"),
        ("009", "GCVPKZ2A", "Government for Citizens"),
        ("224", "KISCKZKX", "National Payment Corporation"),
        ("766", "CEDUKZKA", "Central Securities Depository"),
        ("927", "KICEKZKX", "Kazakhstan Stock Exchange"),
    )
}
"""KAZAKHSTAN 2.2; names of the present, which the registry of `schwifty` does not have."""


def bank_code(iban: str) -> str:
    """The three digits that name the bank within an IBAN of Kazakhstan."""
    return iban[4:7]


def bic_of(iban: str) -> str | None:
    """The BIC of the account's bank; None for a bank that nobody knows."""
    bank = BANKS.get(bank_code(iban))
    if bank is not None:
        return bank.bic
    try:
        bic = IBAN(iban).bic
    except SchwiftyException:
        return None
    return None if bic is None else str(bic)


def electronic(text: str) -> str:
    """The number as machines send it (upper case, no spaces), however people wrote it.

    Form, MOD 97 and bank code are checked (KAZAKHSTAN 2.2). Raises `NotAnIban`.
    """
    try:
        parsed = IBAN(text)
    except SchwiftyException as error:
        raise NotAnIban(str(error)) from error
    if parsed.country_code != "KZ":
        raise NotAnIban("not an account in Kazakhstan")
    if bic_of(str(parsed)) is None:
        raise NotAnIban("no bank has this code")
    return str(parsed)


def is_electronic(text: str) -> bool:
    """Whether it is in that form already: messages between banks allow no other."""
    try:
        return electronic(text) == text
    except NotAnIban:
        return False
