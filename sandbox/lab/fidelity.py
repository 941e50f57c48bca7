"""What of the sandbox itself is real, and what is simulated: the parts that answers name."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sandbox.core.fidelity import Line, Part
from sandbox.core.http.fidelity import CHAINS, Level

PAGE: Final = "docs/fidelity.md"


@dataclass(frozen=True, slots=True)
class Piece:
    """A part as `Sandbox-Fidelity` names it, and its statements."""

    name: str
    level: Level
    lines: Part


PIECES: Final = (
    Piece("database", "real", Part("`database`", (
        Line("PostgreSQL, its transactions and its rights", "real",
             "an embedded server of version 18, or any other one",
             "tests/ledger/test_raw_sql.py::test_the_rules_may_not_be_switched_off"),
    ))),
    Piece("ledger", "real", Part("`ledger`", (
        Line("Double entry, floors, sealed days", "real", "",
             "tests/ledger/test_golden_example.py::test_every_row_gives_the_columns_of_the_table"),
    ))),
    Piece("log", "real", Part("`log`", (
        Line("Merkle tree, checkpoints, proofs", "real",
             "signed by one key of this world; no witness signs beside it",
             "tests/eventlog/test_merkle.py::test_roots_equal_those_of_an_independent_library_at_every_size"),
    ))),
    Piece("webhooks", "real", Part("`webhooks`", (
        Line("Deliveries, signatures, retries", "real",
             "retries wait by the sandbox clock; loopback may be delivered to",
             "tests/webhooks/test_delivery.py::test_ten_attempts_follow_the_sandbox_clock_and_then_it_gives_up"),
    ))),
    Piece("clock", "simulated", Part("`clock`", (
        Line("Business time", "simulated", "can be moved, stopped and, with a seed, begins stopped",
             "tests/lab/test_clock.py::test_only_the_sandboxs_own_roles_move_time"),
    ))),
    Piece("bank", "simulated", Part("`bank`", (
        Line("Messages of ISO 20022", "real",
             "checked against the published schemas, and exchanged within one process",
             "tests/bank/test_iso20022.py::test_there_is_a_round_trip_of_every_message"),
        Line("Accounts, statements and booking", "simulated",
             "no bank: a simulator with tables of its own, which knows the calendar of Kazakhstan",
             "tests/bank/test_statements.py::test_the_schema_of_the_bank_belongs_to_the_simulator"),
        Line("Faults of the bank", "simulated", "only when asked for",
             "tests/bank/test_faults.py::test_a_delayed_order_is_booked_one_banking_day_late"),
        Line("Exchange of currencies", "absent", "there is tenge only",
             "tests/payments/test_sessions.py::test_a_body_outside_the_contract_is_refused"),
    ))),
    Piece("faucet", "simulated", Part("`faucet`", (
        Line("Tokens out of nothing", "simulated",
             "out of a float that a simulated customer has paid for, so the books stay whole",
             "tests/lab/test_floats.py::test_a_float_is_refilled_only_below_a_tenth"),
    ))),
    Piece("issuer", "simulated", Part("`issuer`", (
        Line("Reserve, minting, redemption, attestation", "simulated",
             "the rules are those that an issuer would keep; the institution is not",
             "tests/reserve/test_attestations.py::test_an_attestation_is_what_chain_books_bank_and_log_say"),
    ))),
)  # fmt: skip
PARTS: Final = tuple(piece.lines for piece in PIECES)

_CHAIN: Final[Mapping[Level, str]] = {
    "real": "a node of its own, started by whoever runs the sandbox: programs and blocks are its",
    "simulated": f"a devnet of the sandbox: real programs and transactions, one producer of blocks;"
    f" {PAGE} goes through it line by line",
    "stubbed": "a chain in memory, for tests of the sandbox",
}
_CHAIN_TEST: Final = "tests/journeys/test_payments.py"


def described(levels: Mapping[str, Level], chains: Collection[str]) -> list[dict[str, Any]]:
    """Every part that an answer may name: `levels` has each one's, `chains` names the chains."""
    about = {piece.name: piece.lines.lines for piece in PIECES}
    found = []
    for name, level in levels.items():
        lines = about.get(name, ())
        found.append({
            "object": "part",
            "part": name,
            "kind": CHAINS if name in chains else name,
            "level": level,
            "lines": [_shown(line) for line in lines] if name not in chains
            else [{"subject": name, "is": level, "differs": _CHAIN[level], "test": _CHAIN_TEST}],
            "page": PAGE,
        })  # fmt: skip
    return found


def _shown(line: Line) -> dict[str, str]:
    return {
        "subject": line.subject, "is": line.truth, "differs": line.differs, "test": line.test,
    }  # fmt: skip
