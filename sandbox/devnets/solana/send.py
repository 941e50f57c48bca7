"""sendTransaction, simulateTransaction and requestAirdrop, with the validator's refusals."""

from __future__ import annotations

from typing import Any

from solders.account import Account
from solders.hash import Hash
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import TransactionMetadata

from sandbox.core import failpoints
from sandbox.devnets.json_rpc import INVALID_REQUEST, RpcError
from sandbox.devnets.solana import execution, params
from sandbox.devnets.solana.bank import MAX_HASH_AGE
from sandbox.devnets.solana.encode import (
    ACCOUNT_ENCODINGS,
    inner_json,
    key_text,
    return_data_json,
    signature_text,
)
from sandbox.devnets.solana.errors import (
    PREFLIGHT_FAILURE,
    SIGNATURE_FAILURE,
    invalid_params,
    transaction_error_text,
)
from sandbox.devnets.solana.execution import MAX_TRANSACTION_BYTES, Failure, Incoming
from sandbox.devnets.solana.node import Method, Node
from sandbox.devnets.solana.params import Config, Params
from sandbox.devnets.solana.read_accounts import accounts_json
from sandbox.devnets.solana.records import Block, Record


def read_sent(given: Params, config: Config) -> Incoming:
    encoding = config.text("encoding") or "base58"
    return execution.decode(params.wire_bytes(given.text(0), encoding, MAX_TRANSACTION_BYTES))


def send_transaction(node: Node, given: Params) -> str:
    config = given.config(1)
    incoming = read_sent(given, config)
    skip_preflight = config.flag("skipPreflight")
    _check_context(node, config, skip_preflight=skip_preflight)
    text = signature_text(incoming.signature)
    if skip_preflight:
        known = node.bank.is_current(incoming)
        if known and node.bank.is_known(incoming.signature):
            return text
        if known and execution.is_signed(incoming):
            node.bank.execute(incoming, keep_failed=True)
        return text  # as a validator: the signature, also of what cannot land
    if not execution.is_signed(incoming):
        raise RpcError(SIGNATURE_FAILURE, "Transaction signature verification failure")
    if (early := _early_failure(node, incoming)) is not None:
        raise preflight_error(early, _keys(node, incoming.tx))
    # What simulates fine would be executed next in the same turn, so it is executed at once and
    # undone when it fails: one run instead of two.
    done = node.bank.execute(incoming, keep_failed=False)
    if isinstance(done, Failure):
        raise preflight_error(done, _keys(node, incoming.tx))
    failpoints.passed("solana.executed")
    return text


def _check_context(node: Node, config: Config, *, skip_preflight: bool) -> None:
    """The options that ask about the bank of the preflight, which here is always the newest."""
    config.u64("maxRetries")  # nothing is retried: what is sent is executed
    level = params.level(config.value.get("preflightCommitment"), "finalized")
    least = config.value.get("minContextSlot")
    if least is not None:
        asked = "processed" if skip_preflight else level
        node.level(Config({"commitment": asked, "minContextSlot": least}))


def _early_failure(node: Node, incoming: Incoming) -> Failure | None:
    if not node.bank.is_current(incoming):
        return Failure("BlockhashNotFound", None)
    if node.bank.is_known(incoming.signature):
        return Failure("AlreadyProcessed", None)
    return None


def _keys(node: Node, tx: VersionedTransaction) -> list[str]:
    return [str(key) for key in execution.key_list(tx.message, node.bank.accounts).keys]


def preflight_error(failure: Failure, keys: list[str]) -> RpcError:
    """-32002 with the simulation object that clients insist on."""
    text = transaction_error_text(failure.err)
    data = simulation_json(failure.err, failure.meta, keys, with_inner=False)
    return RpcError(PREFLIGHT_FAILURE, f"Transaction simulation failed: {text}", data)


def simulation_json(
    err: Any, meta: TransactionMetadata | None, keys: list[str], *, with_inner: bool
) -> dict[str, Any]:
    return {
        "err": err,
        "logs": [] if meta is None else meta.logs(),
        "accounts": None,
        "unitsConsumed": 0 if meta is None else meta.compute_units_consumed(),
        "returnData": None if meta is None else return_data_json(meta),
        "innerInstructions": (
            inner_json(meta, keys, parsed=True) if with_inner and meta is not None else None
        ),
        "replacementBlockhash": None,
    }


