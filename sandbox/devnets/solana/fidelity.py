"""What this devnet is and what it is not, beside a validator of a cluster."""

from __future__ import annotations

from sandbox.core.fidelity import Line, Part, Truth

_HERE = "tests/devnets/solana"
_CONSTANTS = "test_method_table.py::test_constants_have_their_shapes"
_COMMITMENTS = "test_commitments.py::test_slots_and_heights_of_the_three_levels"
_LEVELS = "test_method_table.py::test_the_default_commitment_is_finalized"


def _line(subject: str, truth: Truth, test: str, differs: str = "") -> Line:
    return Line(subject, truth, differs, f"{_HERE}/{test}")


def _constant(subject: str, differs: str) -> Line:
    return _line(subject, "simulated", _CONSTANTS, differs)


CHAIN = Part(
    "The chain",
    (
        _line(
            "Programs",
            "real",
            "test_token_refusals.py::test_a_refusal_says_its_code_in_error_message_and_logs",
            "system, Token, Token-2022, associated accounts, memo, lookup tables and loaders are"
            " those of LiteSVM, ahead of or behind a cluster; so are compute units and logs",
        ),
        _line(
            "Programs that you deploy",
            "real",
            "test_fidelity_claims.py::test_a_program_can_be_called_in_the_slot_of_its_deployment",
            "can be called in the slot of their deployment already, on a cluster from the next on",
        ),
        _line(
            "Signatures, sanitizing and the size of a packet",
            "real",
            "test_sending.py::test_a_version_1_transaction_is_refused",
            "transactions of version 1 are refused",
        ),
        _line(
            "A transaction counts once",
            "real",
            "test_sending.py::test_the_same_transaction_counts_once_after_a_restart",
        ),
        _line(
            "Blockhashes expire after 150 blocks",
            "real",
            "test_sending.py::test_a_blockhash_expires_after_150_blocks",
        ),
        _line(
            "Durable nonces",
            "real",
            "test_durable_nonces.py::test_a_nonce_works_long_after_every_blockhash_of_its_time_and_once",
        ),
        _line(
            "Fees and rent exemption",
            "real",
            "test_fidelity_claims.py::test_a_transaction_that_cannot_be_loaded_pays_nothing",
            "what fails while it is loaded pays nothing; on a cluster it does (SIMD-82)",
        ),
        _line(
            "Priority fees",
            "simulated",
            "test_metas_of_sol.py::test_a_priority_fee",
            "charged and never needed: transactions run in the order in which they arrive",
        ),
        _line(
            "Commitments",
            "simulated",
            _COMMITMENTS,
            "numbers of blocks (1 for confirmed, 32 for finalized unless told otherwise), no votes",
        ),
        _line(
            "Slots and blocks",
            "simulated",
            "test_process.py::test_slots_come_at_their_rate_also_when_empty",
            "one producer, a block in every slot; no limits of compute units per block",
        ),
        _line(
            "Forks, skipped slots, lost transactions",
            "simulated",
            "test_reorgs.py::test_dropped_blocks_become_skipped_slots",
            "only when a fault is asked for",
        ),
        _line(
            "Time",
            "simulated",
            "test_clock.py::test_block_time_never_falls",
            "block time and the Clock sysvar follow this machine or the sandbox clock, not votes",
        ),
        _line(
            "History",
            "real",
            "test_history.py::test_old_history_is_read_from_disk",
            "all of it, since genesis",
        ),
        _line(
            "What is confirmed is on disk",
            "real",
            "test_checkpoints.py::test_a_block_shown_as_confirmed_is_already_on_disk",
            "a kill may lose what was only processed",
        ),
        _line(
            "Votes, stake, rewards, inflation, rent collection, gossip",
            "absent",
            _CONSTANTS,
            "the methods that tell of them answer constants",
        ),
    ),
)

