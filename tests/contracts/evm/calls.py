"""Calls to the shipped bytecode through the shipped ABI, in titanoboa's EVM: results, events and
the exact words of refusals."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import boa
import pytest
from eth_abi import decode, encode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from contracts.evm import Artifact

ZERO = "0x" + "00" * 20
EVERYBODY = "0x" + "e0" * 20


class Reverted(Exception):
    """`reason` is the text of `Error(string)`, empty for a bare revert; `data` is all of it."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.reason = ""
        if data[:4] == bytes.fromhex("08c379a0"):
            (self.reason,) = decode(["string"], data[4:])
        super().__init__(self.reason or f"bare revert {data.hex()}")


@contextmanager
def refused(reason: str) -> Iterator[None]:
    """The call inside reverts with exactly this text; "" stands for no text at all."""
    with pytest.raises(Reverted) as caught:
        yield
    assert caught.value.reason == reason, caught.value


class Event:
    """One decoded log, compared by name and values."""

    def __init__(self, address: str, name: str, values: dict[str, Any]) -> None:
        self.address, self.name, self.values = address, name, values

    def __repr__(self) -> str:
        return f"{self.name}{self.values}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Event) and (self.name, self.values) == (other.name, other.values)


def event(name: str, **values: Any) -> Event:
    """What a log should be; `from_` stands for the field `from`."""
    return Event("", name, {key.rstrip("_"): value for key, value in values.items()})


class Contract:
    """A deployed contract; its functions are attributes. `sender=` and `value=` as usual."""

    known: Mapping[str, "Contract"] = {}

    def __init__(self, address: str, abi: Sequence[Mapping[str, Any]]) -> None:
        self.address = to_checksum_address(address)
        self.abi = abi
        self.events: list[Event] = []
        Contract.known = {**Contract.known, self.address: self}

    def __getattr__(self, name: str) -> Any:
        entries = [entry for entry in self.abi if entry.get("name") == name]
        if not entries:
            raise AttributeError(name)

        def call(*args: Any, sender: str = EVERYBODY, value: int = 0) -> Any:
            (entry,) = (e for e in entries if len(e["inputs"]) == len(args))
            output = self.raw(
                selector(entry) + encode(types(entry["inputs"]), args),
                sender=sender,
                value=value,
                static=entry["stateMutability"] in ("view", "pure"),
            )
            values = decode(types(entry["outputs"]), output)
            found = tuple(
                to_checksum_address(v) if kind == "address" else v
                for kind, v in zip(types(entry["outputs"]), values, strict=True)
            )
            return found[0] if len(found) == 1 else (found or None)

        return call

    def raw(
        self, data: bytes, *, sender: str = EVERYBODY, value: int = 0, static: bool = False
    ) -> bytes:
        """Send these bytes; raises `Reverted`."""
        done = boa.env.execute_code(
            to_address=self.address,
            sender=sender,
            data=data,
            value=value,
            is_modifying=not static,
        )
        if done.is_error:
            self.events = []
            raise Reverted(bytes(done.output))
        self.events = [_decoded(entry) for entry in sorted(done.get_raw_log_entries())]
        return bytes(done.output)

    def calldata(self, name: str, *args: Any) -> bytes:
        (entry,) = (e for e in self.abi if e.get("name") == name and len(e["inputs"]) == len(args))
        return selector(entry) + encode(types(entry["inputs"]), args)


def deploy(artifact: Artifact, *args: Any, sender: str = EVERYBODY) -> Contract:
    """Deploy the shipped bytecode; raises `Reverted`."""
    (constructor,) = (e for e in artifact.abi if e["type"] == "constructor")
    bytecode = artifact.bytecode + encode(types(constructor["inputs"]), args)
    address, done = boa.env.deploy(sender=sender, bytecode=bytecode)
    if done.is_error:
        raise Reverted(bytes(done.output))
    return Contract(str(address), artifact.abi)


def selector(entry: Mapping[str, Any]) -> bytes:
    return keccak(signature(entry).encode())[:4]


def signature(entry: Mapping[str, Any]) -> str:
    return f"{entry['name']}({','.join(types(entry['inputs']))})"


def types(items: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        item["type"].replace("tuple", f"({','.join(types(item.get('components', [])))})")
        for item in items
    ]


def _decoded(entry: Any) -> Event:
    address, topics, data = to_checksum_address(entry[1]), entry[2], entry[3]
    contract = Contract.known.get(address)
    if contract is None:
        return Event(address, "unknown", {"topics": topics, "data": data})
    words = [topic.to_bytes(32, "big") for topic in topics]
    (abi,) = (
        e
        for e in contract.abi
        if e["type"] == "event" and keccak(signature(e).encode()) == words[0]
    )
    indexed = iter(words[1:])
    plain = [item for item in abi["inputs"] if not item["indexed"]]
    rest = iter(decode(types(plain), data))
    values = {}
    for item in abi["inputs"]:
        value = decode([item["type"]], next(indexed))[0] if item["indexed"] else next(rest)
        values[item["name"]] = to_checksum_address(value) if item["type"] == "address" else value
    return Event(address, abi["name"], values)
