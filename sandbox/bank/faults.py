"""Failures of the simulated bank: what each means, whom it strikes, and how the bank mends it."""

from typing import Final

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core import switches

REJECT: Final = "bank.reject"
REJECT_PAYOUT: Final = "bank.reject_payout"
DELAY: Final = "bank.delay"
RETURN: Final = "bank.return"
DUPLICATE_NOTICE: Final = "bank.duplicate_notice"
ANSWER_LOST: Final = "bank.answer_lost"
MISSING_LINE: Final = "bank.missing_line"
CONTRADICTORY_NOTICE: Final = "bank.contradictory_notice"

MEANINGS: Final = {
    REJECT: "the next payment order is rejected (MS03)",
    REJECT_PAYOUT: "the next payment order to somebody else than the issuer is rejected (MS03)",
    DELAY: "the next payment order is booked one banking day late",
    ANSWER_LOST: "the bank takes the next payment order, and its answer is lost",
    RETURN: "the next booked payment to somebody else comes back at once (AC04)",
    DUPLICATE_NOTICE: "the notice of the next credit comes twice",
    MISSING_LINE: "the next line of the reserve account is missing on its statement",
    CONTRADICTORY_NOTICE: "a second notice of the next credit tells one tiyn more",
}

MAGIC_ACCOUNTS: Final = {
    "REJECT": (REJECT, "every payment order to it is rejected (MS03)"),
    "DELAY": (DELAY, "every payment order to it is booked one banking day late"),
    "RETURN": (RETURN, "every payment that is booked on it comes back at once (AC04)"),
}
"""How an account's number begins behind the bank's code → the failure of payments to it, always."""
_ACCOUNT = slice(7, None)


async def switch(db: AsyncSession, name: str, times: int) -> None:
    """Let a failure strike the next `times` times; 0 turns it off and has the bank mend it.

    Mending means: missing lines come after all, contradictory notices are taken back.
    """
    assert name in MEANINGS
    await switches.arm(db, name, times)
    if times == 0 and name == MISSING_LINE:
        await _send_missing_lines(db)
    if times == 0 and name == CONTRADICTORY_NOTICE:
        await db.execute(
            text(
                "UPDATE bank_held SET resolved_at = sandbox_now()"
                " WHERE resolved_at IS NULL AND kind <> 'camt.053'"
            )
        )


async def _send_missing_lines(db: AsyncSession) -> None:
    """Each on its own day's statement, or on the next one if that was sent without it."""
    # No day ends meanwhile.
    await db.execute(text("SELECT 1 FROM bank_sim.account ORDER BY iban FOR KEY SHARE"))
    await db.execute(
        text(
            "UPDATE bank_sim.booking b SET left_out = false, booked_on = greatest(booked_on,"
            " (SELECT max(day) + 1 FROM bank_statement s WHERE s.iban = b.iban)) WHERE left_out"
        )
    )


async def armed(db: AsyncSession) -> frozenset[str]:
    """What may strike: asked once per step, so that a healthy bank does not ask per payment."""
    left = await switches.left(db, MEANINGS)
    return frozenset(name for name, times in left.items() if times)


def is_magic(iban: str, name: str) -> bool:
    """Whether the failure strikes whatever is paid to this account."""
    account = iban[_ACCOUNT]
    return any(
        fault == name and account.startswith(begins)
        for begins, (fault, _) in MAGIC_ACCOUNTS.items()
    )


async def strikes(
    db: AsyncSession, name: str, on: frozenset[str], *, payee: str | None = None
) -> bool:
    """Whether the failure strikes here; it then counts as one of its times.

    What is paid to a magic `payee` it strikes always.
    """
    if payee is not None and is_magic(payee, name):
        return True
    return name in on and bool(await switches.strike(db, name))
