"""Reads an EVM block by meaning: its token movements, and other money that may have reached us.

Pure: takes the raw answers of the node. Movements are taken from logs, never from call data
(EVM.md, section 9). Addresses and hashes are lower case throughout.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sandbox.chains.evm.tx import ZERO, reference_of
from sandbox.chains.port import Block, BlockId, ForeignTransfer, Transfer

# keccak256("Transfer(address,address,uint256)")
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
NATIVE = "native"
_WORD_HEX = 66

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Watched:
    """The token and its contracts, our lasting addresses, and those that sign for us."""

    token: str
    contracts: frozenset[str]
    own: frozenset[str]
    operators: frozenset[str]
    deposit_key: Callable[[str], str]


def block_id(body: Json) -> BlockId:
    return BlockId(int(body["number"], 16), body["hash"], body["parentHash"])


def undecided(body: Json, logs: Sequence[Json], watched: Watched) -> list[str]:
    """Transactions whose receipt must be read to know whether they happened.

    What logged something happened. The rest matters only if we sent it, if it is about our
    contracts, or if it carries coin that may have reached us.
    """
    logged = {log["transactionHash"] for log in logs}
    return [
        tx["hash"]
        for tx in body["transactions"]
        if tx["hash"] not in logged
        and (
            tx["from"] in watched.operators
            or tx["to"] in watched.contracts
            or (tx["to"] is not None and int(tx["value"], 16) > 0)
        )
    ]


def parse_block(
    body: Json, logs: Sequence[Json], failed: Mapping[str, str], watched: Watched
) -> Block:
    """A full block with its `Transfer` logs; `failed`: id → reason of those known to have failed.

    Zero transfers move nothing and are left out. Native coin that a contract sends leaves no
    trace in standard JSON-RPC and is not seen.
    """
    references = {
        tx["hash"]: reference_of(bytes.fromhex(tx["input"][2:]))
        for tx in body["transactions"]
        if tx["from"] in watched.operators
    }
    moved: dict[str, int] = {}
    transfers: list[Transfer] = []
    others: dict[str, list[tuple[str, str, str, int]]] = {}
    for log in sorted(logs, key=lambda log: int(log["logIndex"], 16)):
        tx = log["transactionHash"]
        if not _is_transfer(log) or (amount := int(log["data"], 16)) == 0:
            continue
        source, destination = _address(log["topics"][1]), _address(log["topics"][2])
        if log["address"] != watched.token:
            others.setdefault(tx, []).append((log["address"], source, destination, amount))
            continue
        ordinal = moved[tx] = moved.get(tx, -1) + 1
        kind: Literal["transfer", "mint", "burn"] = "transfer"
        if source == ZERO:
            kind, source = "mint", ""
        elif destination == ZERO:
            kind, destination = "burn", ""
        memo = references.get(tx)
        # What we sent may have gone to a session's address, and pays it then.
        keys = ((f"memo:{memo}",) if memo else ()) + _keys(destination, watched)
        transfers.append(Transfer(tx, ordinal, kind, source, destination, amount, keys))
    for tx in body["transactions"]:
        value, to = int(tx["value"], 16), tx["to"]
        # Our own signers give gas to one another.
        if not value or to is None or tx["hash"] in failed or tx["from"] in watched.operators:
            continue
        others.setdefault(tx["hash"], []).append((NATIVE, tx["from"], to, value))
    txs = tuple(tx["hash"] for tx in body["transactions"])
    foreign = [
        ForeignTransfer(tx, moved.get(tx, -1) + 1 + n, *one, _keys(one[2], watched))
        for tx in txs
        for n, one in enumerate(others.get(tx, ()))
    ]
    time = datetime.fromtimestamp(int(body["timestamp"], 16), UTC)
    return Block(block_id(body), time, txs, dict(failed), tuple(transfers), tuple(foreign))


def _is_transfer(log: Json) -> bool:
    """ERC-20: three topics and one word of data; ERC-721 has four topics."""
    topics: Collection[str] = log["topics"]
    return len(topics) == 3 and len(log["data"]) == _WORD_HEX and log["topics"][0] == TRANSFER


def _address(topic: str) -> str:
    return "0x" + topic[-40:]


def _keys(destination: str, watched: Watched) -> tuple[str, ...]:
    key = "" if destination in watched.own or not destination else watched.deposit_key(destination)
    return (key,) if key else ()
