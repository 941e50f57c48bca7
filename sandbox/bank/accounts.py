"""Banks of Kazakhstan and account numbers; the accounts are invented, their check digits right."""

from dataclasses import dataclass
from typing import Final

from schwifty import IBAN
from schwifty.exceptions import SchwiftyException

# Eurasian Bank (bank code 948), the partner of the tenge stablecoin (KAZAKHSTAN 2.2).
RESERVE_IBAN: Final = "KZ639480000000000001"
OPERATING_IBAN: Final = "KZ369480000000000002"

ISSUER: Final = "issuer"
CURRENCY: Final = "KZT"


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


def is_iban(iban: str) -> bool:
    """Whether it is the electronic form of an account number at a known bank of Kazakhstan."""
    try:
        parsed = IBAN(iban)
    except SchwiftyException:
        return False
    return str(parsed) == iban and parsed.country_code == "KZ" and bic_of(iban) is not None
