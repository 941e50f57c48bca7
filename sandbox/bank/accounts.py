"""Account numbers of the sandbox's own; the accounts are invented, their check digits right."""

from typing import Final

# Eurasian Bank (bank code 948), the partner of the tenge stablecoin (KAZAKHSTAN 2.2).
RESERVE_IBAN: Final = "KZ639480000000000001"
OPERATING_IBAN: Final = "KZ369480000000000002"

ISSUER: Final = "issuer"
CURRENCY: Final = "KZT"
