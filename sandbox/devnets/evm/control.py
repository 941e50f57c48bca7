"""Methods that no EVM node has: clock, block production, reorgs. Only there with `--faults`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final

from sandbox.devnets.evm.errors import invalid_params
from sandbox.devnets.evm.keeper import Keeper
from sandbox.devnets.evm.node import Node
from sandbox.devnets.evm.producer import Producer
from sandbox.devnets.evm.reorgs import reorg
from sandbox.devnets.evm.restoring import restore, snapshot
from sandbox.devnets.evm.snapshots import About
from sandbox.devnets.faults import Faults
from sandbox.devnets.json_rpc import METHOD_NOT_FOUND, RpcError
from sandbox.devnets.snapshot_folder import SnapshotRefused

_MAX_MS: Final = 4_102_444_800_000  # the year 2100
_MAX_BLOCKS: Final = 10_000
_MAX_PACE_MS: Final = 3_600_000
Method = Callable[["Control", list[Any]], Awaitable[Any]]


class Control:
    """What the methods work on."""

    def __init__(
        self, node: Node, producer: Producer, keeper: Keeper, history: int, faults: Faults
    ) -> None:
        self.node, self.producer, self.keeper, self.faults = node, producer, keeper, faults
        self.max_reorg = history - 2  # anvil keeps the states of so many blocks


def _object(params: list[Any]) -> dict[str, Any]:
    if len(params) != 1 or not isinstance(params[0], dict):
        raise invalid_params("one object is expected")
    return params[0]


def _whole(found: Any, name: str, least: int, most: int) -> int:
    if not isinstance(found, int) or isinstance(found, bool) or not least <= found <= most:
        raise invalid_params(f"{name} must be a whole number {least}..{most}")
    return found


def _clock(control: Control) -> dict[str, Any]:
    clock, head = control.node.clock, control.node.head
    now_ms = clock.now_ms()
    return {
        "unixTime": now_ms // 1000,
        "unixTimeMs": now_ms,
        "offsetMs": clock.offset_ms,
        "frozenAtMs": clock.frozen_at_ms,
        "blockTime": head.timestamp,
        "blockNumber": head.number,
    }


async def _set_clock(control: Control, params: list[Any]) -> Any:
    asked = _object(params)
    offset = _whole(asked.get("offsetMs"), "offsetMs", -_MAX_MS, _MAX_MS)
    frozen = asked.get("frozenAtMs")
    if frozen is not None:
        frozen = _whole(frozen, "frozenAtMs", 0, _MAX_MS)
    if (offset, frozen) != (control.node.clock.offset_ms, control.node.clock.frozen_at_ms):
        await control.node.set_clock(offset, frozen)
    return _clock(control)


async def _get_clock(control: Control, _params: list[Any]) -> Any:
    return _clock(control)


async def _mine(control: Control, params: list[Any]) -> Any:
    blocks = _whole(_object(params).get("blocks"), "blocks", 1, _MAX_BLOCKS)
    await control.producer.mine(blocks)
    return {"blockNumber": hex(control.node.head.number)}


async def _mine_as_anvil(control: Control, params: list[Any]) -> Any:
    """`anvil_mine(n)`: an interval would be a clock of its own."""
    if len(params) > 1:
        raise invalid_params("no interval: time comes from the sandbox clock, use sandbox_setClock")
    found = params[0] if params else 1
    if isinstance(found, str):
        try:
            found = int(found, 0)
        except ValueError:
            found = None
    await control.producer.mine(_whole(found, "blocks", 1, _MAX_BLOCKS))
    return None


async def _evm_mine(control: Control, params: list[Any]) -> Any:
    if params:
        raise invalid_params("no options: time comes from the sandbox clock, use sandbox_setClock")
    await control.producer.mine(1)
    return "0x0"


async def _set_pace(control: Control, params: list[Any]) -> Any:
    asked, pace = _object(params), control.producer.pace
    block_ms = _whole(asked.get("blockMs", pace.block_ms), "blockMs", 0, _MAX_PACE_MS)
    final_delay_ms = _whole(
        asked.get("finalDelayMs", pace.final_delay_ms), "finalDelayMs", 0, _MAX_PACE_MS
    )
    control.producer.set_pace(replace(pace, block_ms=block_ms, final_delay_ms=final_delay_ms))
    return {"blockMs": block_ms, "finalDelayMs": final_delay_ms}


async def _pause(control: Control, _params: list[Any]) -> Any:
    control.producer.pause()
    return {"blockNumber": hex(control.node.head.number), "paused": True}


async def _resume(control: Control, _params: list[Any]) -> Any:
    control.producer.resume()
    return {"blockNumber": hex(control.node.head.number), "paused": False}


async def _hold_finality(control: Control, params: list[Any]) -> Any:
    hold = _object(params).get("hold")
    if not isinstance(hold, bool):
        raise invalid_params("hold must be true or false")
    control.producer.hold_finality(hold=hold)
    return {"held": hold, "finalized": hex(control.node.final_number)}


async def _reorg(control: Control, params: list[Any]) -> Any:
    asked, node = _object(params), control.node
    if not node.can_go_back:
        raise RpcError(METHOD_NOT_FOUND, "sandbox_reorg is not there with eth-tester: use anvil")
    mode = asked.get("mode", "drop")
    if mode not in ("drop", "reinclude"):
        raise invalid_params("mode must be drop or reinclude")
    if of := asked.keys() - {"blocks", "mode", "force"}:
        raise invalid_params(f"{min(of)} is not there on EVM: all transactions come back, or none")
    most = node.head.number - node.final_number
    if asked.get("force") is True:
        most = min(node.head.number, control.max_reorg)
    if most < 1:
        raise invalid_params("there is no block to replace: every block is final")
    depth = _whole(asked.get("blocks"), "blocks", 1, min(most, control.max_reorg))
    return await reorg(node, depth, reinclude=mode == "reinclude")


async def _drop(control: Control, params: list[Any]) -> Any:
    tx = _object(params).get("tx")
    if not isinstance(tx, str) or len(tx) != 66 or not tx.startswith("0x"):
        raise invalid_params("tx must be a transaction hash")
    try:
        bytes.fromhex(tx[2:])
    except ValueError:
        raise invalid_params("tx must be a transaction hash") from None
    return {"dropped": await control.node.drop(tx)}


def _name(params: list[Any]) -> str:
    asked = _object(params)
    if unknown := asked.keys() - {"name"}:
        raise invalid_params(f"unknown option {min(unknown)}; known: name.")
    if not isinstance(name := asked.get("name"), str):
        raise invalid_params("name must be a text.")
    return name


async def _snapshot(control: Control, params: list[Any]) -> Any:
    name = _name(params)
    try:
        about = await snapshot(control.node, name, lambda: control.producer.followers)
    except SnapshotRefused as refused:
        raise invalid_params(str(refused)) from None
    return about.shown()


async def _restore(control: Control, params: list[Any]) -> Any:
    """Subscriptions go on with the restored head; what was on its way is lost."""
    name = _name(params)

    def forget(about: About) -> None:
        control.faults.forget()
        control.producer.restored(about.followers)
        control.keeper.replaced()

    try:
        about = await restore(control.node, name, forget)
    except SnapshotRefused as refused:
        raise invalid_params(str(refused)) from None
    return {"name": name, "blockNumber": hex(about.number), "blockHash": about.hash}


async def _list_snapshots(control: Control, _params: list[Any]) -> Any:
    return [about.shown() for about in control.node.snapshots.listed()]


async def _delete_snapshot(control: Control, params: list[Any]) -> Any:
    name = _name(params)
    try:
        await control.node.snapshots.delete(name)
    except (SnapshotRefused, OSError) as refused:
        raise invalid_params(str(refused)) from None
    return {"deleted": name}


async def _health(control: Control, _params: list[Any]) -> Any:
    return await control.keeper.health()


async def _set_rpc_fault(control: Control, params: list[Any]) -> Any:
    return control.faults.set_rpc(_object(params))


async def _set_sending_fault(control: Control, params: list[Any]) -> Any:
    return control.faults.set_sending(_object(params))


async def _get_faults(control: Control, _params: list[Any]) -> Any:
    return {
        **control.faults.shown(),
        "paused": control.producer.paused,
        "finalityHeld": control.node.held_final is not None,
    }


async def _clear_faults(control: Control, params: list[Any]) -> Any:
    control.faults.clear()
    control.producer.hold_finality(hold=False)
    control.producer.resume()
    return await _get_faults(control, params)


METHODS: Final[dict[str, Method]] = {
    "sandbox_health": _health,
    "sandbox_setClock": _set_clock,
    "sandbox_getClock": _get_clock,
    "sandbox_mine": _mine,
    "anvil_mine": _mine_as_anvil,
    "hardhat_mine": _mine_as_anvil,
    "evm_mine": _evm_mine,
    "sandbox_setPace": _set_pace,
    "sandbox_pause": _pause,
    "sandbox_resume": _resume,
    "sandbox_holdFinality": _hold_finality,
    "sandbox_reorg": _reorg,
    "sandbox_drop": _drop,
    "sandbox_snapshot": _snapshot,
    "sandbox_restore": _restore,
    "sandbox_listSnapshots": _list_snapshots,
    "sandbox_deleteSnapshot": _delete_snapshot,
    "sandbox_setRpcFault": _set_rpc_fault,
    "sandbox_setSendingFault": _set_sending_fault,
    "sandbox_getFaults": _get_faults,
    "sandbox_clearFaults": _clear_faults,
}
