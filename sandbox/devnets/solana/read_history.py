"""Methods about blocks and past transactions; nothing above the asked commitment is shown."""

from __future__ import annotations

from typing import Any

from sandbox.devnets.json_rpc import RpcError
from sandbox.devnets.solana import params
from sandbox.devnets.solana.bank import Bank, Level
from sandbox.devnets.solana.encode import (
    BLOCK_DETAILS,
    TX_ENCODINGS,
    block_json,
    key_text,
    signature_text,
    transaction_json,
)
from sandbox.devnets.solana.errors import BLOCK_NOT_AVAILABLE, SLOT_SKIPPED, invalid_params
from sandbox.devnets.solana.history import first_position
from sandbox.devnets.solana.node import Method, Node
from sandbox.devnets.solana.params import Config, Params
from sandbox.devnets.solana.read_chain import identity
from sandbox.devnets.solana.records import INDEX_BITS, Block, Record

_MAX_STATUSES = 256
_MAX_SIGNATURES = 1_000
_MAX_BLOCK_RANGE = 500_000


def status_json(bank: Bank, record: Record) -> dict[str, Any]:
    err, level = record.err, bank.level_of(record.slot)
    confirmations: int | None = None
    if level != "finalized":
        block = bank.history.block(record.slot)
        confirmations = 0 if block is None else bank.open_height - block.height
    return {
        "slot": record.slot,
        "confirmations": confirmations,
        "err": err,
        "status": {"Ok": None} if err is None else {"Err": err},
        "confirmationStatus": level,
    }


def get_signature_statuses(node: Node, given: Params) -> Any:
    wanted = [params.signature(text) for text in given.strings(0, _MAX_STATUSES)]
    search = given.config(1).flag("searchTransactionHistory")
    history = node.bank.history
    found = [history.record(s) if search else _recent(node.bank, s) for s in wanted]
    return node.context(
        "processed", [None if r is None else status_json(node.bank, r) for r in found]
    )


def _recent(bank: Bank, signature: bytes) -> Record | None:
    """Without a history search a validator answers from its status cache; `is_known` is ours."""
    recent = bank.history.recent_record(signature)
    if recent is None and bank.is_known(signature):
        return bank.history.record(signature)
    return recent


def get_signatures_for_address(node: Node, given: Params) -> Any:
    key, config = given.key(0), given.config(1)
    level = node.level(config)
    if level == "processed":
        raise invalid_params("Method does not support commitment below `confirmed`")
    limit = config.u64("limit")
    limit = _MAX_SIGNATURES if limit is None else limit
    if not 1 <= limit <= _MAX_SIGNATURES:
        raise invalid_params(f"Invalid limit; max {_MAX_SIGNATURES}")
    bank = node.bank
    below = first_position(bank.slot_at(level) + 1)
    if (before := config.text("before")) is not None:
        record = bank.history.record(params.signature(before))
        if record is None:
            return []
        below = min(below, record.position)
    stop = -1
    if (until := config.text("until")) is not None:
        record = bank.history.record(params.signature(until))
        stop = -1 if record is None else record.position
    final, confirmed = bank.final_block.slot, bank.confirmed_block.slot
    out = []
    for listed in bank.history.listed(key, below, limit):
        if listed.position <= stop:
            break
        slot = listed.position >> INDEX_BITS
        out.append(
            {
                "signature": signature_text(listed.signature),
                "slot": slot,
                "err": listed.err,
                "memo": listed.memo,
                "blockTime": listed.time,
                "confirmationStatus": _level(slot, final, confirmed),
            }
        )
    return out


def _level(slot: int, final: int, confirmed: int) -> Level:
    if slot <= final:
        return "finalized"
    return "confirmed" if slot <= confirmed else "processed"


def _block_time(bank: Bank, slot: int) -> int | None:
    if slot == bank.open_slot:
        return bank.open_time
    block = bank.history.block(slot)
    return None if block is None else block.time


def _encoding(config: Config) -> str:
    return config.one_of("encoding", TX_ENCODINGS) or "json"


def _options(given: Params, index: int) -> Config:
    """Options, or (of old) the bare encoding."""
    found = given.get(index)
    return Config({"encoding": found}) if isinstance(found, str) else given.config(index)


