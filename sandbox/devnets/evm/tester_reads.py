"""What can be asked of the fallback's chain, in the words of JSON-RPC."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from eth.abc import ComputationAPI, StateAPI
from eth.exceptions import VMError
from eth.vm.spoof import SpoofTransaction
from eth_typing import Hash32
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError

from sandbox.devnets.evm.errors import invalid_params
from sandbox.devnets.evm.tester_chain import Mined, TesterChain
from sandbox.devnets.evm.tester_json import (
    address_of,
    block_json,
    data_of,
    hash_of,
    hex_data,
    pending_block_json,
    quantity_of,
    receipt_json,
    transaction_json,
    waiting_json,
)
from sandbox.devnets.json_rpc import RpcError

Method = Callable[[list[Any]], Any]
_TIP_WEI: Final = 10**9
_REVERTED: Final = 3  # geth's code of `execution reverted`
_FAILED: Final = -32015
_FINAL_DEPTH: Final = 2
_MAX_HISTORY: Final = 1_024
_EVENT: Final = bytes.fromhex("08c379a0")  # Error(string)


class Reads:
    """`methods` by name; all of them leave the chain as it is."""

    def __init__(self, chain: TesterChain) -> None:
        self._chain = chain
        constant: dict[str, Any] = {
            "eth_chainId": hex(chain.chain.chain_id),
            "net_version": str(chain.chain.chain_id),
            "net_listening": True,
            "eth_accounts": [],
            "eth_syncing": False,
            "eth_maxPriorityFeePerGas": hex(_TIP_WEI),
            "web3_clientVersion": version(),
        }
        self.methods: dict[str, Method] = {
            name: partial(_constant, value) for name, value in constant.items()
        }
        self.methods |= {
            "web3_sha3": lambda params: hex_data(keccak(data_of(params, 0))),
            "eth_blockNumber": lambda _params: hex(chain.head.number),
            "eth_gasPrice": lambda _params: hex(chain.base_fee + _TIP_WEI),
            "eth_feeHistory": self._fee_history,
            "eth_getBlockByNumber": self._block_by_number,
            "eth_getBlockByHash": self._block_by_hash,
            "eth_getBlockReceipts": self._block_receipts,
            "eth_getBlockTransactionCountByNumber": self._count_by_number,
            "eth_getTransactionByHash": self._transaction,
            "eth_getRawTransactionByHash": self._raw,
            "eth_getTransactionReceipt": self._receipt,
            "eth_getTransactionCount": self._nonce,
            "eth_getBalance": lambda p: hex(self._state(p, 1).get_balance(address_of(p, 0))),
            "eth_getCode": lambda p: hex_data(self._state(p, 1).get_code(address_of(p, 0))),
            "eth_getStorageAt": self._storage,
            "eth_call": self._call,
            "eth_estimateGas": self._estimate,
            "eth_getLogs": self._logs,
            "txpool_status": self._pool_status,
            "txpool_content": self._pool_content,
        }

    # -- blocks

    def _number(self, params: list[Any], at: int) -> int | None:
        """The number that a tag names, None for now. Raises RpcError."""
        head = self._chain.head.number
        tag = params[at] if at < len(params) else "latest"
        if isinstance(tag, dict):
            tag = tag.get("blockNumber", tag.get("blockHash"))
        if tag in ("latest", "pending", None):
            return None
        if tag in ("finalized", "safe"):
            return max(0, head - _FINAL_DEPTH)
        if tag == "earliest":
            return 0
        if isinstance(tag, str) and len(tag) == 66:
            return self._number_of(hash_of([tag], 0))
        number = quantity_of([tag], 0)
        if number > head:
            raise RpcError(_FAILED, f"block {number} is not there yet: the head is {head}")
        return number

    def _number_of(self, block_hash: Hash32) -> int:
        if (number := self._chain.number_of.get(block_hash)) is None:
            raise RpcError(-32000, "unknown block")
        return number

    def _at(self, params: list[Any], at: int) -> Mined:
        number = self._number(params, at)
        return self._chain.mined[-1 if number is None else number]

    def _state(self, params: list[Any], at: int) -> StateAPI:
        return self._chain.state_at(self._number(params, at))

    def _block_by_number(self, params: list[Any]) -> Any:
        if params[:1] == ["pending"]:
            return pending_block_json(self._chain.chain.get_block())
        try:
            found = self._at(params, 0)
        except RpcError as error:
            if error.code == _FAILED:
                return None
            raise
        return block_json(found.block, full=params[1:] == [True])

    def _block_by_hash(self, params: list[Any]) -> Any:
        number = self._chain.number_of.get(hash_of(params, 0))
        if number is None:
            return None
        return block_json(self._chain.mined[number].block, full=params[1:] == [True])

    def _block_receipts(self, params: list[Any]) -> Any:
        found = self._at(params, 0)
        return [receipt_json(found.block, found.receipts, n) for n in range(len(found.receipts))]

    def _count_by_number(self, params: list[Any]) -> str:
        return hex(len(self._at(params, 0).block.transactions))

    def _fee_history(self, params: list[Any]) -> Any:
        count = min(quantity_of(params, 0), _MAX_HISTORY)
        last = self._at(params, 1).block.number
        first = max(0, last - count + 1)
        headers = [mined.block.header for mined in self._chain.mined[first : last + 1]]
        after = self._chain.mined[last + 1 : last + 2]
        following = after[0].block.header if after else self._chain.next_header
        percentiles = params[2] if len(params) > 2 and params[2] else []
        return {
            "oldestBlock": hex(first),
            "baseFeePerGas": [hex(each.base_fee_per_gas or 0) for each in (*headers, following)],
            "gasUsedRatio": [each.gas_used / each.gas_limit for each in headers],
            "reward": [[hex(_TIP_WEI)] * len(percentiles) for _ in headers],
        }

    # -- transactions

    def _transaction(self, params: list[Any]) -> Any:
        tx_hash = hash_of(params, 0)
        if (waiting := self._chain.pool.get(tx_hash)) is not None:
            return waiting_json(self._chain.head, waiting)
        if (place := self._chain.place_of.get(tx_hash)) is None:
            return None
        block = self._chain.mined[place[0]].block
        return transaction_json(block, block.transactions[place[1]], place[1])

    def _raw(self, params: list[Any]) -> str | None:
        raw = self._chain.raws.get(hash_of(params, 0))
        return None if raw is None else hex_data(raw)

    def _receipt(self, params: list[Any]) -> Any:
        if (place := self._chain.place_of.get(hash_of(params, 0))) is None:
            return None
        found = self._chain.mined[place[0]]
        return receipt_json(found.block, found.receipts, place[1])

    def _nonce(self, params: list[Any]) -> str:
        if params[1:2] == ["pending"]:
            return hex(self._chain.next_nonce(address_of(params, 0)))
        return hex(self._state(params, 1).get_nonce(address_of(params, 0)))

    def _storage(self, params: list[Any]) -> str:
        value = self._state(params, 2).get_storage(address_of(params, 0), quantity_of(params, 1))
        return f"0x{value:064x}"

    # -- execution

    def _spoofed(self, params: list[Any], state: StateAPI) -> Any:
        asked = params[0] if params and isinstance(params[0], dict) else None
        if asked is None:
            raise invalid_params("a call object is expected")
        text = asked.get("data") or asked.get("input") or "0x"
        sender = address_of([asked.get("from") or "0x" + "00" * 20], 0)
        limit = self._chain.next_header.gas_limit
        unsigned = self._chain.chain.get_vm().create_unsigned_transaction(
            nonce=state.get_nonce(sender),
            gas_price=0,
            gas=min(quantity_of([asked["gas"]], 0), limit) if asked.get("gas") else limit,
            to=address_of([asked["to"]], 0) if asked.get("to") else b"",
            value=quantity_of([asked.get("value") or "0x0"], 0),
            data=data_of([text], 0),
        )
        return SpoofTransaction(unsigned, from_=sender)

    def _call(self, params: list[Any]) -> str:
        if len(params) > 2:
            raise invalid_params("state and block overrides are not there with eth-tester")
        state = self._state(params, 1)
        try:
            computation = state.apply_transaction(self._spoofed(params, state))
        except ValidationError as error:
            raise RpcError(_FAILED, str(error)) from None
        _refuse_failed(computation)
        return hex_data(computation.output)

    def _estimate(self, params: list[Any]) -> str:
        state = self._state(params, 1)
        spoofed = self._spoofed(params, state)
        try:
            snapshot = state.snapshot()
            _refuse_failed(state.apply_transaction(spoofed))
            state.revert(snapshot)
            return hex(self._chain.chain.gas_estimator(state, spoofed))
        except (ValidationError, VMError) as error:
            raise RpcError(_FAILED, str(error)) from None

    # -- logs

    def _logs(self, params: list[Any]) -> Any:
        asked = params[0] if params and isinstance(params[0], dict) else None
        if asked is None:
            raise invalid_params("a filter object is expected")
        addresses = _addresses(asked.get("address"))
        topics = [_topics(each) for each in asked.get("topics") or []]
        return [
            log
            for mined in self._searched(asked)
            if mined.block.header.bloom
            for index in range(len(mined.receipts))
            for log in receipt_json(mined.block, mined.receipts, index)["logs"]
            if _fits(log, addresses, topics)
        ]

    def _searched(self, asked: dict[str, Any]) -> Iterator[Mined]:
        if "blockHash" in asked:
            yield self._chain.mined[self._number_of(hash_of([asked["blockHash"]], 0))]
            return
        head = self._chain.head.number
        first, last = (
            self._clamped(asked.get(name, "latest"), head) for name in ("fromBlock", "toBlock")
        )
        yield from self._chain.mined[first : last + 1]

    def _clamped(self, tag: Any, head: int) -> int:
        if isinstance(tag, str) and tag.startswith("0x") and len(tag) < 66:
            return min(quantity_of([tag], 0), head + 1)
        number = self._number([tag], 0)
        return head if number is None else number

    # -- pool

    def _pool_status(self, _params: list[Any]) -> dict[str, str]:
        ready = len(self._chain.ready())
        return {"pending": hex(ready), "queued": hex(len(self._chain.pool) - ready)}

    def _pool_content(self, _params: list[Any]) -> dict[str, Any]:
        ready = {tx.hash for tx in self._chain.ready()}
        found: dict[str, dict[str, dict[str, Any]]] = {"pending": {}, "queued": {}}
        for tx_hash, tx in self._chain.pool.items():
            part = found["pending" if tx_hash in ready else "queued"]
            of_sender = part.setdefault(hex_data(tx.sender), {})
            of_sender[str(tx.nonce)] = waiting_json(self._chain.head, tx)
        return found


def _constant(value: Any, _params: list[Any]) -> Any:
    return value


def version() -> str:
    names = ("eth-tester", "py-evm")
    return " ".join(f"{name}/{importlib.metadata.version(name)}" for name in names)


def _refuse_failed(computation: ComputationAPI) -> None:
    """A revert in geth's words, which clients take apart. Raises RpcError."""
    if not computation.is_error:
        return
    output = bytes(computation.output)
    if not output:
        raise RpcError(_REVERTED, f"execution reverted: {computation.error or ''}".rstrip(": "))
    text = ""
    if output[:4] == _EVENT and len(output) >= 68:
        length = int.from_bytes(output[36:68], "big")
        text = ": " + output[68 : 68 + length].decode(errors="replace")
    raise RpcError(_REVERTED, f"execution reverted{text}", hex_data(output))


def _addresses(asked: Any) -> set[str]:
    given = asked if isinstance(asked, list) else [] if asked is None else [asked]
    return {hex_data(address_of([each], 0)) for each in given}


def _topics(asked: Any) -> set[str]:
    given = asked if isinstance(asked, list) else [] if asked is None else [asked]
    return {hex_data(hash_of([each], 0)) for each in given}


def _fits(log: dict[str, Any], addresses: set[str], topics: list[set[str]]) -> bool:
    if addresses and log["address"] not in addresses:
        return False
    if len(topics) > len(log["topics"]):
        return False
    return all(
        not any_of or topic in any_of for any_of, topic in zip(topics, log["topics"], strict=False)
    )