METHODS = Part(
    "Methods",
    (
        _line(
            "getAccountInfo, getMultipleAccounts",
            "real",
            "test_method_table.py::test_accounts_in_every_encoding",
        ),
        _line("getBalance", "real", "test_commitments.py::test_balances_rise_through_the_levels"),
        _line(
            "getBlock",
            "real",
            "test_metas_of_sol.py::test_a_block_around_them",
            "no rewards; no costUnits in metas",
        ),
        _line("getBlockCommitment", "simulated", _CONSTANTS, "all stake is the one producer's"),
        _line("getBlockHeight, getSlot", "real", _COMMITMENTS),
        _line(
            "getBlockProduction", "simulated", _CONSTANTS, "one producer, which never misses a slot"
        ),
        _line(
            "getBlocks, getBlocksWithLimit, getBlockTime",
            "real",
            "test_history.py::test_blocks_join_by_hash_and_height",
        ),
        _constant("getClusterNodes", "one node without gossip"),
        _line(
            "getEpochInfo, getTransactionCount", "real", _LEVELS, "votes are no transactions here"
        ),
        _constant("getEpochSchedule", "432,000 slots from the first on, no warm-up"),
        _line(
            "getFeeForMessage",
            "real",
            "test_method_table.py::test_the_fee_that_is_told_is_the_fee_that_is_charged",
        ),
        _constant("getFirstAvailableBlock, minimumLedgerSlot", "0: nothing is ever pruned"),
        _line(
            "getGenesisHash",
            "real",
            "test_process.py::test_the_ready_line_names_both_ports_and_the_genesis",
            "random for each chain, the hash of no file",
        ),
        _constant("getHealth", "ok as long as it answers"),
        _constant("getHighestSnapshotSlot", "-32008, as a validator that serves no snapshots"),
        _constant(
            "getIdentity, getSlotLeader, getSlotLeaders", "one identity, for the life of the chain"
        ),
        _constant("getInflationGovernor, getInflationRate, getInflationReward", "zero"),
        _constant("getLargestAccounts", "the faucets"),
        _line(
            "getLatestBlockhash",
            "real",
            "test_sending.py::test_a_blockhash_asked_at_finalized_is_still_good",
        ),
        _constant("getLeaderSchedule", "the first 1,000 slots of an epoch, which say it all"),
        _constant("getMaxRetransmitSlot, getMaxShredInsertSlot", "the open slot"),
        _line(
            "getMinimumBalanceForRentExemption",
            "real",
            "test_fidelity_claims.py::test_rent_is_that_of_a_cluster",
        ),
        _line(
            "getProgramAccounts",
            "real",
            "test_method_table.py::test_program_accounts_by_filter_and_in_order",
        ),
        _constant("getRecentPerformanceSamples", "one sample: all since genesis, as if in 60 s"),
        _constant("getRecentPrioritizationFees", "zero for every slot"),
        _line(
            "getSignaturesForAddress",
            "real",
            "test_history.py::test_signatures_by_address_page_newest_first",
        ),
        _line(
            "getSignatureStatuses",
            "real",
            "test_commitments.py::test_transactions_appear_at_their_commitment",
        ),
        _constant("getStakeMinimumDelegation", "1 lamport"),
        _constant("getSupply", "what the faucets were made with"),
        _line(
            "getTokenAccountBalance, getTokenLargestAccounts, getTokenSupply",
            "real",
            "test_tokens.py::test_supply_is_the_sum_of_all_accounts",
        ),
        _line(
            "getTokenAccountsByDelegate, getTokenAccountsByOwner",
            "real",
            "test_tokens.py::test_token_accounts_are_found_by_owner_mint_and_delegate",
        ),
        _line(
            "getTransaction",
            "real",
            "test_metas_of_tokens.py::test_a_payment_with_memo_and_reference",
            "no costUnits in metas",
        ),
        _constant("getVersion", "a version of agave that clients know, not this program's"),
        _constant("getVoteAccounts", "none"),
        _line(
            "isBlockhashValid", "real", "test_sending.py::test_a_blockhash_expires_after_150_blocks"
        ),
        _line(
            "requestAirdrop",
            "real",
            "test_sending.py::test_equal_airdrops_in_one_slot_all_arrive",
            "a transfer of a faucet, without limit",
        ),
        _line(
            "sendTransaction",
            "real",
            "test_sending.py::test_the_same_transaction_counts_once",
            "preflight is always on the newest state; nothing is forwarded, so maxRetries is idle",
        ),
        _line(
            "simulateTransaction",
            "real",
            "test_method_table.py::test_a_simulation_in_full",
            "always on the newest state; no loadedAccountsDataSize",
        ),
        _line(
            "getFees, getConfirmedBlock, getConfirmedTransaction, getStakeActivation",
            "absent",
            "test_method_table.py::test_an_unknown_method_is_refused_by_its_name",
            "-32601, as in agave since 2.0",
        ),
        _line(
            "Instructions in jsonParsed",
            "real",
            "test_fidelity_claims.py::test_what_a_loader_does_is_shown_undecoded",
            "what loaders, stake and vote programs do is shown undecoded",
        ),
        _line(
            "Accounts in jsonParsed",
            "real",
            "test_parsed_accounts.py::test_an_extension_is_told_as_a_validator_tells_it",
            "confidential extensions of Token-2022 are told as unparseableExtension",
        ),
    ),
)

