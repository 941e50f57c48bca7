"""Methods about slots, blockhashes, fees and the cluster.

What one producer cannot have (votes, stakes, inflation) is constant but well-shaped.
"""

from __future__ import annotations

from typing import Any

from solders.message import Message, MessageV0, from_bytes_versioned
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from sandbox.devnets.json_rpc import RpcError
from sandbox.devnets.solana import params
from sandbox.devnets.solana.bank import MAX_HASH_AGE, SLOTS_PER_EPOCH
from sandbox.devnets.solana.encode import key_text
from sandbox.devnets.solana.errors import NO_SNAPSHOT, invalid_params
from sandbox.devnets.solana.execution import MAX_TRANSACTION_BYTES
from sandbox.devnets.solana.fees import fee_of
from sandbox.devnets.solana.genesis import FAUCET_LAMPORTS, FAUCETS
from sandbox.devnets.solana.node import API_VERSION, Method, Node
from sandbox.devnets.solana.params import Params

_FEATURE_SET = 3_294_202_862
_MAX_FEE_SAMPLES = 150
_MAX_PERFORMANCE_SAMPLES = 720


def get_health(_node: Node, _params: Params) -> str:
    return "ok"


def get_version(_node: Node, _params: Params) -> Any:
    return {"solana-core": API_VERSION, "feature-set": _FEATURE_SET}


def get_genesis_hash(node: Node, _params: Params) -> str:
    return key_text(node.bank.genesis_hash)


def identity(node: Node) -> str:
    """The one producer: a key nobody signs with, fixed for the life of the chain."""
    return key_text(node.bank.genesis_hash)


def get_identity(node: Node, _params: Params) -> Any:
    return {"identity": identity(node)}


def get_slot(node: Node, given: Params) -> int:
    return node.bank.slot_at(node.level(given.config(0)))


def get_block_height(node: Node, given: Params) -> int:
    level = node.level(given.config(0))
    return node.bank.open_height if level == "processed" else node.bank.sealed_at(level).height


def get_transaction_count(node: Node, given: Params) -> int:
    level = node.level(given.config(0))
    count = node.bank.sealed_at(level).tx_total
    return count + (len(node.bank.history.open_records) if level == "processed" else 0)


def get_epoch_info(node: Node, given: Params) -> Any:
    level = node.level(given.config(0))
    slot = node.bank.slot_at(level)
    height = node.bank.open_height if level == "processed" else node.bank.sealed_at(level).height
    return {
        "absoluteSlot": slot,
        "blockHeight": height,
        "epoch": slot // SLOTS_PER_EPOCH,
        "slotIndex": slot % SLOTS_PER_EPOCH,
        "slotsInEpoch": SLOTS_PER_EPOCH,
        "transactionCount": node.bank.sealed_at(level).tx_total,
    }


def get_epoch_schedule(_node: Node, _params: Params) -> Any:
    return {
        "slotsPerEpoch": SLOTS_PER_EPOCH,
        "leaderScheduleSlotOffset": SLOTS_PER_EPOCH,
        "warmup": False,
        "firstNormalEpoch": 0,
        "firstNormalSlot": 0,
    }


def get_latest_blockhash(node: Node, given: Params) -> Any:
    level = node.level(given.config(0))
    block = node.bank.sealed_at(level)
    return node.context(
        level,
        {
            "blockhash": key_text(block.hash),
            "lastValidBlockHeight": block.height + MAX_HASH_AGE,
        },
    )


def is_blockhash_valid(node: Node, given: Params) -> Any:
    level = node.level(given.config(1))
    block = node.bank.hash_block(params.blockhash(given.need(0)))
    return node.context(level, block is not None and block.slot <= node.bank.slot_at(level))


