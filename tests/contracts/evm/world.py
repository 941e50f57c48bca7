"""A deployed token with its role holders, and people who can sign."""

from dataclasses import dataclass, replace
from typing import Any

import boa
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak

from contracts import evm, token
from tests.contracts.evm.calls import Contract, deploy

SPEC = token.load()
START = 1_790_000_000
MAX = 2**256 - 1
HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

_WORDS = [("from", "address"), ("to", "address"), ("value", "uint256")]
_TERMS = [
    *_WORDS,
    ("validAfter", "uint256"),
    ("validBefore", "uint256"),
    ("nonce", "bytes32"),
]
STRUCTS: dict[str, list[tuple[str, str]]] = {
    "TransferWithAuthorization": _TERMS,
    "ReceiveWithAuthorization": _TERMS,
    "CancelAuthorization": [("authorizer", "address"), ("nonce", "bytes32")],
    "Permit": [
        ("owner", "address"),
        ("spender", "address"),
        ("value", "uint256"),
        ("nonce", "uint256"),
        ("deadline", "uint256"),
    ],
}


def address(name: str) -> str:
    """The same address for the same name."""
    return str(person(name).address)


def person(name: str) -> Any:
    return Account.from_key(keccak(text=name))


def word(text: str) -> bytes:
    """32 bytes that stand for `text`: a nonce, a reference, a salt."""
    return keccak(text=text)


@dataclass(frozen=True)
class Authorization:
    """EIP-3009 terms, without the signature."""

    from_: str
    to: str
    value: int = 100
    valid_after: int = 0
    valid_before: int = START + 300
    nonce: bytes = word("nonce")

    @property
    def terms(self) -> tuple[str, str, int, int, int, bytes]:
        return (self.from_, self.to, self.value, self.valid_after, self.valid_before, self.nonce)

    def but(self, **changes: Any) -> "Authorization":
        return replace(self, **changes)


class World:
    """One token. `kzte` is the contract; role holders and people are addresses by name."""

    def __init__(self, decimals: int = SPEC.decimals) -> None:
        self.spec = replace(SPEC, decimals=decimals)
        roles = self.spec.evm.roles
        names = {role: getattr(roles, role) for role in roles.__dataclass_fields__}
        self.keys = {name: address(name) for name in names.values()}
        self.admin = address(roles.admin)
        self.master = address(roles.master_minter)
        self.pauser = address(roles.pauser)
        self.freezer = address(roles.freezer)
        self.confiscator = address(roles.confiscator)
        self.rescuer = address(roles.rescuer)
        self.issuer = address(roles.minter)
        self.treasury = address(roles.treasury)
        self.aigul, self.bolat = person("aigul"), person("bolat")
        self.kzte = deploy(evm.load("kzte"), *evm.token_arguments(self.spec, self.keys))
        self.kzte.configureMinter(self.issuer, MAX, sender=self.master)
        self.kzte.configureMinter(self.treasury, 0, sender=self.master)
        self.minted = 0

    def give(self, to: str, units: int) -> None:
        self.minted += 1
        self.kzte.mint(to, units, word(f"given {self.minted}"), sender=self.issuer)

    def freeze(self, account: str) -> None:
        self.kzte.freeze(account, sender=self.freezer)

    def pause(self) -> None:
        self.kzte.pause(sender=self.pauser)

    def deposits(self) -> Contract:
        forwarder = evm.load("forwarder")
        return deploy(
            evm.load("deposits"),
            *evm.deposits_arguments(self.kzte.address, self.treasury, forwarder),
        )

    def sign(self, who: Any, struct: str, *values: Any, **domain: Any) -> bytes:
        """65 bytes over EIP-712 typed data; `domain` changes single fields of it."""
        return bytes(self.signed(who, struct, *values, **domain).signature)

    def signed(self, who: Any, struct: str, *values: Any, **domain: Any) -> Any:
        fields = STRUCTS[struct]
        full = {
            "name": self.spec.name,
            "version": self.spec.evm.version,
            "chainId": 1,
            "verifyingContract": self.kzte.address,
            **domain,
        }
        message = dict(zip((name for name, _ in fields), values, strict=True))
        kinds = {struct: [{"name": name, "type": kind} for name, kind in fields]}
        return who.sign_message(encode_typed_data(full, kinds, message))

    def permit_values(
        self, owner: Any, spender: str, value: int, deadline: int, nonce: int | None = None
    ) -> tuple[Any, ...]:
        nonce = self.kzte.nonces(owner.address) if nonce is None else nonce
        return (owner.address, spender, value, nonce, deadline)


def vrs(signature: bytes) -> tuple[int, bytes, bytes]:
    """The parts of a 65-byte signature in the order of the contract's arguments."""
    assert len(signature) == 65
    return signature[64], signature[:32], signature[32:64]


def twin(signature: bytes) -> bytes:
    """The other valid signature of the same message, with the high s."""
    s = ORDER - int.from_bytes(signature[32:64], "big")
    return signature[:32] + s.to_bytes(32, "big") + bytes([27 + 28 - signature[64]])


def at(second: int) -> None:
    boa.env.evm.patch.timestamp = second


def on_chain(chain_id: int) -> None:
    boa.env.evm.patch.chain_id = chain_id
