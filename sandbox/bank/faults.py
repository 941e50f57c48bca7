"""Failure switches of the simulated bank: each strikes so many times, then it is off."""

from typing import Final

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank.errors import FaultUnknown
from sandbox.bank.models import Fault

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
MAX_TIMES: Final = 1000

MAGIC_ACCOUNTS: Final = {
    "REJECT": (REJECT, "every payment order to it is rejected (MS03)"),
    "DELAY": (DELAY, "every payment order to it is booked one banking day late"),
    "RETURN": (RETURN, "every payment that is booked on it comes back at once (AC04)"),
}
"""How an account's number begins behind the bank's code → the failure of payments to it, always."""
_ACCOUNT = slice(7, None)


async def switch(db: AsyncSession, name: str, times: int) -> None:
    """Let a failure strike the next `times` times; 0 turns it off and has the bank mend it.

    Mending means: missing lines come after all, contradictory notices are taken back. Raises
    `FaultUnknown`.
    """
    if name not in MEANINGS:
        raise FaultUnknown(name, sorted(MEANINGS))
    made = insert(Fault).values({"name": name, "left": times})
    await db.execute(made.on_conflict_do_update(index_elements=["name"], set_={"left": times}))
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


async def state(db: AsyncSession) -> dict[str, int]:
    """How many more times each failure strikes, by name."""
    rows = await db.execute(text('SELECT name, "left" AS times FROM bank_sim.fault'))
    return dict.fromkeys(MEANINGS, 0) | {row.name: row.times for row in rows}


async def armed(db: AsyncSession) -> frozenset[str]:
    """What may strike: asked once per step, so that a healthy bank does not ask per payment."""
    rows = await db.execute(text('SELECT name FROM bank_sim.fault WHERE "left" > 0'))
    return frozenset(row.name for row in rows)


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
    if name not in on:
        return False
    struck = await db.execute(
        text(
            'UPDATE bank_sim.fault SET "left" = "left" - 1 WHERE name = :name AND "left" > 0'
            " RETURNING name"
        ),
        {"name": name},
    )
    return struck.one_or_none() is not None