def get_fee_for_message(node: Node, given: Params) -> Any:
    raw = params.wire_bytes(given.text(0), "base64", MAX_TRANSACTION_BYTES)
    level = node.level(given.config(1))
    try:
        message = from_bytes_versioned(raw)
        signers = message.header.num_required_signatures
        VersionedTransaction.populate(message, [Signature.default()] * signers).sanitize()
    except Exception as error:
        raise invalid_params(f"invalid message: {error}") from None
    if not isinstance(message, Message | MessageV0):
        raise invalid_params("unsupported message version")
    known = node.bank.hash_block(bytes(message.recent_blockhash)) is not None
    return node.context(level, fee_of(message) if known or node.bank.has_nonce(message) else None)


def get_recent_prioritization_fees(node: Node, given: Params) -> Any:
    if given.get(0) is not None:
        for key in given.strings(0, 128):
            params.pubkey(key)
    blocks = node.bank.history.blocks[-_MAX_FEE_SAMPLES:]
    return [{"slot": block.slot, "prioritizationFee": 0} for block in blocks]


def get_recent_performance_samples(node: Node, given: Params) -> Any:
    limit = _MAX_PERFORMANCE_SAMPLES if given.get(0) is None else given.u64(0)
    if limit > _MAX_PERFORMANCE_SAMPLES:
        raise invalid_params(f"Invalid limit; max {_MAX_PERFORMANCE_SAMPLES}")
    tip, count = node.bank.tip, node.bank.tip.tx_total
    if limit == 0:
        return []
    # One sample since genesis: rates of a devnet say nothing.
    return [
        {
            "slot": tip.slot,
            "numTransactions": count,
            "numNonVoteTransactions": count,
            "numSlots": max(1, tip.slot),
            "samplePeriodSecs": 60,
        }
    ]


def get_minimum_balance_for_rent_exemption(node: Node, given: Params) -> int:
    size = given.u64(0)
    given.config(1).level()
    if size > 10 * 1024 * 1024:
        raise invalid_params("Invalid params: account data too large")
    return node.bank.svm.minimum_balance_for_rent_exemption(size)


def get_slot_leader(node: Node, given: Params) -> str:
    node.level(given.config(0))
    return identity(node)


def get_slot_leaders(node: Node, given: Params) -> list[str]:
    given.u64(0)
    count = given.u64(1)
    if count > 5_000:
        raise invalid_params("Invalid limit; max 5000")
    return [identity(node)] * count


def get_cluster_nodes(node: Node, _params: Params) -> Any:
    return [
        {
            "pubkey": identity(node),
            "gossip": None,
            "tpu": None,
            "rpc": None,
            "version": API_VERSION,
            "featureSet": _FEATURE_SET,
            "shredVersion": 1,
        }
    ]


def get_vote_accounts(node: Node, given: Params) -> Any:
    config = given.config(0)
    node.level(config)
    config.key("votePubkey")
    config.flag("keepUnstakedDelinquents")
    config.u64("delinquentSlotDistance")
    return {"current": [], "delinquent": []}


def get_supply(node: Node, given: Params) -> Any:
    config = given.config(0)
    level = node.level(config)
    config.flag("excludeNonCirculatingAccountsList")
    total = FAUCETS * FAUCET_LAMPORTS  # fees that were burned are not taken off
    return node.context(
        level,
        {"total": total, "circulating": total, "nonCirculating": 0, "nonCirculatingAccounts": []},
    )


def get_largest_accounts(node: Node, given: Params) -> Any:
    """Of the faucet, which holds nearly all there is: accounts are not indexed by balance."""
    config = given.config(0)
    level = node.level(config)
    config.flag("sortResults")
    if config.one_of("filter", ("circulating", "nonCirculating")) == "nonCirculating":
        return node.context(level, [])
    found = [
        {"address": str(key.pubkey()), "lamports": _balance(node, bytes(key.pubkey()), level)}
        for key in node.bank.faucets
    ]
    return node.context(level, sorted(found, key=lambda entry: -int(entry["lamports"])))


