"""Transactions on their way: sent to anvil, taken into its pool, not yet in a block."""

from __future__ import annotations

import time
from typing import Final

from eth_utils.crypto import keccak

from sandbox.devnets.evm.errors import TRANSACTION_REJECTED
from sandbox.devnets.evm.journal import Tx, Unsigned
from sandbox.devnets.json_rpc import INVALID_PARAMS, RpcError

_BLOB_TRANSACTION: Final = 3


def signed(raw: bytes) -> Tx:
    return Tx(keccak(raw), raw)


class Pool:
    """What anvil's pool should hold, so that a fresh anvil can be given the same."""

    def __init__(self) -> None:
        self._taken: dict[bytes, Tx | Unsigned] = {}
        self._since: dict[bytes, float] = {}  # when it was taken, on the monotonic clock
        self._arriving: dict[bytes, Tx] = {}

    def __len__(self) -> int:
        return len(self._taken) + len(self._arriving)

    def reset(self, taken: dict[bytes, Tx | Unsigned]) -> None:
        self._taken, self._arriving = taken, {}
        now = time.monotonic()
        self._since = {tx_hash: self._since.get(tx_hash, now) for tx_hash in taken}

    def arrive(self, raw: bytes) -> Tx:
        """Note a transaction before anvil sees it: the next block may hold it before anvil answers.

        Raises RpcError for what need not be sent.
        """
        if not raw or raw[0] == _BLOB_TRANSACTION:
            raise RpcError(INVALID_PARAMS, "empty and blob transactions are not supported here")
        tx = signed(raw)
        if tx.hash in self._taken or tx.hash in self._arriving:
            raise RpcError(TRANSACTION_REJECTED, "transaction already imported")
        self._arriving[tx.hash] = tx
        return tx

    def arrived(self, tx: Tx) -> bool:
        """Whether it is still to be written down; False when a block has it already."""
        return self._arriving.pop(tx.hash, None) is not None

    def take(self, tx: Tx | Unsigned) -> None:
        tx_hash = tx.hash if isinstance(tx, Tx) else bytes.fromhex(tx.hash[2:])
        self._taken[tx_hash] = tx
        self._since[tx_hash] = time.monotonic()

    def mined(self, tx_hash: bytes) -> Tx | None:
        """It is in a block; gives it when it was not written down yet."""
        self.drop(tx_hash)
        return self._arriving.pop(tx_hash, None)

    def drop(self, tx_hash: bytes) -> Tx | Unsigned | None:
        self._since.pop(tx_hash, None)
        return self._taken.pop(tx_hash, None)

    def held(self) -> dict[bytes, Tx | Unsigned]:
        """What waits and is in the journal, in order of arrival."""
        return dict(self._taken)

    def older_than(self, seconds: float) -> dict[bytes, float]:
        """Hashes that have waited longer, with the seconds that they have."""
        now = time.monotonic()
        return {at: now - since for at, since in self._since.items() if now - since >= seconds}

    def hashes(self) -> set[bytes]:
        return set(self._taken)
