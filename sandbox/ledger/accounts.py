"""The accounts by name: one constructor for each line of the chart (CONTRACT 3, LEDGER 2.2)."""

from sandbox.ledger.journal import Account

RESERVE_BANK = "eurasian"


def asset(chain: str) -> str:
    """The asset of the tokens on `chain`."""
    return f"KZTE.{chain}"


def _issuer(code: str) -> Account:
    return Account("issuer", "KZT", code)


def _token(chain: str, code: str) -> Account:
    return Account("token", asset(chain), code)


def _claims(chain: str, code: str) -> Account:
    return Account("claims", asset(chain), code)


# Issuer: the reserve, what is owed, own money. Amounts in tiyn.


def reserve_bank(bank: str = RESERVE_BANK) -> Account:
    """1010: the segregated account at the custodian bank."""
    return _issuer(f"a:reserve:bank:{bank}")


def reserve_central_bank() -> Account:
    """1020: account or digital tenge at the central bank."""
    return _issuer("a:reserve:nbk")


def reserve_bills() -> Account:
    """1030: short paper, at cost."""
    return _issuer("a:reserve:bills")


def in_transit() -> Account:
    """1090: payouts instructed and not yet on the statement; negative = owed by us."""
    return _issuer("a:reserve:in-transit")


def operating() -> Account:
    """1110: the issuer's own money."""
    return _issuer("a:own:operating")


def receivable(deposit: str) -> Account:
    """1210: what a customer owes whose deposit the bank took back; no part of the reserve."""
    return _issuer(f"a:receivable:{deposit}")


def fees_due(merchant: str) -> Account:
    """1220: fees of a merchant that nothing was left to pay; taken out of its next batches."""
    return _issuer(f"a:fees-due:{merchant}")


def outstanding(chain: str) -> Account:
    """2010: the par claim of all holders on `chain`."""
    return _issuer(f"l:outstanding:{chain}")


def unminted(deposit: str) -> Account:
    """2020: the money of one deposit, mint not final; its floor lets a mint use only its own."""
    return _issuer(f"l:unminted:{deposit}")


def unidentified(reference: str) -> Account:
    """2025: a credit that matches nothing."""
    return _issuer(f"l:unidentified:{reference}")


def bridge(move: str) -> Account:
    """2015: burned on one chain for this move and not yet minted on the other (L9)."""
    return _issuer(f"l:bridge:{move}")


def redemption(redemption_id: str) -> Account:
    """2030: burned for this redemption, payout not sent."""
    return _issuer(f"l:redemption:{redemption_id}")


def payout(merchant: str) -> Account:
    """2040: owed to a merchant in tenge, not instructed."""
    return _issuer(f"l:payout:{merchant}")


def vat() -> Account:
    """2070: the VAT contained in fees."""
    return _issuer("l:vat")


def fees() -> Account:
    """4010: fee income without VAT."""
    return _issuer("i:fees")


def bad_debt() -> Account:
    """5030: what a customer owed and nobody will pay."""
    return _issuer("x:bad-debt")


# Token: where units are. Amounts in base units of the token, as in claims.


def supply(chain: str) -> Account:
    return _token(chain, f"supply:{chain}")


def treasury(chain: str) -> Account:
    return _token(chain, f"treasury:{chain}")


def unswept(chain: str) -> Account:
    """Units on deposit addresses which the treasury has not collected."""
    return _token(chain, f"dep:{chain}:unswept")


def redeem(chain: str) -> Account:
    """1500: units on deposit addresses of redemptions and moves, not yet collected."""
    return _token(chain, f"redeem:{chain}")


def escrow(chain: str) -> Account:
    return _token(chain, f"escrow:{chain}")


def external(chain: str) -> Account:
    """All outside holders together; without a floor (DESIGN 4)."""
    return _token(chain, f"external:{chain}")


# Claims: whose the units are that the sandbox holds.


def custody(chain: str) -> Account:
    """The contra of all claims: every unit the sandbox holds on `chain`."""
    return _claims(chain, "custody")


def merchant(chain: str, merchant_id: str) -> Account:
    """Captured for a merchant, in no settlement yet."""
    return _claims(chain, f"merchant:{merchant_id}")


def settling(chain: str, settlement: str) -> Account:
    return _claims(chain, f"settling:{settlement}")


def refund_reserve(chain: str, merchant_id: str) -> Account:
    return _claims(chain, f"refund-reserve:{merchant_id}")


def suspense(chain: str, owner: str) -> Account:
    """Nobody's yet: `owner` is a session (`cs_…`), a stray (`str_…`), or what its holder wants
    burned: a redemption (`red_…`), a move between chains (`mov_…`)."""
    return _claims(chain, f"suspense:{owner}")


def float_(chain: str) -> Account:
    """What the faucet hands out of."""
    return _claims(chain, "float")
