"""Methods no validator has: time, slot production and reorgs. Only there with `--faults`."""

from __future__ import annotations

from typing import Any

from sandbox.devnets.solana import execution
from sandbox.devnets.solana.bank import MAX_HASH_AGE
from sandbox.devnets.solana.encode import key_text
from sandbox.devnets.solana.errors import invalid_params
from sandbox.devnets.solana.execution import Incoming
from sandbox.devnets.solana.node import Method, Node
from sandbox.devnets.solana.params import Config, Params
from sandbox.devnets.solana.records import Record

_MAX_MS = 4_102_444_800_000  # the year 2100: LiteSVM's clock is signed 64-bit, people's are not
_MAX_SLOT_MS = 3_600_000
_MAX_ADVANCE = 10_000


def _object(given: Params) -> Config:
    """One options object, given alone or as the first parameter."""
    given.need(0)
    return given.config(0)


def _whole(found: Any, name: str, least: int, most: int) -> int:
    if not isinstance(found, int) or isinstance(found, bool) or not least <= found <= most:
        raise invalid_params(f"Invalid params: {name} must be a whole number {least}..{most}.")
    return found


def _clock(node: Node) -> dict[str, Any]:
    bank = node.bank
    now_ms = bank.clock.now_ms()
    return {
        "unixTime": now_ms // 1000,
        "unixTimeMs": now_ms,
        "offsetMs": bank.clock.offset_ms,
        "frozenAtMs": bank.clock.frozen_at_ms,
        "blockTime": bank.open_time,
        "slot": bank.open_slot,
    }


def set_clock(node: Node, given: Params) -> Any:
    asked = _object(given).value
    offset = _whole(asked.get("offsetMs"), "offsetMs", -_MAX_MS, _MAX_MS)
    frozen = asked.get("frozenAtMs")
    if frozen is not None:
        frozen = _whole(frozen, "frozenAtMs", 0, _MAX_MS)
    node.bank.set_clock(offset, frozen)
    return _clock(node)


def get_clock(node: Node, _params: Params) -> Any:
    return _clock(node)


def set_slot_ms(node: Node, given: Params) -> Any:
    slot_ms = _whole(_object(given).value.get("slotMs"), "slotMs", 0, _MAX_SLOT_MS)
    node.producer.set_slot_ms(slot_ms)
    return {"slotMs": slot_ms}


def advance_slots(node: Node, given: Params) -> Any:
    slots = _whole(_object(given).value.get("slots"), "slots", 1, _MAX_ADVANCE)
    node.producer.advance(slots)
    return {"slot": node.bank.open_slot}


def pause(node: Node, _params: Params) -> Any:
    node.producer.pause()
    return {"slot": node.bank.open_slot, "paused": True}


def resume(node: Node, _params: Params) -> Any:
    node.producer.resume()
    return {"slot": node.bank.open_slot, "paused": False}


def reorg(node: Node, given: Params) -> Any:
    asked, bank = _object(given).value, node.bank
    mode = asked.get("mode", "drop")
    if mode not in ("drop", "reinclude"):
        raise invalid_params("Invalid params: mode must be drop or reinclude.")
    most = bank.tip.height - bank.final_block.height
    slots = _whole(asked.get("slots"), "slots", 1, most)
    dropped = bank.reorg(slots)
    again = _again(node, dropped) if mode == "reinclude" else []
    return {
        "droppedSlots": slots,
        "droppedTransactions": len(dropped),
        "reincludedTransactions": len(again),
        "slot": bank.open_slot,
        "parent": bank.tip.slot,
        "blockhash": key_text(bank.tip.hash),
    }


def _again(node: Node, dropped: list[Record]) -> list[Record]:
    """Run dropped transactions in order; those whose blockhash went with the fork are lost."""
    landed = []
    for record in dropped:
        tx = record.transaction
        blockhash = bytes(tx.message.recent_blockhash)
        if node.bank.hash_block(blockhash) is None:
            continue
        incoming = Incoming(tx, record.raw, record.signature, blockhash)
        done = node.bank.execute(incoming, keep_failed=True)
        if not isinstance(done, execution.Failure):
            landed.append(done)
    return landed


def expire_blockhashes(node: Node, _params: Params) -> Any:
    """Expiry is counted in blocks, so this makes that many: heights stay honest for clients."""
    node.producer.advance(MAX_HASH_AGE + 1)
    return {"slot": node.bank.open_slot, "blockHeight": node.bank.open_height}


def hold_finality(node: Node, given: Params) -> Any:
    hold = _object(given).value.get("hold")
    if not isinstance(hold, bool):
        raise invalid_params("Invalid params: hold must be true or false.")
    node.bank.hold_finality(hold=hold)
    return {"held": hold, "finalized": node.bank.final_block.slot}


def set_rpc_fault(node: Node, given: Params) -> Any:
    return node.faults.set_rpc(_object(given).value)


def set_sending_fault(node: Node, given: Params) -> Any:
    return node.faults.set_sending(_object(given).value)


def get_faults(node: Node, _params: Params) -> Any:
    return {
        **node.faults.shown(),
        "paused": node.producer.paused,
        "finalityHeld": node.bank.is_finality_held,
    }


def clear_faults(node: Node, given: Params) -> Any:
    node.faults.clear()
    node.bank.hold_finality(hold=False)
    node.producer.resume()
    return get_faults(node, given)


METHODS: dict[str, Method] = {
    "sandbox_setClock": set_clock,
    "sandbox_getClock": get_clock,
    "sandbox_setSlotMs": set_slot_ms,
    "sandbox_advanceSlots": advance_slots,
    "sandbox_pause": pause,
    "sandbox_resume": resume,
    "sandbox_reorg": reorg,
    "sandbox_expireBlockhashes": expire_blockhashes,
    "sandbox_holdFinality": hold_finality,
    "sandbox_setRpcFault": set_rpc_fault,
    "sandbox_setSendingFault": set_sending_fault,
    "sandbox_getFaults": get_faults,
    "sandbox_clearFaults": clear_faults,
}