SUBSCRIPTIONS = Part(
    "Subscriptions",
    (
        _line(
            "accountSubscribe",
            "real",
            "test_notifications.py::test_an_account_is_told_at_each_commitment_in_its_encoding",
        ),
        _line(
            "blockSubscribe",
            "real",
            "test_notifications.py::test_blocks_whole_or_of_one_account",
            "validators have it off unless told otherwise",
        ),
        _line(
            "logsSubscribe",
            "real",
            "test_notifications.py::test_logs_at_each_commitment_of_all_or_of_one",
        ),
        _line(
            "programSubscribe",
            "real",
            "test_notifications.py::test_a_program_tells_of_its_accounts_while_they_are_its_own",
        ),
        _line(
            "rootSubscribe, slotSubscribe",
            "real",
            "test_notifications.py::test_slots_roots_and_their_updates",
        ),
        _line(
            "signatureSubscribe",
            "real",
            "test_notifications.py::test_a_signature_at_each_commitment_then_forgotten",
        ),
        _line(
            "slotsUpdatesSubscribe",
            "simulated",
            "test_notifications.py::test_slots_roots_and_their_updates",
            "createdBank, optimisticConfirmation and root only",
        ),
        _line(
            "voteSubscribe",
            "simulated",
            "test_notifications.py::test_slots_roots_and_their_updates",
            "taken, and silent: there are no votes",
        ),
    ),
)

DOOR = Part(
    "The door",
    (
        _line(
            "Size of a batch",
            "simulated",
            "test_bad_sockets.py::test_a_batch_of_ten_thousand_is_refused_whole",
            "1,000 requests",
        ),
        _line(
            "Size of a request",
            "simulated",
            "test_bad_sockets.py::test_a_body_over_the_limit_is_told_so",
            "4 MiB",
        ),
        _line(
            "Subscriptions of a connection",
            "simulated",
            "test_notifications.py::test_a_connection_may_hold_ten_thousand_and_no_more",
            "10,000",
        ),
        _line(
            "Requests per second",
            "absent",
            "test_doors.py::test_many_clients_at_once_are_all_answered",
            "no limit, and no 429, unless a fault is asked for",
        ),
        _line(
            "Clients that stall",
            "real",
            "test_bad_sockets.py::test_a_subscriber_that_never_reads_is_dropped_and_others_are_not",
        ),
        _line(
            "Gossip, TPU and QUIC",
            "absent",
            _CONSTANTS,
            "transactions come by sendTransaction only: tools that send to leaders need an option"
            " like --use-rpc",
        ),
        _line(
            "Methods sandbox_*",
            "simulated",
            "test_reorgs.py::test_without_the_flag_there_are_no_faults_clocks_or_snapshots",
            "time, forks and faults on command, there with --faults; no validator has them",
        ),
    ),
)  # fmt: skip

PARTS = (CHAIN, METHODS, SUBSCRIPTIONS, DOOR)
