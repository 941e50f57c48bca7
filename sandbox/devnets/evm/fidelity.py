"""What this devnet is and what it is not, beside a node of a public network."""

from __future__ import annotations

from sandbox.core.fidelity import Line, Part, Truth

_HERE = "tests/devnets/evm"


def _line(subject: str, truth: Truth, test: str, differs: str = "") -> Line:
    return Line(subject, truth, differs, f"{_HERE}/{test}")


CHAIN = Part(
    "The chain",
    (
        _line(
            "Execution, gas, receipts and logs",
            "real",
            "test_sending.py::test_web3_sends_and_reads_a_receipt",
            "those of anvil (hardfork Prague) or, where it is not installed, of eth-tester, whose"
            " limits are said at the start",
        ),
        _line(
            "Signatures, nonces and chain ids",
            "real",
            "test_sending.py::test_garbage_and_blobs_and_repeats_are_refused",
            "transactions with blobs are refused",
        ),
        _line(
            "Base fee",
            "real",
            "test_sending.py::test_a_transaction_at_exactly_the_next_base_fee_is_mined_and_replayed",
        ),
        _line(
            "The pool",
            "real",
            "test_sending.py::test_a_nonce_from_the_future_waits_for_those_before_it",
            "what never becomes payable is said and forgotten",
        ),
        _line(
            "Blocks",
            "simulated",
            "test_sending.py::test_an_idle_chain_has_a_heartbeat",
            "one producer makes them for transactions, and one each 12 s when idle; no validators",
        ),
        _line(
            "Finality",
            "simulated",
            "test_sending.py::test_a_block_is_final_after_two_more_which_follow_by_themselves",
            "two blocks above, no attestations",
        ),
        _line(
            "Forks",
            "simulated",
            "test_reorgs.py::test_reincluded_transactions_come_back_in_another_block",
            "only when a fault is asked for",
        ),
        _line(
            "Time",
            "simulated",
            "test_clock.py::test_a_frozen_clock_gives_equal_stamps_and_an_old_one_waits_for_the_wall",
            "blocks follow this machine or the sandbox clock; equal stamps are legal here",
        ),
        _line(
            "What is mined is on disk",
            "real",
            "test_restarts.py::test_a_kill_in_a_burst_of_twenty_keeps_every_receipt_and_every_hash_that_was_answered",
        ),
        _line(
            "State of old blocks",
            "simulated",
            "test_checkpoints.py::test_a_start_replays_what_is_younger_and_old_receipts_are_there",
            "of the last 64 blocks; blocks, receipts and logs of all",
        ),
        _line(
            "The genesis",
            "simulated",
            "test_process.py::test_each_chain_has_a_genesis_of_its_own_and_keeps_it",
            "one for each chain; the contract of EIP-2935 has no code",
        ),
    ),
)
DOOR = Part(
    "The door",
    (
        _line(
            "HTTP, batches and errors of JSON-RPC",
            "real",
            "test_doors.py::test_a_batch_is_answered_in_order_with_its_ids",
        ),
        _line(
            "Subscriptions",
            "real",
            "test_doors.py::test_subscriptions_tell_heads_logs_and_pending_transactions",
        ),
        _line(
            "Methods sandbox_*, anvil_*, evm_* and hardhat_*",
            "simulated",
            "test_doors.py::test_without_the_flag_nothing_changes_the_chain",
            "there with --faults; no public node has them",
        ),
        _line(
            "Peers, consensus and engine API",
            "absent",
            "test_doors.py::test_the_door_of_anvil_itself_is_not_on_the_usual_loopback_address",
            "there is one node, and anvil itself is not reached past the front",
        ),
    ),
)
PARTS = (CHAIN, DOOR)