def simulate_transaction(node: Node, given: Params) -> Any:
    config = given.config(1)
    incoming = read_sent(given, config)
    level = node.level(config)
    sig_verify, replace = config.flag("sigVerify"), config.flag("replaceRecentBlockhash")
    if sig_verify and replace:
        raise invalid_params("sigVerify may not be used with replaceRecentBlockhash")
    wanted = _wanted_accounts(config)
    keys = _keys(node, incoming.tx)
    if wanted is not None and len(wanted[0]) > len(keys):
        raise invalid_params(f"Too many accounts provided; max {len(keys)}")
    with_inner = config.flag("innerInstructions")
    if sig_verify and not execution.is_signed(incoming):
        raise RpcError(SIGNATURE_FAILURE, "Transaction signature verification failure")
    tx, replacement = incoming.tx, None
    if replace:
        block = node.bank.sealed_at(level)
        tx = _with_blockhash(tx, Hash(block.hash))
        replacement = {
            "blockhash": key_text(block.hash),
            "lastValidBlockHeight": block.height + MAX_HASH_AGE,
        }
    elif (early := _early_failure(node, incoming)) is not None:
        value = simulation_json(early.err, None, keys, with_inner=with_inner)
        if wanted is not None:
            value["accounts"] = [None] * len(wanted[0])
        return node.context(level, value)
    result = execution.simulate(node.bank.svm, node.bank.accounts, tx)
    changed: dict[bytes, Account] = {}
    if isinstance(result, Failure):
        value = simulation_json(result.err, result.meta, keys, with_inner=with_inner)
    else:
        value = simulation_json(None, result.meta(), keys, with_inner=with_inner)
        changed = {bytes(key): account for key, account in result.post_accounts()}
    value["replacementBlockhash"] = replacement
    if wanted is not None:
        addresses, encoding = wanted
        if isinstance(result, Failure):
            value["accounts"] = [None] * len(addresses)
        else:
            value["accounts"] = accounts_json(node, addresses, encoding, changed)
    return node.context(level, value)


def _wanted_accounts(config: Config) -> tuple[list[bytes], str] | None:
    asked = config.value.get("accounts")
    if asked is None:
        return None
    if not isinstance(asked, dict) or not isinstance(asked.get("addresses"), list):
        raise invalid_params("Invalid params: accounts must be {addresses, encoding}.")
    encoding = asked.get("encoding") or "base64"
    if encoding not in ACCOUNT_ENCODINGS or encoding in ("binary", "base58"):
        raise invalid_params("base58 encoding not supported")
    return [params.pubkey(address) for address in asked["addresses"]], encoding


def _with_blockhash(tx: VersionedTransaction, blockhash: Hash) -> VersionedTransaction:
    old = tx.message
    message: Message | MessageV0
    if isinstance(old, MessageV0):
        message = MessageV0(
            old.header,
            old.account_keys,
            blockhash,
            old.instructions,
            old.address_table_lookups,
        )
    else:
        header = old.header
        message = Message.new_with_compiled_instructions(
            header.num_required_signatures,
            header.num_readonly_signed_accounts,
            header.num_readonly_unsigned_accounts,
            old.account_keys,
            blockhash,
            old.instructions,
        )
    return VersionedTransaction.populate(message, [Signature.default()] * len(tx.signatures))


def request_airdrop(node: Node, given: Params) -> str:
    receiver, lamports = Pubkey(given.key(0)), given.u64(1)
    config = given.config(2)
    config.level()
    incoming = _distinct_airdrop(node, receiver, lamports, _hash_asked(node, config))
    done = node.bank.execute(incoming, keep_failed=False)
    if not isinstance(done, Record):
        raise preflight_error(done, _keys(node, incoming.tx))
    return signature_text(done.signature)


def _hash_asked(node: Node, config: Config) -> Block | None:
    found = config.text("recentBlockhash")
    if found is None:
        return None
    block = node.bank.hash_block(params.blockhash(found))
    if block is None:
        raise invalid_params("Invalid param: recentBlockhash is unknown or has expired")
    return block


def _distinct_airdrop(node: Node, receiver: Pubkey, lamports: int, only: Block | None) -> Incoming:
    """Equal airdrops get another live blockhash or faucet: the message is one plain transfer."""
    newest = node.bank.history.blocks[: -MAX_HASH_AGE // 2 : -1]
    for block in newest if only is None else [only]:
        for faucet in node.bank.faucets:
            move = transfer(
                TransferParams(from_pubkey=faucet.pubkey(), to_pubkey=receiver, lamports=lamports)
            )
            message = Message.new_with_blockhash([move], faucet.pubkey(), Hash(block.hash))
            tx = VersionedTransaction(message, [faucet])
            signature = bytes(tx.signatures[0])
            if not node.bank.is_known(signature):
                return Incoming(tx, bytes(tx), signature, block.hash)
    raise RpcError(INVALID_REQUEST, "Too many equal airdrops at once: wait for the next slot")


METHODS: dict[str, Method] = {
    "sendTransaction": send_transaction,
    "simulateTransaction": simulate_transaction,
    "requestAirdrop": request_airdrop,
}
