"""EVM transactions of the sandbox: calls encoded, signed, packed, and their references read back.

What is attached behind the arguments of a call is ignored by the contracts and is the intent's id.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from sandbox.chains.evm.accounts import Account, LocalAccount

WEI_PER_COIN = 10**18
ZERO = "0x" + "0" * 40
_MARK = b"kzte"


@dataclass(frozen=True, slots=True)
class Fees:
    """EIP-1559 prices per gas, in wei."""

    most: int
    tip: int


@dataclass(frozen=True, slots=True)
class Act:
    """One transaction before it has a nonce. `to` is empty for a deployment."""

    to: str
    data: bytes
    gas: int
    value_wei: int = 0


@cache
def selector(signature: str) -> bytes:
    """The first four bytes of the hash of `name(type,…)`."""
    return keccak(text=signature)[:4]


@cache
def _types(signature: str) -> tuple[str, ...]:
    inside = signature[signature.index("(") + 1 : -1]
    return tuple(inside.split(",")) if inside else ()


def call_data(signature: str, *arguments: Any) -> bytes:
    """A call of `name(type,…)`; types are plain ones and arrays of them, no tuples."""
    return selector(signature) + encode(_types(signature), arguments)


def with_reference(data: bytes, reference: str) -> bytes:
    """A call with an intent's id behind its arguments."""
    raw = reference.encode()
    assert len(raw) < 256
    return data + raw + bytes([len(raw)]) + _MARK


def reference_of(data: bytes) -> str:
    """What `with_reference` attached, else empty."""
    if len(data) < 4 + 1 + len(_MARK) or data[-4:] != _MARK:
        return ""
    end = len(data) - 5
    length = data[end]
    if length > end - 4:
        return ""
    try:
        return data[end - length : end].decode()
    except UnicodeDecodeError:
        return ""


def reference_word(reference: str) -> bytes:
    """An intent's id as the contracts take it: itself if it fits 32 bytes, else its hash."""
    raw = reference.encode()
    return raw.ljust(32, b"\0") if len(raw) <= 32 else keccak(raw)


def sign(key: LocalAccount, chain_id: int, nonce: int, act: Act, fees: Fees) -> tuple[str, bytes]:
    """(transaction hash, raw transaction)."""
    fields: dict[str, Any] = {
        "type": 2,
        "chainId": chain_id,
        "nonce": nonce,
        "value": act.value_wei,
        "data": act.data,
        "gas": act.gas,
        "maxFeePerGas": fees.most,
        "maxPriorityFeePerGas": fees.tip,
    }
    if act.to:
        # Checksummed or in bytes: that is what the signer takes.
        fields["to"] = bytes.fromhex(act.to[2:])
    signed = Account.sign_transaction(fields, key.key)
    return "0x" + signed.hash.hex(), bytes(signed.raw_transaction)


def pack(raws: Sequence[bytes]) -> bytes:
    """Raw transactions that belong together, as an attempt stores them."""
    return b"".join(len(raw).to_bytes(4, "big") + raw for raw in raws)


def unpack(raw: bytes) -> list[bytes]:
    """The reverse of `pack`."""
    found = []
    while raw:
        end = 4 + int.from_bytes(raw[:4], "big")
        found.append(raw[4:end])
        raw = raw[end:]
    return found


def word(address: str) -> str:
    """An address as a topic or argument, for calls that are built by concatenation."""
    return address[2:].lower().rjust(64, "0")
