"""What this devnet is and what it is not, beside a validator."""

from __future__ import annotations

from sandbox.devnets.fidelity import Line, Part, Truth

_HERE = "tests/devnets/solana"


def _line(subject: str, truth: Truth, test: str, differs: str = "") -> Line:
    return Line(subject, truth, differs, f"{_HERE}/{test}")


_ONE_PRODUCER = "constant: there is one producer and no stake"

PARTS = (
    Part(
        "Of the chain",
        (
            _line(
                "Programs and transactions",
                "real",
                "test_tokens.py::test_payments_that_the_program_refuses",
                "system, Token, Token-2022, associated accounts, memo, lookup tables, loaders"
                " are those of LiteSVM, which may be ahead of or behind a cluster",
            ),
            _line(
                "Signatures, duplicates, packet size",
                "real",
                "test_sending.py::test_the_same_transaction_counts_once_after_a_restart",
                "transactions of version 1 are refused",
            ),
            _line(
                "Blockhashes and their expiry after 150 blocks",
                "real",
                "test_sending.py::test_a_blockhash_expires_after_150_blocks",
            ),
            _line(
                "Fees, priority fees and rent exemption",
                "real",
                "test_lookup_tables.py::test_the_fee_that_was_told_is_the_fee_that_is_charged",
                "a priority fee is charged and never needed: there is no market for compute",
            ),
            _line(
                "Commitments",
                "simulated",
                "test_commitments.py::test_slots_and_heights_of_the_three_levels",
                "a number of blocks, by default 1 for confirmed and 32 for finalized, no votes",
            ),
            _line(
                "Slots and blocks",
                "simulated",
                "test_process.py::test_slots_come_at_their_rate_also_when_empty",
                "one producer, in order of arrival, also when empty; none is skipped unless asked",
            ),
            _line(
                "Forks",
                "simulated",
                "test_reorgs.py::test_dropped_blocks_become_skipped_slots",
                "only on command; what is final is never rolled back",
            ),
            _line(
                "The clock",
                "simulated",
                "test_clock.py::test_time_moves_forward_without_burning_slots",
                "block time and the Clock sysvar follow this machine or the sandbox, not votes",
            ),
            _line(
                "History",
                "real",
                "test_history.py::test_old_history_is_read_from_disk",
                "since genesis, all of it",
            ),
            _line(
                "Durability",
                "real",
                "test_checkpoints.py::test_a_block_shown_as_confirmed_is_already_on_disk",
                "a kill loses what was processed and not yet confirmed",
            ),
        ),
    ),
)
