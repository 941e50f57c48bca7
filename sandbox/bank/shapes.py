"""What the API and the log show of the bank."""

from typing import Annotated, Literal

from typing_extensions import TypedDict

from sandbox.bank.models import Booking
from sandbox.core.shapes import Day, Sha256, Time, Tiyn, states


class StatementLine(TypedDict):
    """One booking on the account."""

    ref: str
    end_to_end_id: str | None
    amount_tiyn: Tiyn
    side: Annotated[str, states(Booking, "side")]
    value_date: Day
    booked_at: Time


class BankStatement(TypedDict):
    """One day of an account at the simulated bank."""

    object: Literal["bank_statement"]
    id: Day
    iban: str
    date: Day
    currency: str
    opening_tiyn: Tiyn
    closing_tiyn: Tiyn
    lines: list[StatementLine]


class ReceivedStatement(TypedDict):
    """A statement that was taken: figures and hash, without its lines."""

    object: Literal["received_statement"]
    id: Day
    account: str
    iban: str
    date: Day
    currency: str
    opening_tiyn: Tiyn
    closing_tiyn: Tiyn
    line_count: int
    sha256: Sha256
    taken_at: Time


class HeldBankMessage(TypedDict):
    """A message of the bank that is refused or contradicts others."""

    object: Literal["held_bank_message"]
    id: str
    kind: str
    ref: str
    reason: str
    detail: str
    xml: str
    held_at: Time
    resolved_at: Time | None
