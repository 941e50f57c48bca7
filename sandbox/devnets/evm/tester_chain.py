"""eth-tester's chain with a pool of its own, blocks of many transactions and given stamps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from eth.abc import BlockAPI, BlockHeaderAPI, ReceiptAPI, SignedTransactionAPI, StateAPI
from eth.exceptions import PyEVMError
from eth_keys.exceptions import BadSignature
from eth_tester.backends.pyevm.main import (  # type: ignore[import-untyped]  # no type marker
    PyEVMBackend,
    get_default_genesis_params,
)
from eth_typing import Address, Hash32
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError
from rlp.exceptions import RLPException  # type: ignore[import-untyped]  # no type marker

from sandbox.devnets.evm.errors import TRANSACTION_REJECTED, invalid_params
from sandbox.devnets.evm.journal import Genesis
from sandbox.devnets.evm.tester_json import address_of, data_of, hash_of, quantity_of
from sandbox.devnets.json_rpc import RpcError

_IN_A_BLOCK: Final = 100  # a block is made in one go, and nobody is answered meanwhile


@dataclass(frozen=True, slots=True)
class Mined:
    block: BlockAPI
    receipts: tuple[ReceiptAPI, ...]


def _rejected(message: str) -> RpcError:
    return RpcError(TRANSACTION_REJECTED, message)


class TesterChain:
    """Same transactions in the same order with the same stamps give the same blocks."""

    def __init__(self, genesis: Genesis) -> None:
        self._fees_to = bytes.fromhex(genesis.fees_to[2:])
        first = {
            "coinbase": self._fees_to,
            "gas_limit": genesis.gas_limit,
            "timestamp": genesis.timestamp,
        }
        self.chain = PyEVMBackend(get_default_genesis_params(first), {}).chain
        # eth-tester fixes an id of its own, on a class that it makes for each chain.
        type(self.chain).chain_id = genesis.chain_id
        self.pool: dict[Hash32, SignedTransactionAPI] = {}  # in order of arrival
        self.raws: dict[Hash32, bytes] = {}
        self.mined = [Mined(self.chain.get_canonical_block_by_number(0), ())]
        self.number_of: dict[Hash32, int] = {self.head.hash: 0}
        self.place_of: dict[Hash32, tuple[int, int]] = {}  # transaction: block number and index

    @property
    def head(self) -> BlockAPI:
        return self.mined[-1].block

    @property
    def next_header(self) -> BlockHeaderAPI:
        """Of the block to be made; its state has what control methods have set since the head."""
        header: BlockHeaderAPI = self.chain.header
        return header

    @property
    def base_fee(self) -> int:
        """Of the block to be made, in wei."""
        wei = self.next_header.base_fee_per_gas
        assert wei is not None
        return wei

    def state_at(self, number: int | None) -> StateAPI:
        """The state after a block, None being now, as a transaction that pays no fee sees it."""
        header = (self.head if number is None else self.mined[number].block).header
        if number is None:
            header = header.copy(state_root=self.next_header.state_root)
        state: StateAPI = self.chain.get_vm(header.copy(base_fee_per_gas=0)).state
        return state

    def next_nonce(self, sender: Address) -> int:
        """With what waits in the pool without a gap."""
        nonce = self.state_at(None).get_nonce(sender)
        waiting = {tx.nonce for tx in self.pool.values() if tx.sender == sender}
        while nonce in waiting:
            nonce += 1
        return nonce

    def send(self, params: list[Any]) -> str:
        """`eth_sendRawTransaction`. Raises RpcError in anvil's words."""
        raw = data_of(params, 0)
        try:
            tx = self.chain.get_vm().get_transaction_builder().decode(raw)
            tx.validate()
            sender = tx.sender
        except (RLPException, PyEVMError, ValidationError, BadSignature, ValueError) as error:
            raise invalid_params(f"not a signed transaction: {error}") from None
        if tx.hash in self.pool:
            raise _rejected("transaction already imported")
        if tx.chain_id is not None and tx.chain_id != self.chain.chain_id:
            raise _rejected("invalid chain id for signer")
        state = self.state_at(None)
        if tx.nonce < state.get_nonce(sender):
            raise _rejected("nonce too low")
        if tx.max_fee_per_gas < self.base_fee:
            raise _rejected("max fee per gas less than block base fee")
        if tx.gas > self.next_header.gas_limit or tx.gas < tx.intrinsic_gas:
            raise _rejected("intrinsic gas too low or above the limit of a block")
        if state.get_balance(sender) < tx.value + tx.gas * tx.max_fee_per_gas:
            raise _rejected("Insufficient funds for gas * price + value")
        for other in list(self.pool.values()):
            if (other.sender, other.nonce) == (sender, tx.nonce):
                if tx.max_fee_per_gas <= other.max_fee_per_gas:
                    raise _rejected("replacement transaction underpriced")
                del self.pool[other.hash]
        self.pool[tx.hash] = tx
        self.raws[tx.hash] = raw
        return "0x" + str(tx.hash.hex())

    def drop(self, params: list[Any]) -> str | None:
        found = self.pool.pop(hash_of(params, 0), None)
        return None if found is None else "0x" + found.hash.hex()

    def ready(self) -> list[SignedTransactionAPI]:
        """What the next block may hold, in order: payable, and no nonce before it missing."""
        state = self.state_at(None)
        base_fee, room = self.base_fee, self.next_header.gas_limit
        nonces: dict[bytes, int] = {}
        found: list[SignedTransactionAPI] = []
        left = list(self.pool.values())
        while left:
            later = []
            for tx in left:
                nonce = nonces.setdefault(tx.sender, state.get_nonce(tx.sender))
                if tx.nonce != nonce or tx.max_fee_per_gas < base_fee or tx.gas > room:
                    later.append(tx)
                    continue
                nonces[tx.sender] += 1
                room -= tx.gas
                found.append(tx)
            if len(later) == len(left):
                break
            left = later
        return found

    def mine(self, params: list[Any]) -> str:
        """`evm_mine`: one block, at the given stamp or a second after its parent."""
        asked = params[0].get("timestamp", 0) if params else 0
        parent = self.head.header
        seal = {"coinbase": self._fees_to, "mix_hash": keccak(parent.hash)}
        self.chain.header = self.next_header.copy(
            timestamp=max(parent.timestamp + 1, int(asked)), **seal
        )
        txs = self.ready()[:_IN_A_BLOCK]
        try:
            made, receipts, _ = self.chain.mine_all(txs, **seal)
        except ValidationError:
            txs = self._valid(txs)
            made, receipts, _ = self.chain.mine_all(txs, **seal)
        block = made.imported_block
        for index, tx in enumerate(txs):
            del self.pool[tx.hash]
            self.place_of[tx.hash] = (block.number, index)
        self.number_of[block.hash] = block.number
        self.mined.append(Mined(block, tuple(receipts)))
        return "0x0"

    def _valid(self, txs: list[SignedTransactionAPI]) -> list[SignedTransactionAPI]:
        """Without those that fail for good when their turn comes; they leave the pool."""
        vm, header, good = self.chain.get_vm(), self.next_header, []
        for tx in txs:
            try:
                receipt, _ = vm.apply_transaction(header, tx)
            except ValidationError:
                del self.pool[tx.hash]
            else:
                header = vm.add_receipt_to_header(header, receipt)
                good.append(tx)
        return good

    def set_balance(self, params: list[Any]) -> None:
        address, wei = address_of(params, 0), quantity_of(params, 1)
        self._change(lambda state: state.set_balance(address, wei))

    def set_code(self, params: list[Any]) -> None:
        address, code = address_of(params, 0), data_of(params, 1)
        self._change(lambda state: state.set_code(address, code))

    def _change(self, apply: Any) -> None:
        state = self.chain.get_vm().state
        apply(state)
        state.persist()
        self.chain.header = self.next_header.copy(state_root=state.state_root)
