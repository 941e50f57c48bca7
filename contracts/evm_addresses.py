"""Addresses on an EVM chain that are known before anything is there: deposit addresses, contracts.

CREATE2: EIP-1014. The proxy's initcode is the 54 bytes of Vyper's `create_minimal_proxy_to`; the
55 of other libraries give other addresses.
"""

from dataclasses import dataclass, field

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

_LOADER = bytes.fromhex("602d3d8160093d39f3363d3d373d3d3d363d73")
_REST = bytes.fromhex("5af43d82803e903d91602b57fd5bf3")
_SALT_PREFIX = b"kzte:deposit:1:"


def deposit_salt(session_id: str) -> bytes:
    """The 32 bytes that stand for a checkout session. A session has one merchant, so its id, which
    is never used again, binds both."""
    return keccak(_SALT_PREFIX + session_id.encode())


def created_address(creator: str, nonce: int) -> str:
    """Where `creator`'s transaction (or a contract's n-th creation, from 1) puts a contract."""
    assert 0 <= nonce < 2**64
    number = nonce.to_bytes((nonce.bit_length() + 7) // 8, "big")
    item = number if len(number) == 1 and number[0] < 0x80 else bytes([0x80 + len(number)]) + number
    encoded = b"\x94" + _raw(creator) + item
    return to_checksum_address(keccak(bytes([0xC0 + len(encoded)]) + encoded)[12:])


@dataclass(frozen=True, slots=True)
class DepositAddresses:
    """The deposit addresses of one factory. Both addresses belong to every one of them: a factory
    that is deployed anew moves them all."""

    factory: str
    forwarder: str
    _head: bytes = field(init=False, repr=False)
    _tail: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        initcode = _LOADER + _raw(self.forwarder) + _REST
        object.__setattr__(self, "_head", b"\xff" + _raw(self.factory))
        object.__setattr__(self, "_tail", keccak(initcode))

    @classmethod
    def of_factory(cls, factory: str) -> "DepositAddresses":
        """With the forwarder that the factory's constructor made: its first creation."""
        return cls(factory, created_address(factory, 1))

    def of_salt(self, salt: bytes) -> str:
        """Checksummed (EIP-55)."""
        assert len(salt) == 32
        return to_checksum_address(keccak(self._head + salt + self._tail)[12:])

    def of_session(self, session_id: str) -> str:
        """Checksummed (EIP-55)."""
        return self.of_salt(deposit_salt(session_id))


def _raw(address: str) -> bytes:
    raw = bytes.fromhex(address.removeprefix("0x"))
    assert len(raw) == 20
    return raw
