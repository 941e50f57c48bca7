"""Methods no validator has: time, slots, faults and snapshots. Only there with `--faults`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sandbox.devnets.snapshot_folder import SnapshotRefused
from sandbox.devnets.solana import reorgs
from sandbox.devnets.solana.bank import MAX_HASH_AGE
from sandbox.devnets.solana.encode import key_text
from sandbox.devnets.solana.errors import invalid_params
from sandbox.devnets.solana.node import Method, Node
from sandbox.devnets.solana.params import Config, Params, shown, whole
from sandbox.devnets.solana.stale import most_behind

_MAX_MS = 4_102_444_800_000  # the year 2100: LiteSVM's clock is signed 64-bit, people's are not
_MAX_SLOT_MS = 3_600_000
_MAX_ADVANCE = 10_000
_MAX_UNDO = 100_000


def _object(given: Params, *names: str) -> Config:
    """One options object. A name that it does not know is refused: a drill that is not set would
    look like one that was passed.
    """
    given.need(0)
    found = given.config(0)
    if unknown := found.value.keys() - set(names):
        known = ", ".join(names)
        raise invalid_params(
            f"Invalid params: unknown option {shown(min(unknown))}; known: {known}."
        )
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
    asked = _object(given, "offsetMs", "frozenAtMs").value
    offset = whole(asked.get("offsetMs"), "offsetMs", -_MAX_MS, _MAX_MS)
    frozen = asked.get("frozenAtMs")
    if frozen is not None:
        frozen = whole(frozen, "frozenAtMs", 0, _MAX_MS)
    node.bank.set_clock(offset, frozen)
    return _clock(node)


def get_clock(node: Node, _params: Params) -> Any:
    return _clock(node)


def set_slot_ms(node: Node, given: Params) -> Any:
    slot_ms = whole(_object(given, "slotMs").value.get("slotMs"), "slotMs", 0, _MAX_SLOT_MS)
    node.producer.set_slot_ms(slot_ms)
    return {"slotMs": slot_ms}


def advance_slots(node: Node, given: Params) -> Any:
    slots = whole(_object(given, "slots").value.get("slots"), "slots", 1, _MAX_ADVANCE)
    node.producer.advance(slots)
    return {"slot": node.bank.open_slot}


def pause(node: Node, _params: Params) -> Any:
    node.producer.pause()
    return {"slot": node.bank.open_slot, "paused": True}


def resume(node: Node, _params: Params) -> Any:
    node.producer.resume()
    return {"slot": node.bank.open_slot, "paused": False}


def reorg(node: Node, given: Params) -> Any:
    return reorgs.carry_out(node, reorgs.read(node, _object(given, *reorgs.OPTIONS)))


def keep_undo(node: Node, given: Params) -> Any:
    """How far below the final block a reorg may be forced, as far as it is kept from now on."""
    node.set_drills(undo=whole(_object(given, "slots").value.get("slots"), "slots", 0, _MAX_UNDO))
    return get_faults(node, given)


def expire_blockhashes(node: Node, _params: Params) -> Any:
    """Expiry is counted in blocks, so this makes that many: heights stay honest for clients."""
    node.producer.advance(MAX_HASH_AGE + 1)
    return {"slot": node.bank.open_slot, "blockHeight": node.bank.open_height}


def hold_finality(node: Node, given: Params) -> Any:
    hold = _object(given, "hold").value.get("hold")
    if not isinstance(hold, bool):
        raise invalid_params("Invalid params: hold must be true or false.")
    node.bank.hold_finality(hold=hold)
    return {"held": hold, "finalized": node.bank.final_block.slot}


def set_rpc_fault(node: Node, given: Params) -> Any:
    """`{kind: stale, slots}`, or a kind that both devnets have."""
    asked = _object(given, "kind", "ms", "status", "slots", "calls", "method").value
    behind = 0
    if asked.get("kind") not in ("off", "lag", "error", "hang", "stale"):
        raise invalid_params("Invalid params: kind must be off, lag, error, hang or stale.")
    if asked["kind"] == "stale":
        most = most_behind(node.bank)
        if most < 1:
            raise invalid_params("Invalid params: the chain is too short to be behind.")
        behind, asked = whole(asked.get("slots"), "slots", 1, most), {"kind": "off"}
    node.faults.set_rpc(asked)
    node.set_drills(behind=behind)
    return get_faults(node, given)


def set_sending_fault(node: Node, given: Params) -> Any:
    return node.faults.set_sending(_object(given, "drop", "copies", "delayMs", "stick").value)


def get_faults(node: Node, _params: Params) -> Any:
    shown = node.faults.shown()
    if node.behind:
        shown["rpc"] = {"kind": "stale", "slots": node.behind}
    return {
        **shown,
        "undo": node.undo,
        "paused": node.producer.paused,
        "finalityHeld": node.bank.is_finality_held,
    }


def clear_faults(node: Node, given: Params) -> Any:
    node.faults.clear()
    node.set_drills(behind=0, undo=0)
    node.bank.hold_finality(hold=False)
    node.producer.resume()
    return get_faults(node, given)


def _name(given: Params) -> str:
    name = _object(given, "name").value.get("name")
    if not isinstance(name, str):
        raise invalid_params("Invalid params: name must be a text.")
    return name


def snapshot(node: Node, given: Params) -> Any:
    name = _name(given)
    try:
        return asdict(node.snapshots.take(node.bank, name))
    except SnapshotRefused as refused:
        raise invalid_params(f"Invalid params: {refused}") from None


def restore(node: Node, given: Params) -> Any:
    """Subscriptions end with their connections (code 1012): what they were told is not so."""
    name, old = _name(given), node.bank
    try:
        bank = node.snapshots.restore(name, old, old.depths, old.max_memory_records)
    except SnapshotRefused as refused:
        raise invalid_params(f"Invalid params: {refused}") from None
    node.replace_bank(bank, f"the chain was restored from snapshot {name}")
    return {"name": name, "slot": bank.open_slot, "blockhash": key_text(bank.tip.hash)}


def list_snapshots(node: Node, _params: Params) -> Any:
    return [asdict(about) for about in node.snapshots.listed()]


def delete_snapshot(node: Node, given: Params) -> Any:
    name = _name(given)
    try:
        node.snapshots.delete(name)
    except (SnapshotRefused, OSError) as refused:
        raise invalid_params(f"Invalid params: {refused}") from None
    return {"deleted": name}


METHODS: dict[str, Method] = {
    "sandbox_setClock": set_clock,
    "sandbox_getClock": get_clock,
    "sandbox_setSlotMs": set_slot_ms,
    "sandbox_advanceSlots": advance_slots,
    "sandbox_pause": pause,
    "sandbox_resume": resume,
    "sandbox_reorg": reorg,
    "sandbox_keepUndo": keep_undo,
    "sandbox_expireBlockhashes": expire_blockhashes,
    "sandbox_holdFinality": hold_finality,
    "sandbox_setRpcFault": set_rpc_fault,
    "sandbox_setSendingFault": set_sending_fault,
    "sandbox_snapshot": snapshot,
    "sandbox_restore": restore,
    "sandbox_listSnapshots": list_snapshots,
    "sandbox_deleteSnapshot": delete_snapshot,
    "sandbox_getFaults": get_faults,
    "sandbox_clearFaults": clear_faults,
}
