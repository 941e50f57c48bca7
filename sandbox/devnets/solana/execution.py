"""One transaction against the machine: what it may touch, what it did, and how to take it back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from solders.account import Account
from solders.litesvm import LiteSVM
from solders.message import Message, MessageV0, MessageV1
from solders.pubkey import Pubkey
from solders.transaction import Legacy, VersionedTransaction
from solders.transaction_metadata import (
    FailedTransactionMetadata,
    SimulatedTransactionInfo,
    TransactionMetadata,
)

from sandbox.devnets.json_rpc import RpcError
from sandbox.devnets.solana import durable_nonces
from sandbox.devnets.solana.errors import invalid_params
from sandbox.devnets.solana.records import INDEX_BITS, Record, token_entry
from sandbox.devnets.solana.state import Accounts
from sandbox.devnets.solana.tokens import (
    ACCOUNT_LEN,
    TOKEN_2022,
    TOKEN_PROGRAMS,
    is_token_account,
)

MAX_TRANSACTION_BYTES = 1_232  # an IPv6 packet less its headers; LiteSVM does not check it
_TABLE_META_BYTES = 56
_NO_PROGRAM = "ProgramAccountNotFound"

AnyMessage = Message | MessageV0 | MessageV1


@dataclass(slots=True)
class Incoming:
    """A decoded transaction that passed the checks which need no chain state."""

    tx: VersionedTransaction
    raw: bytes
    signature: bytes
    blockhash: bytes


@dataclass(slots=True)
class KeyList:
    """All accounts of a transaction in the order of its indexes, and which may be written."""

    keys: list[Pubkey]
    writable: list[bool]
    loaded_writable: list[Pubkey]
    loaded_readonly: list[Pubkey]


@dataclass(slots=True)
class Failure:
    """A transaction that left nothing behind."""

    err: Any
    meta: TransactionMetadata | None


def decode(raw: bytes) -> Incoming:
    """Read and sanitise wire bytes; -32602 for everything a packet or validator would refuse."""
    if len(raw) > MAX_TRANSACTION_BYTES:
        raise invalid_params(
            f"decoded solana_transaction::versioned::VersionedTransaction too large: {len(raw)}"
            f" bytes (max: {MAX_TRANSACTION_BYTES} bytes)"
        )
    try:
        tx = VersionedTransaction.from_bytes(raw)
        version = tx.version()
        if version != Legacy.Legacy and version != 0:
            raise invalid_params(f"unsupported transaction version: {version}")
        tx.sanitize()
    except RpcError:
        raise
    except Exception as error:
        raise invalid_params(f"invalid transaction: {error}") from None
    if not tx.signatures:
        raise invalid_params("invalid transaction: Transaction failed to sanitize accounts offsets")
    return Incoming(tx, bytes(tx), bytes(tx.signatures[0]), bytes(tx.message.recent_blockhash))


def is_signed(incoming: Incoming) -> bool:
    """Whether every signature is there and true (45 µs each: call it once)."""
    checked = incoming.tx.verify_with_results()
    return bool(checked) and all(checked)


def key_list(message: AnyMessage, accounts: Accounts) -> KeyList:
    """Static and loaded keys; a missing table loads nothing and LiteSVM then names the error."""
    header, static = message.header, message.account_keys
    signers = header.num_required_signatures
    first_readonly_signer = signers - header.num_readonly_signed_accounts
    first_readonly = len(static) - header.num_readonly_unsigned_accounts
    writable = [
        i < first_readonly_signer or signers <= i < first_readonly for i in range(len(static))
    ]
    loaded_writable: list[Pubkey] = []
    loaded_readonly: list[Pubkey] = []
    for lookup in getattr(message, "address_table_lookups", ()):
        table = accounts.current(bytes(lookup.account_key))
        addresses = b"" if table is None else table.data[_TABLE_META_BYTES:]
        for into, indexes in (
            (loaded_writable, lookup.writable_indexes),
            (loaded_readonly, lookup.readonly_indexes),
        ):
            for index in indexes:
                entry = addresses[32 * index : 32 * index + 32]
                if len(entry) == 32:
                    into.append(Pubkey(entry))
    return KeyList(
        keys=[*static, *loaded_writable, *loaded_readonly],
        writable=writable + [True] * len(loaded_writable) + [False] * len(loaded_readonly),
        loaded_writable=loaded_writable,
        loaded_readonly=loaded_readonly,
    )


def failure_of(
    result: FailedTransactionMetadata, message: AnyMessage, accounts: Accounts
) -> Failure:
    err = json.loads(result.to_json())["err"]
    if err == "InvalidProgramForExecution" and _misses_program(message, accounts):
        err = _NO_PROGRAM
    return Failure(err, result.meta())


def _misses_program(message: AnyMessage, accounts: Accounts) -> bool:
    called = {message.account_keys[call.program_id_index] for call in message.instructions}
    return any(accounts.current(bytes(key)) is None for key in called)


def execute(
    svm: LiteSVM,
    accounts: Accounts,
    incoming: Incoming,
    position: int,
    newest_hash: bytes,
    *,
    keep_failed: bool,
) -> tuple[Record, list[bytes]] | Failure:
    """Run it on the open slot; gives what it did and the keys it changed.

    A failure lands (its fee is charged) only with `keep_failed`.
    """
    message = incoming.tx.message
    if accounts.undeployed and _misses_program(message, accounts):
        return Failure(_NO_PROGRAM, None)
    listed = key_list(message, accounts)
    before = [svm.get_account(key) for key in listed.keys]
    try:
        result = svm.send_transaction(incoming.tx)
    except BaseException as error:  # pyo3 panics are no Exceptions
        # The machine gave up in the middle of its writes: nobody may see the half of them.
        accounts.put_all((bytes(key), old) for key, old in zip(listed.keys, before, strict=True))
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        return Failure({"InstructionError": [0, "ProgramFailedToComplete"]}, None)
    ok = isinstance(result, TransactionMetadata)
    after = [
        svm.get_account(key) if writable else account
        for key, writable, account in zip(listed.keys, listed.writable, before, strict=True)
    ]
    if isinstance(result, FailedTransactionMetadata):
        charged = _lamports(after[0]) < _lamports(before[0])
        if not keep_failed or not charged:
            if charged:
                for key, old, new in zip(listed.keys, before, after, strict=True):
                    if old != new:
                        accounts.put(bytes(key), old)
            return failure_of(result, message, accounts)
        _use_up_nonce(incoming.tx.message, listed.keys, before, after, newest_hash)
    slot = position >> INDEX_BITS
    changed = []
    for key, old, new in zip(listed.keys, before, after, strict=True):
        if old is not new and old != new:
            changed.append(bytes(key))
            if (nonce := durable_nonces.stamped(old, new, newest_hash)) is not None:
                accounts.put(changed[-1], nonce)
            accounts.touched(slot, changed[-1], _present(old), _present(new))
    tokens = _TokenBalances(accounts)
    for when, held in enumerate((before, after)):
        tokens.add(when, held)
    record = Record.make(
        position,
        incoming.raw,
        ok=ok,
        meta=bytes(result),
        loaded=(
            [bytes(key) for key in listed.loaded_writable],
            [bytes(key) for key in listed.loaded_readonly],
        ),
        balances=([_lamports(a) for a in before], [_lamports(a) for a in after]),
        tokens=tokens.entries,
    )
    return record, changed


def _use_up_nonce(
    message: AnyMessage,
    keys: list[Pubkey],
    before: list[Account | None],
    after: list[Account | None],
    newest_hash: bytes,
) -> None:
    """A failed transaction takes its nonce along: else it could pay its fee a second time."""
    key = durable_nonces.account_of(message)
    if key is None:
        return
    index = keys.index(key)
    held = after[index]
    if held is not None and durable_nonces.is_usable(message, before[index], newest_hash):
        after[index] = durable_nonces.advanced(held, newest_hash)


def simulate(
    svm: LiteSVM, accounts: Accounts, tx: VersionedTransaction
) -> SimulatedTransactionInfo | Failure:
    """Run it and change nothing."""
    if accounts.undeployed and _misses_program(tx.message, accounts):
        return Failure(_NO_PROGRAM, None)
    result = svm.simulate_transaction(tx)
    if isinstance(result, FailedTransactionMetadata):
        return failure_of(result, tx.message, accounts)
    return result


def _lamports(account: Account | None) -> int:
    return 0 if account is None else account.lamports


def _present(account: Account | None) -> Account | None:
    return None if account is None or account.lamports == 0 else account


class _TokenBalances:
    """What the token accounts of one transaction hold."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._decimals: dict[bytes, int] = {}
        self.entries: list[bytes] = []

    def add(self, when: int, held: list[Account | None]) -> None:
        """Those among the accounts of a transaction, before (0) or after (1) it."""
        for index, account in enumerate(held):
            if account is None or account.executable:
                continue
            data = account.data
            if len(data) < ACCOUNT_LEN:
                continue
            owner = account.owner
            if owner in TOKEN_PROGRAMS and is_token_account(data):
                self.entries.append(
                    token_entry(
                        when,
                        index,
                        token_2022=owner == TOKEN_2022,
                        decimals=self._decimals_of(data[:32]),
                        data=data,
                    )
                )

    def _decimals_of(self, mint: bytes) -> int:
        found = self._decimals.get(mint)
        if found is None:
            account = self._accounts.current(mint)
            data = b"" if account is None else account.data
            found = self._decimals[mint] = data[44] if len(data) > 44 else 0
        return found