def _balance(node: Node, key: bytes, level: Any) -> int:
    slot = None if level == "processed" else node.bank.slot_at(level)
    account = node.bank.accounts.at(key, slot)
    return 0 if account is None else account.lamports


def get_inflation_governor(_node: Node, given: Params) -> Any:
    given.config(0).level()
    return {
        "foundation": 0.0,
        "foundationTerm": 0.0,
        "initial": 0.0,
        "taper": 1.0,
        "terminal": 0.0,
    }


def get_inflation_rate(node: Node, _params: Params) -> Any:
    epoch = node.bank.open_slot // SLOTS_PER_EPOCH
    return {"epoch": epoch, "foundation": 0.0, "total": 0.0, "validator": 0.0}


def get_inflation_reward(node: Node, given: Params) -> Any:
    keys, config = [params.pubkey(key) for key in given.strings(0, 1_024)], given.config(1)
    node.level(config)
    config.u64("epoch")
    return [None for _ in keys]


def get_leader_schedule(node: Node, given: Params) -> Any:
    """Of the epoch of a slot; None for one that is not known yet."""
    asked = given.get(0)
    config = given.config(0 if isinstance(asked, dict) else 1)
    open_slot = node.bank.slot_at(node.level(config))
    slot = open_slot if asked is None or isinstance(asked, dict) else params.u64(asked, "slot")
    if slot // SLOTS_PER_EPOCH > open_slot // SLOTS_PER_EPOCH + 1:
        return None
    wanted, leader = config.key("identity"), identity(node)
    if wanted is not None and key_text(wanted) != leader:
        return {}
    slots = min(SLOTS_PER_EPOCH, 1_000)  # the whole epoch has one leader; 3 MB would say no more
    return {leader: list(range(slots))}


def get_block_commitment(node: Node, given: Params) -> Any:
    known = node.bank.history.block(given.u64(0))
    return {"commitment": [0] * 31 + [1] if known else None, "totalStake": 1}


def get_stake_minimum_delegation(node: Node, given: Params) -> Any:
    return node.context(node.level(given.config(0)), 1)


def get_highest_snapshot_slot(_node: Node, _params: Params) -> Any:
    raise RpcError(NO_SNAPSHOT, "No snapshot")


def get_max_retransmit_slot(node: Node, _params: Params) -> int:
    return node.bank.open_slot


METHODS: dict[str, Method] = {
    "getHealth": get_health,
    "getVersion": get_version,
    "getGenesisHash": get_genesis_hash,
    "getIdentity": get_identity,
    "getSlot": get_slot,
    "getBlockHeight": get_block_height,
    "getTransactionCount": get_transaction_count,
    "getEpochInfo": get_epoch_info,
    "getEpochSchedule": get_epoch_schedule,
    "getLatestBlockhash": get_latest_blockhash,
    "isBlockhashValid": is_blockhash_valid,
    "getFeeForMessage": get_fee_for_message,
    "getRecentPrioritizationFees": get_recent_prioritization_fees,
    "getRecentPerformanceSamples": get_recent_performance_samples,
    "getMinimumBalanceForRentExemption": get_minimum_balance_for_rent_exemption,
    "getSlotLeader": get_slot_leader,
    "getSlotLeaders": get_slot_leaders,
    "getClusterNodes": get_cluster_nodes,
    "getVoteAccounts": get_vote_accounts,
    "getSupply": get_supply,
    "getLargestAccounts": get_largest_accounts,
    "getInflationGovernor": get_inflation_governor,
    "getInflationRate": get_inflation_rate,
    "getInflationReward": get_inflation_reward,
    "getLeaderSchedule": get_leader_schedule,
    "getBlockCommitment": get_block_commitment,
    "getStakeMinimumDelegation": get_stake_minimum_delegation,
    "getHighestSnapshotSlot": get_highest_snapshot_slot,
    "getMaxRetransmitSlot": get_max_retransmit_slot,
    "getMaxShredInsertSlot": get_max_retransmit_slot,
}
