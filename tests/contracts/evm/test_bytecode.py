"""The deployed bytecode: size, and what it cannot do (T22)."""

from collections.abc import Iterator

import cbor2
import pytest

from contracts import evm

MOST_BYTES = 24_576  # EIP-170
# ORIGIN: whoever asks for it can be used by any contract that a role holder calls.
FORBIDDEN = {0x32: "ORIGIN", 0xF2: "CALLCODE", 0xF4: "DELEGATECALL", 0xFF: "SELFDESTRUCT"}


def instructions(code: bytes) -> Iterator[int]:
    """The opcodes in order, without the constants that PUSH carries."""
    at = 0
    while at < len(code):
        yield code[at]
        at += 1 + (code[at] - 0x5F if 0x60 <= code[at] <= 0x7F else 0)


def executable(artifact: evm.Artifact) -> bytes:
    """The runtime without the jump tables behind it; their lengths stand in the compiler's mark."""
    marked = int.from_bytes(artifact.bytecode[-2:], "big")
    _, length, tables, _, _ = cbor2.loads(artifact.bytecode[-marked:-2])
    assert length == len(artifact.runtime)
    return artifact.runtime[: length - sum(tables)]


@pytest.mark.parametrize("name", evm.CONTRACTS)
def test_it_cannot_run_foreign_code_destroy_itself_or_ask_who_began(name: str) -> None:
    opcodes = set(instructions(executable(evm.load(name))))
    assert not {FORBIDDEN[opcode] for opcode in opcodes & set(FORBIDDEN)}
    assert 0xF1 in opcodes, "no CALL at all: the reading went wrong"


def test_a_deposit_addresss_own_code_only_hands_over_to_the_forwarder() -> None:
    """The one DELEGATECALL there is: in the 45 bytes of a proxy, to an address fixed in them."""
    proxy = bytes.fromhex("363d3d373d3d3d363d73" + "11" * 20 + "5af43d82803e903d91602b57fd5bf3")
    assert len(proxy) == 45
    assert list(instructions(proxy)).count(0xF4) == 1


@pytest.mark.parametrize("name", evm.CONTRACTS)
def test_it_fits_into_a_contract(name: str) -> None:
    assert len(evm.load(name).runtime) < MOST_BYTES * 3 // 4
