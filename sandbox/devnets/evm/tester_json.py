"""eth-tester's blocks, transactions and receipts as JSON-RPC has them: hex and camel case."""

from __future__ import annotations

import contextlib
from typing import Any, Final

from eth.abc import BlockAPI, ReceiptAPI, SignedTransactionAPI
from eth_tester.backends.pyevm.serializers import (  # type: ignore[import-untyped]  # no type marker
    serialize_block,
    serialize_transaction,
    serialize_transaction_receipt,
)
from eth_typing import Address, Hash32

from sandbox.devnets.evm.errors import invalid_params

_NAMES: Final = {
    "coinbase": "miner",
    "data": "input",
    "address": "address",
    "y_parity": "yParity",
    "sha3_uncles": "sha3Uncles",
}
_BLOOM_BYTES: Final = 256


def hex_data(value: bytes) -> str:
    return "0x" + value.hex()


def data_of(params: list[Any], at: int, length: int | None = None) -> bytes:
    """Bytes given as hex, exactly `length` of them. Raises RpcError."""
    text = params[at] if at < len(params) else None
    if isinstance(text, str) and text.startswith("0x"):
        with contextlib.suppress(ValueError):
            found = bytes.fromhex(text[2:])
            if length is None or len(found) == length:
                return found
    wanted = "bytes" if length is None else f"{length} bytes"
    raise invalid_params(f"{wanted} as 0x-prefixed hex are expected")


def address_of(params: list[Any], at: int) -> Address:
    return Address(data_of(params, at, 20))


def hash_of(params: list[Any], at: int) -> Hash32:
    return Hash32(data_of(params, at, 32))


def quantity_of(params: list[Any], at: int) -> int:
    """A number given as hex. Raises RpcError."""
    text = params[at] if at < len(params) else None
    if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
        return text
    if isinstance(text, str) and text.startswith("0x"):
        with contextlib.suppress(ValueError):
            return int(text, 16)
    raise invalid_params("a number as 0x-prefixed hex is expected")


def as_json(value: Any) -> Any:
    """Integers are quantities, bytes are data."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return hex(value)
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, dict):
        return {_name(name): as_json(each) for name, each in value.items()}
    return [as_json(each) for each in value]


def _name(name: str) -> str:
    if name in _NAMES:
        return _NAMES[name]
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _bloom(bits: int) -> bytes:
    return bits.to_bytes(_BLOOM_BYTES, "big")


def block_json(block: BlockAPI, *, full: bool) -> dict[str, Any]:
    found = serialize_block(block, False, False)
    found["logs_bloom"] = _bloom(found["logs_bloom"])
    made: dict[str, Any] = as_json(found)
    if full:
        made["transactions"] = [
            transaction_json(block, tx, index) for index, tx in enumerate(block.transactions)
        ]
    return made


def pending_block_json(block: BlockAPI) -> dict[str, Any]:
    return block_json(block, full=False) | {"hash": None, "nonce": None, "miner": None}


def transaction_json(block: BlockAPI, tx: SignedTransactionAPI, index: int) -> dict[str, Any]:
    return _sent(serialize_transaction(block, tx, index, False))


def waiting_json(head: BlockAPI, tx: SignedTransactionAPI) -> dict[str, Any]:
    """A transaction of the pool."""
    return _sent(serialize_transaction(head, tx, 0, True))


def _sent(found: dict[str, Any]) -> dict[str, Any]:
    found["to"] = found["to"] or None
    made: dict[str, Any] = as_json(found)
    if "accessList" in made:
        made["accessList"] = [
            {"address": as_json(address), "storageKeys": [f"0x{key:064x}" for key in keys]}
            for address, keys in found["access_list"]
        ]
    return made


def receipt_json(block: BlockAPI, receipts: tuple[ReceiptAPI, ...], index: int) -> dict[str, Any]:
    tx = block.transactions[index]
    found = serialize_transaction_receipt(block, receipts, tx, index, False, None)
    del found["state_root"]
    found["to"] = found["to"] or None
    found["logs_bloom"] = _bloom(receipts[index].bloom)
    made: dict[str, Any] = as_json(found)
    # eth-tester counts the logs of each transaction anew; nodes count those of the block.
    first = sum(len(receipt.logs) for receipt in receipts[:index])
    for number, log in enumerate(made["logs"]):
        log["data"] = log.pop("input")
        log["logIndex"] = hex(first + number)
        log["removed"] = False
        log["blockTimestamp"] = hex(block.header.timestamp)
        del log["type"]
    return made
