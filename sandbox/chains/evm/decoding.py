"""An EVM transaction for people: its call by name, and what its logs say that it moved."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from sandbox.chains.evm import calls
from sandbox.chains.evm.blocks import TRANSFER
from sandbox.chains.evm.rpc import Node
from sandbox.chains.evm.tx import reference_of, selector
from sandbox.chains.json_rpc import NodeRefused
from sandbox.chains.port import MAX_ACTS, Act, Decoded

Json = Mapping[str, Any]
_MOST_TEXT = 200

# Signature → what its arguments are called; an address under one of these names is an account.
_CALLS: Mapping[str, tuple[str, ...]] = {
    calls.TRANSFER: ("recipient", "amount_units"),
    "transferFrom(address,address,uint256)": ("source", "recipient", "amount_units"),
    "approve(address,uint256)": ("spender", "amount_units"),
    calls.MINT: ("recipient", "amount_units", "reference"),
    calls.BURN: ("amount_units", "reference"),
    calls.FREEZE: ("holder",),
    calls.UNFREEZE: ("holder",),
    calls.CONFISCATE: ("holder", "recipient", "amount_units", "reference"),
    calls.PAUSE: (),
    calls.UNPAUSE: (),
    calls.SWEEP_MANY: ("salts",),
    calls.CONFIGURE_MINTER: ("minter", "amount_units"),
}
_BY_SELECTOR = {selector(signature): signature for signature in _CALLS}
_KNOWN_LOGS = {TRANSFER: ("Transfer", ("source", "destination"), "amount_units")}


async def read(
    node: Node, tx_id: str, why: Callable[[Json, Json], Awaitable[str]]
) -> Decoded | None:
    """The transaction as the node has it now; `why` finds the words of one that failed."""
    try:
        sent, receipt, final = await node.batch(
            [
                ("eth_getTransactionByHash", [tx_id]),
                ("eth_getTransactionReceipt", [tx_id]),
                ("eth_getBlockByNumber", ["finalized", False]),
            ]
        )
    except NodeRefused:
        return None  # no transaction id of this chain
    if sent is None:
        return None
    if receipt is None:
        return _decoded(sent, None, None, 0, None)
    block = await node.call("eth_getBlockByNumber", receipt["blockNumber"], False)
    has_failed = block is not None and int(receipt["status"], 16) == 0
    error = await why(block, sent) if has_failed else None
    stamp = None if block is None else int(block["timestamp"], 16)
    final_height = -1 if final is None else int(final["number"], 16)
    return _decoded(sent, receipt, stamp, final_height, error)


def _decoded(
    sent: Json, receipt: Json | None, stamp: int | None, final_height: int, error: str | None
) -> Decoded:
    acts = [_call(sent), *(_log(one) for one in (receipt or {}).get("logs", ()))]
    height = None if receipt is None else int(receipt["blockNumber"], 16)
    is_final = height is not None and height <= final_height
    return Decoded(
        tx=sent["hash"],
        state="waiting" if height is None else "final" if is_final else "confirmed",
        height=height,
        block_hash=None if receipt is None else receipt["blockHash"],
        time=None if stamp is None else datetime.fromtimestamp(stamp, UTC),
        sender=sent["from"],
        error=error,
        acts=tuple(acts[:MAX_ACTS]),
        left_out=max(0, len(acts) - MAX_ACTS),
    )


def _call(sent: Json) -> Act:
    data = bytes.fromhex(sent["input"][2:])
    values: dict[str, str | int] = {}
    if value := int(sent["value"], 16):
        values["value_wei"] = str(value)
    if reference := reference_of(data):
        values["reference"] = reference[:_MOST_TEXT]
    if sent["to"] is None:
        return Act("create contract", "", (), values)
    signature = _BY_SELECTOR.get(data[:4])
    if signature is None:
        name = f"call {data[:4].hex()}" if data else "send coin"
        return Act(name, sent["to"], (("recipient", sent["to"]),) if not data else (), values)
    accounts: list[tuple[str, str]] = []
    for name, value in zip(_CALLS[signature], _arguments(signature, data[4:]), strict=False):
        if isinstance(value, str):
            accounts.append((name, value.lower()))
        elif isinstance(value, int):
            values[name] = value if value < 2**63 else str(value)
        elif isinstance(value, bytes):
            values.setdefault(name, "0x" + value.hex())
        else:
            values[name] = len(value)
    return Act(signature, sent["to"], tuple(accounts), values)


def _arguments(signature: str, data: bytes) -> Sequence[Any]:
    inside = signature[signature.index("(") + 1 : -1]
    try:
        return decode(inside.split(","), data, strict=False) if inside else ()
    except (DecodingError, OverflowError, ValueError):
        return ()


def _log(log: Json) -> Act:
    topics = log["topics"]
    known = _KNOWN_LOGS.get(topics[0]) if topics else None
    if known is None or len(topics) != 1 + len(known[1]):
        name = f"log {topics[0][:10]}" if topics else "log"
        return Act(name, log["address"], is_inner=True)
    name, roles, amount = known
    accounts = tuple(
        (role, "0x" + topic[-40:]) for role, topic in zip(roles, topics[1:], strict=True)
    )
    units = int(log["data"], 16) if len(log["data"]) > 2 else 0
    values: dict[str, str | int] = {amount: units if units < 2**63 else str(units)}
    return Act(name, log["address"], accounts, values, is_inner=True)
