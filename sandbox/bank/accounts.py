"""Account numbers of the simulated banks; the accounts are invented, their check digits right."""

from typing import Final

# Eurasian Bank (bank code 948), the partner of the tenge stablecoin (KAZAKHSTAN 2.2).
RESERVE_IBAN: Final = "KZ639480000000000001"
OPERATING_IBAN: Final = "KZ369480000000000002"

ISSUER: Final = "issuer"
CURRENCY: Final = "KZT"


def bank_code(iban: str) -> str:
    """The three digits that name the bank within an IBAN of Kazakhstan."""
    return iban[4:7]


def is_iban(iban: str) -> bool:
    """Whether it has the form of a Kazakhstan IBAN and its check digits are right (ISO 13616)."""
    if len(iban) != 20 or iban[:2] != "KZ" or not iban.isascii() or not iban.isalnum():
        return False
    if not iban[2:7].isdigit() or iban != iban.upper():
        return False
    return int("".join(str(int(character, 36)) for character in iban[4:] + iban[:4])) % 97 == 1
