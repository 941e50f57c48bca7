"""Account numbers of the sandbox's own."""

from typing import Final

from sandbox.core import iban

RESERVE_IBAN: Final = iban.RESERVE_IBAN
OPERATING_IBAN: Final = iban.OPERATING_IBAN

ISSUER: Final = "issuer"
CURRENCY: Final = "KZT"