def get_transaction(node: Node, given: Params) -> Any:
    wanted, config = params.signature(given.need(0)), _options(given, 1)
    level, encoding, version = node.level(config), _encoding(config), config.max_version()
    if level == "processed":
        raise invalid_params("Method does not support commitment below `confirmed`")
    record = node.bank.history.record(wanted)
    if record is None or record.slot > node.bank.slot_at(level):
        return None
    return {
        "slot": record.slot,
        "blockTime": _block_time(node.bank, record.slot),
        **transaction_json(record, encoding, version),
    }


def _sealed(node: Node, slot: int, config: Config) -> Block:
    level = node.level(config)
    if level == "processed":
        raise invalid_params("Method does not support commitment below `confirmed`")
    if slot > node.bank.slot_at(level):
        raise RpcError(BLOCK_NOT_AVAILABLE, f"Block not available for slot {slot}")
    block = node.bank.history.block(slot)
    if block is None:
        raise RpcError(
            SLOT_SKIPPED,
            f"Slot {slot} was skipped, or missing due to ledger jump to recent snapshot",
        )
    return block


def get_block(node: Node, given: Params) -> Any:
    slot, config = given.u64(0), _options(given, 1)
    details = config.one_of("transactionDetails", BLOCK_DETAILS) or "full"
    encoding, version = _encoding(config), config.max_version()
    rewards = config.flag("rewards", default=True)
    block = _sealed(node, slot, config)
    records = node.bank.history.records_of(block)
    return block_json(block, records, details, encoding, version, rewards=rewards)


def get_blocks(node: Node, given: Params) -> Any:
    first, last = given.u64(0), given.get(1)
    config = given.config(1 if isinstance(last, dict) else 2)
    newest = node.bank.slot_at(_not_processed(node, config))
    last = newest if last is None or isinstance(last, dict) else params.u64(last, "end slot")
    if last < first:
        return []
    if last - first > _MAX_BLOCK_RANGE:
        raise invalid_params(f"Slot range too large; max {_MAX_BLOCK_RANGE}")
    return node.bank.history.slots(first, min(last, newest), _MAX_BLOCK_RANGE)


def get_blocks_with_limit(node: Node, given: Params) -> Any:
    first, limit = given.u64(0), given.u64(1)
    if limit > _MAX_BLOCK_RANGE:
        raise invalid_params(f"Limit too large; max {_MAX_BLOCK_RANGE}")
    newest = node.bank.slot_at(_not_processed(node, given.config(2)))
    return node.bank.history.slots(first, newest, limit) if first <= newest else []


def _not_processed(node: Node, config: Config) -> Any:
    level = node.level(config)
    if level == "processed":
        raise invalid_params("Method does not support commitment below `confirmed`")
    return level


def get_block_time(node: Node, given: Params) -> Any:
    return _sealed(node, given.u64(0), Config({"commitment": "confirmed"})).time


def get_block_production(node: Node, given: Params) -> Any:
    config = given.config(0)
    level = node.level(config)
    newest = node.bank.slot_at(level)
    asked = config.within("range")
    first, last = asked.u64("firstSlot") or 0, asked.u64("lastSlot")
    last = newest if last is None else last
    if last > newest:
        raise invalid_params(f"lastSlot, {last}, is too large; max {newest}")
    if first > last:
        raise invalid_params(f"firstSlot, {first}, cannot be greater than lastSlot, {last}")
    if (last - first) > _MAX_BLOCK_RANGE:
        raise invalid_params(f"Slot range too large; max {_MAX_BLOCK_RANGE}")
    wanted, leader = config.key("identity"), identity(node)
    made = len(node.bank.history.slots(first, last, _MAX_BLOCK_RANGE + 1))
    is_asked = wanted is None or key_text(wanted) == leader
    return node.context(
        level,
        {
            "byIdentity": {leader: [last - first + 1, made]} if is_asked else {},
            "range": {"firstSlot": first, "lastSlot": last},
        },
    )


def get_first_available_block(_node: Node, _params: Params) -> int:
    return 0


METHODS: dict[str, Method] = {
    "getSignatureStatuses": get_signature_statuses,
    "getSignaturesForAddress": get_signatures_for_address,
    "getTransaction": get_transaction,
    "getBlock": get_block,
    "getBlocks": get_blocks,
    "getBlocksWithLimit": get_blocks_with_limit,
    "getBlockTime": get_block_time,
    "getBlockProduction": get_block_production,
    "getFirstAvailableBlock": get_first_available_block,
    "minimumLedgerSlot": get_first_available_block,
}
